//! What operators see of sessions and listen streams, and do with them. Each core answers by itself; what a node makes of that
//! is tested with the program (`tests/end_to_end/operators`).

use std::collections::BTreeSet;

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::limits::{ENDED_KEPT, Limits};
use pinfold::internals::shard::view::{
    EndReason, EndedRow, LOOKED_AT_ONCE, MissingRow, RowPosition, RowsQuestion, SessionDetail,
    SessionFilter, SessionRow, SessionState, SortBy, StreamKind, ViewAnswer, ViewOrder, ViewPlace,
    ViewQuestion,
};
use pinfold::internals::shard::{Closed, DrainTimes};
use pinfold::internals::wire::operator_name::OperatorName;
use pinfold::internals::wire::session_id::SessionId;
use pinfold::mcp::{Era, RpcError};
use serde_json::{Value, json};

use crate::support::identified::principal;
use crate::support::node::SocketId;
use crate::support::{Client, Request};
use crate::travel::{WAYS, Way, travel, with};

const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

const OLDEST_FIRST: ViewOrder = ViewOrder {
    by: SortBy::Age,
    is_descending: true,
};

fn ask_core(client: &mut Client, core: usize, question: &ViewQuestion) -> ViewAnswer {
    let now = client.node.now;
    let answer = client.node.cores[core].shard.handle_view(now, question);
    client.node.settle(core);
    answer
}

fn ask(client: &mut Client, question: &ViewQuestion) -> ViewAnswer {
    ask_core(client, 0, question)
}

/// All rows of the first core that pass, in their order, and how many portions that took.
fn list(client: &mut Client, asked: &RowsQuestion) -> (Vec<(RowPosition, SessionRow)>, usize) {
    let (mut rows, mut matching, mut portions) = (Vec::new(), 0, 0);
    let mut next = Some(asked.from);
    while let Some(from) = next {
        let question = ViewQuestion::Rows(RowsQuestion {
            from,
            ..asked.clone()
        });
        let ViewAnswer::Rows(portion) = ask(client, &question) else {
            panic!("rows were asked for");
        };
        assert!(portion.matching <= LOOKED_AT_ONCE);
        matching += portion.matching;
        rows.extend(portion.rows);
        next = portion.next;
        portions += 1;
    }
    assert!(rows.len() <= matching);
    rows.sort_by_key(|(position, _)| *position);
    (rows, portions)
}

fn all() -> RowsQuestion {
    RowsQuestion {
        from: ViewPlace::default(),
        filter: SessionFilter::default(),
        order: OLDEST_FIRST,
        after: None,
        before: None,
    }
}

fn rows(client: &mut Client, filter: SessionFilter) -> Vec<SessionRow> {
    let asked = RowsQuestion { filter, ..all() };
    let (rows, _) = list(client, &asked);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn names(client: &mut Client, filter: SessionFilter) -> Vec<OperatorName> {
    let rows = rows(client, filter);
    rows.into_iter().map(|row| row.name).collect()
}

/// As operators call this session.
fn name_of(session: &str) -> OperatorName {
    let id = SessionId::parse(session).expect("an id");
    OperatorName {
        node: id.node,
        place: id.locator,
        is_stream: false,
    }
}

fn detail(client: &mut Client, name: OperatorName) -> SessionDetail {
    match ask(client, &ViewQuestion::Detail(name)) {
        ViewAnswer::Detail(detail) => *detail,
        other => panic!("{other:?}"),
    }
}

fn last_ended(client: &mut Client) -> Vec<EndedRow> {
    match ask(client, &ViewQuestion::Ended) {
        ViewAnswer::LastEnded(rows) => rows,
        other => panic!("{other:?}"),
    }
}

fn reasons(client: &mut Client) -> Vec<EndReason> {
    let ended = last_ended(client);
    ended.into_iter().map(|row| row.reason).collect()
}

fn initialize_as(name: &str, version: &str) -> Request {
    Request::post(
        &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": V11,
            "capabilities": {},
            "clientInfo": {"name": name, "version": version},
        }}),
    )
}

fn session_as(client: &mut Client, name: &str, version: &str) -> String {
    let answer = client.ask(&initialize_as(name, version));
    answer.field("mcp-session-id").expect("an id").to_owned()
}

fn listen_as(name: &str, notifications: &Value) -> Request {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": name, "version": "9"},
    });
    let params = json!({"notifications": notifications, "_meta": meta});
    Request::modern(1, "subscriptions/listen", params)
}

