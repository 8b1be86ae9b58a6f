//! The application's tests, without a network: `cargo test --example notes`.

use std::io::{Read, Write};
use std::net::TcpListener;

use pinfold::app::SessionEnd;
use pinfold::testing::TestServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::app::Notes;
use super::directory::Directory;

thread_local! {
    /// Of this test: it goes with the test's thread.
    static SCRATCH: TempDir = tempfile::tempdir().expect("a directory can be made");
}

/// A directory of its own for each test.
fn directory(test: &str) -> Directory {
    let path = SCRATCH.with(|scratch| scratch.path().join(test));
    Directory::open(path).expect("a directory can be made")
}

fn served(test: &str) -> (TestServer, Directory) {
    let directory = directory(test);
    directory
        .write("list.txt", "bread\nmilk")
        .expect("it can be written");
    directory
        .write("milk.txt", "is white")
        .expect("it can be written");
    let app = Notes::new(directory.clone(), "http://127.0.0.1:9");
    (TestServer::new(app), directory)
}

#[test]
fn finding_is_structured_and_makes_progress() {
    let (server, _) = served("finding");
    let [legacy, modern] = server.both_eras();
    let find = |client: &pinfold::testing::TestClient| {
        let result = client
            .call_tool("find", json!({ "text": "milk" }))
            .expect("a result");
        assert_eq!(
            client.progress().last().expect("there is some").progress,
            2.0
        );
        result.structured_content.expect("it is structured")
    };
    let expected = json!([
        { "uri": "note:///list.txt", "line": 2, "text": "milk" },
        { "uri": "note:///milk.txt", "line": null, "text": null },
    ]);
    assert_eq!(find(&modern), expected);
    // Older clients know objects only.
    assert_eq!(find(&legacy), json!({ "result": expected }));
}

#[test]
fn a_note_is_thrown_away_if_the_user_agrees() {
    let (server, directory) = served("discarding");
    for client in server.both_eras() {
        directory
            .write("old.txt", "old")
            .expect("it can be written");
        for (sure, remains) in [(false, true), (true, false)] {
            client.will_answer(json!({ "action": "accept", "content": { "sure": sure } }));
            client
                .call_tool("discard", json!({ "name": "old.txt" }))
                .expect("a result");
            assert_eq!(directory.read("old.txt").is_ok(), remains);
        }
        assert_eq!(client.asked()[0].1["message"], "Throw old.txt away?");
    }
}

#[test]
fn pins_are_a_sessions_own_and_go_with_it() {
    let (server, _) = served("pinning");
    let (one, other, modern) = (server.legacy(), server.legacy(), server.modern());
    let pin = |client: &pinfold::testing::TestClient, name: &str| -> Value {
        let result = client
            .call_tool("pin", json!({ "name": name }))
            .expect("a result");
        result.structured_content.unwrap_or_default()["result"].take()
    };
    assert_eq!(pin(&one, "a"), json!(["a"]));
    assert_eq!(pin(&one, "b"), json!(["a", "b"]));
    assert_eq!(pin(&other, "c"), json!(["c"]));
    one.end_session(SessionEnd::Idle);
    assert!(
        modern
            .call_tool("pin", json!({ "name": "a" }))
            .expect("a result")
            .is_error
    );
}

#[test]
fn a_note_is_imported_by_http() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let source = format!("http://{}", listener.local_addr().expect("its own"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfresh";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let directory = directory("importing");
    // The answer comes from outside: tokio's sockets, and time as it passes.
    let server = TestServer::new(Notes::new(directory.clone(), &source))
        .tokio()
        .real_time();
    let result = server
        .modern()
        .call_tool("import", json!({ "name": "new.txt" }));
    let imported = result
        .expect("a result")
        .structured_content
        .expect("it is structured");
    assert_eq!(
        imported,
        json!({ "uri": "note:///new.txt", "bytes": 5, "content_type": null })
    );
    assert_eq!(directory.read("new.txt").expect("it is there"), "fresh");
}

#[test]
fn notes_are_resources() {
    let (server, _) = served("reading");
    for client in server.both_eras() {
        let list = client.list_resources().expect("a list");
        assert_eq!(list[0].uri, "note:///list.txt");
        let read = client.read_resource("note:///milk.txt").expect("contents");
        assert_eq!(read.contents[0].as_text(), Some("is white"));
        assert!(client.read_resource("note:///nothing").is_err());
        assert!(client.subscribe("note:///later.txt") && !client.subscribe("note:///.hidden"));
    }
}
