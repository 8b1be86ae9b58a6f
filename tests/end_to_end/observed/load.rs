//! A little of all that clients do, so that everything that is counted has been counted at least once.

use serde_json::{Value, json};

use crate::cluster::client::{Session, modern_read, post};
use crate::cluster::node::Node;
use crate::cluster::stream::Stream;

pub(super) const TOPIC: &str = "board://observed";

/// Clients that stay: sessions of both nodes, and a stream of each kind at either.
pub(super) struct Load {
    sessions: [Session; 2],
    streams: Vec<Stream>,
}

impl Load {
    pub(super) fn begin([here, there]: [&Node; 2]) -> Load {
        let sessions = [here, there].map(|node| Session::open(&node.mcp()));
        let streams = [here, there]
            .into_iter()
            .zip(&sessions)
            .flat_map(|(node, session)| {
                let listens = Stream::listening(node.address(), &[TOPIC]);
                let hears = Stream::of_session(node.address(), &session.id);
                [listens.expect_open(), hears.expect_open()]
            });
        let streams = streams.collect();
        sessions.iter().for_each(|session| session.subscribe(TOPIC));
        Load { sessions, streams }
    }

    /// One of each; both nodes have something of everything.
    pub(super) fn go_on(&mut self, nodes: [&Node; 2], token: &str) {
        let [here, there] = nodes;
        for (node, other) in [(here, there), (there, here)] {
            ask(node, other);
            publish(node, token);
        }
        for session in &self.sessions {
            assert_eq!(session.ping().status, 200);
        }
        // Nobody who does not read.
        self.streams
            .iter_mut()
            .for_each(|stream| _ = stream.has_heard(TOPIC));
    }
}

fn ask(node: &Node, other: &Node) {
    let session = Session::open(&node.mcp());
    session.subscribe(TOPIC);
    let text = json!({"uri": TOPIC, "text": "seen"});
    let posting = json!({"name": "post", "arguments": text});
    assert_eq!(session.request("tools/call", posting, &[]).status, 200);
    // What is not there, and what nobody has heard of.
    session.request("resources/read", json!({"uri": "board://nothing"}), &[]);
    session.request("nonsense/ask", json!({}), &[]);
    // By the other node, which passes it on.
    assert_eq!(session.through(&other.mcp()).ping().status, 200);
    modern_read(&node.mcp(), TOPIC).expect("an answer");
    let gone = session.id.clone();
    assert!(session.delete().status < 300);
    Session::known(&node.mcp(), &gone)
        .ping()
        .expect_gone("expired");
}

fn publish(node: &Node, token: &str) {
    let bearer = format!("Bearer {token}");
    let url = format!("{}/publish", node.admin());
    let items: Value = json!([{ "uri": TOPIC }]);
    let answer = post(&url, &[("Authorization", &bearer)], &items);
    assert_eq!(answer.status, 200, "{answer:?}");
}
