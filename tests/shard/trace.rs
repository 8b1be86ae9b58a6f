//! Watching one: what whoever looks on is told, in both eras, and what nobody is told.

use pinfold::app::call::Topic;
use pinfold::internals::limits::{
    Limits, TRACE_CONTENTS_BYTES_MAX, TRACE_WAITING_BYTES_MAX, TRACE_WAITING_MAX, TRACES_MAX,
};
use pinfold::internals::shard::view::{SessionFilter, StreamKind, ViewQuestion};
use pinfold::internals::shard::{
    TraceBegun, TraceEvent, TraceId, TraceKind, TraceTarget, TraceWish, Traced,
};
use pinfold::internals::wire::operator_name::OperatorName;
use pinfold::mcp::RpcError;
use serde_json::json;

use crate::support::identified::principal;
use crate::support::{Client, Request};
use crate::travel::{WAYS, Way, travel, with};
use crate::view::{ask, names};

const V11: &str = "2025-11-25";

/// All of a session's id but its secret.
pub(crate) fn name_of(session: &str) -> OperatorName {
    let name = session[..session.len() - 22].parse();
    name.expect("a session's name")
}

pub(crate) fn named(session: &str) -> TraceTarget {
    TraceTarget::Named(name_of(session))
}

/// On every core, as a node does it. Whether one of them has whoever it is.
pub(crate) fn watch(
    client: &mut Client,
    id: u64,
    target: TraceTarget,
    with_contents: bool,
) -> bool {
    let wish = TraceWish {
        id: TraceId(id),
        target,
        with_contents,
    };
    let cores = client.node.cores.iter_mut();
    let here = cores.map(|core| {
        let mut begun = core.shard.handle_trace(wish);
        while begun == TraceBegun::Searching {
            begun = core.shard.search_for_trace(wish.id);
        }
        begun == TraceBegun::Here
    });
    here.fold(false, |any, here| any | here)
}

pub(crate) fn leave(client: &mut Client, id: u64) {
    let cores = client.node.cores.iter_mut();
    cores.for_each(|core| core.shard.handle_trace_end(TraceId(id)));
}

pub(crate) fn told(client: &mut Client) -> Vec<(Vec<u64>, TraceEvent)> {
    let mut told = Vec::new();
    for core in &mut client.node.cores {
        while let Some(traced) = core.shard.poll_trace() {
            match traced {
                Traced::Event { to, event } => {
                    told.push((to.iter().map(|it| it.0).collect(), event));
                }
                Traced::Missed { to, count } => panic!("{to:?} missed {count}"),
            }
        }
    }
    told
}

fn events(client: &mut Client) -> Vec<TraceEvent> {
    told(client).into_iter().map(|(_, event)| event).collect()
}

