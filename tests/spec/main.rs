//! The specification, section by section: for each thing that a server must do, a test named for the misdeed, with
//! the demand in our words above it. And the node's own bounds, each with its status and a sentence.

#[path = "../support/mod.rs"]
mod support;

mod authorization;
mod basic;
mod cancellation;
mod clients;
mod half_close;
mod legacy_streams;
mod legacy_transport;
mod limits;
mod methods;
mod negotiation;
mod security;
mod server_card;
mod shares;
mod stream_ends;
mod streamable_http;
mod subscriptions;
mod times;
mod versioning;

const V03: &str = "2025-03-26";
const V06: &str = "2025-06-18";
const V11: &str = "2025-11-25";
const LEGACY: [&str; 3] = [V03, V06, V11];
