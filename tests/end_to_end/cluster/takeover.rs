//! Sessions whose node is gone go on at another one, under the same id.

use serde_json::json;

use super::client::Session;
use super::fleet::{Fleet, NODES, Plan};
use super::stream::Stream;
use super::{wait_for, wait_until};
use crate::handover::ask;

const URI: &str = "board://takeover";
const UPDATED: &str = "notifications/resources/updated board://takeover";
const SESSIONS: usize = 20;

impl Fleet {
    fn adopted(&self) -> f64 {
        let running = self.nodes.iter().filter(|it| it.runs());
        let counts = running.map(|it| it.metric("pinfold_sessions_adopted_total"));
        counts.sum()
    }

    /// Of so many sessions at one node, what Redis needs to know for another to take them over.
    fn open_sessions(&mut self, node: &str, count: usize) -> Vec<Session> {
        let mcp = self.node(node).mcp();
        let sessions: Vec<Session> = (0..count).map(|_| Session::open(&mcp)).collect();
        for session in &sessions {
            session.subscribe(URI);
        }
        wait_until("Redis knows what they subscribed to", || {
            let mut sessions = sessions.iter();
            sessions.all(|it| {
                let record = self.redis().record(&it.id);
                record.is_some_and(|record| record.contains(URI))
            })
        });
        sessions
    }
}

/// What a client does that never sends initialize again: the same request, until it is answered. Never is it told that the
/// session is gone.
fn ping(session: &Session, mcp: &str) {
    let session = session.through(mcp);
    wait_until("an answer", || {
        let answer = session.ping();
        assert!([200, 502, 503].contains(&answer.status), "{answer:?}");
        answer.status == 200
    });
}

#[test]
fn a_killed_nodes_sessions_that_end_with_it() {
    let mut fleet = Plan::new("cluster/takeover_killed").start();
    let sessions = fleet.open_sessions("b", SESSIONS);
    let address = fleet.node("b").address();
    let mut streams: Vec<Stream> = sessions
        .iter()
        .map(|it| Stream::of_session(address, &it.id).expect_open())
        .collect();
    fleet
        .node("a")
        .publish(&json!([{"uri": URI, "contents": "1"}]));
    for stream in &mut streams {
        stream.wait_to_hear(UPDATED);
    }
    fleet.node_mut("b").kill();
    // While nobody is there.
    fleet
        .node("c")
        .publish(&json!([{"uri": URI, "contents": "2"}]));
    let places = ["a", "c"].map(|name| (fleet.node(name).mcp(), fleet.node(name).address()));
    let again = sessions.iter().zip(&streams).enumerate();
    let mut again: Vec<Stream> = again
        .map(|(number, (session, stream))| {
            let (mcp, address) = &places[number % 2];
            ping(session, mcp);
            let seen = [("Last-Event-ID", stream.last_id.as_str())];
            let stream = Stream::try_of_session(*address, &session.id, &seen);
            stream.expect("somebody listens").expect_open()
        })
        .collect();
    for stream in &mut again {
        stream.wait_to_hear(UPDATED);
        stream.heard.clear();
    }
    assert_eq!(fleet.adopted(), SESSIONS as f64);
    fleet
        .node("a")
        .publish(&json!([{"uri": URI, "contents": "3"}]));
    for stream in &mut again {
        stream.wait_to_hear(UPDATED);
    }
    // Each is at one node, and the others find it there; so does its own node when it is back.
    fleet.node_mut("b").start_again();
    for node in NODES {
        for session in &sessions {
            ping(session, &fleet.node(node).mcp());
        }
    }
    assert_eq!(
        fleet.adopted(),
        SESSIONS as f64,
        "nobody gives back or takes twice"
    );
    let deleted = &sessions[0];
    assert_eq!(deleted.through(&fleet.node("b").mcp()).delete().status, 204);
    wait_until("its record goes", || !fleet.redis().has_record(&deleted.id));
    let answer = deleted.through(&fleet.node("a").mcp()).ping_until_known();
    assert_eq!(answer.status, 404, "{answer:?}");
    fleet.stop();
}

/// Both are asked for each session at the same moment.
#[test]
fn a_session_that_two_nodes_take_over_at_once() {
    let mut fleet = Plan::new("cluster/takeover_race").start();
    let sessions = fleet.open_sessions("b", SESSIONS);
    fleet.node_mut("b").kill();
    let places = [fleet.node("a").mcp(), fleet.node("c").mcp()];
    std::thread::scope(|scope| {
        for session in &sessions {
            for mcp in &places {
                scope.spawn(move || ping(session, mcp));
            }
        }
    });
    assert_eq!(fleet.adopted(), SESSIONS as f64);
    fleet.stop();
}

