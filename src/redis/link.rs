//! A connection that comes back: it is opened again whenever it ended, for as long as the link lives.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use monoio::time::sleep;

use super::backoff::{Backoff, random};
use super::{Command, RedisConnection, RedisFault, Reply, Settings};
use crate::log_throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::tasks;

/// Answers that were too large, one after the other, before that counts as trouble: a page of 256 entries is halved down
/// to one, which is skipped.
const TOO_LARGE_MAX: u32 = 10;
/// A connection that lived so long was a good one: the next one is tried at once.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// A handle; clones are the same link.
#[derive(Clone)]
pub struct RedisLink {
    inner: Rc<LinkInner>,
}

struct LinkInner {
    settings: Settings,
    metrics: Arc<Metrics>,
    connection: RefCell<Option<RedisConnection>>,
    /// How many connections there were, with the one that is.
    number: Cell<u64>,
    /// Of those that wait for a connection to come or to go.
    watchers: RefCell<Vec<Waker>>,
}

impl RedisLink {
    /// Starts to connect, on this thread's runtime.
    #[must_use]
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Self {
        let inner = Rc::new(LinkInner {
            settings,
            metrics,
            connection: RefCell::default(),
            number: Cell::new(0),
            watchers: RefCell::default(),
        });
        inner.set(None);
        tasks::spawn(keep(Rc::downgrade(&inner)));
        RedisLink { inner }
    }

    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection().is_ok()
    }

    /// The number of the connection that is, or of the last one that was; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.number.get()
    }

    /// The connection as it is now. Commands that belong together are called on one.
    ///
    /// # Errors
    /// [`RedisFault::Down`]: there is none.
    pub fn connection(&self) -> Result<RedisConnection, RedisFault> {
        let connection = self.inner.connection.borrow();
        match &*connection {
            Some(connection) if connection.is_open() => Ok(connection.clone()),
            _ => Err(RedisFault::Down),
        }
    }

    /// Waits until there is a connection later than number `seen`, and returns its number.
    pub async fn came_up(&self, seen: u64) -> u64 {
        self.wait_for(|| self.is_up() && self.number() > seen).await;
        self.number()
    }

    /// Waits until there is none.
    pub async fn went_down(&self) {
        self.wait_for(|| !self.is_up()).await;
    }

    /// As [`RedisConnection::call`]; fails at once while there is no connection.
    pub fn call(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Reply, RedisFault>> + use<> {
        let queued = self.connection().map(|connection| connection.call(command));
        async move { queued?.await }
    }

    /// As [`RedisConnection::call_within`]; fails at once while there is no connection.
    pub fn call_within(
        &self,
        command: Command,
        limit: Duration,
    ) -> impl Future<Output = Result<Reply, RedisFault>> + use<> {
        let queued = self
            .connection()
            .map(|connection| connection.call_within(command, limit));
        async move { queued?.await }
    }

    /// As [`RedisConnection::call_all`]; fails at once while there is no connection.
    pub fn call_all(
        &self,
        commands: &[Command],
    ) -> impl Future<Output = Result<Vec<Reply>, RedisFault>> + use<> {
        let queued = self
            .connection()
            .map(|connection| connection.call_all(commands));
        async move { queued?.await }
    }

    async fn wait_for(&self, holds: impl Fn() -> bool) {
        poll_fn(|context| {
            if holds() {
                return Poll::Ready(());
            }
            let mut watchers = self.inner.watchers.borrow_mut();
            if !watchers.iter().any(|it| it.will_wake(context.waker())) {
                watchers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl LinkInner {
    fn set(&self, connection: Option<RedisConnection>) {
        if connection.is_some() {
            self.number.set(self.number.get() + 1);
        }
        self.metrics
            .redis_up
            .with_label_values(&[&self.settings.client_name])
            .set(connection.is_some().into());
        *self.connection.borrow_mut() = connection;
        let watchers = self.watchers.take();
        watchers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for LinkInner {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }
}

/// Opens a connection, waits for its end, and again. Ends with the link.
async fn keep(link: Weak<LinkInner>) {
    let mut backoff = Backoff::default();
    let (mut outage, opened) = (OutageLog::default(), Instant::now());
    let mut too_large = 0;
    loop {
        let Some(inner) = link.upgrade() else { return };
        let (settings, metrics) = (inner.settings.clone(), inner.metrics.clone());
        drop(inner);
        let fault = match RedisConnection::open(&settings).await {
            Ok(connection) => {
                let since = Instant::now();
                let Some(inner) = link.upgrade() else { return };
                outage.is_over(&settings);
                inner.set(Some(connection.clone()));
                drop(inner);
                let fault = connection.closed().await;
                let Some(inner) = link.upgrade() else { return };
                inner.set(None);
                if since.elapsed() > GOOD_AFTER {
                    backoff.reset();
                    outage.forget();
                    too_large = 0;
                }
                fault
            }
            Err(fault) => fault,
        };
        metrics
            .redis_errors
            .with_label_values(&[fault.kind()])
            .inc();
        let now_ms = opened.elapsed().as_millis() as u64;
        outage.goes_on(now_ms, &fault, &settings);
        sleep(pause(&fault, &mut too_large, &mut backoff, random())).await;
    }
}

/// The wait before the next connection.
fn pause(fault: &RedisFault, too_large: &mut u32, backoff: &mut Backoff, random: u64) -> Duration {
    if *fault == RedisFault::TooLarge && *too_large < TOO_LARGE_MAX {
        // Nothing is wrong there: whoever asked will ask for less.
        *too_large += 1;
        backoff.reset();
    }
    backoff.next(random)
}

/// Says what is wrong when that changes, and once a minute.
#[derive(Default)]
struct OutageLog {
    said: Option<RedisFault>,
    throttle: LogThrottle,
    /// The last that was said is that there is a connection.
    said_over: bool,
}

impl OutageLog {
    fn goes_on(&mut self, now_ms: u64, fault: &RedisFault, settings: &Settings) {
        let Some(unlogged) = self.admit(now_ms, fault) else {
            return;
        };
        self.said_over = false;
        let (redis, connection) = (&settings.url, &settings.client_name);
        if *fault == RedisFault::Loading {
            tracing::info!(%redis, connection, unlogged, "{fault}");
        } else {
            tracing::warn!(%redis, connection, unlogged, "{fault}; trying again until it works");
        }
    }

    fn admit(&mut self, now_ms: u64, fault: &RedisFault) -> Option<u64> {
        if self.said.as_ref() != Some(fault) {
            self.said = Some(fault.clone());
            self.throttle = LogThrottle::default();
        }
        self.throttle.admit(now_ms)
    }

    fn is_over(&mut self, settings: &Settings) {
        if !std::mem::replace(&mut self.said_over, true) {
            let (redis, connection) = (&settings.url, &settings.client_name);
            tracing::info!(%redis, connection, "connected to Redis");
        }
    }

    /// The next outage is another one.
    fn forget(&mut self) {
        self.said = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is asked for less, and less, and at last nothing helps.
    #[test]
    fn a_redis_that_announces_two_gigabytes_whatever_it_is_asked() {
        let (mut backoff, mut too_large) = (Backoff::default(), 0);
        let mut next = || {
            pause(
                &RedisFault::TooLarge,
                &mut too_large,
                &mut backoff,
                u64::MAX,
            )
        };
        let waits: Vec<Duration> = (0..100).map(|_| next()).collect();
        let quick = Duration::from_millis(75);
        assert!(waits[..10].iter().all(|wait| *wait == quick));
        let spent: Duration = waits[..20].iter().sum();
        assert!(spent > Duration::from_secs(9), "{spent:?}");
        assert!(
            waits[16..]
                .iter()
                .all(|wait| *wait > Duration::from_secs(2))
        );
    }

    #[test]
    fn an_outage_is_told_when_its_reason_changes_and_once_a_minute() {
        let mut outage = OutageLog::default();
        let mut admit = |fault, seconds| outage.admit(seconds * 1_000_u64, &fault);
        assert_eq!(admit(RedisFault::TimedOut, 0), Some(0));
        assert_eq!(admit(RedisFault::TimedOut, 59), None);
        assert_eq!(admit(RedisFault::Loading, 59), Some(0));
        assert_eq!(admit(RedisFault::TimedOut, 60), Some(0));
        assert_eq!(admit(RedisFault::TimedOut, 61), None);
        assert_eq!(admit(RedisFault::TimedOut, 121), Some(1));
    }
}