fn listen(client: &mut Client, request: &Request) -> SocketId {
    let socket = client.open(request);
    client.frames(socket);
    socket
}

fn tools() -> Value {
    json!({"toolsListChanged": true})
}

#[test]
fn a_row_that_is_shown_twice_or_left_out() {
    let mut client = Client::new();
    client.node.unchecked = true;
    let sessions: Vec<String> = (0..LOOKED_AT_ONCE + 200)
        .map(|_| client.session(V06))
        .collect();
    for _ in 0..10 {
        listen(&mut client, &Request::listen(1, tools()));
    }
    for gone in sessions.iter().step_by(3) {
        client.ask(&Request::delete(gone));
    }
    let kept = sessions.iter().enumerate();
    let kept: BTreeSet<String> = kept
        .filter(|(number, _)| number % 3 != 0)
        .map(|(_, id)| name_of(id).to_string())
        .collect();
    let (rows, portions) = list(&mut client, &all());
    assert!(portions > 1, "{portions}");
    let shown = rows.iter().map(|(_, row)| row);
    let streams = shown.clone().filter(|row| row.name.is_stream).count();
    let legacy: Vec<String> = shown
        .filter(|row| !row.name.is_stream)
        .map(|row| row.name.to_string())
        .collect();
    assert_eq!((streams, legacy.len()), (10, kept.len()));
    assert_eq!(legacy.into_iter().collect::<BTreeSet<_>>(), kept);
}

#[test]
fn a_page_that_begins_before_the_end_of_the_one_before() {
    let mut client = Client::new();
    client.node.unchecked = true;
    for _ in 0..30 {
        client.session(V06);
        client.pass(1_000);
    }
    let (every, _) = list(&mut client, &all());
    assert!(every.is_sorted_by_key(|(_, row)| row.created_at));
    let (tenth, twentieth) = (every[9].0, every[20].0);
    let asked = RowsQuestion {
        after: Some(tenth),
        before: Some(twentieth),
        ..all()
    };
    let (page, _) = list(&mut client, &asked);
    let positions = |rows: &[(RowPosition, SessionRow)]| -> Vec<RowPosition> {
        rows.iter().map(|(position, _)| *position).collect()
    };
    assert_eq!(positions(&page), positions(&every[10..20]));
}

#[test]
fn a_filter_that_lets_others_pass() {
    let mut client = Client::new();
    let cat = name_of(&session_as(&mut client, "Cat Client", "1.0"));
    let dog = name_of(&session_as(&mut client, "dog", "2.0"));
    listen(&mut client, &listen_as("cat stream", &tools()));
    let every = names(&mut client, SessionFilter::default());
    assert_eq!(every.len(), 3);
    let stream = every[2];
    let by_name = |part: &str| SessionFilter {
        client_name: Some(part.into()),
        ..SessionFilter::default()
    };
    assert_eq!(names(&mut client, by_name("CAT")), [cat, stream]);
    assert_eq!(names(&mut client, by_name("client")), [cat]);
    assert_eq!(names(&mut client, by_name("mouse")), []);
    let by_version = SessionFilter {
        client_version: Some("2.0".into()),
        ..SessionFilter::default()
    };
    assert_eq!(names(&mut client, by_version), [dog]);
    let by_era = |era| SessionFilter {
        era: Some(era),
        ..SessionFilter::default()
    };
    assert_eq!(names(&mut client, by_era(Era::Legacy)), [cat, dog]);
    assert_eq!(names(&mut client, by_era(Era::Modern)), [stream]);
}

