//! Two principals and two nodes: what is one's is unknown to the other, whichever node is asked.
//!
//! Alice has it, at node a; Eve knows all there is to know of it. What she is told is compared with what she is told of a thing
//! that never was: status, fields that speak of it, and body.

mod directed;
mod known;
mod misdeeds;
mod questions;

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use pinfold::internals::wire::session_id::SessionId;
use serde_json::{Value, json};

use self::known::Known;
use super::client::{self, Answer};
use super::node::Node;
use super::redis::Redis;
use super::stream::Stream;
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::{App, Placement};
use crate::waits::agent;

const WATCHED: &str = "test://watched-resource";
const UPDATED: &str = "notifications/resources/updated test://watched-resource";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const LIMIT: Duration = Duration::from_secs(120);

/// A test for each function, with tokens that an issuer signed: Eve asks the node where Alice's things are, and then the other one. And one
/// for all of them together, where Alice and Eve are known in another way.
macro_rules! at_both_nodes {
    ($($name:ident)*) => {
        mod at_both_nodes {
            use super::super::{Known, Site};

            $(#[test] fn $name() {
                let site = Site::start(Known::by_jwt(), concat!(module_path!(), "::", stringify!($name)));
                for asked in &site.nodes {
                    super::$name(&site, asked);
                }
                site.stop();
            })*

            #[test]
            fn all_of_it_with_tokens_of_a_file() {
                all_of_it(Known::by_token(), concat!(module_path!(), "::by_token"));
            }

            #[test]
            fn all_of_it_by_the_word_of_a_proxy() {
                all_of_it(Known::by_proxy(), concat!(module_path!(), "::by_proxy"));
            }

            fn all_of_it(known: Known, test: &str) {
                let site = Site::start(known, test);
                for asked in &site.nodes {
                    $(
                        // The last one is what failed.
                        println!("Eve {} at node {}", stringify!($name), asked.name);
                        super::$name(&site, asked);
                    )*
                }
                site.stop();
            }
        }
    };
}
use at_both_nodes;

struct Site {
    nodes: [Node; 2],
    known: Known,
    redis: Redis,
}

/// Somebody, with the fields that say who it is.
struct Person {
    shown: Vec<(&'static str, String)>,
}

impl Site {
    fn start(known: Known, test: &str) -> Site {
        let scratch = scratch_folder(test);
        let redis = Redis::start(&scratch);
        let options = known.options(&scratch);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let (app, placement) = (App::Conformance, Placement::OneCore);
        let start =
            |name| Node::start_placed(name, app, placement, Some(&redis), &options, &scratch);
        let site = Site {
            nodes: ["a", "b"].map(start),
            known,
            redis,
        };
        site.knows_its_nodes();
        site
    }

    /// Until each of them has heard of the other it cannot tell whose session is where.
    fn knows_its_nodes(&self) {
        let alice = self.alice();
        let session = alice.open(self);
        wait_until("each node knows of the other", || {
            let through = alice.request(&self.nodes[1], &session, "ping", json!({}));
            through.status == 200
        });
    }

    fn alice(&self) -> Person {
        self.known.person("alice")
    }

    /// The same, and what she shows is another one.
    fn alice_refreshed(&self) -> Person {
        self.known.refreshed("alice")
    }

    fn eve(&self) -> Person {
        self.known.person("eve")
    }

    /// Where Alice's things are.
    fn home(&self) -> &Node {
        &self.nodes[0]
    }

    /// The session serves Alice as before, at either node.
    fn still_serves(&self, alice: &Person, session: &str) {
        for node in &self.nodes {
            let answer = alice.request(node, session, "ping", json!({}));
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }

    fn stop(mut self) {
        Node::stop_all(&mut self.nodes);
    }
}

impl Person {
    fn fields<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let shown = self.shown.iter().map(|(name, value)| (*name, &**value));
        shown.chain(more.iter().copied()).collect()
    }

    /// A session of 2025-11-25 whose client can be asked, at node a.
    fn open(&self, site: &Site) -> String {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}, "sampling": {}},
            "clientInfo": {"name": "tenants", "version": "1"},
        }});
        let answer = client::post(&site.home().mcp(), &self.fields(&[]), &initialize);
        let id = answer.field("mcp-session-id");
        id.unwrap_or_else(|| panic!("no session: {answer:?}"))
            .to_owned()
    }

    fn post(&self, node: &Node, session: &str, message: &Value) -> Answer {
        let fields = self.fields(&[("Mcp-Session-Id", session)]);
        client::post(&node.mcp(), &fields, message)
    }

    fn request(&self, node: &Node, session: &str, method: &str, params: Value) -> Answer {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(node, session, &message)
    }

    fn get(&self, node: &Node, session: &str, more: &[(&str, &str)]) -> Stream {
        let fields = self.fields(more);
        let stream = Stream::try_of_session(node.address(), session, &fields);
        stream.expect("somebody listens")
    }

    fn delete(&self, node: &Node, session: &str) -> Answer {
        let fields = self.fields(&[("Mcp-Session-Id", session)]);
        client::try_delete_with(&node.mcp(), &fields).expect("an answer")
    }

    /// As a client of 2026-07-28 that can be asked.
    fn modern(&self, node: &Node, method: &str, name: &str, mut params: Value) -> Answer {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        });
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let fields = self.fields(&[
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", method),
            ("Mcp-Name", name),
        ]);
        client::post(&node.mcp(), &fields, &message)
    }

    /// A call of a session that is answered by a stream: its messages, as they come.
    fn call(&self, node: &Node, session: &str, id: u32, tool: &str) -> impl Iterator<Item = Value> {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": {"message": "Who are you?", "prompt": "Who?"}}});
        let mut request = agent()
            .post(node.mcp())
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .header("Mcp-Session-Id", session);
        for (name, value) in &self.shown {
            request = request.header(*name, value);
        }
        let limited = request.config().timeout_global(Some(LIMIT)).build();
        let answer = limited.send(message.to_string()).expect("an answer");
        let lines = BufReader::new(answer.into_body().into_reader()).lines();
        lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
    }
}

/// An id of the same place with another secret: of a session that never was.
fn never_was(session: &str) -> String {
    let mut id = SessionId::parse(session).expect("an id");
    id.secret[0] ^= 1;
    id.text()
}

/// The same, in all that Eve could tell the two by.
fn expect_alike(told: &Answer, of_nothing: &Answer) {
    assert_eq!(told.status, 404, "{told:?}");
    let seen = |answer: &Answer| {
        let mut names: Vec<String> = answer.fields.keys().map(ToString::to_string).collect();
        names.sort();
        (answer.status, names, answer.body.clone())
    };
    assert_eq!(seen(told), seen(of_nothing));
}
