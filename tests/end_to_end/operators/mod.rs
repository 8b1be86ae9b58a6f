//! What an operator sees of sessions and listen streams, and does with them, by the admin listener of the real program: each
//! test asks as an operator would, and looks at what that did to the clients.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crowd::{Habit, connect, exchange, listen_request, open_session_of, post, read_head};
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};
use crate::waits::agent;

const PATIENCE: Duration = Duration::from_secs(120);

fn board(test: &str) -> Server {
    let scratch = scratch_folder(&format!("operators/{test}"));
    Server::start(App::Board, Placement::AtRandom, &scratch)
}

/// The answer to a request at the admin listener.
fn ask(server: &Server, method: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", server.admin());
    let request = ureq::http::Request::builder().method(method).uri(url);
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent();
    let answer = agent
        .run(request.body(()).expect("a request"))
        .expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.into_body().read_to_string().expect("a body");
    (status, serde_json::from_str(&text).expect("JSON"))
}

fn list(server: &Server, query: &str) -> Value {
    let (status, page) = ask(server, "GET", &format!("/sessions?{query}"));
    assert_eq!(status, 200, "{page}");
    page
}

fn names(page: &Value) -> Vec<String> {
    let rows = page["sessions"].as_array().expect("rows").iter();
    rows.map(|row| row["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Pages until one says that it is the last.
fn every_page(server: &Server, query: &str) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(server, &format!("{query}{after}"));
        all.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// The id without the secret.
fn name_of(session: &str) -> &str {
    &session[..session.len() - 22]
}

fn legacy(server: &Server) -> String {
    open_session_of(server.address(), 0)
}

/// An open stream of a session.
fn get(server: &Server, session: &str, habit: Habit) -> TcpStream {
    let mut socket = connect(server.address(), habit);
    let request = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {session}\r\n\r\n"
    );
    socket
        .write_all(request.as_bytes())
        .expect("a request can be sent");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 200"));
    socket
}

/// A listen stream that was acknowledged.
fn listen(server: &Server) -> TcpStream {
    let mut socket = connect(server.address(), Habit::Reads);
    socket
        .write_all(listen_request().as_bytes())
        .expect("a request can be sent");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 200"));
    socket
}

fn ping(server: &Server, session: &str) -> String {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let request = post(&ping, &format!("Mcp-Session-Id: {session}\r\n"));
    exchange(server.address(), &request)
}

/// The list, once it is as it is to be.
fn wait_for(server: &Server, query: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let page = list(server, query);
        if is_right(&page) {
            return page;
        }
        assert!(started.elapsed() < PATIENCE, "{query}: {page}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All that comes until the stream, or its connection, ends.
fn rest(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    while !text.ends_with(b"0\r\n\r\n") {
        match socket.read(&mut bytes).expect("something, or the end") {
            0 => break,
            count => text.extend_from_slice(&bytes[..count]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_session_that_no_page_has_or_two_have() {
    let server = board("pages");
    let sessions: Vec<String> = (0..23).map(|_| legacy(&server)).collect();
    let _streams: Vec<TcpStream> = (0..5).map(|_| listen(&server)).collect();
    let expected: BTreeSet<&str> = sessions.iter().map(|it| name_of(it)).collect();
    for order in ["sort=age&order=asc", "sort=age&order=desc", "sort=activity"] {
        let shown = every_page(&server, &format!("{order}&limit=4"));
        assert_eq!(shown.len(), 28, "{shown:?}");
        let (streams, legacy): (Vec<&str>, Vec<&str>) = shown
            .iter()
            .map(String::as_str)
            .partition(|it| it.contains('~'));
        assert_eq!(legacy.into_iter().collect::<BTreeSet<_>>(), expected);
        assert_eq!(streams.into_iter().collect::<BTreeSet<_>>().len(), 5);
    }
    let page = list(&server, "limit=1&era=legacy&client=CROWD&clientVersion=1");
    assert_eq!((&page["total"], names(&page).len()), (&json!(23), 1));
    assert_eq!(list(&server, "client=nobody")["total"], 0);
    assert_eq!(list(&server, "era=modern&state=open")["total"], 5);
    let of_core = |core| list(&server, &format!("core={core}"))["total"].as_u64();
    assert_eq!(of_core(0).zip(of_core(1)).map(|(a, b)| a + b), Some(28));
    assert_eq!(of_core(2), Some(0));
    server.stop().expect("it ends well");
}

#[test]
fn an_operator_who_ends_a_session_that_goes_on() {
    let server = board("end");
    let (one, other) = (legacy(&server), legacy(&server));
    let mut stream = get(&server, &one, Habit::Reads);
    let mut listening = listen(&server);
    let name = name_of(&one);
    let path = format!("/sessions/{name}");
    let (status, told) = ask(&server, "GET", &path);
    assert_eq!(
        (status, &told["name"], &told["open"]),
        (200, &json!(name), &json!(true))
    );
    assert_eq!(told["streamDetails"][0]["kind"], "get");
    assert_eq!(told["client"], json!({"name": "crowd", "version": "1"}));
    assert_eq!(ask(&server, "DELETE", &path), (200, json!({"ended": 1})));
    rest(&mut stream);
    let answer = ping(&server, &one);
    assert!(
        answer.starts_with("HTTP/1.1 404") && answer.contains("expired"),
        "{answer}"
    );
    assert!(ping(&server, &other).starts_with("HTTP/1.1 200"));
    for method in ["GET", "DELETE"] {
        let (status, gone) = ask(&server, method, &path);
        assert_eq!((status, &gone["reason"]), (404, &json!("operator")));
        let sentence = gone["error"].as_str().expect("a sentence");
        assert!(sentence.contains("operator ended it"), "{sentence}");
    }
    let modern = names(&list(&server, "era=modern")).remove(0);
    let (status, _) = ask(
        &server,
        "DELETE",
        &format!("/sessions/{}", modern.replace('~', "%7E")),
    );
    assert_eq!(status, 200);
    rest(&mut listening);
    let (_, ended) = ask(&server, "GET", "/sessions/ended?limit=2");
    let rows = ended["ended"].as_array().expect("rows");
    let seen: Vec<_> = rows.iter().map(|it| (&it["name"], &it["reason"])).collect();
    let operator = json!("operator");
    assert_eq!(
        seen,
        [(&json!(modern), &operator), (&json!(name), &operator)]
    );
    assert!(rows[1]["requests"].as_u64() >= Some(1), "{ended}");
    server.stop().expect("it ends well");
}

#[test]
fn a_session_that_is_drained_and_has_to_begin_anew() {
    let server = board("drain");
    let session = legacy(&server);
    let mut stream = get(&server, &session, Habit::Reads);
    let path = format!("/sessions/{}/drain", name_of(&session));
    assert_eq!(ask(&server, "POST", &path).0, 202);
    let last = rest(&mut stream);
    assert!(last.contains("retry: "), "{last}");
    get(&server, &session, Habit::Reads);
    assert!(ping(&server, &session).starts_with("HTTP/1.1 200"));
    server.stop().expect("it ends well");
}

#[test]
fn a_reader_who_stalls_and_whom_nobody_sees() {
    let server = board("slow");
    let (stalls, reads) = (legacy(&server), legacy(&server));
    let _stalled = get(&server, &stalls, Habit::Stalls);
    let mut read = get(&server, &reads, Habit::Reads);
    let reader = std::thread::spawn(move || rest(&mut read));
    let text = "x".repeat(8_000);
    let message = json!({"all": true, "message": {"level": "error", "data": text}});
    let items = Value::from(vec![message; 20]).to_string();
    let url = format!("{}/publish", server.admin());
    let started = Instant::now();
    // What the kernel takes before it takes no more is its own.
    while list(&server, "state=slow")["total"] == 0 {
        assert!(started.elapsed() < PATIENCE, "nobody is slow");
        agent().post(&url).send(items.as_str()).expect("an answer");
    }
    let page = wait_for(&server, "state=slow&sort=pending", |page| {
        page["sessions"][0]["blockedForMs"].as_u64() > Some(0)
    });
    assert_eq!(names(&page), [name_of(&stalls)], "{page}");
    assert!(
        page["sessions"][0]["pendingBytes"].as_u64() > Some(0),
        "{page}"
    );
    server.stop().expect("it ends well");
    reader.join().expect("it read to the end");
}

#[test]
fn a_client_that_leaves_and_is_not_missed() {
    let server = board("leaves");
    let session = legacy(&server);
    drop(listen(&server));
    wait_for(&server, "era=modern", |page| page["total"] == 0);
    let goodbye =
        format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {session}\r\n\r\n");
    let answer = exchange(server.address(), &goodbye);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let (_, ended) = ask(&server, "GET", "/sessions/ended");
    let rows = ended["ended"].as_array().expect("rows").iter();
    let reasons: Vec<_> = rows.map(|it| (&it["era"], &it["reason"])).collect();
    let [legacy, modern] = ["legacy", "modern"].map(Value::from);
    let [deleted, left] = ["deleted", "peer_left"].map(Value::from);
    assert_eq!(reasons, [(&legacy, &deleted), (&modern, &left)]);
    server.stop().expect("it ends well");
}

#[test]
fn a_question_that_is_answered_with_another_ones_answer() {
    let server = board("wrong");
    let session = legacy(&server);
    let missing = format!("/sessions/{}", name_of(&session).replacen('.', ".~", 1));
    for (method, path, status) in [
        ("GET", "/sessions?limit=0", 400),
        ("GET", "/sessions?sort=name", 400),
        ("GET", "/sessions?Era=legacy", 400),
        ("GET", "/sessions/ended?limit=x", 400),
        ("DELETE", "/sessions", 400),
        ("DELETE", "/sessions?principal=alice", 400),
        ("DELETE", "/sessions?era=legacy", 400),
        ("POST", "/sessions", 405),
        ("DELETE", "/sessions/ended", 405),
        ("GET", "/sessions/nobody", 404),
        ("GET", &format!("/sessions/{session}"), 404),
        ("GET", &missing, 404),
        ("POST", &format!("{missing}/drain"), 404),
        ("GET", &format!("/sessions/{}/no", name_of(&session)), 404),
    ] {
        let (got, answer) = ask(&server, method, path);
        let sentence = answer["error"].as_str().unwrap_or_default();
        assert_eq!(
            (got, sentence.len() > 20),
            (status, true),
            "{method} {path}: {answer}"
        );
    }
    let nobodys = format!("/sessions?principal={}", "0".repeat(32));
    assert_eq!(ask(&server, "DELETE", &nobodys), (200, json!({"ended": 0})));
    assert!(ping(&server, &session).starts_with("HTTP/1.1 200"));
    server.stop().expect("it ends well");
}

/// Whoever reads what operators read must not be able to speak for anybody.
#[test]
fn a_secret_in_what_operators_read() {
    let server = board("secret");
    let sessions: Vec<String> = (0..4).map(|_| legacy(&server)).collect();
    let _stream = get(&server, &sessions[0], Habit::Reads);
    let mut read = String::new();
    let mut look = |method: &str, path: &str| read += &ask(&server, method, path).1.to_string();
    look("GET", "/sessions");
    for session in &sessions {
        let path = format!("/sessions/{}", name_of(session));
        look("GET", &path);
        look("DELETE", &path);
        look("GET", &path);
        // Asked by the whole id it is not repeated.
        look("GET", &format!("/sessions/{session}"));
    }
    look("GET", "/sessions/ended");
    let log = server.log();
    for session in &sessions {
        let (name, secret) = session.split_at(session.len() - 22);
        assert!(read.contains(name) && !read.contains(secret), "{read}");
        assert!(!log.contains(secret), "{log}");
    }
    server.stop().expect("it ends well");
}
