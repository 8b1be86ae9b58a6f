//! `?cluster`: an operator asks one node and hears of all. The others are asked at once, and whoever does not answer in time is
//! named, with the reason: what is missing is never silently missing.

mod cursor;
mod merge;

use futures_util::stream::{self, StreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::cursor::{AllNodesCursor, NodePlace};
use self::merge::{merge, rows_of};
use super::operators::OperatorBackend;
use super::peers::{NodeAnswer, answer_peer};
use super::response::AdminResponse;
use super::sessions::{self, pairs};
use crate::principal::PrincipalId;
use crate::wire::http1::Method;
use crate::wire::operator_name::{NotAName, OperatorName};
use crate::wire::session_id::NodeName;

/// Nodes that are asked at once. Each may answer with some megabytes, and clusters have tens of nodes.
const ASKED_AT_ONCE_MAX: usize = 32;

/// The query without `cluster`. None: one node is asked.
pub(super) fn without_cluster(query: &str) -> Option<String> {
    let is_cluster = |part: &&str| matches!(*part, "cluster" | "cluster=" | "cluster=true");
    let parts = query.split('&');
    let others: Vec<&str> = parts.clone().filter(|part| !is_cluster(part)).collect();
    (others.len() < parts.count()).then(|| others.join("&"))
}

/// Who did not answer, and why.
#[derive(Serialize)]
struct SilentNode {
    node: String,
    reason: String,
}

/// What all said.
struct Heard {
    answers: Vec<(String, Vec<u8>)>,
    unanswered: Vec<SilentNode>,
}

/// The others by name, and this one among them.
fn all(backend: &dyn OperatorBackend) -> Vec<String> {
    let others = backend.other_nodes().into_iter();
    let mut names: Vec<String> = others.map(|it| it.to_string()).collect();
    names.push(backend.name());
    names.sort_unstable();
    names
}

/// # Errors
/// Why it does not answer.
async fn ask(
    backend: &dyn OperatorBackend,
    node: &str,
    method: Method,
    target: String,
) -> Result<NodeAnswer, String> {
    if node == backend.name() {
        return Ok(answer_peer(method, &target, backend).await);
    }
    let name = NodeName::new(node).ok_or("this is no node's name")?;
    let answer = backend.ask_node(name, method, target).await?;
    match (answer.status, error_of(&answer)) {
        // A client's answer, not an operator's.
        (404, Some(Value::Object(_))) => Err(
            "it does not take this question: its version does not know it, its --peer-secret-file is another one, or it was \
             started again a moment ago"
                .to_owned(),
        ),
        (_, Some(Value::Object(error))) => Err(match error.get("message").and_then(Value::as_str) {
            Some(sentence) => sentence.to_owned(),
            None => format!("it answered {}", answer.status),
        }),
        _ => Ok(answer),
    }
}

fn error_of(answer: &NodeAnswer) -> Option<Value> {
    if answer.status < 400 {
        return None;
    }
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    Some(body["error"].take())
}

/// Asks nodes, each its own question.
async fn ask_all(
    backend: &dyn OperatorBackend,
    method: Method,
    questions: Vec<(String, String)>,
) -> Heard {
    let asked = questions.into_iter().map(|(node, target)| async move {
        let answer = ask(backend, &node, method, target).await;
        (node, answer)
    });
    let mut answers = stream::iter(asked).buffered(ASKED_AT_ONCE_MAX);
    let mut heard = Heard {
        answers: Vec::new(),
        unanswered: Vec::new(),
    };
    while let Some((node, answer)) = answers.next().await {
        match answer {
            Ok(answer) if answer.status < 300 => heard.answers.push((node, answer.body)),
            Ok(answer) => heard.refuse(node, said(&answer)),
            Err(reason) => heard.refuse(node, reason),
        }
    }
    heard
}

fn said(answer: &NodeAnswer) -> String {
    let error = error_of(answer).unwrap_or_default();
    let sentence = error.as_str().map(str::to_owned);
    sentence.unwrap_or_else(|| format!("it answered {}", answer.status))
}

impl Heard {
    fn refuse(&mut self, node: String, reason: String) {
        self.unanswered.push(SilentNode { node, reason });
    }

    /// What was answered, as one part of each; an answer that is none is a missing one.
    fn read<'a, T: serde::Deserialize<'a>>(
        answers: &'a [(String, Vec<u8>)],
        unanswered: &mut Vec<SilentNode>,
    ) -> Vec<(&'a str, T)> {
        let mut read = Vec::new();
        for (node, body) in answers {
            match serde_json::from_slice(body) {
                Ok(part) => read.push((node.as_str(), part)),
                Err(_) => unanswered.push(SilentNode {
                    node: node.clone(),
                    reason: "what it answered cannot be understood: its version may be another one"
                        .to_owned(),
                }),
            }
        }
        read
    }
}

fn of_each(nodes: Vec<String>, target: &str) -> Vec<(String, String)> {
    let with = |node| (node, target.to_owned());
    nodes.into_iter().map(with).collect()
}

/// `GET /node?cluster`
pub(super) async fn nodes(backend: &dyn OperatorBackend) -> AdminResponse {
    let heard = ask_all(backend, Method::Get, of_each(all(backend), "/node")).await;
    let mut unanswered = heard.unanswered;
    let nodes = Heard::read::<&RawValue>(&heard.answers, &mut unanswered);
    #[derive(Serialize)]
    struct Nodes<'a> {
        node: String,
        nodes: Vec<&'a RawValue>,
        unanswered: Vec<SilentNode>,
    }
    AdminResponse::of(&Nodes {
        node: backend.name(),
        nodes: nodes.into_iter().map(|(_, it)| it).collect(),
        unanswered,
    })
}

