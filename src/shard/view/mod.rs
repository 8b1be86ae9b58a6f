//! What operators ask of the sessions and listen streams of one core, and what they are told: plain values, of which whoever
//! asks makes the node's answer. Where it says *session*, the listen stream of a client of 2026-07-28 is meant as well: a row is
//! one of either.
//!
//! A core has others to serve, so it answers a portion at a time ([`LOOKED_AT_ONCE`]): an answer says where the next question
//! goes on. What a question leaves out is left out here, so that what crosses threads is what somebody reads.
//!
//! Nothing in an answer lets anybody use a session: its secret is in none of these types.

mod connection;
mod place;
mod question;
mod row;

pub use self::connection::{ConnectionRow, ConnectionsPortion, ConnectionsQuestion};
pub use self::place::{Part, RowPosition, ViewPlace};
pub use self::question::{RowState, RowsQuestion, SessionFilter, SortBy, ViewOrder, ViewQuestion};
pub use self::row::{
    AdoptedRow, ClientName, EndReason, EndedRow, LastError, MissingRow, Portability, RowsPortion,
    SessionDetail, SessionRow, StreamDetail, StreamKind, ViewAnswer,
};

use super::{Closed, Millis, Shard};
use crate::wire::operator_name::ConnectionName;

/// What a portion looks at, in entries: some tenths of a millisecond, of the one that nobody else may wait for longer.
pub const LOOKED_AT_ONCE: usize = 512;

/// A look at a slot that has nothing of what is looked for, as a share of one at what has.
pub(super) const SLOTS_PER_ENTRY: usize = 4;

/// Connections are looked at in passing: hardly any of them has anything to show.
const SLOTS_AT_ONCE: u32 = (SLOTS_PER_ENTRY * LOOKED_AT_ONCE) as u32;

/// What a portion ends: each takes as long as a look at some dozens.
pub const ENDED_AT_ONCE: usize = 32;

impl Shard {
    /// What an operator asks, or wants. Takes less than a millisecond, whatever there is.
    pub fn handle_view(&mut self, now: Millis, question: &ViewQuestion) -> ViewAnswer {
        self.at(now);
        let answer = match question {
            ViewQuestion::Connections(asked) => {
                ViewAnswer::Connections(self.connections_from(*asked))
            }
            ViewQuestion::EndConnection(name) => self.end_connection(name),
            _ => self.engine.handle_view(&mut self.http, question),
        };
        self.go_on();
        answer
    }

    fn connections_from(&self, asked: ConnectionsQuestion) -> ConnectionsPortion {
        let mut portion = ConnectionsPortion::default();
        let end = asked.from.saturating_add(SLOTS_AT_ONCE);
        for slot in asked.from..end {
            if slot as usize >= self.http.slot_count() {
                return portion;
            }
            if portion.rows.len() == LOOKED_AT_ONCE {
                portion.next = Some(slot);
                return portion;
            }
            let seen = self.http.seen_in(slot);
            let seen = seen.filter(|it| !asked.only_slow || it.unwritten.blocked_since.is_some());
            portion
                .rows
                .extend(seen.map(|it| self.engine.connection_row(&it)));
        }
        portion.next = Some(end);
        portion
    }

    fn end_connection(&mut self, name: &ConnectionName) -> ViewAnswer {
        let key = self.engine.connection_named(name);
        match key.filter(|key| self.http.is_open(*key)) {
            Some(key) => {
                self.http.close_connection(key, Closed::Operator);
                let next = None;
                ViewAnswer::Ended { count: 1, next }
            }
            None => ViewAnswer::Missing(MissingRow::Unknown),
        }
    }
}
