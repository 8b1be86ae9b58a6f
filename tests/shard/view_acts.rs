//! What operators do to sessions and listen streams, and what is remembered of those that are over, wherever they go.

use pinfold::app::call::Topic;
use pinfold::internals::limits::{ENDED_KEPT, Limits};
use pinfold::internals::shard::view::{
    EndReason, EndedRow, MissingRow, SessionFilter, SessionRow, ViewAnswer, ViewPlace, ViewQuestion,
};
use pinfold::internals::shard::{Closed, DrainTimes};
use pinfold::internals::wire::session_id::SessionId;
use serde_json::json;

use crate::support::identified::principal;
use crate::support::{Client, Request};
use crate::travel::{WAYS, Way, travel, with};
use crate::view::{
    V11, all, ask, ask_core, detail, listen, listen_as, name_of, names, rows, session_as, tools,
};

fn last_ended(client: &mut Client) -> Vec<EndedRow> {
    match ask(client, &ViewQuestion::Ended) {
        ViewAnswer::LastEnded(rows) => rows,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn reasons(client: &mut Client) -> Vec<EndReason> {
    let ended = last_ended(client);
    ended.into_iter().map(|row| row.reason).collect()
}

#[test]
fn a_session_that_lives_on_although_an_operator_ended_it() {
    let mut client = Client::new();
    let session = client.session(V11);
    let get = client.open(&Request::get(&session));
    let other = client.session(V11);
    let name = name_of(&session);
    let ended = ask(&mut client, &ViewQuestion::End(name));
    assert!(
        matches!(ended, ViewAnswer::Ended { count: 1, .. }),
        "{ended:?}"
    );
    assert!(client.stream_ended(get));
    let answer = client.ask(&Request::ping(&session, 1));
    assert_eq!((answer.status, answer.reason()), (404, "expired".into()));
    assert_eq!(client.ask(&Request::ping(&other, 1)).status, 200);
    match ask(&mut client, &ViewQuestion::End(name)) {
        ViewAnswer::Missing(MissingRow::Ended(row)) => {
            assert_eq!((row.name, row.reason), (name, EndReason::Operator));
            assert_eq!(row.requests, 1, "what came later was for nobody");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_listen_stream_that_an_operator_ended_and_its_client_asks_for_again() {
    let mut client = Client::new();
    let socket = listen(&mut client, &Request::listen(1, tools()));
    let name = names(&mut client, SessionFilter::default())[0];
    ask(&mut client, &ViewQuestion::End(name));
    // In good order: it is over, and not to be looked for elsewhere.
    assert!(client.stream_ended(socket));
    assert_eq!(client.closed(socket), None);
    assert_eq!(reasons(&mut client), [EndReason::Operator]);
    let stalled = listen(&mut client, &Request::listen(1, tools()));
    client.node.set_room(stalled, 3);
    client.publish(Topic::Tools);
    let name = names(&mut client, SessionFilter::default())[0];
    ask(&mut client, &ViewQuestion::End(name));
    assert_eq!(
        client.closed(stalled),
        Some(Closed::Operator),
        "it would not read that"
    );
}

#[test]
fn an_operator_who_ends_what_is_somebody_elses() {
    let mut client = Client::identified(Limits::default());
    client.node.unchecked = true;
    let hers: Vec<String> = (0..40).map(|_| client.session_of("alice", V11)).collect();
    listen(&mut client, &Request::listen(1, tools()).shown_by("alice"));
    let his = client.session_of("bob", V11);
    listen(&mut client, &Request::listen(1, tools()).shown_by("bob"));
    let of = |name: &str| SessionFilter {
        principal: Some(principal(name)),
        ..SessionFilter::default()
    };
    assert_eq!(rows(&mut client, of("alice")).len(), 41);
    let (mut total, mut portions, mut next) = (0, 0, Some(ViewPlace::default()));
    while let Some(from) = next {
        let principal = principal("alice");
        let question = ViewQuestion::EndAllOf { principal, from };
        let ViewAnswer::Ended { count, next: then } = ask(&mut client, &question) else {
            panic!("all were to end");
        };
        (total, portions, next) = (total + count, portions + 1, then);
    }
    assert_eq!((total, portions > 1), (41, true), "{portions}");
    assert!(rows(&mut client, of("alice")).is_empty());
    assert_eq!(rows(&mut client, of("bob")).len(), 2);
    let gone = client.ask(&Request::ping(&hers[7], 1).shown_by("alice"));
    assert_eq!(gone.status, 404);
    let there = client.ask(&Request::ping(&his, 1).shown_by("bob"));
    assert_eq!(there.status, 200);
}

#[test]
fn a_session_that_ends_when_only_its_streams_were_to() {
    let mut client = Client::new();
    let session = client.session(V11);
    let get = client.open(&Request::get(&session));
    let stream = listen(&mut client, &Request::listen(1, tools()));
    let every = names(&mut client, SessionFilter::default());
    for &name in &every {
        let drained = ask(&mut client, &ViewQuestion::Drain(name));
        assert!(matches!(drained, ViewAnswer::Draining), "{drained:?}");
    }
    let frames = client.frames(get);
    assert!(
        frames.iter().any(|it| it.retry.is_some_and(|ms| ms > 0)),
        "{frames:?}"
    );
    assert_eq!(client.closed(stream), Some(Closed::Draining));
    assert_eq!(reasons(&mut client), [EndReason::Draining]);
    client.publish(Topic::Tools);
    let again = client.open(&Request::get(&session));
    assert!(
        client.topics(again).contains(&"tools/list_changed".into()),
        "it missed nothing"
    );
}

#[test]
fn an_end_with_a_reason_that_is_not_its() {
    let limits = Limits {
        sessions_max: 2,
        session_idle_ms: 100_000,
        ..Limits::default()
    };
    let mut client = Client::with(limits);
    let deleted = client.session(V11);
    client.ask(&Request::delete(&deleted));
    client.session(V11);
    client.pass(20_000);
    client.session(V11);
    // No third has a place.
    client.session(V11);
    client.pass(200_000);
    let leaves = listen(&mut client, &Request::listen(1, tools()));
    client.end(leaves);
    client.node.cut(leaves);
    let stalls = listen(&mut client, &Request::listen(1, tools()));
    client.node.set_room(stalls, 3);
    client.publish(Topic::Tools);
    client.pass(limits.write_stall_ms + 1_000);
    let expected = [
        EndReason::Deleted,
        EndReason::Evicted,
        EndReason::Idle,
        EndReason::Idle,
        EndReason::PeerLeft,
        EndReason::SlowReader,
    ];
    assert_eq!(reasons(&mut client), expected);
    client.session(V11);
    let session = client.session(V11);
    client.open(&Request::get(&session));
    let (now, times) = (client.node.now, DrainTimes::default());
    client.node.cores[0].shard.handle_drain(now, times);
    client.pass(times.notice_ms + times.window_ms + 1_000);
    assert_eq!(reasons(&mut client).last(), Some(&EndReason::Draining));
    // One that has no stream is there to the end.
    client.node.cores[0].shard.handle_end();
    assert_eq!(reasons(&mut client).last(), Some(&EndReason::NodeEnds));
}

#[test]
fn a_stream_whose_token_is_over_and_nobody_says_so() {
    let mut client = Client::identified(Limits::default());
    listen(&mut client, &Request::listen(1, tools()).shown_by("carol"));
    client.pass(30_000 + Limits::default().auth_grace_ms + 200);
    let ended = last_ended(&mut client);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].reason, EndReason::TokenExpired);
    assert_eq!(ended[0].principal, Some(principal("carol")));
}

#[test]
fn ends_that_are_remembered_without_bound() {
    let mut client = Client::new();
    client.node.unchecked = true;
    for _ in 0..ENDED_KEPT + 20 {
        let session = client.session(V11);
        client.ask(&Request::delete(&session));
        client.pass(1_000);
    }
    let ended = last_ended(&mut client);
    assert_eq!(ended.len(), ENDED_KEPT);
    assert!(
        ended.is_sorted_by_key(|row| row.ended_at),
        "the oldest first"
    );
    assert!(ended[0].ended_at > 20_000);
}

#[test]
fn a_session_that_is_another_one_to_operators_once_it_has_moved() {
    for way in WAYS {
        let mut client = with(Limits::default());
        let session = session_as(&mut client, "mover", "3");
        client.open(&Request::get(&session));
        client.ask(&Request::ping(&session, 1));
        client.publish(Topic::Tools);
        let before = detail(&mut client, name_of(&session)).row;
        assert_eq!((before.requests, before.events), (2, 1));
        travel(&mut client, way);
        let at = usize::from(way == Way::ToAnotherCore);
        let question = ViewQuestion::Detail(name_of(&session));
        let row = match ask_core(&mut client, at, &question) {
            ViewAnswer::Detail(detail) => detail.row,
            other => panic!("{way:?}: {other:?}"),
        };
        assert_eq!(row.core as usize, at, "{way:?}");
        let same = |row: &SessionRow| {
            let counts = (row.requests, row.events, row.created_at);
            (row.name, row.client.clone(), counts)
        };
        assert_eq!(same(&row), same(&before), "{way:?}");
        if way == Way::ToAnotherCore {
            let told = ask(&mut client, &question);
            let elsewhere = matches!(told, ViewAnswer::Missing(MissingRow::OnCore(1)));
            assert!(elsewhere, "{told:?}");
            assert!(rows(&mut client, SessionFilter::default()).is_empty());
        }
    }
}

#[test]
fn a_listen_stream_that_forgets_its_client_on_the_way() {
    let mut client = with(Limits::default());
    let socket = listen(&mut client, &listen_as("mover", &tools()));
    client.publish(Topic::Tools);
    let before = rows(&mut client, SessionFilter::default());
    client.pass(5_000);
    client
        .node
        .move_connection(socket, 1)
        .expect("it may leave");
    client
        .node
        .move_connection(socket, 0)
        .expect("it may leave");
    let after = rows(&mut client, SessionFilter::default());
    assert_eq!(before[0].client.as_ref().map(|it| &*it.name), Some("mover"));
    assert_eq!(after[0].client, before[0].client);
    assert_eq!(
        (after[0].events, after[0].created_at),
        (1, before[0].created_at)
    );
    assert!(last_ended(&mut client).is_empty(), "it did not end");
}

#[test]
fn a_name_of_another_node_or_process_or_of_nothing() {
    let mut client = Client::new();
    let session = client.session(V11);
    let own = name_of(&session);
    listen(&mut client, &Request::listen(1, tools()));
    let mut wrong = vec![own; 5];
    wrong[0].place.incarnation += 1;
    wrong[1].place.generation += 50;
    wrong[2].place.slot += 1_000;
    wrong[3].place.core = 7;
    wrong[4].is_stream = true;
    for name in wrong {
        // A session's listener is no listen stream, though it has a place among them.
        for question in [
            ViewQuestion::Detail(name),
            ViewQuestion::End(name),
            ViewQuestion::Drain(name),
        ] {
            let told = ask(&mut client, &question);
            let unknown = matches!(told, ViewAnswer::Missing(MissingRow::Unknown));
            assert!(unknown, "{name}: {told:?}");
        }
    }
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
}

/// Whoever reads what operators read must not be able to speak for anybody.
#[test]
fn a_secret_that_operators_are_told() {
    let mut client = Client::new();
    let session = client.session(V11);
    let id = SessionId::parse(&session).expect("an id");
    client.ask(&Request::call(&session, 1, "logging/setLevel", json!({})));
    let name = name_of(&session);
    let asked = [
        ViewQuestion::Rows(all()),
        ViewQuestion::Detail(name),
        ViewQuestion::End(name),
        ViewQuestion::End(name),
        ViewQuestion::Ended,
    ];
    let (_, secret) = session.split_at(session.len() - 22);
    for question in asked {
        let told = format!("{:?}", ask(&mut client, &question));
        assert!(!told.contains(secret), "{told}");
        assert!(!told.contains(&format!("{:?}", id.secret)), "{told}");
    }
    assert!(SessionId::parse(&name.to_string()).is_none());
}

#[test]
fn what_counts_as_a_request_and_is_none() {
    let mut client = Client::new();
    let session = client.session("2025-03-26");
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    client.ask(&Request::post(&notification).session(&session));
    let counted = |client: &mut Client| detail(client, name_of(&session)).row.requests;
    assert_eq!(counted(&mut client), 1, "initialize");
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"id": 2},
        notification,
        {"jsonrpc": "2.0", "id": 3, "method": "ping"},
        {"jsonrpc": "2.0", "id": 4, "result": {}},
    ]);
    client.open(&Request::post(&batch).session(&session));
    assert_eq!(counted(&mut client), 3, "two of a batch");
    client.open(&Request::get(&session));
    assert_eq!(counted(&mut client), 3);
}
