//! The admin listener: publish, health, readiness. Not for clients, and off every hot path.
//!
//! `gate` says who may ask, `publish` turns a body into [`Item`]s and [`Answer`]s into a body, `routes` answers
//! a whole request; these are pure. `http` cuts requests out of bytes with every bound held, and `serve` is the
//! loop around it all, for a monoio runtime of its own. Whatever publishing does is behind [`Desk`].

mod gate;
mod http;
mod publish;
mod routes;
mod serve;

pub use gate::Token;
pub use publish::ITEMS_MAX;
pub use serve::{Rules, serve_admin};

use crate::app::call::Topic;
use crate::app::contents::Contents;

/// Bytes of a request's body (413): a thousand items of a thousand bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the listener asks of the server behind it. Neither function may block: the listener's thread has one
/// loop for all that it does.
pub trait Desk {
    /// Whether new clients should be sent here.
    fn ready(&self) -> bool;

    /// Takes each item or says why not; one answer per item, in order.
    fn publish(&self, items: Vec<Item>) -> Vec<Answer>;
}

/// One thing to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub target: Target,
    /// `None`: only tell. `Some(None)`: take the resource away. `Some(Some(_))`: put it.
    /// Only ever present when the target is a resource.
    pub contents: Option<Option<Contents>>,
}

/// Whom an item is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everyone who subscribed to it.
    Topic(Topic),
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted {
        offset: u64,
    },
    Refused {
        /// One word for programs: `full`, `too_large`, `bad_uri`, ….
        reason: &'static str,
        /// A sentence for people.
        sentence: String,
    },
}
