//! What a core counts: each number is that of what happened, and nothing is counted twice or never.

use pinfold::app::Topic;
use pinfold::app::call::Outcome;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, CoreStats, DrainTimes, StreamCounts};
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::support::{Client, Node, Request};

const V06: &str = "2025-06-18";

fn stats_of(client: &Client, core: usize) -> CoreStats {
    let mut stats = CoreStats::default();
    client.node.cores[core].shard.stats_into(&mut stats);
    stats
}

/// Each series as `method tool error version`, with how many there were and the milliseconds that they took.
fn operations(stats: &CoreStats) -> Vec<(String, u64, u64)> {
    let series = stats.operations.series().map(|(it, durations)| {
        let of = format!("{} {} {} {}", it.method, it.tool, it.error, it.version);
        (of, durations.count(), durations.sum_ms)
    });
    let mut series: Vec<_> = series.collect();
    series.sort();
    series
}

#[test]
fn a_request_that_is_counted_as_another_one() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::ping(&session, 1));
    client.ask(&Request::ping(&session, 2));
    client.ask(&Request::call(
        &session,
        3,
        "subscriptions/listen",
        json!({}),
    ));
    client.ask(&Request::call("nobody", 4, "ping", json!({})));
    client.ask(&Request::modern(5, "server/discover", json!({})));
    client.ask(&Request::modern(6, "ping", json!({})));
    client.ask(&Request::initialize(V06).but("Mcp-Session-Id", "nobody"));
    let right = [
        ("initialize   2025-06-18", 1),
        ("initialize  -32600 ", 1),
        ("ping   2025-06-18", 2),
        ("ping  -32600 ", 1),
        ("ping  -32601 2026-07-28", 1),
        ("server/discover   2026-07-28", 1),
        ("subscriptions/listen  -32602 2026-07-28", 1),
    ];
    let stats = stats_of(&client, 0);
    let counted = operations(&stats);
    let counted: Vec<_> = counted
        .iter()
        .map(|(of, count, _)| (of.as_str(), *count))
        .collect();
    assert_eq!(counted, right);
    assert_eq!((stats.operations.requests, stats.operations.errors), (8, 4));
}

