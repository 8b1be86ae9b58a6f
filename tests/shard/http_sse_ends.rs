//! HTTP+SSE, the transport of 2024-11-05: bounds, operators, other cores, and all that ends a session beside its client.

use std::sync::Arc;

use pinfold::app::call::Notice;
use pinfold::internals::auth::Who;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::view::{EndReason, SessionFilter, ViewAnswer, ViewQuestion};
use pinfold::internals::shard::{Closed, DrainTimes, TraceKind, TraceTarget};
use serde_json::json;

use crate::support::http_sse::get;
use crate::support::identified::{identify_by, principal, rules, tokens};
use crate::support::{Client, Request};
use crate::trace::{leave, told, watch};
use crate::travel::{Way, travel};
use crate::view::{ask, name_of, rows};

fn speaking() -> Client {
    Client::http_sse(Limits::default())
}

pub(crate) fn reasons(client: &mut Client) -> Vec<EndReason> {
    match ask(client, &ViewQuestion::Ended) {
        ViewAnswer::LastEnded(rows) => rows.into_iter().map(|row| row.reason).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_opens_more_streams_than_it_may() {
    let limits = Limits {
        sessions_per_client_max: Some(2),
        ..Limits::default()
    };
    let mut client = Client::http_sse(limits);
    let open = |client: &mut Client| {
        let peer = "203.0.113.7".parse().ok();
        let socket = client.node.connect(0, peer).expect("there is room");
        client.send(socket, &get());
        client.node.take(socket, usize::MAX);
        socket
    };
    let (one, _) = (open(&mut client), open(&mut client));
    let third = open(&mut client);
    let answer = client.answer(third);
    assert_eq!(
        (answer.status, answer.reason()),
        (429, "too_many_sessions".into())
    );
    client.node.cut(one);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 1);
    let fourth = open(&mut client);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 2);
    client.node.cut(fourth);
}

#[test]
fn a_reader_that_stalls_while_it_asks() {
    let limits = Limits {
        streams_per_session_max: 4,
        stream_queue_bytes_max: 1024,
        ..Limits::default()
    };
    let mut client = Client::http_sse(limits);
    let session = client.session_http_sse();
    client.node.set_room(session.stream, 10);
    let mut taken = 0;
    for id in 0..8 {
        let answer = client.ask(&session.ping(id));
        match answer.status {
            202 => taken += 1,
            status => assert_eq!((status, answer.reason()), (429, "too_many_streams".into())),
        }
    }
    assert!((4..8).contains(&taken), "{taken} pings were taken");
    // What nobody asked for has its room beside them.
    let params = |text: &str| json!({"level": "info", "data": text}).to_string().into();
    let told = Notice::Message {
        level: 1,
        params: params(&"x".repeat(300)),
    };
    assert_eq!(client.tell(session.id(), &told), Ok(()));
    assert_eq!(client.heard(&session).len(), taken + 1);

    client.node.set_room(session.stream, 10);
    let refused = (0..8).find_map(|_| client.tell(session.id(), &told).err());
    assert!(refused.is_some());
    assert_eq!(client.closed(session.stream), Some(Closed::SlowReader));
    assert_eq!(reasons(&mut client), [EndReason::SlowReader]);
}

#[test]
fn large_answers_at_once_that_end_a_session_for_what_it_asked_for() {
    let limits = Limits {
        stream_queue_bytes_max: 1024,
        ..Limits::default()
    };
    let mut client = Client::http_sse(limits);
    let session = client.session_http_sse();
    let calls: Vec<_> = (0..3)
        .map(|id| {
            client.say(&session, &session.tool(id));
            client.call()
        })
        .collect();
    client.node.set_room(session.stream, 10);
    let large = json!({"content": "y".repeat(5_000)}).to_string();
    client.finish(&calls[0], &large);
    client.finish(&calls[1], &large);
    client.notify(&calls[2], 1);
    client.finish(&calls[2], &large);
    assert_eq!(client.closed(session.stream), None);
    assert_eq!(client.heard(&session).len(), 4);
}

