//! Frames and keys of `pinfold top`, against recorded answers.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::model::{Front, KeyOutcome};
use super::screen::text_of;
use super::wish::{LookAnswer, LookAt};
use super::*;
use crate::cli::EXIT_NO_ANSWER;

fn node(now: u64, cores: u64) -> Value {
    let second = now / 1000;
    let core = |core: u64| {
        json!({"core": core, "busyS": second as f64 * 0.25 * (core % 4) as f64, "connections": 10 + core, "sessions": 5,
            "mailbox": 0, "lastBeatMs": 1})
    };
    json!({
        "node": "n1", "version": "0.1.0", "state": "ready", "driver": "io_uring", "uptimeS": second, "now": now,
        "limits": {"connectionsMax": 100_000, "sessionsMax": 1_000_000, "memoryBytesMax": 1 << 31},
        "memory": {"heldBytes": 12 << 20, "budgetBytes": 2u64 << 30, "shortTotal": 0, "lines": []},
        "totals": {"connections": 21, "sessions": 3, "streams": {"get": 2, "post": 1, "listen": 1}, "calls": 4,
            "requests": 120 * second, "errors": 2 * second, "publications": 10 * second, "deliveries": 45_000 * second,
            "conflated": 0, "pendingBytes": 4096, "blockedStreams": 1},
        "latency": {
            "operations": {"boundsS": [0.001, 0.01, 0.1], "counts": [98 * second, second, second, 0], "sumS": 1.0},
            "publishToLastWrite": {"boundsS": [0.001, 0.01, 0.1], "counts": [0, 0, 0, 0], "sumS": 0.0}},
        "cores": (0..cores).map(core).collect::<Vec<_>>(),
    })
}

fn row(place: &str, client: &str, blocked: Option<u64>) -> Value {
    json!({
        "name": format!("n1.{place:A>24}"), "era": "legacy", "protocolVersion": "2025-11-25",
        "client": {"name": client, "version": "1.2"}, "principal": "dc18d98ab34b2f83b5913fec82dc81e9", "core": 1,
        "createdAt": 1_000, "lastActive": 50_000, "streams": 1, "open": true, "calls": 0, "subscriptions": 2,
        "pendingEvents": 3, "pendingBytes": 4096, "blockedForMs": blocked, "requests": 6, "events": 7,
    })
}

fn sessions(rows: &[Value]) -> Value {
    json!({"sessions": rows, "total": rows.len(), "next": null, "node": "n1"})
}

fn hears(model: &mut Model, question: LookAt, said: Value) {
    let wish = Wish::Look(question);
    model.handle_answer(LookAnswer {
        wish,
        said: Ok(said),
    });
}

/// After two looks, a second apart.
fn looked(cores: u64, rows: &[Value]) -> Model {
    let mut model = Model::new("http://127.0.0.1:9464", 1_000);
    for now in [60_000, 61_000] {
        hears(&mut model, LookAt::Node, node(now, cores));
        hears(&mut model, LookAt::Sessions(String::new()), sessions(rows));
    }
    model
}

fn some() -> Vec<Value> {
    vec![
        row("S1", "slow-client", Some(12_000)),
        row("S2", "bob", None),
        row("S3", "eve\u{1b}[2J", None),
    ]
}

