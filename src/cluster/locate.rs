//! Finds out for requests that miss their session where it is, many at once: at another node, here because this one takes it
//! over, or gone.

use std::rc::Rc;
use std::time::{Duration, Instant};

use monoio::time::{sleep, timeout};

use super::claims::Claim;
use super::dead_processes;
use super::membership::{OwnerMessage, WaitingQuestion};
use super::pending::RecordChange;
use super::record::{FoundRecord, NodeRecord, found_node};
use super::resolver::{LocateAnswers, Whereabouts, owner_by};
use super::session_record::{FoundSession, found_session};
use super::shared::ClusterContext;
use super::takeovers::CLAIM_WITHIN;
use crate::redis::{Command, Reply};
use crate::runtime::{SessionOwner, unix_ms};
use crate::shard::MissReason;
use crate::tasks;
use crate::wire::session_id::{NodeName, SessionId};

/// A request waits a second at most to hear where its session is, unless it is taken over; the rest is for the way.
const ANSWER_WITHIN: Duration = Duration::from_millis(700);
/// A process that goes on for another one has its own connection in milliseconds, unless Redis is away.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// Until Redis knows what this node has let go of.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Questions to Redis under way at once.
const ASKS_MAX: usize = 4096;

/// Answers whoever asks for the owner of a session, many at once.
pub(super) async fn resolve(shared: Rc<ClusterContext>) {
    loop {
        let asked = shared.membership.asked.collect().await;
        for message in asked.messages {
            let (session, answer) = match message {
                OwnerMessage::Locate { session, answer } => (session, answer),
                OwnerMessage::Pledge(WaitingQuestion { question, answer }) => {
                    // Whoever asked may have given up.
                    let _ = answer.send(shared.answer_pledge(&question));
                    continue;
                }
                OwnerMessage::Suspect(process) => {
                    let is_news = shared.peers.borrow_mut().suspect(process, Instant::now());
                    if is_news {
                        dead_processes::show(&shared);
                    }
                    continue;
                }
            };
            if shared.asks.get() >= ASKS_MAX {
                // Dropping the answer is one: it cannot be told now.
                continue;
            }
            shared.asks.set(shared.asks.get() + 1);
            let shared = shared.clone();
            tasks::spawn(async move {
                let owner = shared.owner(&session).await;
                // The client may have left.
                let _ = answer.send(owner);
                shared.asks.set(shared.asks.get() - 1);
            });
        }
    }
}

impl ClusterContext {
    async fn owner(&self, session: &SessionId) -> SessionOwner {
        if let Some(owner) = self.owner_at_once(session) {
            return owner;
        }
        if self.is_resumed && self.started.elapsed() < CONNECTED_WITHIN {
            // The clients of the process before shall not hear of that.
            let _ = timeout(ANSWER_WITHIN, self.link.came_up(0)).await;
        }
        let until = Instant::now() + CLAIM_WITHIN;
        loop {
            let whereabouts = self.look_for(session).await;
            match whereabouts {
                Whereabouts::Owner(owner) => return owner,
                Whereabouts::Unsaid if Instant::now() < until => sleep(LOOK_AGAIN).await,
                Whereabouts::Unsaid => return SessionOwner::Gone(MissReason::CannotTell),
                Whereabouts::Unowned(found) => match self.claim(session, &found, until).await {
                    Claim::Had(owner) => return owner,
                    Claim::Again if Instant::now() < until => {}
                    Claim::Again => return SessionOwner::Gone(MissReason::CannotTell),
                },
            }
        }
    }

    fn owner_at_once(&self, session: &SessionId) -> Option<SessionOwner> {
        let known = || {
            let now = Instant::now();
            let owner = self.nodes.borrow().owner_at_once(session, now)?;
            let is_suspect = self.peers.borrow().is_suspect(session.process(), now);
            (!is_suspect).then_some(owner)
        };
        self.adopted_owner(session).or_else(known)
    }

    async fn look_for(&self, session: &SessionId) -> Whereabouts {
        if let Some(owner) = self.adopted_owner(session) {
            return Whereabouts::Owner(owner);
        }
        match self.pending.borrow().change_of(session) {
            Some(RecordChange::Remove) => {
                return Whereabouts::Owner(SessionOwner::Gone(MissReason::Expired));
            }
            // What is there says that this node has it, which is not so any more.
            Some(RecordChange::Release(_)) => return Whereabouts::Unsaid,
            _ => {}
        }
        let connection = self.link.number();
        let answers = self.ask(session).await;
        let now = Instant::now();
        let Some(answers) = answers else {
            let owner = self.nodes.borrow().owner_without_answer(session, now);
            return Whereabouts::Owner(self.unless_suspect(owner, now));
        };
        // Else what it says of owners may be of long ago, and the next heartbeat will tell.
        let is_believed = self.heartbeat.borrow().is_of(connection);
        let unowned = match &answers.session {
            FoundRecord::Record(found) if self.may_claim(&answers, found) => Some(found.clone()),
            _ => None,
        };
        match unowned {
            Some(_) if !is_believed => Whereabouts::Unsaid,
            Some(found) if self.record.borrow().draining => {
                Whereabouts::Owner(self.adopter(session, &found))
            }
            Some(found) => Whereabouts::Unowned(Box::new(found)),
            None => {
                let owner = self.nodes.borrow_mut().owner(session, &answers, now);
                let ends_with_it = matches!(&answers.session, FoundRecord::Record(found) if found.adoptable().is_none());
                Whereabouts::Owner(match ends_with_it {
                    // It was asked here in vain: whoever of this name had it was an earlier process.
                    true if self.is_own(&owner) => SessionOwner::Gone(MissReason::OwnerRestarted),
                    true => owner,
                    false => self.unless_suspect(owner, now),
                })
            }
        }
    }

