//! What several nodes share through Redis.
//!
//! [`bus`] is their common log of notifications and the contents of their boards. A node that works alone has none of
//! this, and no client ever waits for it.

pub mod bus;
mod inbox;
