use serde_json::json;

use super::super::SENTENCE_CHARS_MAX;
use super::*;
use crate::admin::SessionName;
use crate::app::contents::{Body, Contents};
use crate::principal::PrincipalId;

fn only(body: &str) -> Result<PublishItem, PublishOutcome> {
    parse(body.as_bytes(), 64)
}

fn reason(body: &str) -> (&'static str, String) {
    match only(body) {
        Err(PublishOutcome::Refused { reason, sentence }) => (reason, sentence),
        taken => panic!("{body}: {taken:?}"),
    }
}

fn text(text: &str) -> Contents {
    Contents {
        mime_type: None,
        name: None,
        description: None,
        body: Body::Text(text.into()),
    }
}

fn put(contents: Option<Option<Contents>>) -> PublishItem {
    PublishItem {
        target: Target::Topic(Topic::Resource("board://a".into())),
        contents,
        key: None,
    }
}

#[test]
fn both_a_uri_and_a_topic_or_neither() {
    let both = reason(r#"{"uri":"board://a","topic":"tools"}"#);
    assert_eq!((both.0, both.1.contains("one of them")), ("bad_item", true));
    assert_eq!(reason("{}").0, "bad_item");
}

#[test]
fn a_field_with_a_typo() {
    let (reason, sentence) = reason(r#"{"uri":"board://a","content":"x"}"#);
    assert_eq!(reason, "bad_item");
    assert!(
        sentence.contains("`content`") && sentence.contains("`contents`"),
        "{sentence}"
    );
}

#[test]
fn a_field_twice() {
    assert_eq!(
        reason(r#"{"uri":"board://a","uri":"board://b"}"#).0,
        "bad_item"
    );
}

#[test]
fn a_topic_that_does_not_exist() {
    assert_eq!(reason(r#"{"topic":"tool"}"#).0, "unknown_topic");
}

#[test]
fn a_uri_that_is_none() {
    for wrong in [
        "",
        "board",
        "board:",
        "1b://a",
        "://a",
        "board://a b",
        "board://a\\n",
        "board://a|b",
        "board://a/100%",
        "board://a/%zz",
        "board://to-do:monday",
    ] {
        assert_eq!(
            reason(&format!(r#"{{"uri":"{wrong}"}}"#)).0,
            "bad_uri",
            "{wrong}"
        );
    }
}

#[test]
fn a_uri_whose_refusal_says_what_to_mend() {
    let (_, sentence) = reason(r#"{"uri":"board://a|b"}"#);
    assert!(
        sentence.contains("'|'") && sentence.contains("%7C"),
        "{sentence}"
    );
    assert!(only(r#"{"uri":"board://a%7Cb"}"#).is_ok());
    assert!(only(r#"{"uri":"board://Gr\u00fcn"}"#).is_ok());
}

#[test]
fn a_uri_longer_than_allowed() {
    let encoded = format!(r#"{{"uri":"b:{}"}}"#, "\u{fc}".repeat(11));
    assert_eq!(
        reason(&encoded).0,
        "bad_uri",
        "22 bytes are 66 when encoded"
    );
    let uri = |bytes: usize| format!(r#"{{"uri":"b:{}"}}"#, "x".repeat(bytes - 2));
    assert!(only(&uri(64)).is_ok());
    assert_eq!(reason(&uri(65)).0, "bad_uri");
}

#[test]
fn contents_of_the_wrong_shape() {
    for wrong in [
        "1",
        "[]",
        "{}",
        r#"{"text":"a","blob":"YQ=="}"#,
        r#"{"text":1}"#,
        r#"{"blob":"%%%"}"#,
        r#"{"blob":"YQ"}"#,
        r#"{"text":"a","mimetype":"text/plain"}"#,
        r#""\ud800""#,
    ] {
        let body = format!(r#"{{"uri":"board://a","contents":{wrong}}}"#);
        assert_eq!(reason(&body).0, "bad_item", "{wrong}");
    }
    assert_eq!(reason(r#"{"topic":"tools","contents":"a"}"#).0, "bad_item");
}

#[test]
fn what_contents_can_be() {
    let with =
        |contents: &str| only(&format!(r#"{{"uri":"board://a","contents":{contents}}}"#)).unwrap();
    assert_eq!(only(r#"{"uri":"board://a"}"#), Ok(put(None)));
    assert_eq!(only(" \n {\"uri\": \"board://a\"} \r"), Ok(put(None)));
    assert_eq!(with("null"), put(Some(None)));
    assert_eq!(with(r#""soup""#), put(Some(Some(text("soup")))));
    assert_eq!(with(r#"{"text":"soup"}"#), put(Some(Some(text("soup")))));
    assert_eq!(
        with(r#"{"blob":"AAH/","mimeType":"image/png","name":"n","description":"d"}"#),
        put(Some(Some(Contents {
            mime_type: Some("image/png".into()),
            name: Some("n".into()),
            description: Some("d".into()),
            body: Body::Blob(vec![0, 1, 255]),
        })))
    );
}

#[test]
fn what_is_no_item() {
    for wrong in [
        "",
        "{",
        "1",
        "[]",
        "null",
        "[{}]",
        "{} {}",
        "uri=board://a",
        r#"{"uri": 7}"#,
        r#"{"topic": null}"#,
        r#"{"uri":"\ud800"}"#,
    ] {
        assert_eq!(reason(wrong).0, "bad_item", "{wrong}");
    }
    assert!(parse(b"{\"uri\":\"\xff\"}", 64).is_err());
}

#[test]
fn a_sentence_that_quotes_what_was_sent_is_bounded() {
    let (reason, sentence) = reason(&format!(r#"{{"{}": 1}}"#, "ü".repeat(10_000)));
    assert_eq!(reason, "bad_item");
    assert_eq!(sentence.chars().count(), SENTENCE_CHARS_MAX + 1);
}

fn message(message: &str) -> Result<PublishItem, PublishOutcome> {
    only(&format!(r#"{{"all":true,"message":{message}}}"#))
}

#[test]
fn whom_an_item_is_for() {
    let target = |body: &str| only(body).map(|item| item.target);
    let name = || SessionName::from("n1.abc".to_owned());
    let resource = || Topic::Resource("a:b".into());
    let said = || Notice::Message {
        level: 1,
        params: r#"{"level":"info","data":[1, 2]}"#.into(),
    };
    let text = r#"{"level":"info","data":[1, 2]}"#;
    for (body, expected) in [
        (
            r#"{"topic":"tools"}"#.to_owned(),
            Target::Topic(Topic::Tools),
        ),
        (
            r#"{"session":"n1.abc","topic":"prompts"}"#.to_owned(),
            Target::Session(name(), Notice::Changed(Topic::Prompts)),
        ),
        (
            r#"{"session":"n1.abc","uri":"a:b"}"#.to_owned(),
            Target::Session(name(), Notice::Changed(resource())),
        ),
        (
            format!(r#"{{"session":"n1.abc","message":{text}}}"#),
            Target::Session(name(), said()),
        ),
        (
            format!(r#"{{"all":true,"message":{text}}}"#),
            Target::All(said()),
        ),
    ] {
        assert_eq!(target(&body), Ok(expected), "{body}");
    }
}

#[test]
fn what_does_not_go_together() {
    for wrong in [
        r#"{"all":true}"#,
        r#"{"all":false,"message":MESSAGE}"#,
        r#"{"all":true,"topic":"tools"}"#,
        r#"{"all":true,"topic":"tools","message":MESSAGE}"#,
        r#"{"all":true,"session":"a","message":MESSAGE}"#,
        r#"{"session":"a"}"#,
        r#"{"session":"a","topic":"tools","message":MESSAGE}"#,
        r#"{"session":"a","topic":"tools","uri":"a:b"}"#,
        r#"{"session":"a","uri":"a:b","contents":"x"}"#,
        r#"{"session":"a","uri":"a:b","contents":null}"#,
        r#"{"session":7,"topic":"tools"}"#,
        r#"{"uri":"a:b","message":MESSAGE}"#,
        r#"{"message":MESSAGE}"#,
        r#"{"all":true,"message":MESSAGE,"contents":"x"}"#,
    ] {
        let body = wrong.replace("MESSAGE", r#"{"level":"info","data":1}"#);
        assert_eq!(reason(&body).0, "bad_item", "{body}");
    }
}

#[test]
fn messages_that_are_none() {
    for wrong in [
        "1",
        "null",
        "[]",
        "\"hello\"",
        "{}",
        r#"{"level":"info"}"#,
        r#"{"data":1}"#,
        r#"{"level":"loud","data":1}"#,
        r#"{"level":"INFO","data":1}"#,
        r#"{"level":1,"data":1}"#,
        r#"{"level":"info","data":1,"logger":2}"#,
        r#"{"level":"info","data":1,"log":"x"}"#,
    ] {
        let refused = message(wrong).map_err(|answer| match answer {
            PublishOutcome::Refused { reason, .. } => reason,
            PublishOutcome::Accepted { .. } => unreachable!("an error is a refusal"),
        });
        // An absent message is told as such.
        let expected = if wrong == "null" {
            "bad_item"
        } else {
            "bad_message"
        };
        assert_eq!(refused, Err(expected), "{wrong}");
    }
}

#[test]
fn a_message_longer_than_allowed() {
    let with = |bytes: usize| {
        let data = "x".repeat(bytes);
        message(&json!({"level": "info", "data": data}).to_string())
    };
    let around = r#"{"level":"info","data":""}"#.len();
    assert!(with(super::super::MESSAGE_BYTES_MAX - around).is_ok());
    let long = with(super::super::MESSAGE_BYTES_MAX - around + 1);
    assert!(matches!(
        long,
        Err(PublishOutcome::Refused {
            reason: "too_large",
            ..
        })
    ));
}

#[test]
fn a_message_becomes_params_on_one_line() {
    let item = message(
        "{\"level\":\"emergency\",\"logger\":\"a\\\"b\",\"data\":{\r\n\"x\": 12345678901234567890123}}",
    );
    let Target::All(Notice::Message { level, params }) = item.unwrap().target else {
        panic!("a message for all");
    };
    assert_eq!(level, 7);
    assert_eq!(
        &*params,
        r#"{"level":"emergency","logger":"a\"b","data":{  "x": 12345678901234567890123}}"#
    );
}

#[test]
fn keys_that_are_none() {
    let long = "x".repeat(129);
    for wrong in ["\"\"", "7", "{}", &format!("\"{long}\"")] {
        assert_eq!(
            reason(&format!(r#"{{"topic":"tools","key":{wrong}}}"#)).0,
            "bad_key"
        );
    }
    let longest = format!(r#"{{"topic":"tools","key":"{}"}}"#, &long[1..]);
    assert_eq!(only(&longest).unwrap().key.as_deref(), Some(&long[1..]));
}

#[test]
fn a_session_id_does_not_show() {
    let item = only(r#"{"session":"n1.secret","topic":"tools"}"#).unwrap();
    assert!(!format!("{item:?}").contains("secret"));
}

#[test]
fn an_item_for_a_principal_that_is_told_to_everyone() {
    let alice = PrincipalId::of("https://login.example", "alice");
    let by_name = r#"{"issuer":"https://login.example","subject":"alice"}"#;
    let by_id = format!("\"{alice}\"");
    for principal in [by_name, &by_id] {
        let item = only(&format!(r#"{{"uri":"board://a","principal":{principal}}}"#));
        let topic = Topic::Resource("board://a".into());
        assert_eq!(item.map(|it| it.target), Ok(Target::Directed(alice, topic)));
        let item = only(&format!(r#"{{"topic":"tools","principal":{principal}}}"#));
        let target = Target::Directed(alice, Topic::Tools);
        assert_eq!(item.map(|it| it.target), Ok(target));
    }
}

/// A publisher that does not know its user any more, say.
#[test]
fn a_principal_that_is_nobody_and_taken_for_everybody() {
    for nobody in [
        "null",
        "\"\"",
        "\"alice\"",
        "{}",
        "[]",
        "0",
        "false",
        r#"{"issuer":"i"}"#,
        r#"{"subject":"s"}"#,
        r#"{"issuer":"i","subject":null}"#,
        r#"{"issuer":"i","subject":"s","tenant":"t"}"#,
        r#""dc18d98ab34b2f83b5913fec82dc81e""#,
    ] {
        let body = format!(r#"{{"topic":"tools","principal":{nobody}}}"#);
        let (reason, sentence) = reason(&body);
        assert_eq!(reason, "bad_principal", "{body}");
        assert!(sentence.contains("issuer"), "{sentence}");
    }
}

#[test]
fn contents_or_a_message_for_a_principal() {
    let principal = r#""principal":{"issuer":"i","subject":"s"}"#;
    for (rest, hint) in [
        (r#""uri":"board://a","contents":"soup""#, "uri alone"),
        (r#""uri":"board://a","contents":null"#, "uri alone"),
        (r#""session":"n.1","uri":"board://a""#, "leave session"),
        (
            r#""all":true,"message":{"level":"info","data":1}"#,
            "leave session",
        ),
    ] {
        let (reason, sentence) = reason(&format!("{{{rest},{principal}}}"));
        assert_eq!(reason, "bad_item");
        assert!(sentence.contains(hint), "{sentence}");
    }
    assert_eq!(reason(&format!("{{{principal}}}")).0, "bad_item");
}
