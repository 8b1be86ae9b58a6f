//! Requests for sessions that are not here: each is counted, and as many are logged as anybody reads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::metrics::METRICS;
use crate::shard::Gone;
use crate::wire::session_id::{NodeName, SessionId};

/// Lines a second for each reason. A node that was lost leaves as many misses as it had clients; forgers may send more.
const LINES_PER_SECOND: u32 = 20;

#[derive(Debug)]
pub(super) struct MissLog {
    second: Instant,
    /// Of this second, by reason.
    lines: HashMap<&'static str, Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    logged: u32,
    /// Since the last that was.
    unlogged: u64,
}

/// What Redis knows of a session that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InRedis {
    Yes,
    No,
    NotAsked,
}

impl MissLog {
    pub(super) fn new(now: Instant) -> Self {
        MissLog {
            second: now,
            lines: HashMap::new(),
        }
    }

    /// Counts it. Some: it is to be logged, and so many of the same reason before it were not.
    pub(super) fn count(&mut self, gone: Gone, now: Instant) -> Option<u64> {
        METRICS
            .session_misses
            .with_label_values(&[gone.reason()])
            .inc();
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.lines.values_mut().for_each(|lines| lines.logged = 0);
        }
        let lines = self.lines.entry(gone.reason()).or_default();
        if lines.logged >= LINES_PER_SECOND {
            lines.unlogged += 1;
            return None;
        }
        lines.logged += 1;
        Some(std::mem::take(&mut lines.unlogged))
    }
}

/// The one line of a miss. A session that Redis knows and this node does not is what an operator looks for.
pub(super) fn log(
    session: &SessionId,
    gone: Gone,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let start = Instant::now();
        let mut log = MissLog::new(start);
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(log.count(Gone::Expired, start), Some(0));
        }
        assert_eq!(log.count(Gone::Expired, start), None);
        assert_eq!(log.count(Gone::Expired, start), None);
        assert_eq!(log.count(Gone::OwnerDown, start), Some(0), "each reason");
        let later = start + Duration::from_secs(1);
        assert_eq!(log.count(Gone::Expired, later), Some(2));
        assert_eq!(log.count(Gone::Expired, later), Some(0));
    }
}
