//! What an operator sees of one client, live and in the log, and how the log is changed while a node runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{output_of, scratch_folder};
use crate::publish::http::{Exchange, values};
use crate::server::{App, Placement, Server, binary};

const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGE: &str =
    "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
const MODERN: &str = "MCP-Protocol-Version: 2026-07-28\r\n";

/// Somebody who looks on.
struct Trace {
    exchange: Exchange,
    waiting: String,
}

impl Trace {
    /// Of a session or a principal; begun when this returns.
    fn open(server: &Server, path: &str) -> Trace {
        let mut exchange = Exchange::open(&server.admin());
        get(&mut exchange, path);
        let head = exchange.head();
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let waiting = String::new();
        let mut trace = Trace { exchange, waiting };
        assert_eq!(trace.chunk(), ": watching\n\n");
        trace
    }

    fn chunk(&mut self) -> String {
        String::from_utf8(self.exchange.chunk()).expect("text")
    }

    /// The next event. None: the response is whole.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.waiting.split_once("\n\n") {
                let mut lines = event.lines();
                let kind = lines.next().and_then(|it| it.strip_prefix("event: "));
                let data = lines.next().and_then(|it| it.strip_prefix("data: "));
                let parsed = kind.zip(data).map(|(kind, data)| {
                    let data = serde_json::from_str(data).expect("JSON");
                    (kind.to_owned(), data)
                });
                self.waiting = rest.to_owned();
                if parsed.is_some() {
                    return parsed;
                }
                continue;
            }
            let chunk = self.chunk();
            if chunk.is_empty() {
                return None;
            }
            self.waiting += &chunk;
        }
    }

    /// Up to the first of this kind and method.
    fn until(&mut self, kind: &str, method: &str) -> Value {
        loop {
            let (found, data) = self.next().expect("the trace goes on");
            if found == kind && data["method"] == method {
                return data;
            }
        }
    }
}

