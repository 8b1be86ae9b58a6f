//! Requests for sessions that are not here: each is counted, and as many are logged as anybody reads.

use std::sync::Arc;
use std::time::Instant;

use crate::log_throttle::{LogThrottle, LogThrottles};
use crate::metrics::Metrics;
use crate::shard::MissReason;
use crate::wire::session_id::{NodeName, SessionId};

pub(super) struct MissLog {
    started: Instant,
    metrics: Arc<Metrics>,
    by_reason: LogThrottles,
}

/// Of a 502, which tells its client `owner_unreachable`.
const BROKE_OFF: &str = "broke_off";

/// What Redis knows of a session that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InRedis {
    Yes,
    No,
    NotAsked,
}

impl MissLog {
    pub(super) fn new(started: Instant, metrics: Arc<Metrics>) -> Self {
        MissLog {
            started,
            metrics,
            by_reason: LogThrottles::of(LogThrottle::of_each),
        }
    }

    /// Counts it. Some: it is to be logged, and so many of the same reason before it were not.
    pub(super) fn count(&self, gone: MissReason, now: Instant) -> Option<u64> {
        self.metrics
            .session_misses
            .with_label_values(&[gone.reason()])
            .inc();
        let status = if gone.status() == 503 { "503" } else { "404" };
        self.metrics
            .session_refusals
            .with_label_values(&[status, gone.reason()])
            .inc();
        self.admit(gone.reason(), now)
    }

    /// The same of a request whose node broke off before it answered.
    pub(super) fn count_broken_off(&self, now: Instant) -> Option<u64> {
        self.metrics
            .session_refusals
            .with_label_values(&["502", BROKE_OFF])
            .inc();
        self.admit(BROKE_OFF, now)
    }

    fn admit(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.started);
        self.by_reason.admit(reason, since.as_millis() as u64)
    }
}

/// The one line of a miss. A session that Redis knows and this node does not is what an operator looks for.
pub(super) fn log(
    session: &SessionId,
    gone: MissReason,
    here: NodeName,
    in_redis: InRedis,
    unlogged: u64,
) {
    let (shown, reason, owner) = (session.redacted(), gone.reason(), session.node);
    match in_redis {
        InRedis::No => {
            tracing::info!(session = %shown, reason, %owner, node = %here, in_redis = false, unlogged,
            "a request for a session that is not here")
        }
        InRedis::Yes => {
            tracing::warn!(session = %shown, reason, %owner, node = %here, in_redis = true, unlogged,
            "a request for a session that is not here, and that Redis knows")
        }
        InRedis::NotAsked => {
            tracing::warn!(session = %shown, reason, %owner, node = %here, unlogged,
            "a request for a session that is not here")
        }
    }
}

/// The one line of a request that was passed on and not answered.
pub(super) fn log_broken_off(session: &SessionId, here: NodeName, unlogged: u64) {
    let (shown, owner) = (session.redacted(), session.node);
    tracing::warn!(session = %shown, %owner, node = %here, unlogged,
        "a request was passed on to its session's node, which broke off before it answered; the client was told 502");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_one_reason_that_hides_another() {
        let start = Instant::now();
        let log = MissLog::new(start, Arc::default());
        while log.count(MissReason::Expired, start).is_some() {}
        assert_eq!(log.count(MissReason::OwnerDown, start), Some(0));
        let later = start + Duration::from_secs(1);
        assert_eq!(log.count(MissReason::Expired, later), Some(1));
    }
}
