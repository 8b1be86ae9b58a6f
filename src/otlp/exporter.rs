//! The thread that sends spans. It is the only one that waits for the collector.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::encode;
use super::post::{BatchAnswer, Poster};
use super::queue::SpanQueue;
use super::record::SpanRecord;
use super::settings::OtlpOptions;
use crate::log_throttle::LogThrottle;

/// For one request to be answered, as OpenTelemetry's own exporters wait by default.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Tries for one batch: with the pauses between them some eight seconds, if nobody is there.
const TRIES_MAX: u32 = 5;
/// After the first try that failed; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A collector may ask for a longer pause than ours; for no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// For what waits to be sent when the node ends.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// For the thread itself to end after that.
const LEAVE_WITHIN: Duration = Duration::from_millis(200);

/// Who sends the spans.
pub(crate) struct SpanOrigin {
    pub(crate) node: String,
    pub(crate) incarnation: u64,
}

/// The thread, as the node holds it. It ends with this.
pub(crate) struct SpanExporter {
    queue: Arc<SpanQueue>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the end of the thread.
    ended: Receiver<()>,
}

/// What the thread has.
struct Sending {
    queue: Arc<SpanQueue>,
    poster: Poster,
    resource: Resource,
    url: String,
    began: Instant,
    faults: LogThrottle,
    rejections: LogThrottle,
    /// The last batch was not taken, and the log says so.
    is_told: bool,
}

impl SpanExporter {
    /// # Errors
    /// Out of threads.
    pub(crate) fn start(
        options: &OtlpOptions,
        origin: &SpanOrigin,
        queue: Arc<SpanQueue>,
    ) -> std::io::Result<SpanExporter> {
        let instance = format!("{}.{}", origin.node, origin.incarnation);
        let own = [
            ("service.name", options.service()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &instance),
            ("telemetry.sdk.name", "pinfold"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let of_user = options.resource();
        let is_own = |key: &str| of_user.iter().all(|(name, _)| name != key);
        let own = own.into_iter().filter(|(key, _)| is_own(key));
        let of_user = of_user.iter().map(|(key, text)| (&**key, &**text));
        let resource = encode::resource(own.chain(of_user));
        let mut sending = Sending {
            queue: queue.clone(),
            poster: Poster::new(options),
            resource,
            url: options.traces_url().to_owned(),
            began: Instant::now(),
            faults: LogThrottle::default(),
            rejections: LogThrottle::default(),
            is_told: false,
        };
        tracing::info!(
            url = options.traces_url(),
            sample = options.sample(),
            "each call of the application becomes a span"
        );
        let (lives, ended) = channel::<()>();
        let thread = Builder::new().name("otlp".into()).spawn(move || {
            let _lives = lives;
            sending.run();
        })?;
        Ok(SpanExporter {
            queue,
            thread: Some(thread),
            ended,
        })
    }

    /// What waits is sent now, as far as that is possible in a few seconds; nobody waits for it yet.
    pub(crate) fn flush(&self) {
        self.queue.end(Instant::now() + FLUSH_WITHIN);
    }
}

impl Drop for SpanExporter {
    fn drop(&mut self) {
        self.flush();
        let by = self.queue.ends_by().unwrap_or_else(Instant::now);
        let left = by.saturating_duration_since(Instant::now()) + LEAVE_WITHIN;
        // Nothing is ever said there: it is closed, or the time is over.
        if self.ended.recv_timeout(left) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            // It ends when its request does, of which the program does not wait for the end.
            self.queue.abandon();
        } else if let Some(thread) = self.thread.take() {
            // That it panicked was said.
            let _ = thread.join();
        }
        let counts = self.queue.counts();
        tracing::info!(
            exported = counts.exported,
            dropped = counts.dropped,
            "no spans are sent any more"
        );
    }
}

impl Sending {
    fn run(&mut self) {
        while let Some(spans) = self.queue.next_batch() {
            self.send(&spans);
        }
    }

    /// Until they are taken, or it has been tried often enough.
    fn send(&mut self, spans: &[SpanRecord]) {
        let body = encode::request(&self.resource, spans);
        let count = spans.len() as u64;
        for tried in 0..TRIES_MAX {
            let Some(within) = self.time_for_one() else {
                break;
            };
            match self.poster.post(&body, within) {
                BatchAnswer::Taken { rejected, said } => {
                    let rejected = rejected.min(count);
                    self.queue.note_exported(count - rejected);
                    self.queue.note_dropped(rejected);
                    return self.note_taken(rejected, &said);
                }
                BatchAnswer::Never { why } => {
                    self.note_fault(&why);
                    break;
                }
                BatchAnswer::Later { after, why } => {
                    self.note_fault(&why);
                    if tried + 1 == TRIES_MAX || self.queue.ends_by().is_some() {
                        break;
                    }
                    self.queue.pause(pause(tried, after));
                }
            }
        }
        self.queue.note_dropped(count);
    }

    /// None: the node has ended.
    fn time_for_one(&self) -> Option<Duration> {
        let Some(by) = self.queue.ends_by() else {
            return Some(ANSWER_WITHIN);
        };
        let left = by.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left.min(ANSWER_WITHIN))
    }

    fn note_taken(&mut self, rejected: u64, said: &str) {
        if std::mem::take(&mut self.is_told) {
            tracing::info!(url = self.url, "spans are taken again");
        }
        if rejected > 0
            && let Some(unlogged) = self.rejections.admit(self.now_ms())
        {
            let url = &self.url;
            tracing::warn!(
                url,
                rejected,
                said,
                unlogged,
                "the collector does not want some of the spans"
            );
        }
    }

    fn note_fault(&mut self, why: &str) {
        let dropped = self.queue.counts().dropped;
        if let Some(unlogged) = self.faults.admit(self.now_ms()) {
            self.is_told = true;
            let url = &self.url;
            tracing::warn!(
                url,
                why,
                dropped,
                unlogged,
                "spans are not taken, and are dropped if that goes on"
            );
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// After so many tries before this one. Nodes that were turned away together do not come back together.
fn pause(tried: u32, after: Option<Duration>) -> Duration {
    let own = FIRST_PAUSE * 2_u32.pow(tried);
    let lot = getrandom::u32().map_or(1.0, |it| f64::from(it) / f64::from(u32::MAX));
    let own = own.mul_f64(0.5 + lot / 2.0);
    after.map_or(own, |after| after.max(own)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_asks_for_a_pause_without_end() {
        assert_eq!(pause(0, Some(Duration::from_secs(3_600))), PAUSE_MAX);
        assert_eq!(
            pause(0, Some(Duration::from_secs(2))),
            Duration::from_secs(2)
        );
        let own = pause(2, None);
        assert!(own >= FIRST_PAUSE * 2 && own <= FIRST_PAUSE * 4, "{own:?}");
        assert!(pause(4, Some(Duration::ZERO)) >= FIRST_PAUSE * 8);
    }
}
