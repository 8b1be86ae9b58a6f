//! What publishers get: an answer for each item, a reason for each refusal, nothing lost beside it.

pub(crate) mod http;
mod sessions;

use std::process::Command;

use serde_json::{Value, json};

use crate::program::{run, scratch_folder};
use crate::server::{App, Placement, Server, binary};
use http::{CHUNKED, Exchange, LINES, chunk, values};

fn board(test: &str) -> Server {
    let scratch = scratch_folder(&format!("publish/{test}"));
    Server::start(App::Board, Placement::AtRandom, &scratch)
}

/// The answers to a batch in JSON.
fn batch(server: &Server, items: &Value) -> Vec<Value> {
    let mut exchange = Exchange::open(&server.admin());
    exchange.post("/publish", "", &items.to_string());
    let (_, body) = exchange.response();
    serde_json::from_str(&body).expect("a list of answers")
}

fn lines(server: &Server, body: &str) -> Vec<Value> {
    let mut exchange = Exchange::open(&server.admin());
    exchange.post("/publish", LINES, body);
    let (status, body) = exchange.response();
    assert_eq!(status, 200, "{body}");
    values(&body)
}

/// `+` for what was accepted, else the reason.
fn outcomes(answers: &[Value]) -> Vec<&str> {
    answers
        .iter()
        .map(|answer| {
            if answer["accepted"] == true {
                return "+";
            }
            let sentence = answer["message"].as_str().unwrap_or_default();
            assert!(sentence.len() > 20, "a sentence for people: {answer}");
            answer["reason"].as_str().expect("a reason")
        })
        .collect()
}

#[test]
fn each_wrong_item_gets_its_own_reason_and_spoils_no_other() {
    let server = board("reasons");
    let message = json!({"level": "info", "data": 1});
    let items = json!([
        {"topic": "tools"},
        {"topic": "tool"},
        {"uri": "lunch"},
        {"uri": "board://a", "content": "x"},
        {"all": true, "message": {"level": "loud", "data": 1}},
        {"all": true, "message": {"level": "info", "data": "x".repeat(65_536)}},
        {"topic": "tools", "key": "x".repeat(129)},
        {"session": "nobody", "message": message},
        {"uri": "other://a", "contents": "x"},
        {"message": message},
        {"uri": "board://a", "contents": "x"},
    ]);
    assert_eq!(
        outcomes(&batch(&server, &items)),
        [
            "+",
            "unknown_topic",
            "bad_uri",
            "bad_item",
            "bad_message",
            "too_large",
            "bad_key",
            "unknown",
            "bad_uri",
            "bad_item",
            "+"
        ]
    );
    server.stop().expect("a clean end");
}

#[test]
fn an_application_that_takes_no_contents() {
    let scratch = scratch_folder("publish/no_contents");
    let server = Server::start(App::Conformance, Placement::OneCore, &scratch);
    let answers = batch(
        &server,
        &json!([{"uri": "a:b", "contents": "x"}, {"uri": "a:b"}]),
    );
    assert_eq!(outcomes(&answers), ["no_contents", "+"]);
    server.stop().expect("a clean end");
}

#[test]
fn a_board_that_is_full() {
    let scratch = scratch_folder("publish/full");
    let small = [
        "--board-bytes-max",
        "2KiB",
        "--board-entry-bytes-max",
        "1KiB",
    ];
    let server = Server::start_with(&small, App::Board, Placement::OneCore, &scratch);
    let put = |name: &str, bytes: usize| json!({"uri": format!("board://{name}"), "contents": "x".repeat(bytes)});
    let items = json!([
        put("a", 900), put("b", 900), put("c", 900), put("d", 1024),
        {"uri": "board://a", "contents": null}, put("c", 900),
    ]);
    let answers = batch(&server, &items);
    assert_eq!(
        outcomes(&answers),
        ["+", "+", "full", "too_large", "+", "+"]
    );
    server.stop().expect("a clean end");
}

#[test]
fn more_than_one_batch_may_have() {
    let server = board("too_much");
    let items = vec![json!({"topic": "tools"}); 1001];
    let long = format!("[{}]", " ".repeat(1024 * 1024));
    for body in [json!(items).to_string(), long] {
        let mut exchange = Exchange::open(&server.admin());
        exchange.post("/publish", "", &body);
        let (status, sentence) = exchange.response();
        assert_eq!(status, 413);
        assert!(sentence.contains("application/x-ndjson"), "{sentence}");
    }
    server.stop().expect("a clean end");
}

