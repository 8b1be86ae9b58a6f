//! The engine, one step at a time: what came in, then exactly what came out. Each test is a way in which an engine
//! like this breaks.

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod drain;
mod elsewhere;
mod hold;
mod hooks;
mod identity;
mod look;
mod memory;
mod notices;
mod principals;
mod proxied;
mod resume;
mod sizes;
mod travel;
mod travel_stays;
