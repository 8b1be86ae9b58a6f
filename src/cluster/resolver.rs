//! Whose session it is, from what Redis says of its node and of the session itself. Asked for requests that miss
//! their session, and for no others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::peers::Missing;
use super::record::{FoundRecord, NodeRecord};
use super::session_record::{FoundSession, SessionState};
use super::steering::cookie_value;
use crate::runtime::SessionOwner;
use crate::shard::{Millis, MissReason};
use crate::wire::session_id::{NodeName, Process, SessionId};

/// How long a node counts as alive without being asked for, on all cores: shorter than the time between two of its beats.
const FRESH: Duration = Duration::from_secs(1);
/// How long its last address is good enough while Redis does not answer. Whoever connects there finds out the rest.
const USABLE: Duration = Duration::from_secs(60);

/// Nodes that were alive lately. As many as there are nodes.
#[derive(Default)]
pub(super) struct Nodes {
    seen: HashMap<NodeName, SeenNode>,
}

struct SeenNode {
    incarnation: u64,
    /// Not all sessions that its process opened are there, or not for long.
    loses_sessions: bool,
    /// Of its sessions, at the moment when it was seen.
    owner: SessionOwner,
    at: Instant,
}

/// Where a session is.
pub(super) enum Whereabouts {
    Owner(SessionOwner),
    /// Nobody has it, as far as is known.
    Unowned(Box<FoundSession>),
    /// This node has let go of it, and Redis does not know that yet.
    Unsaid,
}

/// What Redis says about a session of another node.
#[derive(Debug)]
pub(super) struct LocateAnswers {
    /// The process that has it, or had it.
    pub(super) owner: Process,
    pub(super) node: FoundRecord<NodeRecord>,
    pub(super) session: FoundRecord<FoundSession>,
    /// What is not there was not written, or was removed.
    pub(super) absence_tells: bool,
    /// Every process that lives has had the time to write its node's key.
    pub(super) heard_all: bool,
    /// What is known of the session's process besides, if its node's key is not there.
    pub(super) missing: Option<Missing>,
    /// Unix milliseconds; what an incarnation counts from.
    pub(super) unix_ms: u64,
}

/// A process that started so lately may not have told Redis of itself yet, and clocks differ a little.
const YOUNG_MS: u64 = 10_000;

impl LocateAnswers {
    fn state(&self) -> Option<SessionState> {
        match &self.session {
            FoundRecord::Record(found) => Some(found.state),
            FoundRecord::Nothing | FoundRecord::Foreign => None,
        }
    }

    /// Its node's key is not there, and should be.
    pub(super) fn is_expected(&self) -> bool {
        matches!(self.missing, Some(Missing::Expected(_)))
    }

    /// What becomes of a session that Redis has not heard of.
    fn unheard_of(&self, session: &SessionId) -> MissReason {
        let is_young = self.unix_ms.abs_diff(session.locator.incarnation) < YOUNG_MS;
        match is_young || !self.heard_all {
            true => MissReason::CannotTell,
            false => MissReason::Unknown,
        }
    }
}

impl SeenNode {
    /// Whoever is told remembers it for as long as it is fresh here, not for a second of its own.
    fn owner_at(&self, now: Instant) -> SessionOwner {
        let mut owner = self.owner.clone();
        if let SessionOwner::Alive { lives_ms, .. } = &mut owner {
            let age = now.saturating_duration_since(self.at);
            *lives_ms = FRESH.saturating_sub(age).as_millis() as Millis;
        }
        owner
    }
}

impl Nodes {
    /// The owner, if that is known without asking.
    pub(super) fn owner_at_once(&self, session: &SessionId, now: Instant) -> Option<SessionOwner> {
        let seen = self.seen_within(session, now, FRESH)?;
        // Which of two processes came first is not told by their numbers: those are of clocks, which can be set back.
        let is_its = seen.incarnation == session.locator.incarnation;
        (is_its && !seen.loses_sessions).then(|| seen.owner_at(now))
    }

    /// The owner, if Redis does not answer.
    pub(super) fn owner_without_answer(&self, session: &SessionId, now: Instant) -> SessionOwner {
        match self.seen_within(session, now, USABLE) {
            Some(seen) if seen.incarnation == session.locator.incarnation => seen.owner.clone(),
            _ => SessionOwner::Gone(MissReason::CannotTell),
        }
    }