fn get(exchange: &mut Exchange, path: &str) {
    exchange.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

/// Status and JSON of an answer of the admin listener.
fn ask(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut exchange = Exchange::open(&server.admin());
    let body = body.to_string();
    exchange.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let (status, body) = exchange.response();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn start(options: &[&str], test: &str) -> Server {
    let scratch = scratch_folder(&format!("trace/{test}"));
    Server::start_with(options, App::Board, Placement::AtRandom, &scratch)
}

fn post(server: &Server, fields: &str, message: &Value) -> Exchange {
    let mut exchange = Exchange::open(&server.mcp());
    exchange.post("/mcp", &format!("{MESSAGE}{fields}"), &message.to_string());
    exchange
}

fn initialize(server: &Server, fields: &str) -> String {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let head = post(server, fields, &message).head();
    head.header("mcp-session-id").expect("a session").to_owned()
}

fn in_session(session: &str) -> String {
    format!("Mcp-Session-Id: {session}\r\n")
}

fn ping(server: &Server, session: &str, id: u64) {
    let message = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
    let head = post(server, &in_session(session), &message).head();
    assert_eq!(head.status, 200);
}

fn delete(server: &Server, session: &str) {
    let mut exchange = Exchange::open(&server.mcp());
    let field = in_session(session);
    exchange.send(format!(
        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"
    ));
    assert_eq!(exchange.head().status, 204);
}

/// What operators call a session by.
fn name_of(session: &str) -> &str {
    &session[..session.len() - 22]
}

fn trace_of(session: &str) -> String {
    format!("/sessions/{}/trace", name_of(session))
}

fn until(what: &str, server: &Server, mut is_so: impl FnMut(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = server.log();
        if is_so(&log) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: not in time:\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until_it_says(server: &Server, words: &str) {
    until(words, server, |log| log.contains(words));
}

fn ends(server: Server) {
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_legacy_client_that_is_watched_to_its_end() {
    let server = start(&[], "legacy");
    let session = initialize(&server, "");
    let mut trace = Trace::open(&server, &trace_of(&session));
    ping(&server, &session, 7);
    let asked = trace.until("request", "ping");
    assert_eq!(asked["session"], name_of(&session));
    assert_eq!(
        (&asked["id"], &asked["contents"]),
        (&json!(7), &Value::Null)
    );
    assert!(asked["at"].as_u64() > Some(1_700_000_000_000), "{asked}");
    let answer = trace.until("answer", "ping");
    assert_eq!((&answer["id"], &answer["status"]), (&json!(7), &json!(200)));
    assert!(
        answer["durationMs"].is_u64() && answer["bytes"].is_u64(),
        "{answer}"
    );

    let mut stream = Exchange::open(&server.mcp());
    let field = in_session(&session);
    stream.send(format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{field}\r\n"
    ));
    assert_eq!(stream.head().status, 200);
    let (kind, opened) = {
        trace.until("request", "GET");
        trace.next().expect("it goes on")
    };
    assert_eq!(
        (kind.as_str(), &opened["stream"], &opened["open"]),
        ("stream", &json!("get"), &json!(true))
    );
    let (_, answers) = ask(&server, "POST", "/publish", &json!([{"topic": "tools"}]));
    assert_eq!(answers[0]["accepted"], true);
    let event = trace.until("event", "notifications/tools/list_changed");
    assert_eq!(event["topic"], "tools");
    delete(&server, &session);
    let end = loop {
        let (kind, data) = trace.next().expect("its end is told");
        if kind == "end" {
            break data;
        }
    };
    assert_eq!(end["reason"], "deleted");
    while trace.next().is_some() {}
    let (status, told) = ask(&server, "GET", &trace_of(&session), &Value::Null);
    assert_eq!(status, 404, "{told}");
    let whose = "/principals/dc18d98ab34b2f83b5913fec82dc81e9/trace";
    let (status, told) = ask(&server, "GET", whose, &Value::Null);
    assert_eq!(status, 409, "nobody is asked who they are: {told}");
    until_it_says(&server, "a session ended");
    let log = server.log();
    let line = log
        .lines()
        .find(|it| it.contains("a session ended"))
        .expect("a line");
    for words in [
        name_of(&session),
        "reason=\"deleted\"",
        "requests=",
        "events=",
        "lasted_ms=",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!log.contains(&session), "the secret is in the log");
    ends(server);
}

#[test]
fn a_modern_client_whose_principal_is_watched() {
    let scratch = scratch_folder("trace/tokens");
    let file = scratch.join("tokens");
    let alice = new_token("alice", &file);
    let shown = file.to_str().expect("a plain path");
    let server = start(&["--auth", "token", "--auth-token-file", shown], "modern");
    let (status, _) = ask(&server, "GET", "/principals/nobody/trace", &Value::Null);
    assert_eq!(status, 404);
    let mut trace = Trace::open(
        &server,
        &format!(
            "/principals/{}/trace?contents=true",
            principal(&server, &alice)
        ),
    );
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let message = |id: u64, method: &str, params: Value| {
        let mut params = params;
        params["_meta"] = meta.clone();
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    };
    let fields =
        |method: &str| format!("Authorization: {alice}\r\n{MODERN}Mcp-Method: {method}\r\n");
    let discover = message(3, "server/discover", json!({}));
    assert_eq!(
        post(&server, &fields("server/discover"), &discover)
            .head()
            .status,
        200
    );
    let asked = trace.until("request", "server/discover");
    assert_eq!(asked["session"], Value::Null);
    assert!(
        asked["contents"]
            .as_str()
            .expect("they were asked for")
            .contains("server/discover")
    );
    assert_eq!(trace.until("answer", "server/discover")["status"], 200);

    let listen = message(
        4,
        "subscriptions/listen",
        json!({"notifications": {"toolsListChanged": true}}),
    );
    let mut stream = post(&server, &fields("subscriptions/listen"), &listen);
    assert_eq!(stream.head().status, 200);
    trace.until("request", "subscriptions/listen");
    let (_, opened) = trace.next().expect("it goes on");
    let name = opened["session"].as_str().expect("a name").to_owned();
    assert!(
        name.contains(".~") && opened["stream"] == "listen",
        "{opened}"
    );
    // By its name alone, too.
    let mut own = Trace::open(&server, &format!("/sessions/{name}/trace"));
    ask(&server, "POST", "/publish", &json!([{"topic": "tools"}]));
    for trace in [&mut trace, &mut own] {
        let event = trace.until("event", "notifications/tools/list_changed");
        assert_eq!(event["session"], name);
    }
    drop(stream);
    while own.next().is_some_and(|(kind, _)| kind != "end") {}
    assert_eq!(own.next(), None, "it ends with the stream");
    assert!(!server.log().contains(&alice[7..]), "a token in the log");
    ends(server);
}

/// The digits by which the log has whoever shows this.
fn principal(server: &Server, bearer: &str) -> String {
    let session = initialize(server, &format!("Authorization: {bearer}\r\n"));
    let mut exchange = Exchange::open(&server.mcp());
    let field = in_session(&session);
    exchange.send(format!(
        "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n{field}\r\n"
    ));
    assert_eq!(exchange.head().status, 204);
    until_it_says(server, "a session ended");
    let log = server.log();
    let line = log
        .lines()
        .find(|it| it.contains("a session ended"))
        .expect("a line");
    let (_, rest) = line.split_once("principal=").expect("whose it was");
    rest.split(' ').next().expect("its digits").to_owned()
}

/// A token of `pinfold token new`.
fn new_token(name: &str, file: &Path) -> String {
    let made = output_of(Command::new(binary()).args(["token", "new", "--name", name]));
    assert!(made.status.success(), "{made:?}");
    fs::write(file, &made.stdout).expect("a file can be written");
    format!("Bearer {}", String::from_utf8_lossy(&made.stderr).trim())
}

#[test]
fn a_watcher_that_does_not_read_and_one_too_many() {
    let server = start(&[], "unread");
    let session = initialize(&server, "");
    // It reads nothing, and never will.
    let deaf = Trace::open(&server, &trace_of(&session));
    let mut hearing = Trace::open(&server, &trace_of(&session));
    for id in 0..3_000 {
        ping(&server, &session, id);
        let answer = hearing.until("answer", "ping");
        assert_eq!(answer["id"], id, "whoever reads misses nothing");
    }
    let mut others: Vec<Trace> = (2..16)
        .map(|_| Trace::open(&server, &trace_of(&session)))
        .collect();
    let (status, told) = ask(&server, "GET", &trace_of(&session), &Value::Null);
    assert_eq!(status, 503, "{told}");
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|it| it.contains("16 sessions")),
        "{told}"
    );
    // Whoever leaves makes room.
    others.pop();
    drop(deaf);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut exchange = Exchange::open(&server.admin());
        get(&mut exchange, &trace_of(&session));
        if exchange.head().status == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "there is room again");
        std::thread::sleep(Duration::from_millis(20));
    }
    ends(server);
}