fn press(model: &mut Model, code: KeyCode) -> KeyOutcome {
    model.handle_key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn types(model: &mut Model, keys: &str) -> KeyOutcome {
    let outcomes = keys.chars().map(|key| press(model, KeyCode::Char(key)));
    outcomes.last().unwrap_or(KeyOutcome::Nothing)
}

fn selected(model: &Model) -> Option<String> {
    let at = model.selected()?;
    model.rows()[at]["name"].as_str().map(str::to_owned)
}

#[test]
fn a_frame_that_lacks_something_in_a_small_terminal() {
    let shown = text_of(&looked(2, &some()), 80, 24);
    for part in [
        "pinfold 0.1.0  node n1  ready  up 1m 1s  io_uring",
        "core 0  ░░░░░░░░░░░░  0%",
        "core 1  ███░░░░░░░░░ 25%",
        "3/1.0M sessions  21/100.0k conn  streams 2 get 1 post 1 listen  4 calls",
        "120 requests/s  10 published/s  45.0k deliveries/s  2 errors/s",
        "operations p50 ≤1ms p99 ≤10ms  publish to last write none lately",
        "PENDING▼",
        "slow 12s",
        "memory 12.0 MiB of 2.0 GiB  4.0 KiB pending  1 slow",
        "? help",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    let slow = shown
        .lines()
        .find(|line| line.contains("S1"))
        .expect("it is listed");
    assert!(
        slow.starts_with("! n1.") && slow.contains("slow-client"),
        "{slow}"
    );
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn a_frame_that_lacks_something_in_a_large_terminal() {
    let shown = text_of(&looked(2, &some()), 200, 60);
    for part in [
        "IDLE",
        "PRINCIPAL",
        "dc18d98ab34b2f83b5913fec82dc81e9",
        "SUBSCR",
        "EVENTS",
        "4.0 KiB pending  1 slow",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    assert_eq!(shown.lines().count(), 60);
}

/// The list of sessions keeps most of the screen.
#[test]
fn more_cores_than_the_screen_has_room_for() {
    let rows: Vec<Value> = (0..200)
        .map(|at| row(&format!("S{at}"), "many", None))
        .collect();
    for (columns, lines) in [(80, 24), (200, 60), (20, 5), (1, 1)] {
        let shown = text_of(&looked(256, &rows), columns, lines);
        let listed = shown.lines().filter(|line| line.contains("n1.")).count();
        assert!(
            columns < 80 || listed > usize::from(lines) / 2,
            "{listed} at {lines}:\n{shown}"
        );
        assert!(columns < 80 || shown.contains("more"), "{shown}");
    }
}

#[test]
fn a_listener_that_is_gone_and_comes_back() {
    let mut model = looked(2, &some());
    let gone = LookAnswer {
        wish: Wish::Look(LookAt::Node),
        said: Err((
            EXIT_NO_ANSWER,
            "nothing listens at http://127.0.0.1:9464".to_owned(),
        )),
    };
    model.handle_answer(gone);
    let shown = text_of(&model, 80, 24);
    assert!(
        shown.contains("NO ANSWER, trying again every 1s: nothing listens"),
        "{shown}"
    );
    // What was known stays in sight, and no rate is made up.
    assert!(
        shown.contains("no answer") && shown.contains("S1") && shown.contains("- requests/s"),
        "{shown}"
    );
    hears(&mut model, LookAt::Node, node(3_000, 2));
    let shown = text_of(&model, 80, 24);
    assert!(
        !shown.contains("NO ANSWER") && shown.contains("up 3s"),
        "{shown}"
    );
    // Another process: its counters have nothing to do with those before.
    assert!(
        shown.contains("- requests/s") && shown.contains("operations none lately"),
        "{shown}"
    );
}

#[test]
fn nothing_was_heard_yet() {
    let shown = text_of(&Model::new("http://127.0.0.1:9464", 1_000), 80, 24);
    assert!(
        shown.starts_with("pinfold top  http://127.0.0.1:9464"),
        "{shown}"
    );
}

#[test]
fn a_session_that_is_ended_without_a_yes() {
    let mut model = looked(2, &some());
    for no in [
        KeyCode::Char('n'),
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Char('e'),
    ] {
        types(&mut model, "e");
        assert!(matches!(model.front, Front::EndQuestion { .. }));
        let shown = text_of(&model, 120, 24);
        assert!(
            shown.contains("S1? Its client begins again.  y ends it"),
            "{shown}"
        );
        assert_eq!(press(&mut model, no), KeyOutcome::Nothing);
        assert_eq!(model.front, Front::List);
    }
    press(&mut model, KeyCode::Down);
    let name = selected(&model).expect("there is one");
    assert!(name.ends_with("S2"), "{name}");
    let end = Wish::End { name: name.clone() };
    assert_eq!(types(&mut model, "ey"), KeyOutcome::Ask(Some(end.clone())));
    model.handle_answer(LookAnswer {
        wish: end,
        said: Err((1, "403: This token has the role read".to_owned())),
    });
    let shown = text_of(&model, 120, 24);
    assert!(shown.contains("was not ended: 403: This token"), "{shown}");
}

/// Whoever presses `e` means the session and not the line.
#[test]
fn a_selection_that_moves_with_the_order() {
    let mut model = looked(2, &some());
    press(&mut model, KeyCode::Down);
    let name = selected(&model);
    let mut rows = some();
    rows.reverse();
    rows.push(row("S4", "new", None));
    hears(&mut model, LookAt::Sessions(String::new()), sessions(&rows));
    assert_eq!(selected(&model), name);
    for (key, place) in [
        (KeyCode::End, "S4"),
        (KeyCode::Home, "S3"),
        (KeyCode::PageDown, "S4"),
        (KeyCode::Up, "S1"),
    ] {
        press(&mut model, key);
        assert!(
            selected(&model).is_some_and(|it| it.ends_with(place)),
            "{key:?} {place}"
        );
    }
    // It has ended: the first one is as good.
    hears(
        &mut model,
        LookAt::Sessions(String::new()),
        sessions(&[row("S9", "last", None)]),
    );
    assert!(selected(&model).is_some_and(|it| it.ends_with("S9")));
    hears(&mut model, LookAt::Sessions(String::new()), sessions(&[]));
    assert_eq!(types(&mut model, "e"), KeyOutcome::Nothing);
    assert_eq!((selected(&model), &model.front), (None, &Front::List));
}

#[test]
fn an_order_that_is_not_asked_for() {
    let mut model = looked(2, &some());
    let path = |model: &Model| model.questions()[1].path();
    assert_eq!(path(&model), "/sessions?sort=pending&order=desc&limit=200");
    for (key, query) in [
        ("a", "age&order=desc"),
        ("l", "activity&order=desc"),
        ("r", "activity&order=asc"),
        ("p", "pending&order=desc"),
    ] {
        assert_eq!(types(&mut model, key), KeyOutcome::Ask(None));
        assert!(
            path(&model).contains(&format!("sort={query}&")),
            "{}",
            path(&model)
        );
    }
}

#[test]
fn a_text_that_is_looked_for() {
    let mut model = looked(2, &some());
    types(&mut model, "/BOq");
    let shown = text_of(&model, 80, 24);
    assert!(shown.contains("/BOq█  0 of 3"), "{shown}");
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert!(model.questions()[1].path().ends_with("limit=1000"));
    let shown = text_of(&model, 80, 24);
    assert!(
        shown.contains("1 of 3 have \"BO\"") && shown.contains("S2") && !shown.contains("S1"),
        "{shown}"
    );
    assert!(selected(&model).is_some_and(|it| it.ends_with("S2")));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.rows().len(), 3);
}

#[test]
fn one_session_in_front_of_the_list() {
    let mut model = looked(2, &some());
    assert_eq!(press(&mut model, KeyCode::Enter), KeyOutcome::Ask(None));
    let Some(LookAt::Detail(name)) = model.questions().pop() else {
        panic!("it is not asked for");
    };
    assert!(text_of(&model, 80, 24).contains("asking…"));
    let mut said = row("S1", "slow-client", Some(12_000));
    said["subscriptions"] = json!(["board://lunch"]);
    hears(
        &mut model,
        LookAt::Detail("n1.another".to_owned()),
        json!({}),
    );
    hears(&mut model, LookAt::Detail(name), said);
    let shown = text_of(&model, 80, 24);
    assert!(
        shown.contains("subscribed board://lunch") && shown.contains("slow 12s on core 1"),
        "{shown}"
    );
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.questions().len(), 2);
    types(&mut model, "?");
    assert!(text_of(&model, 80, 24).contains("leave"), "help");
    assert_eq!(types(&mut model, "x"), KeyOutcome::Nothing);
    assert_eq!(types(&mut model, "q"), KeyOutcome::Leave);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.handle_key(interrupt), KeyOutcome::Leave);
}

fn of_all(now: u64, names: &[&str], unanswered: Value) -> Value {
    let named = |name: &&str| {
        let mut node = node(now, 1);
        node["node"] = json!(name);
        node
    };
    let nodes: Vec<Value> = names.iter().map(named).collect();
    json!({"node": "n1", "nodes": nodes, "unanswered": unanswered})
}

#[test]
fn a_node_of_several_that_is_not_in_the_sums_and_nobody_is_told() {
    let mut model = Model::new("http://127.0.0.1:9464", 1_000);
    for now in [60_000, 61_000] {
        hears(
            &mut model,
            LookAt::Node,
            of_all(now, &["n1", "n2"], json!([])),
        );
    }
    let shown = text_of(&model, 80, 24);
    for part in [
        "nodes n1, n2  ready",
        "6/2.0M sessions",
        "240 requests/s  10 published/s  90.0k deliveries/s",
        "n1 0    ░",
        "n2 0    ░",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    let silent = json!([{"node": "n2", "reason": "no answer within 2 s"}]);
    hears(&mut model, LookAt::Node, of_all(62_000, &["n1"], silent));
    let shown = text_of(&model, 80, 24);
    for part in [
        "n2 did not answer: no answer within 2 s",
        "3/1.0M sessions",
        "- requests/s",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}