/// Each in a few words.
fn seen(client: &mut Client) -> Vec<String> {
    let words = |it: &TraceEvent| {
        let stream = it.stream.map(|kind| match it.is_open {
            true => format!("{} opened", kind.word()),
            false => format!("{} closed", kind.word()),
        });
        let words = [
            Some(it.kind.name().to_owned()),
            it.method.as_deref().map(str::to_owned),
            it.id.as_deref().map(str::to_owned),
            it.status.map(|it| it.to_string()),
            it.code.map(|it| it.to_string()),
            it.topic.as_deref().map(str::to_owned),
            stream,
            it.reason.map(str::to_owned),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        words.join(" ")
    };
    events(client).iter().map(words).collect()
}

#[test]
fn a_legacy_session_that_is_watched_from_its_calls_to_its_end() {
    let mut client = Client::new();
    let session = client.session(V11);
    assert!(watch(&mut client, 1, named(&session), false));
    client.ask(&Request::ping(&session, 1));
    assert_eq!(seen(&mut client), ["request ping 1", "answer ping 1 200"]);
    client.ask(&Request::subscribe(&session, "board://a"));
    let subscribed = seen(&mut client);
    assert!(
        subscribed[0].starts_with("request resources/subscribe"),
        "{subscribed:?}"
    );
    assert!(subscribed[0].ends_with("board://a"), "{subscribed:?}");

    let stream = client.open(&Request::get(&session));
    assert_eq!(seen(&mut client), ["request GET", "stream get opened"]);
    client.updated("board://a");
    client.publish(Topic::Tools);
    assert_eq!(
        seen(&mut client),
        [
            "event notifications/resources/updated board://a",
            "event notifications/tools/list_changed tools"
        ]
    );

    let socket = client.connect();
    client.send(socket, &Request::tool(&session, "x"));
    let call = client.call();
    client.notify(&call, 1);
    client.pass(40);
    client.fail(&call, RpcError::invalid_params("no"));
    let answered = events(&mut client);
    let kinds: Vec<TraceKind> = answered.iter().map(|it| it.kind).collect();
    use TraceKind::{Answer, Event, Request as Asked, Stream};
    assert_eq!(kinds, [Asked, Stream, Event, Answer, Stream]);
    assert_eq!(
        answered[2].method.as_deref(),
        Some("notifications/progress")
    );
    assert_eq!(answered[1].stream, Some(StreamKind::Post));
    let answer = &answered[3];
    assert_eq!(answer.id.as_deref(), Some("\"x\""));
    assert_eq!(answer.method.as_deref(), Some("tools/call"));
    assert_eq!((answer.code, answer.duration_ms), (Some(-32_602), Some(40)));

    let note = Request::post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    client.ask(&note.session(&session));
    assert_eq!(
        seen(&mut client),
        ["request notifications/initialized", "answer 202"]
    );
    client.node.cut(stream);
    assert_eq!(seen(&mut client), ["stream get closed peer_left"]);
    client.ask(&Request::delete(&session));
    assert_eq!(
        seen(&mut client),
        ["request DELETE", "end deleted", "answer DELETE 204"]
    );
}

#[test]
fn a_name_of_nobody() {
    let mut client = Client::new();
    let session = client.session(V11);
    let mut name = name_of(&session);
    name.place.generation += 1;
    assert!(!watch(&mut client, 1, TraceTarget::Named(name), false));
    name.place.generation -= 1;
    name.is_stream = true;
    assert!(!watch(&mut client, 2, TraceTarget::Named(name), false));
    client.ask(&Request::delete(&session));
    assert!(!watch(&mut client, 3, named(&session), false));
}

#[test]
fn others_that_show_in_a_trace() {
    let mut client = Client::new();
    let (one, other) = (client.session(V11), client.session(V11));
    watch(&mut client, 1, named(&one), true);
    let stream = client.open(&Request::get(&other));
    client.ask(&Request::ping(&other, 1));
    client.ask(&Request::modern(2, "server/discover", json!({})));
    client.publish(Topic::Tools);
    // A session that names another one's, with a wrong secret.
    let mut forged = one.clone();
    forged.pop();
    forged.push(if one.ends_with('A') { 'E' } else { 'A' });
    client.ask(&Request::ping(&forged, 3));
    client.node.cut(stream);
    client.ask(&Request::delete(&other));
    assert_eq!(seen(&mut client), [""; 0]);
}

#[test]
fn what_was_under_way_before_somebody_watched() {
    let mut client = Client::new();
    let session = client.session(V11);
    let stream = client.open(&Request::get(&session));
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 7));
    let call = client.call();
    assert!(watch(&mut client, 1, named(&session), false));
    client.publish(Topic::Prompts);
    client.finish(&call, "{}");
    client.node.cut(stream);
    assert_eq!(
        seen(&mut client),
        [
            "event notifications/prompts/list_changed prompts",
            "answer 7 200",
            "stream get closed peer_left"
        ]
    );
}

#[test]
fn nothing_is_kept_for_those_who_have_left() {
    let mut client = Client::new();
    let session = client.session(V11);
    watch(&mut client, 1, named(&session), false);
    watch(&mut client, 2, named(&session), false);
    client.ask(&Request::ping(&session, 1));
    assert_eq!(told(&mut client)[0].0, [1, 2]);
    leave(&mut client, 1);
    client.ask(&Request::ping(&session, 2));
    assert!(told(&mut client).iter().all(|(to, _)| *to == [2]));
    leave(&mut client, 2);
    client.ask(&Request::ping(&session, 3));
    assert_eq!(told(&mut client), []);
}