/// It was not dead: it hung for long enough to be taken for that.
#[test]
fn a_node_that_hung_and_shares_its_sessions_with_who_took_them_over() {
    let mut fleet = Plan::new("cluster/takeover_hung").start();
    let session = fleet.open_sessions("b", 1).remove(0);
    let mut stream = Stream::of_session(fleet.node("b").address(), &session.id).expect_open();
    fleet.node("b").hang();
    ping(&session, &fleet.node("a").mcp());
    let open = || Stream::of_session(fleet.node("a").address(), &session.id);
    let mut taken = open();
    // Of all that it may have missed, once.
    hears_or_comes_back(&mut taken, open);
    taken.heard.clear();
    fleet
        .node("c")
        .publish(&json!([{"uri": URI, "contents": "1"}]));
    hears_or_comes_back(&mut taken, open);
    fleet.node("b").go_on();
    wait_until("its stream ends", || stream.has_ended());
    let lost = || fleet.node("b").metric("pinfold_sessions_taken_over_total");
    wait_until("it has let go", || lost() == 1.0);
    assert!(
        !stream.has_heard(UPDATED),
        "from a node that has it no more"
    );
    for node in NODES {
        ping(&session, &fleet.node(node).mcp());
    }
    assert_eq!(sessions_at(&fleet, "b"), 0);
    assert_eq!(sessions_at(&fleet, "a"), 1);
    fleet.stop();
}

/// A node that gets no CPU for as long as its lease lasts ends its streams, and says 503 until it has the next one.
fn hears_or_comes_back(stream: &mut Stream, open: impl Fn() -> Stream) {
    wait_until(UPDATED, || {
        let has_heard = stream.has_heard(UPDATED);
        if !has_heard && (stream.has_ended() || stream.status() != 200) {
            *stream = open();
        }
        has_heard
    });
}

fn sessions_at(fleet: &Fleet, node: &str) -> u64 {
    let url = format!("{}/sessions", fleet.node(node).admin());
    let page = ask(&url).expect("an answer");
    page["sessions"].as_array().expect("rows").len() as u64
}

#[test]
fn a_node_that_takes_its_leave_and_its_sessions_with_it() {
    let mut fleet = Plan::new("cluster/takeover_drain").start();
    let sessions = fleet.open_sessions("b", SESSIONS);
    let address = fleet.node("b").address();
    let mut streams: Vec<Stream> = sessions[..SESSIONS / 2]
        .iter()
        .map(|it| Stream::of_session(address, &it.id).expect_open())
        .collect();
    fleet.node("b").leave();
    wait_until("its streams end", || {
        streams.iter_mut().all(Stream::has_ended)
    });
    let proxy = (fleet.traefik.mcp(), fleet.traefik.address());
    for session in &sessions {
        ping(session, &proxy.0);
    }
    let left = fleet.node_mut("b").has_left();
    left.expect("it leaves in good order");
    let mut again: Vec<Stream> = sessions
        .iter()
        .map(|session| {
            wait_for("a stream", || {
                let stream = Stream::try_of_session(proxy.1, &session.id, &[])?;
                (stream.status() == 200).then_some(stream)
            })
        })
        .collect();
    for stream in &mut again {
        // Of all that they may have missed, once.
        stream.wait_to_hear(UPDATED);
        stream.heard.clear();
    }
    fleet
        .node("a")
        .publish(&json!([{"uri": URI, "contents": "1"}]));
    for stream in &mut again {
        stream.wait_to_hear(UPDATED);
    }
    assert_eq!(fleet.adopted(), SESSIONS as f64);
    fleet.stop();
}

/// A client that is told 404 begins anew, or never comes back.
#[test]
fn a_redis_that_is_away_when_a_node_dies_and_404_for_its_sessions() {
    let mut fleet = Plan::new("cluster/takeover_outage").start();
    let session = fleet.open_sessions("b", 1).remove(0);
    let elsewhere = session.through(&fleet.node("a").mcp());
    assert_eq!(elsewhere.ping().status, 200);
    fleet.redis().hang();
    fleet.node_mut("b").kill();
    for _ in 0..3 {
        let answer = elsewhere.ping();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.field("retry-after").is_some(), "{answer:?}");
    }
    fleet.redis().go_on();
    ping(&session, &fleet.node("a").mcp());
    fleet.stop();
}
