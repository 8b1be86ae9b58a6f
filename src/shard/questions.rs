//! What operators ask of another node, and that node of this one: the shard knows who asks, and whoever drives it has the
//! answer. How it is proven: `wire::peer_question`.

use super::{ConnectionKey, Millis, Shard};
use crate::wire::peer_question::PeerQuestion;

/// A question of another node, which waits for its answer ([`Shard::handle_peer_answer`]).
#[derive(Debug)]
pub struct AskedByPeer {
    pub connection: ConnectionKey,
    pub question: Box<PeerQuestion>,
}

/// What whoever drives a shard says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// As the admin listener would answer: JSON.
    Answered { status: u16, body: Box<[u8]> },
    /// It was asked before: somebody repeats what a node once sent, and is told what any client would be.
    Repeated,
    /// More is asked than is answered at once, or nobody is there who answers.
    Busy,
}

impl Shard {
    /// What [`Effect::AskOperators`](super::Effect::AskOperators) asked for. Too late if the other node is gone.
    pub fn handle_peer_answer(&mut self, now: Millis, key: ConnectionKey, answer: &PeerAnswer) {
        self.at(now);
        self.http.handle_peer_answer(key, answer);
        self.http.settle(key, &mut self.engine);
        self.http.arm(key);
        self.go_on();
    }
}
