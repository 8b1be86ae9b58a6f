//! Pages of several nodes: nothing twice, nothing never.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::value::to_raw_value;

use super::*;
use crate::admin::node_rows::{NodeRow, NodeRows};
use crate::admin::{
    PublishBackend, PublishItem, PublishOutcome, Revocation, RevokeOutcome, Viewed, refused,
};
use crate::app::call::Availability;
use crate::shard::view::EndedRow;

/// Rows of one node with these ranks, as it gives them from `after` on.
fn part(ranks: &[u64], after: usize, limit: usize) -> NodeRows {
    let rows = ranks.iter().enumerate().skip(after).take(limit);
    NodeRows {
        rows: rows
            .map(|(at, rank)| NodeRow {
                rank: *rank,
                at: format!("at-{}", at + 1),
                row: to_raw_value(&json!([rank, at])).expect("JSON"),
            })
            .collect(),
        total: ranks.len(),
        more: after + limit < ranks.len(),
    }
}

fn after(cursor: &AllNodesCursor, node: &str) -> Option<usize> {
    match cursor.place(node) {
        Some(NodePlace::Done(_)) => None,
        Some(NodePlace::After(at)) => at.strip_prefix("at-")?.parse().ok(),
        None => Some(0),
    }
}

/// All pages, of those nodes that answer each time.
fn pages(
    nodes: &[(&str, &[u64])],
    limit: usize,
    answers: impl Fn(usize, &str) -> bool,
) -> Vec<Vec<String>> {
    let (mut cursor, mut pages) = (AllNodesCursor::default(), Vec::new());
    loop {
        let asked = nodes.iter().filter(|(node, _)| answers(pages.len(), node));
        let parts: Vec<(&str, NodeRows)> = asked
            .filter_map(|(node, ranks)| Some((*node, part(ranks, after(&cursor, node)?, limit))))
            .collect();
        let page = merge(&parts, limit);
        let shown = page
            .iter()
            .map(|it| format!("{} {}", parts[it.part].0, it.row.row));
        pages.push(shown.collect());
        let (next, total) = cursor.behind(&parts, &page);
        if nodes.iter().all(|(node, _)| answers(pages.len() - 1, node)) {
            assert_eq!(total, nodes.iter().map(|(_, it)| it.len()).sum::<usize>());
        }
        match next {
            Some(word) => cursor = AllNodesCursor::parse(&word).expect("its own word"),
            None => return pages,
        }
    }
}

const NODES: [(&str, &[u64]); 3] = [("a", &[1, 4, 4, 9]), ("b", &[]), ("c", &[2, 4, 5, 6, 7])];

#[test]
fn a_row_that_two_pages_have_or_none() {
    for limit in 1..12 {
        let pages = pages(&NODES, limit, |_, _| true);
        let all: Vec<String> = pages.iter().flatten().cloned().collect();
        let wanted = [
            "a [1,0]", "c [2,0]", "a [4,1]", "a [4,2]", "c [4,1]", "c [5,2]", "c [6,3]", "c [7,4]",
            "a [9,3]",
        ];
        assert_eq!(all, wanted, "{limit}");
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit));
    }
}

#[test]
fn a_node_that_does_not_answer_for_a_page_and_is_skipped_for_ever() {
    let pages = pages(&NODES, 2, |page, node| node != "a" || page != 1);
    let mut all: Vec<String> = pages.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn a_cursor_that_somebody_made_up() {
    let word = |text: &str| URL_SAFE_NO_PAD.encode(text);
    assert!(AllNodesCursor::parse(&word("a =3,b at-1")).is_some());
    for text in ["", "a", "a =", "a =x", "a at&limit=9", "a at,b", "a  at"] {
        assert_eq!(AllNodesCursor::parse(&word(text)), None, "{text}");
    }
    assert_eq!(AllNodesCursor::parse("?"), None);
}

#[test]
fn a_question_to_all_that_one_is_asked() {
    for (query, rest) in [
        ("cluster", Some("")),
        ("cluster=&limit=3", Some("limit=3")),
        ("a=b&cluster=true&c", Some("a=b&c")),
        ("", None),
        ("clusters", None),
        ("x=cluster", None),
    ] {
        assert_eq!(without_cluster(query).as_deref(), rest, "{query}");
    }
}

/// Node `a`, which knows another one that answers like this.
struct Two(Result<NodeAnswer, String>);

impl OperatorBackend for Two {
    fn name(&self) -> String {
        "a".to_owned()
    }

    fn other_nodes(&self) -> Vec<NodeName> {
        NodeName::new("b").into_iter().collect()
    }

    fn ask_node(
        &self,
        _: NodeName,
        _: Method,
        _: String,
    ) -> LocalBoxFuture<'_, Result<NodeAnswer, String>> {
        Box::pin(ready(self.0.clone()))
    }

    fn ended_sessions(&self, _: usize) -> Viewed<'_, Vec<EndedRow>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}

impl PublishBackend for Two {
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn drain(&self) {}

    fn revoke(&self, _: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        Box::pin(ready(None))
    }

    fn is_saturated(&self) -> bool {
        false
    }

    fn publish(&self, _: PublishItem) -> LocalBoxFuture<'_, PublishOutcome> {
        Box::pin(ready(refused("full", "no")))
    }
}

fn told(status: u16, body: &str) -> Result<NodeAnswer, String> {
    Ok(NodeAnswer {
        status,
        body: body.as_bytes().to_vec(),
    })
}

#[test]
fn a_node_of_an_earlier_version_that_is_taken_for_one_without_sessions() {
    let earlier = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"There is nothing at this path; the MCP endpoint is /mcp."}}"#;
    let busy = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"As many questions as may be."}}"#;
    for (answer, reason) in [
        (told(404, earlier), "its version does not know it"),
        (told(503, busy), "As many questions as may be."),
        (
            told(503, r#"{"error":"A core did not answer"}"#),
            "A core did not answer",
        ),
        (told(500, "oops"), "it answered 500"),
        (told(200, "<html>"), "cannot be understood"),
        (Err("it is away".to_owned()), "it is away"),
    ] {
        let ended = ended("", &Two(answer)).now_or_never().expect("at once");
        assert_eq!(ended.status, 200);
        let body: Value = serde_json::from_str(&ended.body).expect("JSON");
        let silent = &body["unanswered"][0];
        let said = silent["reason"].as_str().expect("a reason");
        assert!(silent["node"] == "b" && said.contains(reason), "{body}");
    }
}

#[test]
fn a_session_of_a_node_that_does_not_answer() {
    let name = || "b.AAEAAAAAAAAAAAEAAAGa0AAA".parse();
    let asked = |answer| {
        let backend = Two(answer);
        let shown = one(Method::Get, name(), "", &backend).now_or_never();
        let shown = shown.expect("at once");
        (shown.status, shown.body)
    };
    let (status, body) = asked(Err("it is away".to_owned()));
    assert_eq!(status, 504);
    assert!(
        body.contains("Node b did not answer: it is away."),
        "{body}"
    );
    let gone = r#"{"error":"It has ended: an operator ended it."}"#;
    assert_eq!(asked(told(404, gone)), (404, gone.to_owned()));
}