    fn is_own(&self, owner: &SessionOwner) -> bool {
        matches!(owner, SessionOwner::Alive { process, .. } if *process == self.own_process())
    }

    /// A session that can be had later, of a process that takes no connection, is not said to be gone.
    fn unless_suspect(&self, owner: SessionOwner, now: Instant) -> SessionOwner {
        match owner {
            SessionOwner::Alive { process, .. }
                if self.reach.is_some() && self.peers.borrow().is_suspect(process, now) =>
            {
                SessionOwner::Gone(MissReason::CannotTell)
            }
            owner => owner,
        }
    }

    /// Nobody has it, as far as is known: a claim will tell.
    fn may_claim(&self, answers: &LocateAnswers, found: &FoundSession) -> bool {
        if self.reach.is_none() || found.adoptable().is_none() || !answers.absence_tells {
            return false;
        }
        if found.is_free() || found.owner == self.own_process() {
            return true;
        }
        let is_suspect = || self.peers.borrow().is_suspect(found.owner, Instant::now());
        match &answers.node {
            FoundRecord::Record(node) if node.incarnation == found.owner.1 => {
                node.leaving || is_suspect()
            }
            // Another process of that name is there.
            FoundRecord::Record(_) => true,
            FoundRecord::Nothing | FoundRecord::Foreign => !answers.is_expected() || is_suspect(),
        }
    }

    /// This node takes its leave and takes nothing over: another one does, if it is asked.
    fn adopter(&self, session: &SessionId, found: &FoundSession) -> SessionOwner {
        let adopter = self
            .peers
            .borrow()
            .adopter(session, found.owner, Instant::now());
        match adopter {
            Some(record) => owner_by(&record),
            None => SessionOwner::Gone(MissReason::CannotTell),
        }
    }

    async fn ask(&self, session: &SessionId) -> Option<LocateAnswers> {
        let commands = [
            self.keys.read_session(session),
            self.keys.read_node(self.node),
            self.keys.read_node(session.node),
        ];
        let replies = self.answers_to(&commands).await?;
        let [about, own, node] = replies.as_slice() else {
            return None;
        };
        let about = found_session(about, session);
        let owner = match &about {
            FoundRecord::Record(found) => found.owner,
            FoundRecord::Nothing | FoundRecord::Foreign => session.process(),
        };
        let node = match owner.0 == session.node {
            true => found_node(node, session.node),
            false => self.read_node(owner.0).await?,
        };
        let now = Instant::now();
        self.peers.borrow_mut().look(owner.0, &node, now);
        let has_own = found_node(own, self.node) != FoundRecord::Nothing;
        let heartbeat = self.heartbeat.borrow();
        let answers = LocateAnswers {
            node,
            owner,
            missing: self.peers.borrow().missing(owner, now),
            session: about,
            absence_tells: has_own && heartbeat.trusts_absence(now),
            heard_all: has_own && heartbeat.has_heard_all(now),
            unix_ms: unix_ms(),
        };
        if answers.node == FoundRecord::Foreign {
            self.found_foreign("node", &self.keys.node(owner.0));
        }
        if answers.session == FoundRecord::Foreign {
            self.found_foreign("session", &session.redacted().to_string());
        }
        Some(answers)
    }

    async fn read_node(&self, node: NodeName) -> Option<FoundRecord<NodeRecord>> {
        let replies = self.answers_to(&[self.keys.read_node(node)]).await?;
        Some(found_node(replies.first()?, node))
    }

    /// None: one of them was not answered, or all too late.
    async fn answers_to(&self, commands: &[Command]) -> Option<Vec<Reply>> {
        let sent = self.send("resolve", commands);
        let replies = timeout(ANSWER_WITHIN, sent).await.ok()?.ok()?;
        let unanswered = |reply: &Reply| reply.error().is_some_and(|it| !it.is("WRONGTYPE"));
        (!replies.iter().any(unanswered)).then_some(replies)
    }
}
