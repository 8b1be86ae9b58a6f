//! Items as the publisher has them: from targets, from lines or a list on standard input, and in batches that
//! the admin listener takes.

use std::io::BufRead;
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use crate::admin::{BODY_BYTES_MAX, ITEMS_MAX};

/// The item for a target of the command line. `contents` of `null` delete.
pub(super) fn target_item(target: &str, contents: Option<&Value>) -> Result<Value, String> {
    let is_topic = matches!(target, "tools" | "prompts" | "resources");
    if !is_topic && !target.contains(':') {
        return Err(format!(
            "invalid value '{target}' for '<TARGET>...': must be a URI such as board://lunch, or tools, prompts or resources, or - alone"
        ));
    }
    match (is_topic, contents) {
        (true, None) => Ok(json!({ "topic": target })),
        (true, Some(_)) => Err(format!(
            "'{target}' is a list and has no contents; --text, --file, --blob and --delete are for URIs"
        )),
        (false, None) => Ok(json!({ "uri": target })),
        (false, Some(contents)) => Ok(json!({ "uri": target, "contents": contents })),
    }
}

/// Hands over each item of `input`, one JSON value per line or a list, until there are no more or `take` says so.
pub(super) fn split_input(
    input: impl BufRead,
    mut take: impl FnMut(Result<Value, String>) -> bool,
) {
    for value in serde_json::Deserializer::from_reader(input).into_iter() {
        let goes_on = match value {
            Ok(Value::Array(items)) => items.into_iter().all(|item| take(Ok(item))),
            Ok(item) => take(Ok(item)),
            Err(error) => {
                take(Err(format!("standard input is not JSON: {error}")));
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Groups items into batches: as many as have arrived, and no more than the listener takes at once.
pub(super) struct Batches {
    items: Receiver<Result<Value, String>>,
    /// Did not fit the batch before.
    left_over: Option<Value>,
    wrong: Option<String>,
}

impl Batches {
    pub(super) fn new(items: Receiver<Result<Value, String>>) -> Self {
        Batches {
            items,
            left_over: None,
            wrong: None,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Vec<Value>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(wrong) = self.wrong.take() {
            return Some(Err(wrong));
        }
        let first = match self.left_over.take() {
            Some(item) => item,
            None => match self.items.recv().ok()? {
                Ok(item) => item,
                Err(wrong) => return Some(Err(wrong)),
            },
        };
        let mut bytes = 2 + size_of_json(&first);
        let mut batch = vec![first];
        while batch.len() < ITEMS_MAX {
            match self.items.try_recv() {
                Ok(Ok(item)) => {
                    bytes += 1 + size_of_json(&item);
                    if bytes > BODY_BYTES_MAX {
                        self.left_over = Some(item);
                        break;
                    }
                    batch.push(item);
                }
                Ok(Err(wrong)) => {
                    self.wrong = Some(wrong);
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Ok(batch))
    }
}

fn size_of_json(value: &Value) -> usize {
    serde_json::to_vec(value).expect("values are JSON").len()
}

/// What is printed for an item and its answer.
pub(super) fn line_of(item: &Value, answer: &Value) -> String {
    let target = item["uri"]
        .as_str()
        .or(item["topic"].as_str())
        .map_or_else(|| item.to_string(), ToOwned::to_owned);
    if answer["accepted"] == true {
        format!("accepted  {target}  offset {}", answer["offset"])
    } else {
        let reason = answer["reason"].as_str().unwrap_or("unknown");
        let message = answer["message"].as_str().unwrap_or_default();
        format!("refused   {target}  {reason}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn split(input: &str) -> Vec<Result<Value, String>> {
        let mut items = Vec::new();
        split_input(input.as_bytes(), |item| {
            items.push(item);
            true
        });
        items
    }

    #[test]
    fn a_target_that_is_neither_a_uri_nor_a_list() {
        let refused = target_item("lunch", None).unwrap_err();
        assert!(
            refused.contains("'lunch'") && refused.contains("board://lunch"),
            "{refused}"
        );
    }

    #[test]
    fn contents_for_a_list() {
        assert!(target_item("tools", Some(&Value::Null)).is_err());
        assert_eq!(target_item("tools", None), Ok(json!({"topic": "tools"})));
        assert_eq!(
            target_item("board://a", Some(&Value::Null)),
            Ok(json!({"uri": "board://a", "contents": null}))
        );
    }

    #[test]
    fn lines_and_lists_mean_the_same() {
        let items = vec![Ok(json!({"topic": "tools"})), Ok(json!({"uri": "a:b"}))];
        assert_eq!(split("{\"topic\":\"tools\"}\n{\"uri\":\"a:b\"}\n"), items);
        assert_eq!(split("[{\"topic\":\"tools\"},\n{\"uri\":\"a:b\"}]"), items);
        assert_eq!(split("\n"), vec![]);
    }

    #[test]
    fn a_line_that_is_not_json_ends_the_input() {
        let items = split("{}\nnonsense\n{}\n");
        assert_eq!(items.len(), 2);
        assert!(
            items[1].as_ref().unwrap_err().contains("line 2"),
            "{items:?}"
        );
    }

    #[test]
    fn more_items_than_one_request_takes() {
        let (sender, receiver) = channel();
        for _ in 0..=ITEMS_MAX {
            sender.send(Ok(json!({}))).unwrap();
        }
        let large = json!({ "uri": "a:b", "contents": "x".repeat(BODY_BYTES_MAX * 2 / 3) });
        sender.send(Ok(large.clone())).unwrap();
        sender.send(Ok(large)).unwrap();
        sender.send(Err("wrong".into())).unwrap();
        drop(sender);
        let sizes: Vec<_> = Batches::new(receiver)
            .map(|batch| batch.map(|batch| batch.len()))
            .collect();
        assert_eq!(sizes, [Ok(ITEMS_MAX), Ok(2), Ok(1), Err("wrong".into())]);
    }

    #[test]
    fn a_refusal_says_which_and_why() {
        let answer = json!({"accepted": false, "reason": "bad_item", "message": "no"});
        assert_eq!(
            line_of(&json!({"u": 1}), &answer),
            "refused   {\"u\":1}  bad_item: no"
        );
        let answer = json!({"accepted": true, "offset": 17});
        assert_eq!(
            line_of(&json!({"uri": "a:b"}), &answer),
            "accepted  a:b  offset 17"
        );
    }
}
