//! What operators see agrees with what happened: after each step those sessions are listed that the application was told of
//! and that have not ended, each once; each that ended is told of once, with its reason; and the counts are those.

use std::collections::{HashMap, HashSet};

use pinfold::app::SessionEnd;
use pinfold::app::call::Lifecycle;
use pinfold::internals::shard::CoreStats;
use pinfold::internals::shard::view::{
    ConnectionsQuestion, EndReason, RowsQuestion, SessionFilter, SessionRow, SortBy, ViewAnswer,
    ViewOrder, ViewPlace, ViewQuestion,
};
use pinfold::internals::wire::operator_name::OperatorName;
use pinfold::internals::wire::session_id::SessionId;

use crate::support::node::Node;

/// What the application was told, and what operators were.
#[derive(Default)]
pub(crate) struct Operators {
    /// Of the node's lifecycle events so many are known.
    known: usize,
    live: HashSet<OperatorName>,
    ended: HashMap<OperatorName, EndReason>,
    opened: usize,
    /// How each end was told to the log.
    told: HashMap<OperatorName, EndReason>,
    /// Ends that each core has counted, and all that cores which were replaced have.
    counted: Vec<u64>,
    counted_before: u64,
}

impl Operators {
    pub(crate) fn check(&mut self, node: &mut Node) {
        self.learn(node);
        let rows: Vec<SessionRow> = (0..node.cores.len())
            .flat_map(|core| rows(node, core))
            .collect();
        let (streams, sessions): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.name.is_stream);
        let listed: HashSet<OperatorName> = sessions.iter().map(|row| row.name).collect();
        assert_eq!(listed.len(), sessions.len(), "a session is listed twice");
        assert_eq!(listed, self.live, "listed, and there");
        self.check_ends(node);
        self.check_counts(node, streams.len());
    }

    fn learn(&mut self, node: &Node) {
        for event in &node.delivered[self.known..] {
            match event {
                Lifecycle::Opened(session) => {
                    self.opened += 1;
                    let is_new = self.live.insert(name_of(&session.id));
                    assert!(is_new, "a session opens twice");
                }
                Lifecycle::Ended(session, why) => {
                    let name = name_of(session);
                    assert!(self.live.remove(&name), "a session ends that is not there");
                    self.ended.insert(name, reason(*why));
                }
                _ => {}
            }
        }
        self.known = node.delivered.len();
    }

    fn check_ends(&mut self, node: &mut Node) {
        for core in &mut node.cores {
            while let Some(row) = core.shard.poll_ended() {
                // Of listen streams names come again when a core is replaced.
                if !row.name.is_stream {
                    let before = self.told.insert(row.name, row.reason);
                    assert!(before.is_none(), "{} ended twice: {before:?}", row.name);
                }
            }
            assert!(core.shard.take_untold().is_empty());
        }
        assert_eq!(self.told, self.ended, "told, and ended");
    }

    fn check_counts(&mut self, node: &mut Node, streams: usize) {
        let pool = &node.commons.sessions;
        let held = pool.total() - pool.free();
        assert_eq!(
            self.opened - self.ended.len(),
            held,
            "opened less ended is held"
        );
        self.counted.resize(node.cores.len(), 0);
        let (mut listening, mut here) = (0, 0);
        for (core, before) in self.counted.iter_mut().enumerate() {
            let mut stats = CoreStats::default();
            node.cores[core].shard.stats_into(&mut stats);
            let ends = stats.sessions_ended.iter().map(|it| it.lived.count());
            let ends: u64 = ends.sum();
            // Another shard counts from the beginning.
            if ends < *before {
                self.counted_before += *before;
            }
            *before = ends;
            here += stats.gauges.sessions;
            listening += stats.gauges.streams.listen;
            let slow = connections(node, core);
            assert_eq!(slow, stats.gauges.blocked, "slow readers");
        }
        assert_eq!((here, listening), (self.live.len(), streams));
        let counted = self.counted_before + self.counted.iter().sum::<u64>();
        assert_eq!(counted, self.ended.len() as u64, "ends that are counted");
    }
}

fn name_of(session: &SessionId) -> OperatorName {
    OperatorName {
        node: session.node,
        place: session.locator,
        is_stream: false,
    }
}

fn reason(why: SessionEnd) -> EndReason {
    match why {
        SessionEnd::Deleted => EndReason::Deleted,
        SessionEnd::Idle => EndReason::Idle,
        SessionEnd::MadeRoom => EndReason::Evicted,
        SessionEnd::Operator => EndReason::Operator,
        _ => EndReason::NodeEnds,
    }
}

fn rows(node: &mut Node, core: usize) -> Vec<SessionRow> {
    let (mut all, mut next) = (Vec::new(), Some(ViewPlace::default()));
    while let Some(from) = next {
        let question = ViewQuestion::Rows(RowsQuestion {
            from,
            filter: SessionFilter::default(),
            order: ViewOrder {
                by: SortBy::Age,
                is_descending: true,
            },
            after: None,
            before: None,
        });
        let now = node.now;
        let ViewAnswer::Rows(portion) = node.cores[core].shard.handle_view(now, &question) else {
            panic!("rows were asked for");
        };
        all.extend(portion.rows.into_iter().map(|(_, row)| row));
        next = portion.next;
    }
    all
}

/// How many do not read.
fn connections(node: &mut Node, core: usize) -> usize {
    let question = ViewQuestion::Connections(ConnectionsQuestion {
        from: 0,
        only_slow: true,
    });
    let now = node.now;
    match node.cores[core].shard.handle_view(now, &question) {
        ViewAnswer::Connections(portion) => portion.rows.len(),
        other => panic!("{other:?}"),
    }
}
