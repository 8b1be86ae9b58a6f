//! Messages of every kind and every way to be none; each is also cut at every byte.

use super::*;
use crate::wire::properties;

fn one(body: &str) -> Result<Message<'_>, Invalid<'_>> {
    properties::json_rpc(body.as_bytes());
    match parse(body.as_bytes())? {
        Parsed::One(message) => Ok(message),
        Parsed::Batch(_) => panic!("a batch: {body}"),
    }
}

fn fault(body: &str) -> (i32, Option<&str>) {
    properties::json_rpc(body.as_bytes());
    let invalid = parse(body.as_bytes()).expect_err(body);
    assert!(invalid.fault.ends_with('.'));
    (invalid.code, invalid.id.map(Id::raw))
}

#[test]
fn a_request() {
    let body = r#" {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":[1]},"x":{}} "#;
    let Ok(Message::Request { id, method, params }) = one(body) else {
        panic!()
    };
    assert_eq!((id.raw(), &*method), ("7", "tools/call"));
    assert_eq!(params.map(RawValue::get), Some(r#"{"a":[1]}"#));
    assert!(matches!(method, Cow::Borrowed(_)));
}

#[test]
fn a_notification_has_no_id() {
    let body = r#"{"method":"n\u002fi","jsonrpc":"2.0"}"#;
    let Ok(Message::Notification {
        method,
        params: None,
    }) = one(body)
    else {
        panic!()
    };
    assert_eq!(method, "n/i");
}

#[test]
fn a_response_of_either_kind() {
    let body = r#"{"jsonrpc":"2.0","id":"a","result":null}"#;
    let Ok(Message::Response {
        id,
        outcome: Ok(result),
    }) = one(body)
    else {
        panic!()
    };
    assert_eq!((id.raw(), result.get()), ("\"a\"", "null"));
    let body = r#"{"jsonrpc":"2.0","id":"a","error":{"code":1}}"#;
    let Ok(Message::Response {
        outcome: Err(error),
        ..
    }) = one(body)
    else {
        panic!()
    };
    assert_eq!(error.get(), r#"{"code":1}"#);
}

#[test]
fn ids_keep_their_text() {
    for id in [
        "0",
        "-1",
        "1.0",
        "1e3",
        "12345678901234567890123",
        "\"\"",
        "\"1\"",
        r#""\u0041\n""#,
        "\"ä\"",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
        let Ok(Message::Request { id: read, .. }) = one(&body) else {
            panic!("{body}")
        };
        assert_eq!(read.raw(), id);
    }
    assert_ne!(Id::new("1"), Id::new("\"1\""));
}

#[test]
fn one_id_in_two_spellings_told_apart() {
    let id = |raw| Id::new(raw).expect(raw);
    for (one, other) in [("1", "1.0"), ("\"a\"", r#""\u0061""#), ("\"\"", "\"\"")] {
        assert!(id(one).is_same(id(other)) && id(other).is_same(id(one)));
    }
    for (one, other) in [("1", "\"1\""), ("1", "2"), ("\"a\"", "\"b\"")] {
        assert!(!id(one).is_same(id(other)) && !id(other).is_same(id(one)));
    }
}

#[test]
fn an_id_that_is_none() {
    let long = format!("\"{}\"", "a".repeat(ID_BYTES_MAX));
    for id in [
        "null",
        "1.5",
        "1e-3",
        "{}",
        "[]",
        "true",
        r#""\ud800""#,
        &long,
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
        assert_eq!(fault(&body), (-32600, None), "{id}");
    }
    for raw in ["", "-", "01", "+1", "1 ", " 1", "\"", "a"] {
        assert_eq!(Id::new(raw), None, "{raw:?}");
    }
}

#[test]
fn a_body_that_is_not_json() {
    for body in [
        "",
        " ",
        "{",
        "x",
        "nul",
        "{\"a\":1,}",
        "{} {}",
        "[1,]",
        "[1] x",
        "{\"jsonrpc\":\"2.0\"}x",
        "\u{feff}",
        " \u{feff}{}",
        "{'a':1}",
        "{\"id\":01}",
        "\"\n\"",
    ] {
        assert_eq!(fault(body), (-32700, None), "{body:?}");
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err().code, -32700);
}

#[test]
fn json_that_is_no_message() {
    for body in [
        "1",
        "null",
        "\"a\"",
        "true",
        "{}",
        "[]",
        r#"{"jsonrpc":"2.0"}"#,
    ] {
        assert_eq!(fault(body), (-32600, None), "{body:?}");
    }
}

#[test]
fn an_invalid_message_is_answered_with_its_id() {
    for members in [
        r#""method":"m""#,
        r#""jsonrpc":"1.0","method":"m""#,
        r#""jsonrpc":2.0,"method":"m""#,
        r#""jsonrpc":"2.0""#,
        r#""jsonrpc":"2.0","method":1"#,
        r#""jsonrpc":"2.0","method":null"#,
        r#""jsonrpc":"2.0","method":"\ud800""#,
        r#""jsonrpc":"2.0","method":"m","params":1"#,
        r#""jsonrpc":"2.0","method":"m","params":null"#,
        r#""jsonrpc":"2.0","method":"m","result":{}"#,
        r#""jsonrpc":"2.0","method":"m","method":"m""#,
        r#""jsonrpc":"2.0","method":"m","meth\u006fd":"n""#,
        r#""jsonrpc":"2.0","result":{},"error":{}"#,
        r#""jsonrpc":"2.0","error":"e""#,
    ] {
        let body = format!(r#"{{{members},"id":"x"}}"#);
        assert_eq!(fault(&body), (-32600, Some("\"x\"")), "{body}");
    }
}

#[test]
fn a_doubled_id_is_not_believed() {
    let body = r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"m"}"#;
    assert_eq!(fault(body), (-32600, None));
}

#[test]
fn a_response_without_id() {
    assert_eq!(fault(r#"{"jsonrpc":"2.0","result":{}}"#), (-32600, None));
    assert_eq!(
        fault(r#"{"jsonrpc":"2.0","id":null,"error":{}}"#),
        (-32600, None)
    );
}

#[test]
fn a_batch_tells_each_message_apart() {
    let body = r#"[{"jsonrpc":"2.0","id":1,"method":"a"}, {"id":2}, 3, [], {"jsonrpc":"2.0","method":"b"}]"#;
    properties::json_rpc(body.as_bytes());
    let Ok(Parsed::Batch(messages)) = parse(body.as_bytes()) else {
        panic!()
    };
    assert_eq!(messages.len(), 5);
    assert!(matches!(&messages[0], Ok(Message::Request { method, .. }) if method == "a"));
    assert_eq!(messages[1].as_ref().unwrap_err().id.map(Id::raw), Some("2"));
    assert!(messages[2].is_err() && messages[3].is_err());
    assert!(matches!(&messages[4], Ok(Message::Notification { method, .. }) if method == "b"));
}

#[test]
fn a_batch_that_would_fill_the_memory() {
    let body = format!("[{}1]", "1,".repeat(5000));
    assert_eq!(parse(body.as_bytes()).unwrap_err().code, -32600);
}

/// RFC 8259, 8.1: it may be ignored, once.
#[test]
fn a_byte_order_mark_taken_for_a_fault() {
    let Ok(Message::Notification { method, .. }) =
        one("\u{feff}{\"jsonrpc\":\"2.0\",\"method\":\"m\"}")
    else {
        panic!()
    };
    assert_eq!(method, "m");
    assert_eq!(fault("\u{feff}\u{feff}{}"), (-32700, None));
}
