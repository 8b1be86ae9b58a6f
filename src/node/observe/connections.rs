//! Connections: each core is asked, a portion at a time. A list holds no more than is shown of it and a portion of each core.

use std::cmp::Reverse;

use super::NodeBackend;
use crate::admin::{ConnectionsPage, ConnectionsPageQuestion, NotViewed};
use crate::shard::view::{ConnectionsQuestion, ViewAnswer, ViewQuestion};
use crate::wire::operator_name::ConnectionName;

impl NodeBackend {
    pub(super) async fn list_connections(
        &self,
        asked: ConnectionsPageQuestion,
    ) -> Result<ConnectionsPage, NotViewed> {
        let mut page = ConnectionsPage::default();
        for core in self.cores() {
            let mut next = Some(0);
            while let Some(from) = next {
                let only_slow = asked.only_slow;
                let question = ViewQuestion::Connections(ConnectionsQuestion { from, only_slow });
                let ViewAnswer::Connections(portion) = self.ask_core(core, question).await? else {
                    break;
                };
                page.total += portion.rows.len();
                page.rows.extend(portion.rows);
                page.rows.sort_by_key(|row| Reverse(row.pending_bytes));
                page.rows.truncate(asked.limit);
                next = portion.next;
            }
        }
        Ok(page)
    }

    pub(super) async fn end_connection_named(&self, name: ConnectionName) -> Result<(), NotViewed> {
        let core = name.place.core;
        if !self.cores().contains(&core) {
            return Err(NotViewed::Missing(None));
        }
        match self
            .ask_core(core, ViewQuestion::EndConnection(name))
            .await?
        {
            ViewAnswer::Missing(_) => Err(NotViewed::Missing(None)),
            _ => Ok(()),
        }
    }
}
