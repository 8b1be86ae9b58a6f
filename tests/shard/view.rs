//! What operators see of sessions and listen streams, and do with them. Each core answers by itself; what a node makes of that
//! is tested with the program (`tests/end_to_end/operators`).

use std::collections::BTreeSet;

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::shard::view::{
    LOOKED_AT_ONCE, RowPosition, RowState, RowsQuestion, SessionDetail, SessionFilter, SessionRow,
    SortBy, StreamKind, ViewAnswer, ViewOrder, ViewPlace, ViewQuestion,
};
use pinfold::internals::wire::operator_name::OperatorName;
use pinfold::internals::wire::session_id::SessionId;
use pinfold::mcp::{Era, RpcError};
use serde_json::{Value, json};

use crate::support::node::SocketId;
use crate::support::{Client, Request};

pub(crate) const V11: &str = "2025-11-25";
const V06: &str = "2025-06-18";

const OLDEST_FIRST: ViewOrder = ViewOrder {
    by: SortBy::Age,
    is_descending: true,
};

pub(crate) fn ask_core(client: &mut Client, core: usize, question: &ViewQuestion) -> ViewAnswer {
    let now = client.node.now;
    let answer = client.node.cores[core].shard.handle_view(now, question);
    client.node.settle(core);
    answer
}

pub(crate) fn ask(client: &mut Client, question: &ViewQuestion) -> ViewAnswer {
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

pub(crate) fn all() -> RowsQuestion {
    RowsQuestion {
        from: ViewPlace::default(),
        filter: SessionFilter::default(),
        order: OLDEST_FIRST,
        after: None,
        before: None,
    }
}

pub(crate) fn rows(client: &mut Client, filter: SessionFilter) -> Vec<SessionRow> {
    let asked = RowsQuestion { filter, ..all() };
    let (rows, _) = list(client, &asked);
    rows.into_iter().map(|(_, row)| row).collect()
}

pub(crate) fn names(client: &mut Client, filter: SessionFilter) -> Vec<OperatorName> {
    let rows = rows(client, filter);
    rows.into_iter().map(|row| row.name).collect()
}

/// As operators call this session.
pub(crate) fn name_of(session: &str) -> OperatorName {
    let id = SessionId::parse(session).expect("an id");
    OperatorName {
        node: id.node,
        place: id.locator,
        is_stream: false,
    }
}

pub(crate) fn detail(client: &mut Client, name: OperatorName) -> SessionDetail {
    match ask(client, &ViewQuestion::Detail(name)) {
        ViewAnswer::Detail(detail) => *detail,
        other => panic!("{other:?}"),
    }
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

pub(crate) fn session_as(client: &mut Client, name: &str, version: &str) -> String {
    let answer = client.ask(&initialize_as(name, version));
    answer.field("mcp-session-id").expect("an id").to_owned()
}

pub(crate) fn listen_as(name: &str, notifications: &Value) -> Request {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": name, "version": "9"},
    });
    let params = json!({"notifications": notifications, "_meta": meta});
    Request::modern(1, "subscriptions/listen", params)
}

pub(crate) fn listen(client: &mut Client, request: &Request) -> SocketId {
    let socket = client.open(request);
    client.frames(socket);
    socket
}

pub(crate) fn tools() -> Value {
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
    let open = names(&mut client, of(RowState::Open));
    assert_eq!(open, [&reads, &stalls, &works].map(|it| name_of(it)));
    assert_eq!(names(&mut client, of(RowState::Idle)), [name_of(&idle)]);
    let slow = rows(&mut client, of(RowState::Slow));
    assert_eq!(slow.len(), 1);
    assert_eq!(slow[0].name, name_of(&stalls));
    assert_eq!(slow[0].blocked_since, Some(client.node.now - 3_000));
    assert!(slow[0].pending_bytes > 0, "{slow:?}");
    assert_eq!(slow[0].pending_events, 1, "what waits behind the write");
    client.node.set_room(stalled, 1_000_000);
    while client.node.fan_out(0) {}
    assert!(rows(&mut client, of(RowState::Slow)).is_empty());
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
    assert_eq!(last.method.as_deref(), Some("tools/call"));
}
