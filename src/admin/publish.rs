//! The body of `POST /publish`, in both directions.
//!
//! In: one item or a list of them. An item that is wrong is refused by itself and the others are taken, so that
//! a batch never fails for one typo; a field nobody knows makes an item wrong, so that no typo goes unnoticed.
//! Out: one answer per item, in the order they came.
//!
//! ```json
//! [{"uri": "board://lunch", "contents": {"text": "soup", "mimeType": "text/plain"}}, {"topic": "tools"}]
//! [{"accepted": true, "offset": 17}, {"accepted": false, "reason": "bad_item", "message": "…"}]
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Answer, Item, Target};
use crate::app::call::Topic;
use crate::app::contents::{Body, Contents};

/// Items of one request. A thousand bring a batch's overhead below a microsecond per item; a publisher of more
/// sends the next batch.
pub const ITEMS_MAX: usize = 1000;

/// A body of which no item can be told from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemBody<'a> {
    uri: Option<String>,
    topic: Option<String>,
    /// `null` is present and means delete.
    #[serde(borrow, default, deserialize_with = "present")]
    contents: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContentsBody {
    text: Option<String>,
    blob: Option<String>,
    mime_type: Option<String>,
    name: Option<String>,
    description: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a body; items that are wrong come back as the answer they deserve.
pub(super) fn parse(
    body: &[u8],
    uri_bytes_max: usize,
) -> Result<Vec<Result<Item, Answer>>, Unreadable> {
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| Unreadable(format!("The body is not JSON: {error}")))?;
    let items: Vec<&RawValue> = match raw.get().as_bytes()[0] {
        b'[' => serde_json::from_str(raw.get()).expect("it was read as a value just now"),
        b'{' => vec![raw],
        _ => {
            return Err(Unreadable(
                "The body must be an item, such as {\"uri\": \"board://lunch\"}, or a list of items".into(),
            ));
        }
    };
    if items.len() > ITEMS_MAX {
        return Err(Unreadable(format!(
            "The list has {} items; send at most {ITEMS_MAX} at a time",
            items.len()
        )));
    }
    Ok(items
        .into_iter()
        .map(|raw| item(raw, uri_bytes_max))
        .collect())
}

/// One answer as it goes to the publisher.
pub(super) fn render(answer: &Answer) -> Value {
    match answer {
        Answer::Accepted { offset } => json!({ "accepted": true, "offset": offset }),
        Answer::Refused { reason, sentence } => {
            json!({ "accepted": false, "reason": reason, "message": sentence })
        }
    }
}

fn item(raw: &RawValue, uri_bytes_max: usize) -> Result<Item, Answer> {
    let body: ItemBody = serde_json::from_str(raw.get())
        .map_err(|error| refused("bad_item", format!("The item cannot be read: {error}")))?;
    let topic = match (body.uri, body.topic) {
        (Some(uri), None) => resource(uri, uri_bytes_max)?,
        (None, Some(topic)) => list(&topic)?,
        (Some(_), Some(_)) => {
            return Err(refused(
                "bad_item",
                "The item has a uri and a topic; give one of them",
            ));
        }
        (None, None) => {
            return Err(refused(
                "bad_item",
                "The item has neither a uri nor a topic",
            ));
        }
    };
    let contents = body.contents.map(contents).transpose()?;
    if contents.is_some() && !matches!(topic, Topic::Resource(_)) {
        return Err(refused(
            "bad_item",
            "Contents belong to a uri; a topic has none",
        ));
    }
    Ok(Item {
        target: Target::Topic(topic),
        contents,
    })
}

fn resource(uri: String, uri_bytes_max: usize) -> Result<Topic, Answer> {
    if uri.len() > uri_bytes_max {
        return Err(refused(
            "bad_uri",
            format!(
                "The uri has {} bytes; at most {uri_bytes_max} are allowed",
                uri.len()
            ),
        ));
    }
    if !is_uri(&uri) {
        return Err(refused(
            "bad_uri",
            "The uri must be a scheme, a colon and more, without spaces or control characters, such as board://lunch",
        ));
    }
    Ok(Topic::Resource(uri.into_boxed_str()))
}

/// `scheme:…` (RFC 3986 section 3.1), with room for the non-ASCII characters that clients send unescaped.
fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && !rest
            .chars()
            .any(|char| char.is_whitespace() || char.is_control())
}

fn list(topic: &str) -> Result<Topic, Answer> {
    match topic {
        "tools" => Ok(Topic::Tools),
        "prompts" => Ok(Topic::Prompts),
        "resources" => Ok(Topic::Resources),
        _ => Err(refused(
            "unknown_topic",
            "The topic must be tools, prompts or resources; one resource is named by its uri",
        )),
    }
}

