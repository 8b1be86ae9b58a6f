//! What names the engine's entries. Apart from the entries, which name each other.

use crate::shard::arena::Key;

pub enum OfSession {}
pub enum OfCall {}
pub(in crate::shard) enum OfStream {}

pub type SessionKey = Key<OfSession>;
pub type CallKey = Key<OfCall>;
pub(in crate::shard) type StreamKey = Key<OfStream>;
