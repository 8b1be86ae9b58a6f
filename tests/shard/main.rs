//! The engine, one step at a time: what came in, then exactly what came out. Each test is a way in which an engine
//! like this breaks.

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod directed;
mod drain;
mod elsewhere;
mod grants;
mod hold;
mod hooks;
mod http_sse;
mod http_sse_ends;
mod identity;
mod look;
mod looked_at_again;
mod memory;
mod notices;
mod policy;
mod policy_lists;
mod principals;
mod proxied;
mod questions;
mod resume;
mod sizes;
mod standstill;
mod states;
mod stats;
mod takeover;
mod takeover_ends;
mod trace;
mod trace_bounds;
mod travel;
mod travel_stays;
mod unread;
mod view;
mod view_acts;
