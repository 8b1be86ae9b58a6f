//! What operators ask of other nodes, and those of this one: the control thread has the answer.

use std::rc::Rc;

use super::clock;
use super::engine::CoreDriver;
use super::forward::Forwarding;
use crate::shard::{AskedByPeer, PeerAnswer};
use crate::tasks;

/// See [`Effect::AskOperators`](crate::shard::Effect::AskOperators).
pub(super) fn ask(
    core: &Rc<impl CoreDriver>,
    forwarding: Option<&Rc<Forwarding>>,
    asked: AskedByPeer,
) {
    let AskedByPeer {
        connection,
        question,
    } = asked;
    let answer = forwarding.map(|it| it.cluster.handle.ask_operators(question));
    let core = core.clone();
    tasks::spawn(async move {
        let answer = match answer {
            Some(answer) => answer.await.unwrap_or(PeerAnswer::Busy),
            None => PeerAnswer::Busy,
        };
        core.with_shard(|shard| shard.handle_peer_answer(clock::now(), connection, &answer));
    });
}