/// A page of sessions, as it is told.
#[derive(Serialize)]
struct AllNodesPage<'a> {
    sessions: Vec<&'a RawValue>,
    total: usize,
    next: Option<String>,
    node: String,
    unanswered: Vec<SilentNode>,
}

/// `GET /sessions?cluster&…`: filters, order and pages as of one node. `node` is one filter more.
pub(super) async fn list(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let (mut node, mut after, mut filters) = (None, AllNodesCursor::default(), String::new());
    for (name, value) in pairs(query) {
        match &*name {
            "node" => node = Some(value),
            "after" => match AllNodesCursor::parse(&value) {
                Some(cursor) => after = cursor,
                None => {
                    let sentence =
                        "after must be what the page before has as \"next\", of all nodes as well.";
                    return AdminResponse::error(400, sentence);
                }
            },
            _ => filters += &format!("{name}={}&", encoded(&value)),
        }
    }
    let asked = match sessions::question(&filters) {
        Ok(asked) => asked,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    let nodes = node.map_or_else(|| all(backend), |node| vec![node]);
    let questions = nodes.into_iter().filter_map(|node| {
        let target = match after.place(&node) {
            Some(NodePlace::Done(_)) => return None,
            Some(NodePlace::After(at)) => format!("/sessions?{filters}after={at}"),
            None => format!("/sessions?{filters}"),
        };
        Some((node, target))
    });
    let heard = ask_all(backend, Method::Get, questions.collect()).await;
    let mut unanswered = heard.unanswered;
    let parts = Heard::read(&heard.answers, &mut unanswered);
    let page = merge(&parts, asked.limit);
    let (next, total) = after.behind(&parts, &page);
    AdminResponse::of(&AllNodesPage {
        sessions: rows_of(&page),
        total,
        next,
        node: backend.name(),
        unanswered,
    })
}

/// `GET /sessions/ended?cluster`: of all nodes those that ended last.
pub(super) async fn ended(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let limit = match sessions::ended_limit(query) {
        Ok(limit) => limit,
        Err(refusal) => return refusal,
    };
    let target = format!("/sessions/ended?limit={limit}");
    let heard = ask_all(backend, Method::Get, of_each(all(backend), &target)).await;
    let mut unanswered = heard.unanswered;
    let parts = Heard::read(&heard.answers, &mut unanswered);
    #[derive(Serialize)]
    struct Ended<'a> {
        ended: Vec<&'a RawValue>,
        node: String,
        unanswered: Vec<SilentNode>,
    }
    AdminResponse::of(&Ended {
        ended: rows_of(&merge(&parts, limit)),
        node: backend.name(),
        unanswered,
    })
}

/// `DELETE /sessions?principal=…&cluster`
pub(super) async fn end_all_of(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let Some(principal) = sessions::only_principal(query) else {
        return sessions::say_whose();
    };
    let target = target_of(principal);
    let heard = ask_all(backend, Method::Delete, of_each(all(backend), &target)).await;
    let mut unanswered = heard.unanswered;
    let counts: Vec<(&str, u64)> = Heard::read::<Value>(&heard.answers, &mut unanswered)
        .into_iter()
        .map(|(node, answer)| (node, answer["ended"].as_u64().unwrap_or(0)))
        .collect();
    let nodes = counts.iter();
    let nodes = nodes.map(|(node, count)| json!({"node": node, "ended": count}));
    AdminResponse::json(
        200,
        &json!({
            "ended": counts.iter().map(|(_, count)| count).sum::<u64>(),
            "nodes": nodes.collect::<Value>(),
            "unanswered": unanswered,
        }),
    )
}

fn target_of(principal: PrincipalId) -> String {
    format!("/sessions?principal={principal}")
}

/// `/sessions/{name}?cluster`: the node is asked that the name begins with.
pub(super) async fn one(
    method: Method,
    name: Result<OperatorName, NotAName>,
    more: &str,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let Ok(name) = name else {
        return sessions::no_name();
    };
    let node = name.node.to_string();
    let target = format!("/sessions/{name}{more}");
    match ask(backend, &node, method, target).await {
        Ok(answer) => AdminResponse {
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            ..AdminResponse::json(answer.status, &Value::Null)
        },
        Err(reason) => AdminResponse::json(
            504,
            &json!({
                "error": format!("Node {node} did not answer: {reason}."),
                "unanswered": [SilentNode { node, reason }],
            }),
        ),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests;
