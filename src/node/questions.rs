//! What one node of a cluster asks another one for an operator: this node's questions, and its answers. The features `admin`
//! and `redis`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::Node;
use super::backend::NodeBackend;
use super::cluster::Membership;
use crate::admin::{NodeAnswer, answer_peer};
use crate::cluster::{PeerAsker, QuestionsHeard, WaitingQuestion};
use crate::log_throttle::LogThrottle;
use crate::runtime::unix_ms;
use crate::shard::PeerAnswer;
use crate::tasks;
use crate::wire::http1::Method;
use crate::wire::session_id::NodeName;

/// Questions of other nodes that are answered at once. One walks through all sessions, and its answer may have megabytes.
const ANSWERED_AT_ONCE_MAX: usize = 16;

pub(super) fn asker(node: &Node, membership: Option<Arc<Membership>>) -> Option<PeerAsker> {
    let options = node.options();
    let own = (options.node_name(), options.incarnation);
    Some(PeerAsker::new(membership?, options.peer_secret(), own))
}

impl NodeBackend {
    pub(super) fn other_node_names(&self) -> Vec<NodeName> {
        self.asker.as_ref().map_or_else(Vec::new, PeerAsker::nodes)
    }

    pub(super) fn ask_other_node(
        &self,
        node: NodeName,
        method: Method,
        target: String,
    ) -> LocalBoxFuture<'_, Result<NodeAnswer, String>> {
        Box::pin(async move {
            let asker = self.asker.as_ref().ok_or("this node is alone")?;
            let (status, body) = asker.ask(node, method, &target).await?;
            Ok(NodeAnswer { status, body })
        })
    }
}

/// Answers what other nodes ask, for as long as the control thread runs.
pub(super) async fn answer(backend: Rc<NodeBackend>, membership: Arc<Membership>) {
    let (mut heard, mut throttle) = (QuestionsHeard::default(), LogThrottle::default());
    let under_way = Rc::new(Cell::new(0));
    loop {
        for WaitingQuestion { question, answer } in membership.questions().await {
            if !heard.take(&question) {
                if let Some(unlogged) = throttle.admit(unix_ms()) {
                    tracing::warn!(node = %question.from, unlogged, "a question of another node came twice, and was not \
                        answered: somebody repeats what nodes say to each other");
                }
                // The client may have left.
                let _ = answer.send(PeerAnswer::Repeated);
                continue;
            }
            if under_way.get() >= ANSWERED_AT_ONCE_MAX {
                // Dropping the answer is one: this node is busy.
                continue;
            }
            under_way.set(under_way.get() + 1);
            let (backend, under_way) = (backend.clone(), under_way.clone());
            tasks::spawn(async move {
                let said = answer_peer(question.method, &question.target, &*backend).await;
                under_way.set(under_way.get() - 1);
                let NodeAnswer { status, body } = said;
                // The other node may have given up.
                let _ = answer.send(PeerAnswer::Answered {
                    status,
                    body: body.into(),
                });
            });
        }
    }
}
