//! The body of `POST /publish`, in both directions.
//!
//! In: one item or a list of them. An item that is wrong is refused by itself and the others are taken, so that
//! a batch never fails for one typo. Out: one answer per item, in the order they came.
//!
//! ```json
//! [{"uri": "board://lunch", "contents": {"text": "soup", "mimeType": "text/plain"}}, {"topic": "tools"}]
//! [{"accepted": true, "offset": 17}, {"accepted": false, "reason": "bad_item", "message": "…"}]
//! ```
//!
//! `?subscribers=true` adds how many subscribe to it on this node: `"subscribers": 12`.
//!
//! Among several nodes an accepted item also says who keeps it: `"kept": "cluster"`, or `"node"` for one that only this
//! node has until Redis is back.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::idempotent::PublishReply;
use super::{OperatorBackend, PublishItem, PublishOutcome, Target, item};
use crate::app::call::KeptBy;

/// Items of one request. A thousand bring a batch's overhead below a microsecond per item; a publisher of more
/// sends lines.
pub const ITEMS_MAX: usize = 1000;

/// Items of one request for which subscribers are counted: a person publishes a few.
const COUNTED_ITEMS_MAX: usize = 16;

/// A body of which no item can be told from another: the status, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnreadableBody(pub(super) u16, pub(super) String);

/// Reads a body; items that are wrong come back as the answer they deserve.
pub(super) fn parse(
    body: &[u8],
    uri_bytes_max: usize,
) -> Result<Vec<Result<PublishItem, PublishOutcome>>, UnreadableBody> {
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| UnreadableBody(400, format!("The body is not JSON: {error}")))?;
    let items: Vec<&RawValue> = match raw.get().as_bytes()[0] {
        b'[' => serde_json::from_str(raw.get()).expect("it was read as a value just now"),
        b'{' => vec![raw],
        _ => {
            let sentence = "The body must be an item, such as {\"uri\": \"board://lunch\"}, or a list of items";
            return Err(UnreadableBody(400, sentence.into()));
        }
    };
    if items.len() > ITEMS_MAX {
        let sentence = format!(
            "The list has {} items; send at most {ITEMS_MAX} at a time, or lines (NDJSON), one item each, of any number: Content-Type: application/x-ndjson",
            items.len()
        );
        return Err(UnreadableBody(413, sentence));
    }
    Ok(items
        .into_iter()
        .map(|raw| item::parse(raw.get().as_bytes(), uri_bytes_max))
        .collect())
}

/// One answer as it goes to the publisher.
pub(super) fn render(reply: &PublishReply) -> Value {
    let mut object = match &reply.answer {
        PublishOutcome::Accepted { offset, kept } => accepted(*offset, *kept),
        PublishOutcome::Refused { reason, sentence } => {
            json!({ "accepted": false, "reason": reason, "message": sentence })
        }
    };
    if reply.duplicate {
        object["duplicate"] = true.into();
    }
    object
}

/// With how many heard of it, where somebody asked for that.
pub(super) fn render_with(reply: &PublishReply, subscribers: Option<usize>) -> Value {
    let mut object = render(reply);
    if let Some(count) = subscribers.filter(|_| !reply.is_refusal() && !reply.duplicate) {
        object["subscribers"] = count.into();
    }
    object
}

/// Whether the answers shall say how many subscribe: `?subscribers=true`. Each item is a question to each core then, which no
/// publisher of many should put.
///
/// # Errors
/// What may be asked for.
pub(super) fn asks_for_subscribers(
    query: Option<&str>,
    item_count: usize,
) -> Result<bool, UnreadableBody> {
    if query != Some("subscribers=true") {
        return Ok(false);
    }
    if item_count > COUNTED_ITEMS_MAX {
        let sentence = format!(
            "Subscribers are counted for at most {COUNTED_ITEMS_MAX} items at a time; there are {item_count}"
        );
        return Err(UnreadableBody(413, sentence));
    }
    Ok(true)
}

/// How many subscribe to what each item is for, on this node, just before it is published. None: it is not for all who subscribe,
/// or a core does not answer.
pub(super) async fn count_subscribers(
    items: &[Result<PublishItem, PublishOutcome>],
    backend: &dyn OperatorBackend,
) -> Vec<Option<usize>> {
    let mut counts = Vec::with_capacity(items.len());
    for item in items {
        counts.push(match item {
            Ok(PublishItem {
                target: Target::Topic(topic),
                ..
            }) => backend.subscribers(topic.clone()).await.ok(),
            _ => None,
        });
    }
    counts
}

fn accepted(offset: Option<u64>, kept: Option<KeptBy>) -> Value {
    let mut object = json!({ "accepted": true });
    if let Some(offset) = offset {
        object["offset"] = offset.into();
    }
    if let Some(kept) = kept {
        object["kept"] = match kept {
            KeptBy::Cluster => "cluster",
            KeptBy::Node => "node",
        }
        .into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_json() {
        for wrong in ["", "{", "[1,]", "{} {}", "uri=board://a", "\"\\ud800\"x"] {
            assert!(parse(wrong.as_bytes(), 64).is_err(), "{wrong}");
        }
        assert!(parse(b"{\"uri\":\"\xff\"}", 64).is_err());
    }

    #[test]
    fn one_item_more_than_allowed() {
        let list = |count| format!("[{}]", vec![r#"{"topic":"tools"}"#; count].join(","));
        assert_eq!(
            parse(list(ITEMS_MAX).as_bytes(), 64).unwrap().len(),
            ITEMS_MAX
        );
        let UnreadableBody(status, sentence) =
            parse(list(ITEMS_MAX + 1).as_bytes(), 64).unwrap_err();
        assert_eq!(status, 413);
        assert!(
            sentence.contains("1001") && sentence.contains("NDJSON"),
            "{sentence}"
        );
        assert_eq!(parse(b"[]", 64), Ok(vec![]));
    }

    #[test]
    fn one_wrong_item_spoils_no_other() {
        let items = parse(br#"[{"topic":"tools"},{},{"topic":"prompts"}]"#, 64).unwrap();
        let sound: Vec<bool> = items.iter().map(Result::is_ok).collect();
        assert_eq!(sound, [true, false, true]);
    }

    #[test]
    fn json_of_another_shape() {
        for wrong in ["null", "1", "\"board://a\"", "true"] {
            assert!(parse(wrong.as_bytes(), 64).is_err(), "{wrong}");
        }
        for wrong in ["[1]", "[[]]", "[null]"] {
            let items = parse(wrong.as_bytes(), 64).unwrap();
            assert!(matches!(items[..], [Err(_)]), "{wrong}");
        }
    }

    #[test]
    fn what_an_answer_looks_like() {
        let accepted = |offset, duplicate| PublishReply {
            answer: PublishOutcome::Accepted { offset, kept: None },
            duplicate,
        };
        let text = |reply| render(&reply).to_string();
        assert_eq!(
            text(accepted(Some(7), false)),
            r#"{"accepted":true,"offset":7}"#
        );
        assert_eq!(
            text(accepted(None, true)),
            r#"{"accepted":true,"duplicate":true}"#
        );
        for (kept, word) in [(KeptBy::Cluster, "cluster"), (KeptBy::Node, "node")] {
            let reply = PublishReply::from(PublishOutcome::Accepted {
                offset: Some(7),
                kept: Some(kept),
            });
            assert_eq!(render(&reply)["kept"], word);
        }
    }
}