#[test]
fn a_log_of_which_a_program_reads_each_line() {
    let server = start(
        &["--log-format", "json", "--log", "info,pinfold::access=off"],
        "json",
    );
    let session = initialize(&server, "");
    delete(&server, &session);
    until_it_says(&server, "a session ended");
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|it| it.starts_with('{')).collect();
    let lines = values(&lines.join("\n"));
    let ended = lines.iter().find(|it| it["message"] == "a session ended");
    let ended = ended.expect("a line");
    assert_eq!(ended["target"], "pinfold::sessions");
    assert_eq!(ended["session"], name_of(&session));
    assert_eq!(
        (&ended["reason"], &ended["level"]),
        (&json!("deleted"), &json!("INFO"))
    );
    assert!(ended["requests"].as_u64() >= Some(1) && ended["timestamp"].is_string());
    let (_, told) = ask(&server, "GET", "/log", &Value::Null);
    assert_eq!(
        told,
        json!({"filter": "info,pinfold::access=off", "format": "json"})
    );
    ends(server);
}

#[test]
fn a_level_that_is_changed_while_the_node_runs() {
    let server = start(&["--log", "warn"], "level");
    let session = initialize(&server, "");
    for wrong in ["inof", "info,debug", "info,pinfold=loud", ""] {
        let (status, told) = ask(&server, "PUT", "/log", &json!({"filter": wrong}));
        assert_eq!(status, 400, "{wrong}");
        assert!(
            told["error"].as_str().is_some_and(|it| it.len() > 20),
            "{told}"
        );
    }
    let filter = "warn,pinfold::sessions=info";
    let (status, told) = ask(&server, "PUT", "/log", &json!({"filter": filter}));
    assert_eq!((status, &told["filter"]), (200, &json!(filter)));
    assert!(!server.log().contains(" INFO "), "{}", server.log());
    delete(&server, &session);
    until_it_says(&server, "a session ended");
    let log = server.log();
    let told = log.lines().filter(|it| it.contains(" INFO "));
    assert!(
        told.count() == 1 && log.contains(name_of(&session)),
        "{log}"
    );
    let silent = json!({"filter": "off"});
    assert_eq!(ask(&server, "PUT", "/log", &silent).0, 200);
    until_it_says(&server, "asked=\"off\"");
    assert_eq!(
        ask(&server, "PUT", "/log", &json!({"filter": "info"})).0,
        200
    );
    until_it_says(&server, "now=\"info\"");
    // SIGHUP says again what the options say.
    let pid = server.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let deadline = Instant::now() + PATIENCE;
    while ask(&server, "GET", "/log", &Value::Null).1["filter"] != "warn" {
        assert!(Instant::now() < deadline, "the level is what it was again");
        std::thread::sleep(Duration::from_millis(20));
    }
    ends(server);
}

