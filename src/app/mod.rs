//! What a user of the crate implements, and the seam between an application and the engine.

pub mod call;
pub mod contents;