    /// The owner, by what Redis answers. Remembers what it says about the node.
    pub(super) fn owner(
        &mut self,
        session: &SessionId,
        answers: &LocateAnswers,
        now: Instant,
    ) -> SessionOwner {
        let lives = answers.state() == Some(SessionState::Lives);
        let marked = answers.state().is_some() && !lives;
        let FoundRecord::Record(node) = &answers.node else {
            return self.owner_without_node(session, answers, now);
        };
        let owner = self.learn(answers.owner.0, node, now);
        if node.incarnation == answers.owner.1 {
            return owner;
        }
        if marked {
            return SessionOwner::Gone(MissReason::OwnerRestarted);
        }
        // Two processes of one node: either the session's has ended, or it has just started and has not written the
        // node's key yet. Their numbers do not tell, since clocks can be set back. Whoever is there under the node's name
        // knows: it has the session, or says that it ended.
        match lives {
            true if node.leaving => SessionOwner::Gone(MissReason::CannotTell),
            true => owner,
            // No client is worse off if this is the wrong reason.
            false if node.incarnation > answers.owner.1 => {
                SessionOwner::Gone(MissReason::OwnerRestarted)
            }
            false => SessionOwner::Gone(answers.unheard_of(session)),
        }
    }

    /// The owner, if its node's key is not there.
    fn owner_without_node(
        &mut self,
        session: &SessionId,
        answers: &LocateAnswers,
        now: Instant,
    ) -> SessionOwner {
        let heard_of = match answers.state() {
            Some(SessionState::Restarted) => {
                return self.gone(answers.owner, MissReason::OwnerRestarted);
            }
            Some(SessionState::Down) => {
                return self.gone(answers.owner, MissReason::OwnerDown);
            }
            Some(SessionState::Lives) => true,
            None => false,
        };
        if let Some(Missing::Expected(record)) = &answers.missing {
            // Somebody deleted its key, or it died just now. Whoever connects there finds out.
            return owner_by(record);
        }
        if !answers.absence_tells {
            return self.owner_without_answer(session, now);
        }
        let is_down = heard_of || answers.missing.is_some();
        let gone = match is_down {
            true => MissReason::OwnerDown,
            false => answers.unheard_of(session),
        };
        self.gone(answers.owner, gone)
    }

    fn gone(&mut self, owner: Process, gone: MissReason) -> SessionOwner {
        self.seen.remove(&owner.0);
        SessionOwner::Gone(gone)
    }

    fn learn(&mut self, name: NodeName, node: &NodeRecord, now: Instant) -> SessionOwner {
        self.seen
            .retain(|_, seen| now.saturating_duration_since(seen.at) < USABLE);
        let owner = owner_by(node);
        let seen = SeenNode {
            incarnation: node.incarnation,
            loses_sessions: node.loses_sessions(),
            owner: owner.clone(),
            at: now,
        };
        self.seen.insert(name, seen);
        owner
    }

    fn seen_within(
        &self,
        session: &SessionId,
        now: Instant,
        within: Duration,
    ) -> Option<&SeenNode> {
        let seen = self.seen.get(&session.node)?;
        (now.saturating_duration_since(seen.at) < within).then_some(seen)
    }
}

fn cookie(node: &NodeRecord, address: SocketAddr) -> Arc<str> {
    match &node.url {
        Some(url) => cookie_value(url).into(),
        None => cookie_value(&format!("http://{address}")).into(),
    }
}

/// Of the sessions of this node's process.
pub(super) fn owner_by(node: &NodeRecord) -> SessionOwner {
    match node.address.zip(node.process()) {
        _ if node.leaving => SessionOwner::Gone(MissReason::OwnerRestarted),
        Some((address, process)) => SessionOwner::Alive {
            process,
            address,
            cookie: cookie(node, address),
            lives_ms: match node.loses_sessions() {
                true => 0,
                false => FRESH.as_millis() as Millis,
            },
        },
        // It says that it takes no requests from other nodes.
        None => SessionOwner::Gone(MissReason::Misrouted),
    }
}

#[cfg(test)]
mod tests;