#[test]
fn an_access_log_of_one_session_for_a_while() {
    let server = start(&[], "access");
    let (one, other) = (initialize(&server, ""), initialize(&server, ""));
    let on = json!({"session": name_of(&one), "on": true, "forS": 600});
    let (status, told) = ask(&server, "POST", "/log/access", &on);
    assert_eq!((status, told), (200, json!({"on": true, "forS": 600})));
    ping(&server, &one, 41);
    ping(&server, &other, 42);
    until_it_says(&server, "answer session=");
    let is_logged = |log: &str, id: u64| log.contains(&format!("id=\"{id}\""));
    until("both lines", &server, |log| {
        log.matches("id=\"41\"").count() == 2
    });
    let off = json!({"session": name_of(&one), "on": false});
    assert_eq!(
        ask(&server, "POST", "/log/access", &off),
        (200, json!({"on": false}))
    );
    until_it_says(&server, "the access log is off");
    ping(&server, &one, 43);
    delete(&server, &one);
    until_it_says(&server, "a session ended");
    let log = server.log();
    assert!(!is_logged(&log, 42) && !is_logged(&log, 43), "{log}");
    let wrong = json!({"session": name_of(&one), "on": true});
    let (status, _) = ask(&server, "POST", "/log/access", &wrong);
    assert_eq!(status, 404, "it is gone");
    let brief = json!({"session": name_of(&other), "forS": 1});
    assert_eq!(ask(&server, "POST", "/log/access", &brief).0, 200);
    until_it_says(&server, "its time is over");
    ends(server);
}

#[test]
fn access_logs_that_outlive_their_sessions() {
    let server = start(&[], "access-ended");
    let on = |session: &str| {
        let body = json!({"session": name_of(session), "on": true, "forS": 86_400});
        ask(&server, "POST", "/log/access", &body).0
    };
    // More than there are places, one after the other.
    for _ in 0..20 {
        let session = initialize(&server, "");
        assert_eq!(on(&session), 200);
        assert_eq!(on(&session), 200, "once more, for longer");
        delete(&server, &session);
        assert_eq!(on(&session), 404, "it is gone");
    }
    let session = initialize(&server, "");
    assert_eq!(on(&session), 200);
    delete(&server, &session);
    let off = "the access log is off: they are gone whose=";
    until_it_says(&server, &format!("{off}{}", name_of(&session)));
    ends(server);
}
