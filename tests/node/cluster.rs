//! Two nodes of one process that share a Redis: a session of the one is served through the other, and what is published
//! on one is heard by the clients of both.

use std::time::Duration;

use pinfold::Node;
use pinfold::app::Topic;
use serde_json::Value;

use crate::client::{Session, TRACE, is_closed, named, small, wait_until};
use crate::redis::Redis;

const URI: &str = "shared://uri";
/// Some on each core: they end one by one while their node drains.
const STREAMS: usize = 8;
const WINDOW: Duration = Duration::from_secs(2);

fn start(name: &'static str, redis: &Redis, window: Duration) -> Node {
    let builder = small(Node::builder(named(name))).name(name);
    let builder = builder.redis(&redis.url()).peer_secret([7; 32]);
    let builder = builder.drain_times(Duration::ZERO, window);
    builder.start().expect("it starts")
}

#[test]
fn a_session_that_only_one_of_two_nodes_serves() {
    let redis = Redis::start();
    let [a, b] = ["a", "b"].map(|name| start(name, &redis, Duration::ZERO));
    // Until they follow the bus; what they hear when they begin to is no news of anybody's.
    for node in [&a, &b] {
        wait_until("a node does not become ready", || node.is_ready());
    }
    let session = Session::open(a.address());
    let through_b = session.at(b.address());
    let ping = || through_b.call("ping", &serde_json::json!({}));
    // Until Redis knows of both.
    wait_until("b does not find the session", || {
        ping()["result"].is_object()
    });
    assert_eq!(through_b.whoami(), "a", "its own node answers");
    assert_eq!(through_b.said("trace"), TRACE, "as it was sent to b");
    assert_eq!((a.counts().sessions, b.counts().sessions), (1, 0));

    assert!(through_b.subscribe(URI)["result"].is_object());
    let of_b = Session::open(b.address());
    assert!(of_b.subscribe(URI)["result"].is_object());
    let (mut at_a, mut at_b) = (through_b.stream(), of_b.stream());
    let topic = Topic::Resource(URI.into());
    a.publisher().publish(topic).expect("it is not busy");
    let of_uri = |told: &Value| told["params"]["uri"] == URI;
    assert!(at_a.any(|told| of_uri(&told)), "the stream has ended");
    assert!(at_b.any(|told| of_uri(&told)), "the stream has ended");
    let up = "pinfold_redis_up{connection=\"pinfold-b\"} 1\n";
    assert!(b.metrics().contains(up) && !a.metrics().contains(up));

    a.stop();
    a.join_blocking().expect("it ends well");
    assert!(is_closed(a.address()));
    let gone = ping();
    assert!(gone.get("result").is_none(), "{gone}");
    assert_eq!(of_b.whoami(), "b");
    b.stop();
    b.join_blocking().expect("it ends well");
    assert_eq!(
        redis.ask(&["KEYS", "mcp:node:*"]),
        "*0",
        "they have said that they are gone"
    );
}

#[test]
fn a_drain_that_forgets_the_streams_that_it_passes_on() {
    let redis = Redis::start();
    let [a, b] = ["a", "b"].map(|name| start(name, &redis, WINDOW));
    for node in [&a, &b] {
        wait_until("a node does not become ready", || node.is_ready());
    }
    let open = |_| {
        let session = Session::open(a.address()).at(b.address());
        wait_until("b does not find the session", || {
            session.call("ping", &serde_json::json!({}))["result"].is_object()
        });
        session.stream()
    };
    let streams: Vec<_> = (0..STREAMS).map(open).collect();
    // Each counts with its connection to its session's node.
    wait_until("connections of requests stay", || {
        b.counts().connections == 2 * STREAMS
    });
    b.drain_blocking();
    assert_eq!(b.counts().connections, 0, "streams go on");
    for mut stream in streams {
        assert!(stream.next().is_none(), "nothing was said on it");
    }
    for node in [b, a] {
        node.stop();
        node.join_blocking().expect("it ends well");
    }
}