#[test]
fn lines_that_are_wrong_among_lines_that_are_not() {
    let server = board("wrong_lines");
    let put = |bytes: usize| json!({"uri": "board://a", "contents": "x".repeat(bytes)}).to_string();
    let body = [
        r#"{"topic":"tools"}"#,
        r#"{"topic":"#,
        "",
        &put(3 * 1024 * 1024),
        " \r",
        &put(1024 * 1024),
        "[{\"topic\":\"tools\"}]",
        "\u{feff}{}",
        &put(1024 * 1024 - 100),
        r#"{"topic":"prompts"}"#,
    ]
    .join("\n");
    let answers = lines(&server, &body);
    assert_eq!(
        outcomes(&answers),
        [
            "+",
            "bad_item",
            "too_large",
            "too_large",
            "bad_item",
            "bad_item",
            "+",
            "+"
        ]
    );
    server.stop().expect("a clean end");
}

#[test]
fn five_thousand_lines_in_order() {
    let server = board("in_order");
    let body: String = (0..5000)
        .map(|number| match number % 10 {
            3 => "nonsense\n".to_owned(),
            _ => format!("{{\"uri\":\"a:{number}\"}}\n"),
        })
        .collect();
    let check = |answers: &[Value], first_offset: u64| {
        let mut offset = first_offset;
        assert_eq!(answers.len(), 5000);
        for (number, answer) in answers.iter().enumerate() {
            if number % 10 == 3 {
                assert_eq!(answer["reason"], "bad_item");
            } else {
                assert_eq!(answer["offset"], offset, "line {number}");
                offset += 1;
            }
        }
    };
    check(&lines(&server, &body), 1);

    let mut exchange = Exchange::open(&server.admin());
    exchange.send(format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\n{CHUNKED}\r\n"
    ));
    for piece in body.as_bytes().chunks(997) {
        exchange.send(chunk(std::str::from_utf8(piece).unwrap()));
    }
    exchange.send("0\r\n\r\n");
    check(&values(&exchange.response().1), 4501);
    // The connection goes on.
    exchange.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(exchange.response(), (200, "ok\n".into()));

    // HTTP/1.0 has no chunks: the body ends with the connection.
    let mut exchange = Exchange::open(&server.admin());
    let length = body.len();
    exchange.send(format!(
        "POST /publish HTTP/1.0\r\n{LINES}Content-Length: {length}\r\n\r\n{body}"
    ));
    check(&values(&exchange.response().1), 9001);
    server.stop().expect("a clean end");
}

#[test]
fn answers_come_while_lines_are_still_sent() {
    let server = board("interleaved");
    let mut exchange = Exchange::open(&server.admin());
    exchange.send(format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{CHUNKED}\r\n"
    ));
    assert_eq!(exchange.head().status, 100);
    assert_eq!(exchange.head().status, 200);
    for offset in 1..=3 {
        exchange.send(chunk("{\"topic\":"));
        exchange.send(chunk("\"tools\"}\n"));
        let answer = String::from_utf8(exchange.chunk()).unwrap();
        assert_eq!(
            answer,
            format!("{{\"accepted\":true,\"offset\":{offset}}}\n")
        );
    }
    // Cut in the middle of a line: what was accepted is, what was not complete is not.
    exchange.send(chunk("{\"topic\":\"tools\"}"));
    drop(exchange);
    let next = batch(&server, &json!({"topic": "tools"}));
    assert_eq!(next[0]["offset"], 4);
    server.stop().expect("a clean end");
}

#[test]
fn a_body_that_is_no_longer_http() {
    let server = board("bad_chunk");
    let mut exchange = Exchange::open(&server.admin());
    exchange.send(format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\n{CHUNKED}\r\n"
    ));
    exchange.send(chunk("{\"topic\":\"tools\"}\n"));
    assert_eq!(exchange.head().status, 200);
    assert!(exchange.chunk().starts_with(b"{\"accepted\":true"));
    exchange.send("+1\r\nx");
    let said = String::from_utf8(exchange.chunk()).unwrap();
    assert!(
        said.contains("\"error\"") && said.contains("chunked"),
        "{said}"
    );
    assert_eq!(batch(&server, &json!({"topic": "tools"}))[0]["offset"], 2);
    server.stop().expect("a clean end");
}

