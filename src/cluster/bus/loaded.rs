//! How far a node is with the board that it shares with others, and what that means for clients.

use crate::app::call::Availability;

/// How far a node is with the board that it shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It was read, or there is none.
    Yes,
    /// It is being read, or Redis is not there.
    NotYet,
    /// It was waited for long enough.
    GivenUp,
}

impl Loaded {
    /// `awaits_board`: there is one, and it was not read yet. `is_late`: it was waited for long enough.
    pub(super) const fn of(awaits_board: bool, is_late: bool) -> Loaded {
        match (awaits_board, is_late) {
            (false, _) => Loaded::Yes,
            (true, true) => Loaded::GivenUp,
            (true, false) => Loaded::NotYet,
        }
    }

    /// What that means for clients.
    #[must_use]
    pub const fn availability(self) -> Availability {
        match self {
            Loaded::Yes => Availability::Ready,
            Loaded::NotYet => Availability::Loading,
            Loaded::GivenUp => Availability::WithoutBoard,
        }
    }
}
