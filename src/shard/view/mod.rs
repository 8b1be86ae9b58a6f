//! What operators ask of the sessions and listen streams of one core, and what they are told: plain values, of which whoever
//! asks makes the node's answer. Where it says *session*, the listen stream of a client of 2026-07-28 is meant as well: a row is
//! one of either.
//!
//! A core has others to serve, so it answers a portion at a time ([`LOOKED_AT_ONCE`]): an answer says where the next question
//! goes on. What a question leaves out is left out here, so that what crosses threads is what somebody reads.
//!
//! Nothing in an answer lets anybody use a session: its secret is in none of these types.

mod place;
mod question;
mod row;

pub use self::place::{Part, RowPosition, ViewPlace};
pub use self::question::{RowState, RowsQuestion, SessionFilter, SortBy, ViewOrder, ViewQuestion};
pub use self::row::{
    ClientName, EndReason, EndedRow, LastError, MissingRow, RowsPortion, SessionDetail, SessionRow,
    StreamDetail, StreamKind, ViewAnswer,
};

use super::{Millis, Shard};

/// What a portion looks at, in entries: some tenths of a millisecond, of the one that nobody else may wait for longer.
pub const LOOKED_AT_ONCE: usize = 512;

/// What a portion ends: each takes as long as a look at some dozens.
pub const ENDED_AT_ONCE: usize = 32;

impl Shard {
    /// What an operator asks, or wants. Takes less than a millisecond, whatever there is.
    pub fn handle_view(&mut self, now: Millis, question: &ViewQuestion) -> ViewAnswer {
        self.at(now);
        let answer = self.engine.handle_view(&mut self.http, question);
        self.go_on();
        answer
    }
}
