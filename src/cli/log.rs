//! The log of the program, whose level may change while it runs.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, reload};

use super::lines::LineWriter;

/// How much is logged from now on.
pub struct LogLevel(Box<dyn Fn(LevelFilter) -> bool + Send>);

impl LogLevel {
    /// Whether it could be done: not if the log is gone.
    #[must_use]
    pub fn set(&self, level: LevelFilter) -> bool {
        (self.0)(level)
    }
}

/// From here on events go to these lines.
#[must_use]
pub fn start(level: LevelFilter, lines: &LineWriter) -> LogLevel {
    let (filter, handle) = reload::Layer::new(level);
    let written = fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(stderr().is_terminal())
        .log_internal_errors(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(written)
        .init();
    LogLevel(Box::new(move |level| handle.reload(level).is_ok()))
}