#[test]
fn a_publisher_that_does_not_read_is_not_read_from() {
    const COUNT: usize = 100_000;
    let server = board("no_reader");
    let mut exchange = Exchange::open(&server.admin());
    let mut writer = exchange.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        let length = 3 * COUNT;
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\n{LINES}Content-Length: {length}\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).unwrap();
        writer.write_all("{}\n".repeat(COUNT).as_bytes()).unwrap();
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    // Others are served meanwhile.
    assert_eq!(outcomes(&batch(&server, &json!({"topic": "tools"}))), ["+"]);
    let (status, body) = exchange.response();
    assert_eq!((status, body.lines().count()), (200, COUNT));
    sending.join().unwrap();
    server.stop().expect("a clean end");
}

#[test]
fn a_key_is_published_once() {
    let server = board("keys");
    let item = json!({"uri": "board://a", "contents": "x", "key": "one"});
    let first = batch(&server, &json!([item, item]));
    assert_eq!(first[0]["offset"], first[1]["offset"]);
    assert_eq!(
        (&first[0]["duplicate"], &first[1]["duplicate"]),
        (&Value::Null, &json!(true))
    );
    let again = lines(&server, &format!("{item}\n{item}\n"));
    assert_eq!(again, [first[1].clone(), first[1].clone()]);
    // The same key, and something else to say: told to nobody, and to the publisher.
    let other = json!({"uri": "board://a", "contents": "y", "key": "one"});
    assert_eq!(outcomes(&batch(&server, &other)), ["key_reused"]);
    assert_eq!(
        outcomes(&lines(&server, &format!("{other}\n"))),
        ["key_reused"]
    );
    assert_eq!(batch(&server, &json!(item)), [first[1].clone()]);
    // What was refused may be tried again under its key.
    let wrong = json!({"session": "nobody", "topic": "tools", "key": "two"});
    assert_eq!(outcomes(&batch(&server, &wrong)), ["unknown"]);
    let right = batch(&server, &json!({"topic": "tools", "key": "two"}));
    assert_eq!(right[0]["accepted"], true);
    assert_eq!(right[0]["duplicate"], Value::Null);
    server.stop().expect("a clean end");
}

#[test]
fn the_command_reads_files_and_counts() {
    let scratch = scratch_folder("publish/command");
    let server = Server::start(App::Board, Placement::AtRandom, &scratch);
    let publish = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command
            .args(["publish", "--admin", &server.admin()])
            .args(arguments);
        let finished = run(&mut command, &scratch.join("publish.log"));
        (finished.status.code(), finished.output)
    };
    let items = scratch.join("items.ndjson");
    let path = items.to_str().unwrap();
    let good = "{\"topic\":\"tools\"}\n".repeat(9000);
    std::fs::write(&items, format!("{good}nonsense\n{good}")).unwrap();
    let (code, said) = publish(&["--from", path]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("refused   line 9001  bad_item: "), "{said}");
    assert!(
        said.contains("18001 items: 18000 accepted, 1 refused (1 bad_item)"),
        "{said}"
    );

    std::fs::write(
        &items,
        "[{\"topic\": \"tools\"},\n {\"uri\": \"board://a\"}]",
    )
    .unwrap();
    let (code, said) = publish(&["--from", path]);
    assert_eq!((code, said.trim()), (Some(0), "2 items: 2 accepted"));

    let keyed = ["--key", "k", "--text", "soup", "board://lunch"];
    assert_eq!(publish(&keyed).0, Some(0));
    let (code, said) = publish(&keyed);
    assert!(
        code == Some(0) && said.contains("earlier, by its key"),
        "{said}"
    );
    let (code, said) = publish(&["--key", "k", "--text", "stew", "board://lunch"]);
    assert!(
        code == Some(1) && said.contains("refused   board://lunch  key_reused: "),
        "{said}"
    );
    let (code, said) = publish(&["--session", "nobody", "--message", "hi"]);
    assert!(code == Some(1) && said.contains("unknown"), "{said}");
    assert_eq!(publish(&["--from", "/nowhere"]).0, Some(2));
    server.stop().expect("a clean end");
}