#[test]
fn a_session_that_is_taken_for_idle_or_slow() {
    let mut client = Client::new();
    let idle = client.session(V06);
    let reads = client.session(V06);
    client.open(&Request::get(&reads));
    let stalls = client.session(V06);
    let stalled = client.open(&Request::get(&stalls));
    let works = client.session(V06);
    let socket = client.connect();
    client.send(socket, &Request::tool(&works, 1));
    client.node.set_room(stalled, 10);
    client.publish(Topic::Tools);
    client.pass(3_000);
    client.publish(Topic::Prompts);
    let of = |state| SessionFilter {
        state: Some(state),
        ..SessionFilter::default()
    };
    let open = names(&mut client, of(SessionState::Open));
    assert_eq!(open, [&reads, &stalls, &works].map(|it| name_of(it)));
    assert_eq!(names(&mut client, of(SessionState::Idle)), [name_of(&idle)]);
    let slow = rows(&mut client, of(SessionState::Slow));
    assert_eq!(slow.len(), 1);
    assert_eq!(slow[0].name, name_of(&stalls));
    assert_eq!(slow[0].blocked_since, Some(client.node.now - 3_000));
    assert!(slow[0].pending_bytes > 0, "{slow:?}");
    assert_eq!(slow[0].pending_events, 1, "what waits behind the write");
    client.node.set_room(stalled, 1_000_000);
    while client.node.fan_out(0) {}
    assert!(rows(&mut client, of(SessionState::Slow)).is_empty());
    let row = detail(&mut client, name_of(&stalls)).row;
    assert_eq!((row.pending_bytes, row.pending_events), (0, 0));
}

#[test]
fn a_list_in_another_order_than_was_asked_for() {
    let mut client = Client::new();
    let sessions: Vec<String> = (0..3)
        .map(|_| {
            client.pass(2_000);
            client.session(V06)
        })
        .collect();
    client.pass(1_000);
    client.ask(&Request::ping(&sessions[1], 1));
    let text = json!({"level": "info", "data": "x"}).to_string();
    let notice = Notice::Message {
        level: 1,
        params: text.into(),
    };
    client.tell(&sessions[2], &notice).expect("it waits");
    let mut sorted = |by, is_descending| -> Vec<usize> {
        let order = ViewOrder { by, is_descending };
        let (rows, _) = list(&mut client, &RowsQuestion { order, ..all() });
        let place = |row: &SessionRow| sessions.iter().position(|it| name_of(it) == row.name);
        rows.iter().filter_map(|(_, row)| place(row)).collect()
    };
    assert_eq!(sorted(SortBy::Age, true), [0, 1, 2]);
    assert_eq!(sorted(SortBy::Age, false), [2, 1, 0]);
    assert_eq!(sorted(SortBy::Activity, true), [1, 2, 0]);
    assert_eq!(sorted(SortBy::Activity, false), [0, 2, 1]);
    assert_eq!(sorted(SortBy::Pending, true)[0], 2);
    assert_eq!(sorted(SortBy::Pending, false)[2], 2);
}

#[test]
fn what_is_told_of_one_session() {
    let mut client = Client::new();
    let session = session_as(&mut client, "told", "1");
    client.ask(&Request::subscribe(&session, "board://a"));
    let level = json!({"level": "error"});
    client.ask(&Request::call(&session, 2, "logging/setLevel", level));
    for number in 0..7 {
        let level = json!({"level": "none such"});
        client.ask(&Request::call(&session, number, "logging/setLevel", level));
    }
    let get = client.open(&Request::get(&session));
    let socket = client.connect();
    client.send(socket, &Request::tool(&session, 9));
    let call = client.call();
    client.notify(&call, 1);
    client.updated("board://a");
    assert_eq!(client.topics(get), ["board://a"]);
    let told = detail(&mut client, name_of(&session));
    let mut subscriptions = told.subscriptions.clone();
    subscriptions.sort();
    assert!(
        subscriptions.contains(&"board://a".into()),
        "{subscriptions:?}"
    );
    assert_eq!(told.row.subscriptions as usize, subscriptions.len());
    let kinds: Vec<_> = told
        .streams
        .iter()
        .map(|it| (it.kind, it.is_open))
        .collect();
    assert_eq!(kinds, [(StreamKind::Get, true), (StreamKind::Post, true)]);
    assert_eq!((told.row.calls, told.row.streams), (1, 2));
    // initialize, subscribe, setLevel, seven that fail, the call; a topic and a progress.
    assert_eq!((told.row.requests, told.row.events), (11, 2));
    assert_eq!(told.log_level, Some(4));
    assert_eq!(told.last_errors.len(), 5);
    for error in &told.last_errors {
        assert_eq!(error.code, RpcError::INVALID_PARAMS);
        assert_eq!(error.method.as_deref(), Some("logging/setLevel"));
        assert!(error.message.contains("none such"), "{error:?}");
    }
    client.fail(&call, RpcError::new(-32_050, "x".repeat(1_000)));
    let told = detail(&mut client, name_of(&session));
    let last = told.last_errors.last().expect("one more");
    assert_eq!((last.code, last.message.len()), (-32_050, 120));
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
