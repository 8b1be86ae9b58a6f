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
        /// Which has it: the one that its id names, or one that took it over.
        process: Process,
        address: SocketAddr,
        /// What the proxy's sticky cookie says for that node.
        cookie: Arc<str>,
        /// For so long it is believed to live without asking again: whoever answers knows how old the news is.
        lives_ms: Millis,
    },
    /// This node has taken it over.
    Here {
        core: u16,
    },
    Gone(MissReason),
}

#[derive(Clone, Debug)]
pub(super) struct KnownOwner {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    pub(super) cookie: Arc<str>,
    lives_until: Millis,
}

/// What was learned of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    There,
    Here { core: u16 },
    Gone(MissReason),
}

impl Learned {
    /// Why the node that was known has it no more, if that is so.
    pub(super) fn lost(self) -> Option<MissReason> {
        match self {
            Learned::There | Learned::Gone(MissReason::CannotTell) => None,
            Learned::Here { .. } => Some(MissReason::OwnerUnreachable),
            Learned::Gone(gone) => Some(gone),
        }
    }
}

/// Sessions that were taken over by other nodes, and are remembered for the second in which that is believed.
const ELSEWHERE_MAX: usize = 4096;

/// Nodes that answered lately: as many as live, and those that nobody asked for since they died.
#[derive(Default)]
pub(super) struct Owners {
    known: HashMap<Process, KnownOwner>,
    /// Of sessions that are not at the process that their id names.
    elsewhere: HashMap<SessionId, KnownOwner>,
}

impl Owners {
    pub(super) fn known(&self, session: SessionId) -> Option<&KnownOwner> {
        let elsewhere = self.elsewhere.get(&session);
        elsewhere.or_else(|| self.known.get(&session.process()))
    }

    pub(super) fn is_fresh(&self, now: Millis, session: SessionId) -> bool {
        self.known(session)
            .is_some_and(|known| now < known.lives_until)
    }

    /// The owner did not take a connection: the next request asks anew.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.elsewhere.remove(&session);
        self.known.remove(&session.process());
    }

    pub(super) fn learn(
        &mut self,
        now: Millis,
        session: SessionId,
        owner: SessionOwner,
    ) -> Learned {
        self.elsewhere.remove(&session);
        match owner {
            SessionOwner::Alive {
                process,
                address,
                cookie,
                lives_ms,
            } => {
                let known = KnownOwner {
                    process,
                    address,
                    cookie,
                    lives_until: now + lives_ms,
                };
                self.remember(now, session, known);
                Learned::There
            }
            SessionOwner::Here { core } => Learned::Here { core },
            SessionOwner::Gone(gone) => {
                self.forget(session);
                Learned::Gone(gone)
            }
        }
    }

    fn remember(&mut self, now: Millis, session: SessionId, known: KnownOwner) {
        if known.process == session.process() {
            self.known.insert(known.process, known);
            return;
        }
        if self.elsewhere.len() >= ELSEWHERE_MAX {
            self.elsewhere.retain(|_, it| now < it.lives_until);
        }
        if self.elsewhere.len() >= ELSEWHERE_MAX {
            self.elsewhere.clear();
        }
        self.elsewhere.insert(session, known);
    }
}
