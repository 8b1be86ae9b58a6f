//! Where the nodes of other sessions are, as far as this core learned lately.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::shard::{Millis, MissReason};
use crate::wire::session_id::{Process, SessionId};

/// How long a node is believed to live without asking again.
const FRESH_MS: Millis = 1_000;

/// The node of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOwner {
    Alive {
        address: SocketAddr,
        /// What the proxy's sticky cookie says for that node.
        cookie: Arc<str>,
    },
    Gone(MissReason),
}

#[derive(Clone)]
pub(super) struct KnownOwner {
    pub(super) address: SocketAddr,
    pub(super) cookie: Arc<str>,
    since: Millis,
}

/// Nodes that answered lately: as many as live, and those that nobody asked for since they died.
#[derive(Default)]
pub(super) struct Owners {
    known: HashMap<Process, KnownOwner>,
}

impl Owners {
    pub(super) fn known(&self, session: SessionId) -> Option<&KnownOwner> {
        self.known.get(&session.process())
    }

    pub(super) fn is_fresh(&self, now: Millis, session: SessionId) -> bool {
        self.known(session)
            .is_some_and(|known| now < known.since + FRESH_MS)
    }

    /// The owner did not take a connection: the next request asks anew.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.known.remove(&session.process());
    }

    /// Some: why it is not there.
    pub(super) fn learn(
        &mut self,
        now: Millis,
        session: SessionId,
        owner: SessionOwner,
    ) -> Option<MissReason> {
        match owner {
            SessionOwner::Alive { address, cookie } => {
                let since = now;
                let known = KnownOwner {
                    address,
                    cookie,
                    since,
                };
                self.known.insert(session.process(), known);
                None
            }
            SessionOwner::Gone(gone) => {
                self.forget(session);
                Some(gone)
            }
        }
    }
}
