//! What operators see of a node and do with it, a file for each matter: questions go to the cores, their answers are put
//! together here, on the control thread.

mod view;

use super::backend::NodeBackend;
use crate::admin::{OperatorBackend, SessionsPage, SessionsQuestion, Viewed};
use crate::principal::PrincipalId;
use crate::shard::view::{EndedRow, SessionDetail};
use crate::wire::operator_name::OperatorName;

impl OperatorBackend for NodeBackend {
    fn name(&self) -> String {
        self.node.name().to_string()
    }

    fn sessions(&self, asked: SessionsQuestion) -> Viewed<'_, SessionsPage> {
        Box::pin(self.list_sessions(asked))
    }

    fn session(&self, name: OperatorName) -> Viewed<'_, Box<SessionDetail>> {
        Box::pin(self.show_session(name))
    }

    fn end_session(&self, name: OperatorName) -> Viewed<'_, ()> {
        Box::pin(self.end_session_named(name))
    }

    fn end_sessions_of(&self, principal: PrincipalId) -> Viewed<'_, usize> {
        Box::pin(self.end_all_of(principal))
    }

    fn drain_session(&self, name: OperatorName) -> Viewed<'_, ()> {
        Box::pin(self.drain_session_named(name))
    }

    fn ended_sessions(&self, limit: usize) -> Viewed<'_, Vec<EndedRow>> {
        Box::pin(self.last_ended(limit))
    }
}
