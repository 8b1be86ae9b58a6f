//! Why something cannot leave a shard now, or enter one, and what of it need not be written down: for whoever carries state
//! between shards.

use std::fmt;

/// Why a session or a connection stays where it is. Nothing was changed; most reasons pass by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StaysBecause {
    /// It ended, or left before.
    NotHere,
    /// What the shard wants done was not carried out yet: effects and writes are drained first.
    NotDrained,
    /// A call runs, here, for this session or on this connection. It may have asked its client something.
    CallUnderWay,
    /// A request arrives, or is looked at on another thread, or waits for word of another node: this connection's, or one
    /// for this session on some connection of this core.
    RequestArrives,
    /// Its answer waits a moment before it begins, because a proxy may not be ready for it.
    AnswerHeld,
    /// The connection was answered for the last time and ends.
    Ending,
    /// It carries a session's stream, and leaves with that session.
    OfSession,
    /// The node takes its leave, and ends what it has.
    Draining,
    /// Another node answers its request.
    PassedOn,
}

/// With what something leaves its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Leaves {
    Alone,
    /// All of it stands still, and goes on somewhere else as it was.
    WithItsCore,
}

/// Why a shard does not take what it was given, and gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTaken {
    /// Something was published between where this value left the log and where the shard stands: what exactly that was
    /// nobody here can say any more. A shard that is behind may be handed it first.
    ElsewhereInTheLog { there: u64, here: u64 },
    /// It is a session of another node, or of another incarnation of this one.
    OfAnotherNode,
    /// It has such a session already.
    IsHere,
    /// The value is none that a shard ever gave.
    Malformed,
    /// The node takes its leave.
    Draining,
    /// The node has no room for it now.
    Full,
    /// Sessions of this node, or of its application, are not taken over.
    NotAdopted,
}

impl fmt::Display for StaysBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StaysBecause::NotHere => "it is not here: it ended, or left before",
            StaysBecause::NotDrained => "what its shard wants done was not carried out yet",
            StaysBecause::CallUnderWay => "a call is under way",
            StaysBecause::RequestArrives => "a request for it has not arrived whole yet",
            StaysBecause::AnswerHeld => "its answer begins in some milliseconds",
            StaysBecause::Ending => "it was answered for the last time and ends",
            StaysBecause::OfSession => "it carries a session's stream and leaves with that session",
            StaysBecause::Draining => "this node takes its leave",
            StaysBecause::PassedOn => "another node answers its request",
        })
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotTaken::ElsewhereInTheLog { there, here } => write!(
                f,
                "it left the log at {there}, and this core stands at {here}: what is between would be lost or told twice"
            ),
            NotTaken::OfAnotherNode => {
                f.write_str("it is a session of another node, or of an earlier process of this one")
            }
            NotTaken::IsHere => f.write_str("this core has that session"),
            NotTaken::Malformed => f.write_str("this is no session or connection that left a core"),
            NotTaken::Draining => f.write_str("this node takes its leave"),
            NotTaken::Full => f.write_str("this node has no room for it now"),
            NotTaken::NotAdopted => f.write_str("this node takes no sessions over"),
        }
    }
}

impl std::error::Error for StaysBecause {}
impl std::error::Error for NotTaken {}

/// Most of what travels is as it mostly is. That is left out, and is so again where it is read.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
