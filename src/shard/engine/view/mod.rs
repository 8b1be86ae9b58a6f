//! What operators see of this core's sessions and listen streams, and do with them.

use super::{Engine, ExchangeOwner, Wire};
use crate::shard::view::{MissingRow, RowsPortion, ViewAnswer, ViewQuestion};

impl Engine {
    pub(in crate::shard) fn handle_view(
        &mut self,
        _wire: &mut impl Wire<ExchangeOwner>,
        question: &ViewQuestion,
    ) -> ViewAnswer {
        match question {
            ViewQuestion::Rows { .. } => ViewAnswer::Rows(RowsPortion::default()),
            ViewQuestion::EndAllOf { .. } => ViewAnswer::Ended {
                count: 0,
                next: None,
            },
            ViewQuestion::Ended => ViewAnswer::LastEnded(Vec::new()),
            ViewQuestion::Detail(_) | ViewQuestion::End(_) | ViewQuestion::Drain(_) => {
                ViewAnswer::Missing(MissingRow::Unknown)
            }
        }
    }
}