#[test]
fn contents_for_those_alone_who_want_them() {
    let mut client = Client::new();
    let session = client.session(V11);
    watch(&mut client, 1, named(&session), false);
    watch(&mut client, 2, named(&session), true);
    let text = "ä".repeat(TRACE_CONTENTS_BYTES_MAX);
    let request = Request::call(
        &session,
        1,
        "tools/call",
        json!({"name": "x", "text": text}),
    );
    let socket = client.connect();
    client.send(socket, &request);
    let call = client.call();
    client.finish(&call, &json!({"secret": "of the answer"}).to_string());
    for (to, event) in told(&mut client) {
        let contents = event.contents.as_deref();
        assert_eq!(contents.is_some(), to == [2], "{event:?}");
        match event.kind {
            TraceKind::Request if to == [2] => {
                let contents = contents.expect("there are some");
                let bytes = contents.len();
                assert!((TRACE_CONTENTS_BYTES_MAX - 1..=TRACE_CONTENTS_BYTES_MAX).contains(&bytes));
                assert!(
                    contents.contains("ää") && event.bytes > Some(2 * TRACE_CONTENTS_BYTES_MAX)
                );
            }
            TraceKind::Answer if to == [2] => {
                assert!(contents.expect("there are some").contains("of the answer"));
            }
            _ => {}
        }
    }
}

#[test]
fn more_than_there_is_room_for() {
    let mut client = Client::new();
    let session = client.session(V11);
    watch(&mut client, 5, named(&session), false);
    let socket = client.connect();
    let pings = TRACE_WAITING_MAX as u64;
    for id in 0..pings {
        client.exchange(socket, &Request::ping(&session, id));
    }
    let shard = &mut client.node.cores[0].shard;
    let traced: Vec<Traced> = std::iter::from_fn(|| shard.poll_trace()).collect();
    let (last, told) = traced.split_last().expect("there is something");
    assert_eq!(told.len(), TRACE_WAITING_MAX);
    let bytes = told.iter().map(|it| match it {
        Traced::Event { event, .. } => event.held_bytes(),
        Traced::Missed { .. } => panic!("it is told once, at the end"),
    });
    assert!(bytes.sum::<usize>() <= TRACE_WAITING_BYTES_MAX);
    let (to, count) = (TraceId(5), 2 * pings - TRACE_WAITING_MAX as u64);
    assert_eq!(*last, Traced::Missed { to, count });
    client.exchange(socket, &Request::ping(&session, 1));
    assert_eq!(seen(&mut client).len(), 2, "there is room again");
}

#[test]
fn contents_of_more_bytes_than_there_is_room_for() {
    let mut client = Client::new();
    let session = client.session(V11);
    watch(&mut client, 1, named(&session), true);
    let text = "x".repeat(2 * TRACE_CONTENTS_BYTES_MAX);
    for id in 0..300 {
        let request = Request::call(&session, id, "ping", json!({"text": text}));
        client.ask(&request);
    }
    let shard = &mut client.node.cores[0].shard;
    let traced = std::iter::from_fn(|| shard.poll_trace());
    let missed = traced.filter_map(|it| match it {
        Traced::Missed { count, .. } => Some(count),
        Traced::Event { .. } => None,
    });
    assert!(missed.sum::<u64>() > 0);
}

#[test]
fn one_more_than_may_watch() {
    let mut client = Client::new();
    let session = client.session(V11);
    for id in 0..TRACES_MAX as u64 {
        assert!(watch(&mut client, id, named(&session), false));
    }
    assert!(!watch(&mut client, 99, named(&session), false));
    leave(&mut client, 3);
    assert!(watch(&mut client, 100, named(&session), false));
    client.ask(&Request::ping(&session, 1));
    let to = &told(&mut client)[0].0;
    assert!(to.len() == TRACES_MAX && to.contains(&100) && !to.contains(&3));
}

