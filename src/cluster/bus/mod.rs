//! The bus.

mod contents;
pub mod entry;
pub mod id;
pub mod outbox;