#[test]
fn what_operators_see_of_it_and_do_with_it() {
    let mut client = speaking();
    let session = client.session_http_sse();
    let seen = rows(&mut client, SessionFilter::default());
    let row = &seen[0];
    assert_eq!(
        (row.version.as_str(), row.streams, row.requests),
        ("2024-11-05", 1, 1)
    );
    assert_eq!(row.client.as_ref().map(|it| &*it.name), Some("test"));
    ask(&mut client, &ViewQuestion::Drain(name_of(session.id())));
    let frames = client.frames(session.stream);
    assert!(
        frames.iter().any(|it| it.retry.is_some()),
        "when to come back"
    );
    assert_eq!(reasons(&mut client), [EndReason::Draining]);
    let other = client.session_http_sse();
    ask(&mut client, &ViewQuestion::End(name_of(other.id())));
    assert!(client.stream_ended(other.stream));
    assert_eq!(
        reasons(&mut client),
        [EndReason::Draining, EndReason::Operator]
    );
}

#[test]
fn a_node_that_drains() {
    let mut client = speaking();
    let session = client.session_http_sse();
    let now = client.node.now;
    let times = DrainTimes {
        notice_ms: 1_000,
        window_ms: 1_000,
    };
    assert!(client.node.cores[0].shard.handle_drain(now, times));
    assert_eq!(client.say(&session, &session.ping(1))[0]["id"], 1);
    client.pass(3_000);
    let frames = client.frames(session.stream);
    assert!(
        frames.iter().any(|it| it.retry.is_some()),
        "when to come back"
    );
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
    assert_eq!(client.refused(&get()).0, 503);
    assert_eq!(client.refused(&session.ping(2)).0, 404);
}

fn say_from(client: &mut Client, core: usize, request: &Request) -> u16 {
    let socket = client.connect_to(core);
    client.send(socket, request);
    let answer = client.answer(socket);
    answer.status
}

#[test]
fn a_session_that_is_on_another_core_than_its_messages_come_to() {
    for is_initialized in [false, true] {
        let mut client = speaking();
        let session = match is_initialized {
            true => client.session_http_sse(),
            false => client.open_http_sse(&get()),
        };
        assert_eq!(say_from(&mut client, 1, &session.ping(1)), 202);
        assert_eq!(client.heard(&session)[0]["id"], 1);
        travel(&mut client, Way::ToAnotherCore);
        for core in [0, 1] {
            let request = match is_initialized {
                true => session.ping(2),
                false => session.initialize(),
            };
            assert_eq!(say_from(&mut client, core, &request), 202);
            while client.node.fan_out(1) {}
            let heard = client.heard(&session);
            assert_eq!(heard.len(), 1, "{heard:?}");
            assert!(heard[0]["result"].is_object() || core == 1, "{heard:?}");
        }
        client.updated("nobody:hears");
        let taken = say_from(&mut client, 1, &session.tool(3));
        assert_eq!(taken, 202);
        let call = client.call();
        assert_eq!(call.core, 1);
        client.node.cut(session.stream);
        assert_eq!(client.node.cancelled, [call.key]);
    }
}

/// The first event of HTTP+SSE has the session's secret in it; its requests are answered on another exchange than they came by.
#[test]
fn a_session_that_is_a_stream_and_is_watched() {
    let mut client = Client::http_sse(Limits::default());
    let rules = rules(Who::Tokens(tokens()));
    identify_by(&mut client.node, &Arc::new(rules));
    let alice = TraceTarget::Principal(principal("alice"));
    watch(&mut client, 1, alice, true);
    let session = client.open_http_sse(&get().shown_by("alice"));
    let taken = client.ask(&session.ping(7).shown_by("alice"));
    assert_eq!(taken.status, 202);
    let events = told(&mut client);
    let secret = &session.id()[session.id().len() - 22..];
    assert!(!format!("{events:?}").contains(secret));
    let name = name_of(session.id()).to_string();
    let of_stream = events.iter().find(|(_, it)| it.kind == TraceKind::Stream);
    let (_, opened) = of_stream.expect("the stream opened");
    assert_eq!(opened.name.as_deref(), Some(&*name));
    let answers = events.iter().filter(|(_, it)| it.kind == TraceKind::Answer);
    let answers: Vec<_> = answers
        .map(|(_, it)| (it.method.as_deref(), it.id.as_deref()))
        .collect();
    assert_eq!(answers, [(Some("ping"), Some("7"))]);
    leave(&mut client, 1);
}
