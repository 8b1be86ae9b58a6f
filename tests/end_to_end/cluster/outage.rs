//! Redis is gone, hangs, or has forgotten everything: clients notice nothing, and afterwards everything is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Session, initialize};
use super::fleet::{Fleet, Plan};
use super::stream::Stream;
use super::wait_until;

/// Long enough for every time limit of a node towards Redis to be over more than once.
const OUTAGE: Duration = Duration::from_secs(20);
/// A request that waits for Redis waits for a time limit, not for a scheduler.
const SLOW_FACTOR: u32 = 8;
const SLOW_SLACK: Duration = Duration::from_millis(150);

/// Pings each node's session, without a pause, and sorts the times by what was going on.
struct Load {
    over: Arc<AtomicBool>,
    phase: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<[Vec<Duration>; 2]>>,
}

const BEFORE: usize = 0;
const FROM_THEN_ON: usize = 1;

impl Load {
    fn start(sessions: &[Session]) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let phase = Arc::new(AtomicUsize::new(BEFORE));
        let call = |session: &Session| {
            let (session, over, phase) = (session.clone(), over.clone(), phase.clone());
            std::thread::spawn(move || {
                let mut times = [const { Vec::new() }; 2];
                while !over.load(Ordering::Relaxed) {
                    let (asked, phase) = (Instant::now(), phase.load(Ordering::Relaxed));
                    let answer = session.ping();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    times[phase].push(asked.elapsed());
                }
                times
            })
        };
        let callers = sessions.iter().map(call).collect();
        Load {
            over,
            phase,
            callers,
        }
    }

    fn enter(&self, phase: usize) {
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// No request failed, and none was slow for want of Redis.
    fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        let mut times = [const { Vec::new() }; 2];
        for caller in self.callers {
            let own = caller.join().expect("every request is answered");
            for (all, own) in times.iter_mut().zip(own) {
                all.extend(own);
            }
        }
        let [before, during] = times.map(median);
        println!("median {before:?} before, {during:?} from then on");
        assert!(
            during < before * SLOW_FACTOR + SLOW_SLACK,
            "{before:?}, then {during:?}"
        );
    }
}

/// A busy machine makes some of them slow; waiting for Redis would make all of them.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A session and its stream at each node.
struct Audience {
    sessions: Vec<Session>,
    streams: Vec<Stream>,
}

impl Audience {
    fn gather(fleet: &mut Fleet, uri: &str) -> Audience {
        let sessions: Vec<_> = fleet
            .nodes
            .iter()
            .map(|node| Session::open(&node.mcp()))
            .collect();
        let open = |(session, node): (&Session, &super::node::Node)| {
            session.subscribe(uri);
            Stream::of_session(node.address(), &session.id).expect_open()
        };
        let streams = sessions.iter().zip(&fleet.nodes).map(open).collect();
        let audience = Audience { sessions, streams };
        audience.wait_for_records(fleet);
        audience
    }

    fn wait_for_records(&self, fleet: &mut Fleet) {
        let redis = fleet.redis();
        wait_until("every live session is in Redis", || {
            self.sessions
                .iter()
                .all(|session| redis.has_record(&session.id))
        });
    }

    fn all_hear(&mut self, uri: &str) {
        for stream in &mut self.streams {
            stream.wait_to_hear(&updated(uri));
        }
    }
}

fn updated(uri: &str) -> String {
    format!("notifications/resources/updated {uri}")
}

#[test]
fn redis_gone_for_a_while_is_noticed_by_no_client() {
    let mut fleet = Plan::new("cluster/redis_stopped").start();
    outage(
        &mut fleet,
        |fleet| fleet.redis().stop(),
        |fleet| fleet.redis().start_again(),
    );
    fleet.stop();
}

/// A Redis that takes connections and answers nothing is as good as none.
#[test]
fn redis_that_hangs_is_waited_for_by_nobody() {
    let mut fleet = Plan::new("cluster/redis_hangs").start();
    outage(
        &mut fleet,
        |fleet| fleet.redis().hang(),
        |fleet| fleet.redis().go_on(),
    );
    fleet.stop();
}

fn outage(fleet: &mut Fleet, begin: fn(&mut Fleet), end: fn(&mut Fleet)) {
    const BEFOREHAND: &str = "board://beforehand";
    let mut audience = Audience::gather(fleet, BEFOREHAND);
    for session in &audience.sessions {
        session.subscribe("board://meanwhile");
    }
    let deleted = Session::open(&fleet.node("a").mcp());
    wait_until("a record", || fleet.redis().has_record(&deleted.id));
    fleet.node("b").publish(&json!([{"uri": BEFOREHAND}]));
    audience.all_hear(BEFOREHAND);

    let load = Load::start(&audience.sessions);
    std::thread::sleep(OUTAGE / 3);
    begin(fleet);
    load.enter(FROM_THEN_ON);
    let until = Instant::now() + OUTAGE;
    live_on(fleet, &mut audience, &deleted);
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    end(fleet);

    // Every node has heard what was published meanwhile, and every live session is known again.
    audience.all_hear("board://meanwhile");
    audience.wait_for_records(fleet);
    wait_until("a session deleted meanwhile is not in Redis", || {
        !fleet.redis().has_record(&deleted.id)
    });
    load.finish();
}

/// Sessions come and go, and what one node publishes its own clients hear before Redis is back.
fn live_on(fleet: &Fleet, audience: &mut Audience, deleted: &Session) {
    fleet
        .node("a")
        .publish(&json!([{"uri": "board://meanwhile"}]));
    audience.streams[0].wait_to_hear(&updated("board://meanwhile"));
    assert_eq!(deleted.delete().status, 204);
    let young = initialize(&fleet.node("c").mcp(), &[]);
    assert_eq!(young.status, 200, "{young:?}");
    let id = young.field("mcp-session-id").expect("a session");
    audience
        .sessions
        .push(Session::known(&fleet.node("c").mcp(), id));
    // What truly needs Redis fails before it is back, and says so.
    let stranger = id.replacen('c', "zz", 1);
    let answer = Session::known(&fleet.node("a").mcp(), &stranger).ping();
    assert!(matches!(answer.status, 404 | 503), "{answer:?}");
}

#[test]
fn redis_that_forgot_everything_is_told_everything() {
    let mut fleet = Plan::new("cluster/redis_flushed").start();
    let mut audience = Audience::gather(&mut fleet, "board://flushed");
    let load = Load::start(&audience.sessions);
    std::thread::sleep(OUTAGE / 6);
    load.enter(FROM_THEN_ON);
    fleet.redis().flush();
    fleet
        .node("c")
        .publish(&json!([{"uri": "board://flushed"}]));
    audience.all_hear("board://flushed");
    audience.wait_for_records(&mut fleet);
    load.finish();
    fleet.stop();
}
