//! What a trace holds and does at once, and what is told of one that has no room left.

use pinfold::internals::limits::TRACE_WAITING_MAX;
use pinfold::internals::shard::{TraceId, TraceKind, Traced};

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