#[test]
fn a_call_that_is_counted_without_its_tool_its_end_or_its_time() {
    let mut client = Client::new();
    let session = client.session(V06);
    let call = |client: &mut Client, name: &str| {
        let socket = client.connect();
        let params = json!({"arguments": {"name": "no"}, "name": name});
        client.send(socket, &Request::call(&session, 1, "tools/call", params));
        socket
    };
    // Nobody knows yet whether it is one: after its first result it is.
    call(&mut client, "hello");
    client.pass(7);
    let first = client.call();
    client.finish(&first, r#"{"content":[]}"#);
    call(&mut client, "hello");
    let failed = client.call();
    client.finish(&failed, r#"{"content":[],"_meta":{},"isError":true}"#);
    call(&mut client, "nothing");
    let unknown = client.call();
    client.fail(&unknown, RpcError::invalid_params("Unknown tool: nothing"));
    // A client that says `isError` in a text has not made it fail.
    call(&mut client, "hello");
    let said = client.call();
    client.finish(&said, r#"{"content":[{"text":"\"isError\":true}"}]}"#);
    // One that leaves has its modern call cancelled.
    let socket = client.connect();
    client.send(
        socket,
        &Request::modern(2, "tools/call", json!({"name": "hello"})),
    );
    client.pass(20);
    client.node.cut(socket);
    // A session that ends takes its calls along.
    call(&mut client, "hello");
    client.ask(&Request::delete(&session));
    let stats = stats_of(&client, 0);
    let right = [
        ("initialize   2025-06-18", 1, 0),
        ("tools/call _OTHER -32602 2025-06-18", 1, 0),
        ("tools/call hello  2025-06-18", 2, 7),
        ("tools/call hello cancelled 2025-06-18", 1, 0),
        ("tools/call hello cancelled 2026-07-28", 1, 20),
        ("tools/call hello tool_error 2025-06-18", 1, 0),
    ];
    let right = right.map(|(of, count, ms)| (of.to_owned(), count, ms));
    assert_eq!(operations(&stats), right);
    assert_eq!(stats.gauges.calls, 0);
}

#[test]
fn a_method_of_an_extension_that_makes_a_label() {
    let mut client = Client::new();
    let session = client.session(V06);
    let socket = client.connect();
    client.send(
        socket,
        &Request::call(&session, 1, "x/made-up", json!({"name": "n"})),
    );
    let call = client.call();
    client
        .node
        .outcome(call.core, call.key, &Outcome::Other { json: "{}".into() });
    let counted = operations(&stats_of(&client, 0));
    assert_eq!(counted[0].0, "_OTHER   2025-06-18");
}

#[test]
fn deliveries_that_are_counted_twice_or_as_the_other_eras() {
    let mut client = Client::new();
    let session = client.session(V06);
    client.ask(&Request::subscribe(&session, "a:b"));
    let legacy = client.open(&Request::get(&session));
    let modern = client.open(&Request::listen(
        1,
        json!({"resourceSubscriptions": ["a:b"], "toolsListChanged": true}),
    ));
    let streams = stats_of(&client, 0).gauges.streams;
    let right = StreamCounts {
        get: 1,
        post: 0,
        listen: 1,
    };
    assert_eq!(streams, right);
    client.updated("a:b");
    client.publish(Topic::Tools);
    client.updated("nobody:hears");
    let stats = stats_of(&client, 0);
    assert_eq!((stats.publications, stats.deliveries), (3, [2, 2]));
    assert_eq!(
        (stats.conflated, stats.publish_to_last_write.count()),
        (0, 2)
    );
    // The one that does not read is told once of what comes thrice.
    client.node.set_room(modern, 10);
    for _ in 0..4 {
        client.updated("a:b");
    }
    let stats = stats_of(&client, 0);
    assert_eq!((stats.deliveries, stats.conflated), ([6, 3], 2));
    assert_eq!(stats.gauges.blocked, 1);
    let pending = stats.gauges.pending_bytes;
    assert!(pending > 0 && pending < 1_000, "{pending}");
    client.node.set_room(modern, 10_000);
    while client.node.fan_out(0) {}
    let stats = stats_of(&client, 0);
    assert_eq!((stats.deliveries, stats.conflated), ([6, 4], 2));
    assert_eq!((stats.gauges.blocked, stats.gauges.pending_bytes), (0, 0));
    for socket in [legacy, modern] {
        client.node.cut(socket);
    }
    assert_eq!(stats_of(&client, 0).gauges.streams, StreamCounts::default());
}

#[test]
fn a_wave_that_is_measured_for_each_event_or_until_nobody_could_write() {
    let mut client = Client::new();
    for _ in 0..3 {
        let session = client.session(V06);
        client.open(&Request::get(&session));
    }
    client.node.publish(Topic::Tools);
    client.node.now += 3;
    client.node.publish(Topic::Prompts);
    client.node.now += 4;
    while client.node.fan_out(0) {}
    let waves = stats_of(&client, 0).publish_to_last_write;
    assert_eq!((waves.count(), waves.sum_ms), (1, 7));
    // Nobody can be told now.
    for socket in 0..client.node.sockets.len() {
        client.node.set_room(socket, 0);
    }
    client.publish(Topic::Tools);
    let stats = stats_of(&client, 0);
    assert_eq!(
        stats.publish_to_last_write.count(),
        2,
        "the kernel takes a write of each"
    );
    client.publish(Topic::Tools);
    let stats = stats_of(&client, 0);
    assert_eq!(stats.publish_to_last_write.count(), 2);
}

#[test]
fn a_session_that_ended_for_another_reason_or_in_no_time() {
    let limits = Limits {
        session_idle_ms: 60_000,
        ..Limits::default()
    };
    let mut client = Client::with(limits);
    let deleted = client.session(V06);
    client.session("2025-11-25");
    client.pass(20_000);
    client.ask(&Request::delete(&deleted));
    client.pass(100_000);
    let stats = stats_of(&client, 0);
    let ended: Vec<_> = stats
        .sessions_ended
        .iter()
        .map(|it| (it.reason.word(), it.version.as_str(), it.lived.count()))
        .collect();
    assert_eq!(ended, [("deleted", V06, 1), ("idle", "2025-11-25", 1)]);
    let lived = |at: usize| stats.sessions_ended[at].lived.sum_ms;
    assert_eq!(lived(0), 20_000);
    assert!((60_000..70_000).contains(&lived(1)), "{}", lived(1));
    assert_eq!(stats.gauges.sessions, 0);
    let session = client.session(V06);
    client.open(&Request::get(&session));
    let (now, times) = (client.node.now, DrainTimes::default());
    client.node.cores[0].shard.handle_drain(now, times);
    client.pass(times.notice_ms + times.window_ms + 1_000);
    let stats = stats_of(&client, 0);
    let last = stats.sessions_ended.last().map(|it| it.reason.word());
    assert_eq!(last, Some("draining"), "as operators are told");
}

#[test]
fn a_connection_that_ends_moves_or_is_refused_uncounted() {
    let mut client = Client {
        node: Node::new(2, Limits::default()),
    };
    let session = client.session(V06);
    let socket = client.connect_to(1);
    client.exchange(socket, &Request::ping(&session, 1));
    assert_eq!([0, 1].map(|core| stats_of(&client, core).moves), [0, 1]);
    client.exchange(socket, &Request::new("PUT"));
    client.exchange(socket, &Request::new("GET").target("/nothing"));
    client.exchange(socket, &Request::new("GET").target("/nothing"));
    let before = stats_of(&client, 0);
    let refusals: Vec<_> = before.refusals.iter().collect();
    assert_eq!(refusals, [(405, 1), (404, 2)]);
    client.node.cut(socket);
    let stats = stats_of(&client, 0);
    let left = |stats: &CoreStats| stats.connections_closed.of(Closed::PeerLeft);
    assert_eq!(left(&stats), left(&before) + 1);
    assert_eq!(stats.gauges.connections + 1, before.gauges.connections);
}
