//! The log of the program: how much of it there is may change while it runs, how its lines look may not.

use std::io::{IsTerminal, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::lines::LineWriter;
use crate::admin::LogControl;
use crate::config::{LogFilter, LogFormat};

/// The log, for whoever may change it.
#[derive(Clone)]
pub struct Log(Arc<LogState>);

struct LogState {
    filter: Mutex<LogFilter>,
    handle: reload::Handle<Targets, Registry>,
    format: LogFormat,
}

impl Log {
    #[must_use]
    pub fn in_force(&self) -> LogFilter {
        let filter = self.0.filter.lock();
        filter.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it could be done: not if the log is gone.
    #[must_use]
    pub fn set(&self, filter: LogFilter) -> bool {
        let is_done = self.0.handle.reload(filter.targets()).is_ok();
        if is_done {
            let in_force = self.0.filter.lock();
            *in_force.unwrap_or_else(PoisonError::into_inner) = filter;
        }
        is_done
    }
}

impl LogControl for Log {
    fn filter(&self) -> String {
        self.in_force().to_string()
    }

    fn format(&self) -> &'static str {
        self.0.format.name()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        match self.set(filter.parse()?) {
            true => Ok(()),
            false => Err("cannot be set any more: the log is gone".to_owned()),
        }
    }
}

/// From here on events go to these lines.
#[must_use]
pub fn start((filter, format): &(LogFilter, LogFormat), lines: &LineWriter) -> Log {
    let (targets, handle) = reload::Layer::new(filter.targets());
    let written = fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(*format == LogFormat::Text && stderr().is_terminal())
        .log_internal_errors(false);
    let written = match format {
        LogFormat::Text => written.boxed(),
        LogFormat::Json => {
            lines.take_panics(true);
            let written = written.json().flatten_event(true);
            written
                .with_current_span(false)
                .with_span_list(false)
                .boxed()
        }
    };
    tracing_subscriber::registry()
        .with(targets)
        .with(written)
        .init();
    Log(Arc::new(LogState {
        filter: Mutex::new(filter.clone()),
        handle,
        format: *format,
    }))
}
