//! Where the nodes of other sessions are, as far as this core was told lately.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::shard::{Millis, MissReason};
use crate::wire::session_id::{NodeName, SessionId};

/// How long a node is believed to live without asking again.
const FRESH_MS: Millis = 1_000;

/// The node of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Alive {
        address: SocketAddr,
        /// What the proxy's sticky cookie says for that node.
        cookie: Arc<str>,
    },
    Gone(MissReason),
}

/// A node's name and incarnation: sessions that live and end together.
pub(super) type Process = (NodeName, u64);

pub(super) fn process_of(session: &SessionId) -> Process {
    (session.node, session.locator.incarnation)
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) address: SocketAddr,
    pub(super) cookie: Arc<str>,
    since: Millis,
}

/// Nodes that answered lately: as many as live, and those that nobody asked for since they died.
#[derive(Default)]
pub(super) struct Owners {
    known: HashMap<Process, Known>,
}

impl Owners {
    pub(super) fn known(&self, session: SessionId) -> Option<&Known> {
        self.known.get(&process_of(&session))
    }

    pub(super) fn is_fresh(&self, now: Millis, session: SessionId) -> bool {
        self.known(session)
            .is_some_and(|known| now < known.since + FRESH_MS)
    }

    /// The owner did not take a connection: the next request asks anew.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.known.remove(&process_of(&session));
    }

    /// Some: why it is not there.
    pub(super) fn learn(
        &mut self,
        now: Millis,
        session: SessionId,
        owner: Owner,
    ) -> Option<MissReason> {
        match owner {
            Owner::Alive { address, cookie } => {
                let since = now;
                let known = Known {
                    address,
                    cookie,
                    since,
                };
                self.known.insert(process_of(&session), known);
                None
            }
            Owner::Gone(gone) => {
                self.forget(session);
                Some(gone)
            }
        }
    }
}
