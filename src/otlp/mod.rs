//! Spans for an OpenTelemetry collector: each call of the application is one, and goes out by OTLP over HTTP.
//!
//! ```text
//! core ─SpanRecord, some at a time─▶ SpanQueue ─▶ thread `otlp`: batches, POST /v1/traces
//! ```
//!
//! A core makes plain values ([`record`]) and hands them over a few times a second, without waiting for anybody: what finds no
//! room in the [`queue`] is dropped and counted. All else is the thread's ([`exporter`]): it writes what the semantic conventions
//! for MCP ask for ([`encode`]), sends it ([`post`]), and tries again for a while if nobody takes it. A collector that is away
//! costs spans and nothing else.

mod encode;
mod exporter;
mod post;
mod queue;
mod record;
mod settings;

pub(crate) use self::exporter::{SpanExporter, SpanOrigin};
pub(crate) use self::queue::SpanQueue;
pub(crate) use self::record::{SpanCall, SpanEnd, SpanRecord, SpanTarget, shown};
pub use self::settings::OtlpOptions;
#[cfg(feature = "cli")]
pub(crate) use self::settings::{OtelVariables, headers_in};
