//! `pinfold deploy-check`: what it says of a real node, of three, and of a cluster that is made up where real ones would have to
//! be too many or too broken. Its exit code is what a deploy's script goes by.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::cluster::all_nodes::Three;
use crate::cluster::client::Session;
use crate::cluster::stream::Stream;
use crate::handover::failures::Call;
use crate::ports::free_port;
use crate::program::{output_of, scratch_folder};
use crate::server::{App, Placement, Server, binary};
use crate::tools;
use crate::waits::{agent, wait_until};

/// The exit code, and what was printed on both outputs.
#[derive(Debug)]
struct Checked {
    code: Option<i32>,
    text: String,
    said: String,
}

impl Checked {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Of the only node with this name.
    fn node(&self, name: &str) -> Value {
        let told = self.json();
        let nodes = told["nodes"].as_array().expect("nodes").iter();
        let found = nodes.filter(|it| it["node"] == name).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{told}");
        found[0].clone()
    }
}

fn check(admin: &str, arguments: &[&str]) -> Checked {
    checked(&mut Command::new(binary()), admin, arguments)
}

/// By a command that runs the program.
fn checked(command: &mut Command, admin: &str, arguments: &[&str]) -> Checked {
    command
        .args(["deploy-check", "--admin", admin])
        .args(arguments);
    let output = output_of(command);
    Checked {
        code: output.status.code(),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_drain_that_is_said_to_cost_a_lone_node_nothing() {
    let scratch = scratch_folder("deploy_check/alone");
    let server = Server::start(App::Board, Placement::AtRandom, &scratch);
    let (mcp, admin) = (server.mcp(), server.admin());
    let empty = check(&admin, &["--by", "drain"]);
    assert_eq!(empty.code, Some(0), "{empty:?}");
    let sessions = [(); 2].map(|()| Session::open(&mcp));
    let _streams = [
        Stream::of_session(server.address(), &sessions[0].id).expect_open(),
        Stream::listening(server.address(), &["board://a"]).expect_open(),
    ];
    let by_hand_over = check(&admin, &[]);
    assert_eq!(by_hand_over.code, Some(0), "{by_hand_over:?}");
    for part in [
        "2 sessions and 1 listen stream",
        "possible",
        "Nothing is lost: hand over",
    ] {
        assert!(by_hand_over.text.contains(part), "{part}: {by_hand_over:?}");
    }
    let by_drain = check(&admin, &["--by", "drain", "--json"]);
    assert_eq!(by_drain.code, Some(1), "{by_drain:?}");
    let told = by_drain.json();
    assert_eq!(told["verdict"], "something_is_lost");
    let node = &told["nodes"][0];
    assert_eq!(node["drain"]["end"], json!({"off": 2}), "{told}");
    assert_eq!(
        (&node["drain"]["move"], &node["drain"]["listenStreams"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(node["drain"]["streams"], 1, "{told}");
    // One that leaves already cannot be handed over: what is left to it is what is said to be lost.
    agent()
        .post(&format!("{admin}/drain"))
        .send("")
        .expect("an answer");
    wait_until("it is said that it drains", || {
        let leaving = check(&admin, &[]);
        leaving
            .text
            .contains("cannot be handed over: the node drains")
            && leaving.code == Some(1)
    });
    server.stop().expect("it ends well");
}

#[test]
fn a_session_that_the_next_page_has_and_nobody_counts() {
    const SESSIONS: usize = 1_203;
    let scratch = scratch_folder("deploy_check/pages");
    let server = Server::start(App::Board, Placement::AtRandom, &scratch);
    for _ in 0..SESSIONS {
        crate::crowd::open_session_of(server.address(), 0);
    }
    let told = check(&server.admin(), &["--json"]).json();
    assert_eq!(told["nodes"][0]["drain"]["sessions"], SESSIONS, "{told}");
    server.stop().expect("it ends well");
}

#[test]
fn a_call_that_holds_up_the_hand_over_and_is_not_told() {
    let scratch = scratch_folder("deploy_check/call");
    let options = ["--handover-grace", "7s"];
    let server = Server::start_with(&options, App::Conformance, Placement::OneCore, &scratch);
    let call = Call::begin(server.address());
    // What cores count is a quarter of a second old there.
    wait_until("the call is told", || {
        let checked = check(&server.admin(), &[]);
        assert_eq!(checked.code, Some(0), "nothing is lost by it: {checked:?}");
        checked.text.contains("1 call under way") && checked.text.contains("waits for them for 7s")
    });
    let told = check(&server.admin(), &["--json"]).json();
    let handover = &told["nodes"][0]["handover"];
    assert_eq!(
        (&handover["calls"], &handover["sessionsWithCalls"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    call.end(server.address());
    server.stop().expect("it ends well");
}

#[test]
fn a_node_of_three_that_is_not_asked_and_counts_as_one_that_loses_nothing() {
    let mut three = Three::start("deploy_check");
    let counts = [3, 1, 2];
    for (node, count) in three.nodes.iter().zip(counts) {
        (0..count).for_each(|_| drop(Session::open(&node.mcp())));
    }
    let admin = three.nodes[1].admin();
    let all = check(&admin, &["--json"]);
    assert_eq!(all.code, Some(0), "{all:?}");
    for (name, count) in ["a", "b", "c"].iter().zip(counts) {
        let node = all.node(name);
        assert_eq!(node["drain"]["sessions"], count, "{all:?}");
        assert_eq!(node["handover"]["possible"], true, "{all:?}");
    }
    let by_drain = check(&admin, &["--by", "drain", "--json"]);
    assert_eq!(by_drain.code, Some(0), "{by_drain:?}");
    for (name, count) in ["a", "b", "c"].iter().zip(counts) {
        let drain = &by_drain.node(name)["drain"];
        assert_eq!(drain["end"], json!({}), "{by_drain:?}");
        let (moved, unknown) = (&drain["move"], &drain["unknown"]);
        assert_eq!((moved, unknown), (&json!(count), &json!(0)));
    }
    three.nodes[2].hang();
    let hung = check(&admin, &[]);
    assert_eq!(hung.code, Some(2), "{hung:?}");
    assert!(hung.text.contains("c did not answer"), "{hung:?}");
    three.nodes[2].go_on();
    wait_until("it answers again", || check(&admin, &[]).code == Some(0));
    // What is dead needs no deploy: the others can be handed over, and that is said.
    three.nodes[2].kill();
    wait_until("it is known to be gone", || {
        let dead = check(&admin, &[]);
        dead.code == Some(0) && !dead.text.contains("c did not answer")
    });
    three.stop();
}

/// An admin listener that is made up: what is asked, and what it answers.
pub(crate) fn made_up(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = Arc::new(answer);
    // It ends with the process.
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(socket);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    while line.trim() != "" {
                        line.clear();
                        if reader.read_line(&mut line).is_err() {
                            return;
                        }
                    }
                    line.clear();
                    let body = answer(&target).to_string();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let all = reader.get_mut().write_all((head + &body).as_bytes());
                    if all.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

fn node_of(name: &str) -> Value {
    json!({"node": name, "version": "0.1.0", "state": "ready", "handover": {"possible": true, "graceMs": 30_000},
        "limits": {"sessionsMax": 1_000_000}, "totals": {"calls": 0, "passedOn": 0}})
}

fn seen() -> Value {
    let of = |name| json!({"node": name, "state": "alive"});
    json!({"node": "a", "redis": {"up": true}, "nodes": [of("a"), of("b")]})
}

/// Of many pages with a thousand rows each.
fn page(number: usize, pages: usize, row: impl Fn(usize) -> Value) -> Value {
    let rows = (0..1_000).map(|it| row(number * 1_000 + it));
    let next = (number + 1 < pages).then(|| (number + 1).to_string());
    json!({"sessions": rows.collect::<Value>(), "total": pages * 1_000, "next": next, "unanswered": []})
}

fn number_of(target: &str) -> usize {
    let after = target.split("after=").nth(1).unwrap_or("0");
    after
        .split('&')
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

/// Runs a command, and says on the other output how much memory it had at most, in kilobytes.
const WITH_PEAK: &str = "
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";

/// The most that it had, in kilobytes. The kernel says it when the process has ended.
fn with_peak(admin: &str, arguments: &[&str]) -> (Checked, usize) {
    // Less than the rows of all pages take.
    let script = "ulimit -v $((4 * 1024 * 1024)); exec \"$@\"";
    let mut command = Command::new(tools::python());
    command.args(["-c", WITH_PEAK, "sh", "-c", script, "sh"]);
    command.arg(binary());
    let checked = checked(&mut command, admin, arguments);
    let peak = checked.said.trim().parse();
    let peak = peak.unwrap_or_else(|_| panic!("a number alone: {checked:?}"));
    (checked, peak)
}

#[test]
fn a_hundred_thousand_sessions_of_which_all_are_held_at_once() {
    const PAGES: usize = 100;
    let padding = "x".repeat(400);
    let admin = made_up(move |target| match target {
        "/cluster" => seen(),
        "/node?cluster" => {
            json!({"node": "a", "nodes": [node_of("a"), node_of("b")], "unanswered": []})
        }
        other => page(number_of(other), PAGES, |row| {
            let portable = match row % 1_000 {
                7 => json!("too_large"),
                8 => json!("http_sse"),
                _ => json!(true),
            };
            json!({"node": if row % 2 == 0 { "a" } else { "b" }, "era": "legacy", "portable": portable, "name": padding})
        }),
    });
    let (few, small) = with_peak(
        &made_up(|target| match target {
            "/cluster" => seen(),
            "/node?cluster" => json!({"node": "a", "nodes": [node_of("a")], "unanswered": []}),
            _ => page(
                0,
                1,
                |_| json!({"node": "a", "era": "legacy", "portable": true, "name": "x".repeat(400)}),
            ),
        }),
        &["--json"],
    );
    assert_eq!(few.code, Some(0), "{few:?}");
    let (many, large) = with_peak(&admin, &["--by", "drain", "--json"]);
    assert_eq!(many.code, Some(1), "{many:?}");
    assert_eq!(many.node("a")["drain"]["sessions"], 50_000);
    assert_eq!(many.node("b")["drain"]["end"]["too_large"], 100);
    assert_eq!(many.node("a")["drain"]["end"]["http_sse"], 100);
    println!("kilobytes at most: {small} for a page, {large} for {PAGES}");
    assert!(
        large < small + 16 * 1024,
        "{small} kB for a page, {large} kB for {PAGES}"
    );
}

#[test]
fn a_node_that_falls_silent_while_its_sessions_are_counted() {
    let asked = AtomicUsize::new(0);
    let admin = made_up(move |target| match target {
        "/cluster" => seen(),
        "/node?cluster" => {
            json!({"node": "a", "nodes": [node_of("a"), node_of("b")], "unanswered": []})
        }
        other => {
            let mut page = page(
                number_of(other),
                3,
                |_| json!({"node": "a", "era": "legacy", "portable": true}),
            );
            if asked.fetch_add(1, Ordering::Relaxed) > 0 {
                page["unanswered"] =
                    json!([{"node": "b", "reason": "no answer within 2 s\u{1b}[2J"}]);
            }
            page
        }
    });
    let checked = check(&admin, &[]);
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(
        checked
            .text
            .contains("b did not answer: no answer within 2 s\u{fffd}[2J"),
        "{checked:?}"
    );
}

#[test]
fn an_answer_of_something_else_that_is_taken_for_a_cluster() {
    let admin = made_up(|_| json!({"error": "no"}));
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for url in [&admin, &nobody] {
        let checked = check(url, &[]);
        assert_eq!(checked.code, Some(2), "{checked:?}");
        assert!(
            checked.said.starts_with("error: ") && checked.text.is_empty(),
            "{checked:?}"
        );
    }
    let endless = made_up(|target| match target {
        "/cluster" => json!({"node": "a", "redis": null, "nodes": []}),
        "/node?cluster" => node_of("a"),
        _ => json!({}),
    });
    let old = check(&endless, &[]);
    assert_eq!(old.code, Some(2), "{old:?}");
    assert!(old.said.contains("does not know of all nodes"), "{old:?}");
}
