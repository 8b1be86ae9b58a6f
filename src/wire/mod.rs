//! Bytes to values and back, with no memory of earlier messages: HTTP/1.1, SSE, JSON-RPC, header values, session ids.
//!
//! A parser here never waits and never panics on its input. It is strict: what two readers could
//! understand in two ways is [`Malformed`], and its sender learns which rule it broke. Why it is our own code:
//! `docs/decisions/0009-http-and-sse-by-hand.md`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

pub mod authority;
pub mod chunked;
mod control_fields;
mod envelope;
mod field;
pub mod forwarded;
pub mod forwarded_for;
mod head;
mod head_view;
pub mod header_value;
pub mod hex;
pub mod http1;
pub mod http_sse;
pub mod integer;
pub mod json_rpc;
pub mod json_scan;
mod line_ends;
mod malformed;
pub mod operator_name;
pub mod peer_question;
pub mod public_url;
mod request_line;
pub mod response;
pub mod response_head;
mod rpc_emit;
pub mod session_id;
pub mod sse;
mod sse_parser;
pub mod trace_context;
pub mod uri;

pub use field::is_field_name;
pub use head_view::HeadView;
pub use malformed::Malformed;
#[doc(hidden)]
#[cfg(any(test, feature = "internals"))]
pub mod properties;
