//! What a node's own program sees of it: what it has done, and who is there. The same plain values as the admin listener has.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Node;
use crate::principal::PrincipalId;
use crate::runtime::{Publisher, unix_ms, unix_ms_of};
use crate::shard::view::{
    RowPosition, RowsPortion, RowsQuestion, SessionFilter, SessionRow, SortBy, ViewAnswer,
    ViewOrder, ViewPlace, ViewQuestion,
};

/// What a node has now, and what it has done since it started, as each of its cores said last: a quarter of a second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Open connections of clients.
    pub connections: usize,
    /// Live sessions. Clients of 2026-07-28 have none.
    pub sessions: usize,
    /// Open streams: of sessions, answers, and of `subscriptions/listen`.
    pub streams: usize,
    /// Requests that handlers work on.
    pub calls: usize,
    /// Writes that the kernel has not taken whole: as many clients do not read.
    pub slow_readers: usize,
    /// Bytes of those writes.
    pub pending_bytes: usize,
    /// Requests that were answered.
    pub requests: u64,
    /// Of those that did not end well.
    pub errors: u64,
    /// Publications, each once for all cores.
    pub publications: u64,
    /// Notifications of them that were written.
    pub deliveries: u64,
    /// Notifications that were not written since the client was still to be notified of the same.
    pub conflated: u64,
    /// Sessions that are over.
    pub sessions_ended: u64,
}

/// A session, or the stream of a `subscriptions/listen` of a client of 2026-07-28, which has no session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedSession {
    /// The session id without its secret: nobody can use the session by that.
    pub name: String,
    /// The revision that it speaks.
    pub version: &'static str,
    /// What its client calls itself: name and version.
    pub client: Option<(String, String)>,
    /// None: nobody is asked who they are.
    pub principal: Option<PrincipalId>,
    /// The core that has it.
    pub core: usize,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When its client last asked something.
    pub last_active: SystemTime,
    /// Streams that are open.
    pub streams: usize,
    /// Requests that handlers work on.
    pub calls: usize,
    /// Lists and resources that it hears of.
    pub subscriptions: usize,
    /// Bytes that wait for its client.
    pub pending_bytes: u64,
    /// For how long its client has not read what is written to it. None: it does.
    pub blocked_for: Option<Duration>,
    /// Requests of its client so far.
    pub requests: u32,
    /// Events that were written to it so far.
    pub events: u32,
}

const OLDEST_FIRST: ViewOrder = ViewOrder {
    by: SortBy::Age,
    is_descending: true,
};

impl Node {
    /// What it has now, and what it has done. Asks no core.
    ///
    /// ```
    /// # use pinfold::{Node, app::Toolkit};
    /// # let node = Node::builder(|| Toolkit::new("greeter", "1.0.0")).listen("127.0.0.1:0").cores(1).start()?;
    /// let before = node.stats();
    /// // a minute later
    /// let requests = node.stats().requests - before.requests;
    /// println!("{requests} requests a minute, {} clients do not read", before.slow_readers);
    /// # node.stop();
    /// # node.join_blocking()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        let cores = self.shared.stats.read();
        let mut all = NodeStats::default();
        for core in &cores {
            let (stats, gauges) = (&core.stats, &core.stats.gauges);
            all.connections += gauges.connections;
            all.sessions += gauges.sessions;
            all.streams += gauges.streams.get + gauges.streams.post + gauges.streams.listen;
            all.calls += gauges.calls;
            all.slow_readers += gauges.blocked;
            all.pending_bytes += gauges.pending_bytes;
            all.requests += stats.operations.requests;
            all.errors += stats.operations.errors;
            all.publications = all.publications.max(stats.publications);
            all.deliveries += stats.deliveries.iter().sum::<u64>();
            all.conflated += stats.conflated;
            let ended = stats.sessions_ended.iter().map(|it| it.lived.count());
            all.sessions_ended += ended.sum::<u64>();
        }
        all
    }

    /// Who is there: so many sessions and listen streams at most, the oldest first. Each core answers in portions, between what else it
    /// does; one that hangs is waited for. On whatever runtime.
    ///
    /// ```no_run
    /// # async fn look(node: &pinfold::Node) {
    /// for session in node.sessions(100).await {
    ///     if let Some(blocked_for) = session.blocked_for {
    ///         println!("{} has not read for {blocked_for:?}", session.name);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn sessions(
        &self,
        limit: usize,
    ) -> impl Future<Output = Vec<ListedSession>> + Send + use<> {
        let (publisher, cores) = (self.shared.publisher.clone(), self.cores());
        async move {
            let mut rows = BTreeMap::new();
            for core in 0..cores as u16 {
                list(&publisher, core, limit, &mut rows).await;
            }
            rows.into_values().map(ListedSession::of).collect()
        }
    }
}

/// Those of a core, as long as it answers.
async fn list(
    publisher: &Publisher,
    core: u16,
    limit: usize,
    rows: &mut BTreeMap<RowPosition, SessionRow>,
) {
    let mut next = Some(ViewPlace::default());
    while let Some(from) = next {
        let last = rows.last_key_value().map(|(position, _)| *position);
        let question = ViewQuestion::Rows(RowsQuestion {
            from,
            filter: SessionFilter::default(),
            order: OLDEST_FIRST,
            after: None,
            before: last.filter(|_| rows.len() >= limit),
        });
        let Some(answer) = publisher.view(core, question) else {
            return;
        };
        let Ok(ViewAnswer::Rows(portion)) = answer.await else {
            return;
        };
        let RowsPortion {
            rows: found,
            next: goes_on,
            ..
        } = portion;
        rows.extend(found);
        while rows.len() > limit {
            rows.pop_last();
        }
        next = goes_on;
    }
}

impl ListedSession {
    fn of(row: SessionRow) -> ListedSession {
        let at = |at| UNIX_EPOCH + Duration::from_millis(unix_ms_of(at));
        let since = row.blocked_since.map(unix_ms_of);
        let client = row.client.map(|it| (it.name.into(), it.version.into()));
        ListedSession {
            name: row.name.to_string(),
            version: row.version.as_str(),
            client,
            principal: row.principal,
            core: row.core.into(),
            created_at: at(row.created_at),
            last_active: at(row.last_active),
            streams: row.streams as usize,
            calls: row.calls as usize,
            subscriptions: row.subscriptions as usize,
            pending_bytes: row.pending_bytes,
            blocked_for: since.map(|since| Duration::from_millis(unix_ms().saturating_sub(since))),
            requests: row.requests,
            events: row.events,
        }
    }
}