#[test]
fn a_principal_that_opens_sessions_later_and_asks_without_one() {
    let mut client = Client::identified(Limits::default());
    let before = client.session_of("alice", V11);
    let listening = Request::listen(1, json!({"toolsListChanged": true}));
    let early = client.open(&listening.clone().shown_by("alice"));
    let alice = TraceTarget::Principal(principal("alice"));
    assert!(watch(&mut client, 1, alice, false));
    client.publish(Topic::Tools);
    let heard = events(&mut client);
    assert_eq!(heard.len(), 1, "its GET is not open: {heard:?}");
    assert!(heard[0].name.as_deref().expect("its name").contains(".~"));
    client.node.cut(early);
    assert_eq!(
        seen(&mut client),
        [
            "stream listen closed peer_left",
            "end listen closed peer_left"
        ]
    );

    let later = client.session_of("alice", V11);
    let opened = events(&mut client);
    assert_eq!(opened[0].name, None);
    assert_eq!(opened[0].method.as_deref(), Some("initialize"));
    let name = name_of(&later).to_string();
    assert_eq!(opened[1].name.as_deref(), Some(name.as_str()));

    client.ask(&Request::ping(&before, 2).shown_by("alice"));
    assert_eq!(seen(&mut client), ["request ping 2", "answer ping 2 200"]);
    client.ask(&Request::modern(3, "server/discover", json!({})).shown_by("alice"));
    let alone = events(&mut client);
    assert!(
        alone.len() == 2 && alone.iter().all(|it| it.name.is_none()),
        "{alone:?}"
    );
    let stream = client.open(&listening.shown_by("alice"));
    let opened = seen(&mut client);
    assert_eq!(
        opened,
        [
            "request subscriptions/listen 1",
            "stream listen opened",
            "event notifications/subscriptions/acknowledged"
        ]
    );
    let bobs = client.session_of("bob", V11);
    client.ask(&Request::ping(&bobs, 3).shown_by("bob"));
    client.node.cut(stream);
    let left = seen(&mut client);
    assert_eq!(left.len(), 2, "nothing of bob's: {left:?}");
}

#[test]
fn a_listen_stream_that_is_watched_by_its_name() {
    let mut client = Client::identified(Limits::default());
    let alice = TraceTarget::Principal(principal("alice"));
    watch(&mut client, 1, alice, false);
    let listening = Request::listen(1, json!({"toolsListChanged": true}));
    let stream = client.open(&listening.shown_by("alice"));
    let opened = events(&mut client);
    let name = opened[1].name.as_deref().expect("a name");
    let name: OperatorName = name.parse().expect("a name");
    leave(&mut client, 1);
    assert!(watch(&mut client, 2, TraceTarget::Named(name), false));
    client.publish(Topic::Tools);
    client.node.cut(stream);
    assert_eq!(
        seen(&mut client),
        [
            "event notifications/tools/list_changed tools",
            "stream listen closed peer_left",
            "end listen closed peer_left"
        ]
    );
}

#[test]
fn a_listen_stream_that_an_operator_ends_while_it_is_watched() {
    let mut client = Client::new();
    let listening = Request::listen(1, json!({"toolsListChanged": true}));
    for is_read in [true, false] {
        let socket = client.open(&listening);
        let name = names(&mut client, SessionFilter::default())[0];
        assert!(watch(&mut client, 1, TraceTarget::Named(name), false));
        if !is_read {
            client.node.set_room(socket, 3);
            client.publish(Topic::Tools);
            seen(&mut client);
        }
        ask(&mut client, &ViewQuestion::End(name));
        assert_eq!(
            seen(&mut client),
            [
                "stream listen closed operator",
                "end listen closed operator"
            ],
            "{is_read}"
        );
        leave(&mut client, 1);
    }
}

#[test]
fn a_batch_of_which_each_message_shows() {
    let mut client = Client::new();
    let session = client.session("2025-03-26");
    watch(&mut client, 1, named(&session), false);
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": "loud"}},
    ]);
    client.open(&Request::post(&batch).session(&session));
    assert_eq!(
        seen(&mut client),
        [
            "request ping 1",
            "request notifications/initialized",
            "request logging/setLevel 2",
            "stream post opened",
            "answer ping 1",
            "answer logging/setLevel 2 -32602",
            "stream post closed"
        ]
    );
}

#[test]
fn a_session_that_is_watched_goes_on_elsewhere() {
    for way in WAYS {
        let mut client = with(Limits::default());
        let session = client.session(V11);
        let stream = client.open(&Request::get(&session));
        watch(&mut client, 1, named(&session), false);
        travel(&mut client, way);
        if way == Way::WithItsCore {
            // It is another process's, which nobody has told.
            watch(&mut client, 1, named(&session), false);
        }
        client.publish(Topic::Tools);
        client.ask(&Request::ping(&session, 1));
        client.node.cut(stream);
        let mut seen = seen(&mut client);
        seen.sort();
        assert_eq!(
            seen,
            [
                "answer ping 1 200",
                "event notifications/tools/list_changed tools",
                "request ping 1",
                "stream get closed peer_left"
            ],
            "{way:?}"
        );
    }
}
