//! What a trace holds and does at once, and what is told of one that has no room left.

use pinfold::app::call::Topic;
use pinfold::internals::limits::{Limits, TRACE_WAITING_MAX};
use pinfold::internals::shard::view::LOOKED_AT_ONCE;
use pinfold::internals::shard::{TraceBegun, TraceId, TraceKind, TraceTarget, TraceWish, Traced};
use serde_json::json;

use crate::support::identified::principal;
use crate::support::{Client, Request};
use crate::trace::{named, watch};

const V11: &str = "2025-11-25";

fn told(client: &mut Client) -> Vec<Traced> {
    let shard = &mut client.node.cores[0].shard;
    std::iter::from_fn(|| shard.poll_trace()).collect()
}

#[test]
fn an_end_that_finds_no_room_on_its_core() {
    let mut client = Client::new();
    let session = client.session(V11);
    watch(&mut client, 5, named(&session), false);
    let socket = client.connect();
    let pings = TRACE_WAITING_MAX as u64;
    for id in 0..pings {
        client.exchange(socket, &Request::ping(&session, id));
    }
    client.ask(&Request::delete(&session));
    let told = told(&mut client);
    let is_end =
        |it: &Traced| matches!(it, Traced::Event { event, .. } if event.kind == TraceKind::End);
    let end = told.iter().position(is_end).expect("it is told");
    let (to, count) = (TraceId(5), 2 * pings + 2 - TRACE_WAITING_MAX as u64);
    assert_eq!(
        told[end - 1],
        Traced::Missed { to, count },
        "before the end"
    );
    let Traced::Event { event, .. } = &told[end] else {
        panic!("it is one");
    };
    assert_eq!(event.reason, Some("deleted"));
    // What was asked by DELETE, and answered, is among those.
    assert_eq!(told.len(), TRACE_WAITING_MAX + 2);
}

#[test]
fn a_principal_among_more_than_is_looked_at_in_one_go() {
    let mut client = Client::identified(Limits::default());
    let listening = Request::listen(1, json!({"toolsListChanged": true}));
    let socket = client.open(&listening.clone().shown_by("alice"));
    for _ in 0..4 * LOOKED_AT_ONCE {
        client.session_of("bob", V11);
    }
    let session = client.session_of("alice", V11);
    let get = client.open(&Request::get(&session).shown_by("alice"));
    let shard = &mut client.node.cores[0].shard;
    let wish = TraceWish {
        id: TraceId(1),
        target: TraceTarget::Principal(principal("alice")),
        with_contents: false,
    };
    assert_eq!(
        shard.handle_trace(wish),
        TraceBegun::Searching,
        "all at once"
    );
    while shard.search_for_trace(wish.id) == TraceBegun::Searching {}
    client.publish(Topic::Tools);
    let events = told(&mut client);
    assert_eq!(events.len(), 2, "both are found: {events:?}");
    client.node.cut(socket);
    client.node.cut(get);

    // One that nobody watches any more is not searched for.
    let shard = &mut client.node.cores[0].shard;
    shard.handle_trace_end(wish.id);
    assert_eq!(shard.handle_trace(wish), TraceBegun::Searching);
    shard.handle_trace_end(wish.id);
    assert_eq!(shard.search_for_trace(wish.id), TraceBegun::Here);
}
