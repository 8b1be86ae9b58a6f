//! The end that every thread may hold: what threads say and ask waits here for the control thread.

use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures_channel::oneshot;

use super::seen::ClusterSeen;
use crate::mailbox::Mailbox;
use crate::runtime::{ClusterHandle, SessionOwner};
use crate::shard::{PeerAnswer, SessionEvent};
use crate::wire::peer_question::PeerQuestion;
use crate::wire::session_id::{Process, SessionId};

/// What cores say between two looks of the control thread: all sessions of a large node at once.
const SAID_MAX: usize = 256 * 1024;
/// Requests that wait to hear where their session is. Further ones are told to try again.
const ASKED_MAX: usize = 4096;
/// Questions of other nodes that wait for the control thread. Further ones are told that this node is busy.
const QUESTIONS_MAX: usize = 64;

/// A node's membership in its cluster.
pub struct Membership {
    pub(super) said: Mailbox<ClusterMessage>,
    pub(super) asked: Mailbox<OwnerMessage>,
    /// What other nodes ask for operators there.
    pub(super) questions: Mailbox<WaitingQuestion>,
    /// Only operators look.
    seen: Mutex<ClusterSeen>,
}

pub(super) enum ClusterMessage {
    SessionEvent(SessionEvent),
    /// A core drains.
    Draining,
    /// Nothing is left on a core that drains.
    Leaving,
    /// Nothing more will be said.
    Leave(mpsc::Sender<()>),
}

/// In this order: whoever finds that a process takes no connection asks next who has its session now.
pub(super) enum OwnerMessage {
    /// A process took no connection.
    Suspect(Process),
    /// Another node does not reach Redis.
    Pledge(WaitingQuestion),
    Locate {
        session: SessionId,
        answer: oneshot::Sender<SessionOwner>,
    },
}

/// A question that a core has taken.
pub(crate) struct WaitingQuestion {
    pub(crate) question: Box<PeerQuestion>,
    /// Dropped it means that this node is busy.
    pub(crate) answer: oneshot::Sender<PeerAnswer>,
}

impl Membership {
    pub(super) fn new() -> Self {
        Membership {
            said: Mailbox::new(SAID_MAX),
            asked: Mailbox::new(ASKED_MAX),
            questions: Mailbox::new(QUESTIONS_MAX),
            seen: Mutex::default(),
        }
    }

    /// How this node sees the others, as of a moment ago.
    #[must_use]
    pub fn seen(&self) -> ClusterSeen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note_seen(&self, note: impl FnOnce(&mut ClusterSeen)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for questions, and takes all there are.
    pub(crate) async fn questions(&self) -> Vec<WaitingQuestion> {
        self.questions.collect().await.messages
    }

    /// Nobody answers any: there are no operators here.
    pub(crate) fn close_questions(&self) {
        self.questions.close();
    }

    /// Waits until Redis knows all that was said and that the node is gone, but no longer than that. For the thread
    /// that ends the process, after its cores ended.
    pub fn leave(&self, at_most: Duration) {
        let (answer, left) = mpsc::channel();
        // Once.
        self.said.post_beyond(ClusterMessage::Leave(answer));
        if left.recv_timeout(at_most).is_err() {
            tracing::warn!("Redis was not told of all that this node's end means for its sessions");
        }
    }
}

impl ClusterHandle for Membership {
    fn say(&self, said: Vec<SessionEvent>) {
        self.said
            .post(said.into_iter().map(ClusterMessage::SessionEvent));
    }

    fn announce_draining(&self) {
        // Once for each core.
        self.said.post_beyond(ClusterMessage::Draining);
    }

    fn suspect(&self, process: Process) {
        self.asked.post([OwnerMessage::Suspect(process)]);
    }

    fn announce_leaving(&self) {
        // Once for each core.
        self.said.post_beyond(ClusterMessage::Leaving);
    }

    fn locate(&self, session: SessionId) -> oneshot::Receiver<SessionOwner> {
        let (answer, owner) = oneshot::channel();
        self.asked.post([OwnerMessage::Locate { session, answer }]);
        owner
    }

    fn ask_operators(&self, question: Box<PeerQuestion>) -> oneshot::Receiver<PeerAnswer> {
        let (answer, answered) = oneshot::channel();
        let is_for_pledge = question.is_for_pledge();
        let waiting = WaitingQuestion { question, answer };
        match is_for_pledge {
            true => self.asked.post([OwnerMessage::Pledge(waiting)]),
            false => self.questions.post([waiting]),
        };
        answered
    }
}
