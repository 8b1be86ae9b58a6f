//! Questions of other nodes, for operators there. One is answered as a request is that waits, by somebody who is not here.
//!
//! What is not proven to be one is a request like any other, and finds nothing at its path.

use super::connection::ConnectionState;
use super::{ConnectionKey, Http, HttpOutput, Refused, RequestFields, UpperLayer, Wire};
use crate::shard::questions::{AskedByPeer, PeerAnswer};
use crate::wire::HeadView;
use crate::wire::forwarded::PeerSecret;
use crate::wire::peer_question::{PeerQuestion, QuestionKey};
use crate::wire::session_id::Process;

/// What a wire must know of the other nodes.
#[derive(Clone)]
pub(in crate::shard) struct Neighbours {
    /// None: requests are neither passed on nor taken from other nodes.
    pub(in crate::shard) secret: Option<PeerSecret>,
    /// Proves their questions, which anybody may pretend to ask.
    pub(in crate::shard) questions: Option<QuestionKey>,
    /// This process, as they call it.
    pub(in crate::shard) own: Process,
    /// Sessions of theirs may come here.
    pub(in crate::shard) adopts: bool,
}

impl<U: UpperLayer> Http<U> {
    /// The proof is looked at only where nothing else is.
    pub(super) fn peer_question(
        &self,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Option<Box<PeerQuestion>> {
        if !head.path().starts_with("/.pinfold/") || fields.origin.is_some() {
            return None;
        }
        let neighbours = self.neighbours.as_ref()?;
        let question = neighbours.questions.as_ref()?.read(head, neighbours.own)?;
        Some(Box::new(question))
    }

    pub(super) fn ask_operators(&mut self, key: ConnectionKey, question: &PeerQuestion) {
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(key) {
            connection.state = ConnectionState::ExpectOperators;
            connection.since = now;
            self.outputs
                .push_back(HttpOutput::AskOperators(AskedByPeer {
                    connection: key,
                    question: Box::new(question.clone()),
                }));
        }
    }

    pub(in crate::shard) fn handle_peer_answer(&mut self, key: ConnectionKey, answer: &PeerAnswer) {
        let connection = self.connections.get(key);
        if !connection.is_some_and(|it| matches!(it.state, ConnectionState::ExpectOperators)) {
            return;
        }
        match answer {
            PeerAnswer::Answered { status, body } => {
                self.answer(key, *status, &[("Cache-Control", "no-store")], body);
            }
            PeerAnswer::Repeated => self.refuse(key, None, &self.gate.nothing_here()),
            PeerAnswer::Busy => self.refuse_busy(key),
        }
    }

    /// Nobody answers in time.
    pub(super) fn refuse_busy(&mut self, key: ConnectionKey) {
        let sentence = "As many questions of operators as may be are being answered here, or nobody answers any.";
        self.refuse_request_and_close(key, &Refused::busy(sentence, 1));
    }
}