fn contents(raw: &RawValue) -> Result<Option<Contents>, Answer> {
    let bad = |error: serde_json::Error| {
        refused("bad_item", format!("The contents cannot be read: {error}"))
    };
    match raw.get().as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => Ok(Some(Contents {
            mime_type: None,
            name: None,
            description: None,
            body: Body::Text(serde_json::from_str(raw.get()).map_err(bad)?),
        })),
        b'{' => serde_json::from_str(raw.get())
            .map_err(bad)
            .and_then(described)
            .map(Some),
        _ => Err(refused(
            "bad_item",
            "Contents must be an object, a string (text) or null (delete)",
        )),
    }
}

fn described(contents: ContentsBody) -> Result<Contents, Answer> {
    let body =
        match (contents.text, contents.blob) {
            (Some(text), None) => Body::Text(text),
            (None, Some(blob)) => Body::Blob(BASE64.decode(blob).map_err(|error| {
                refused("bad_item", format!("The blob is not base64: {error}"))
            })?),
            (Some(_), Some(_)) => {
                return Err(refused(
                    "bad_item",
                    "The contents have a text and a blob; give one of them",
                ));
            }
            (None, None) => {
                return Err(refused(
                    "bad_item",
                    "The contents have neither a text nor a blob",
                ));
            }
        };
    Ok(Contents {
        mime_type: contents.mime_type,
        name: contents.name,
        description: contents.description,
        body,
    })
}

fn refused(reason: &'static str, sentence: impl Into<String>) -> Answer {
    Answer::Refused {
        reason,
        sentence: sentence.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(body: &str) -> Result<Item, Answer> {
        let mut items = parse(body.as_bytes(), 64).unwrap();
        assert_eq!(items.len(), 1);
        items.remove(0)
    }

    fn reason(body: &str) -> (&'static str, String) {
        match only(body) {
            Err(Answer::Refused { reason, sentence }) => (reason, sentence),
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

    fn put(contents: Option<Option<Contents>>) -> Item {
        Item {
            target: Target::Topic(Topic::Resource("board://a".into())),
            contents,
        }
    }

    #[test]
    fn not_json() {
        for wrong in ["", "{", "[1,]", "{} {}", "uri=board://a", "\"\\ud800\"x"] {
            assert!(parse(wrong.as_bytes(), 64).is_err(), "{wrong}");
        }
        assert!(parse(b"{\"uri\":\"\xff\"}", 64).is_err());
    }

    #[test]
    fn json_of_another_shape() {
        for wrong in ["null", "1", "\"board://a\"", "true"] {
            assert!(parse(wrong.as_bytes(), 64).is_err(), "{wrong}");
        }
        for wrong in [
            "[1]",
            "[[]]",
            "[null]",
            "[{\"uri\": 7}]",
            "[{\"topic\": null}]",
        ] {
            assert_eq!(reason(wrong).0, "bad_item", "{wrong}");
        }
    }

    #[test]
    fn one_item_more_than_allowed() {
        let list = |count| format!("[{}]", vec![r#"{"topic":"tools"}"#; count].join(","));
        assert_eq!(
            parse(list(ITEMS_MAX).as_bytes(), 64).unwrap().len(),
            ITEMS_MAX
        );
        let Unreadable(sentence) = parse(list(ITEMS_MAX + 1).as_bytes(), 64).unwrap_err();
        assert!(sentence.contains("1001"), "{sentence}");
        assert_eq!(parse(b"[]", 64), Ok(vec![]));
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
        ] {
            assert_eq!(
                reason(&format!(r#"{{"uri":"{wrong}"}}"#)).0,
                "bad_uri",
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_uri_longer_than_allowed() {
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
    fn one_wrong_item_spoils_no_other() {
        let items = parse(br#"[{"topic":"tools"},{},{"topic":"prompts"}]"#, 64).unwrap();
        let sound: Vec<bool> = items.iter().map(Result::is_ok).collect();
        assert_eq!(sound, [true, false, true]);
    }

    #[test]
    fn what_contents_can_be() {
        let with = |contents: &str| {
            only(&format!(r#"{{"uri":"board://a","contents":{contents}}}"#)).unwrap()
        };
        assert_eq!(only(r#"{"uri":"board://a"}"#), Ok(put(None)));
        assert_eq!(only(" \n[ {\"uri\": \"board://a\"} ]\n"), Ok(put(None)));
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
}
