//! Where the nodes of other sessions are, as far as this core learned lately: a copy of what the cluster knows, believed for as
//! long as that is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::shard::{Millis, MissReason};
use crate::wire::session_id::{Process, SessionId};

/// The node of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOwner {
    Alive {
        address: SocketAddr,
        /// What the proxy's sticky cookie says for that node.
        cookie: Arc<str>,
        /// For so long it is believed to live without asking again: whoever answers knows how old the news is.
        lives_ms: Millis,
    },
    Gone(MissReason),
}

#[derive(Clone)]
pub(super) struct KnownOwner {
    pub(super) address: SocketAddr,
    pub(super) cookie: Arc<str>,
    lives_until: Millis,
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
            .is_some_and(|known| now < known.lives_until)
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
            SessionOwner::Alive {
                address,
                cookie,
                lives_ms,
            } => {
                let known = KnownOwner {
                    address,
                    cookie,
                    lives_until: now + lives_ms,
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
