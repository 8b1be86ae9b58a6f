//! What those may do who get in, as they see it: with and without a scope, in both eras, in an area of their own and in another
//! one's, at one node and through another one, before and after SIGHUP.

mod areas;
mod reload;
mod rules;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{self, Answer};
use super::node::Node;
use super::redis::Redis;
use super::stream::Stream;
use super::wait_until;
use crate::auth::{AuthorizationServer, Issuer, claims};
use crate::program::scratch_folder;
use crate::server::{App, Placement};

/// Whom the tokens are for: the site, wherever its nodes are.
const PUBLIC: &str = "http://127.0.0.1:1/mcp";

struct Site {
    nodes: Vec<Node>,
    issuer: AuthorizationServer,
    key: Issuer,
    file: PathBuf,
    _redis: Option<Redis>,
}

/// How somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// 2025-11-25, with a session.
    Legacy,
    /// 2026-07-28
    Modern,
}

const BOTH: [Speaks; 2] = [Speaks::Legacy, Speaks::Modern];

/// Somebody with a token who asks a node; a session of theirs is where it was opened.
struct Visitor<'a> {
    authorization: String,
    node: &'a Node,
    session: Option<String>,
}

impl Site {
    /// One node with this policy.
    fn start(test: &str, app: App, policy: &str) -> Site {
        Site::start_nodes(test, &["a"], app, policy)
    }

    /// Several share a Redis.
    fn start_nodes(test: &str, names: &[&str], app: App, policy: &str) -> Site {
        let scratch = scratch_folder(test);
        let redis = (names.len() > 1).then(|| Redis::start(&scratch));
        let (issuer, key) = (AuthorizationServer::start(), Issuer::ed25519("a"));
        issuer.publish(&[&key]);
        let file = scratch.join("pinfold.toml");
        std::fs::write(&file, policy).expect("a file can be written");
        let (name, path) = (issuer.name(), file.display().to_string());
        let options = [
            "--config",
            &path,
            "--auth",
            "jwt",
            "--auth-issuer",
            &name,
            "--public-url",
            PUBLIC,
            "--auth-tenant-claim",
            "org",
        ];
        let placed = Placement::OneCore;
        let start =
            |name: &&str| Node::start_placed(name, app, placed, redis.as_ref(), &options, &scratch);
        Site {
            nodes: names.iter().map(start).collect(),
            issuer,
            key,
            file,
            _redis: redis,
        }
    }

    fn home(&self) -> &Node {
        self.nodes.first().expect("there is one")
    }

    /// Somebody with these scopes, who belongs to `acme` if she is Alice.
    fn token(&self, subject: &str, scopes: &str) -> String {
        let mut claims = claims(&self.issuer.name(), PUBLIC, subject);
        claims["scope"] = json!(scopes);
        claims["org"] = json!(if subject == "alice" { "acme" } else { "evil" });
        self.key.token(&claims)
    }

    fn visitor(&self, speaks: Speaks, subject: &str, scopes: &str) -> Visitor<'_> {
        self.visitor_of(self.home(), speaks, subject, scopes)
    }

    /// A session is opened at the first node, whichever is asked.
    fn visitor_of<'a>(
        &'a self,
        node: &'a Node,
        speaks: Speaks,
        subject: &str,
        scopes: &str,
    ) -> Visitor<'a> {
        let authorization = format!("Bearer {}", self.token(subject, scopes));
        let mut visitor = Visitor {
            authorization,
            node: self.home(),
            session: None,
        };
        if speaks == Speaks::Legacy {
            visitor.session = Some(visitor.open());
        }
        visitor.node = node;
        if visitor.session.is_some() {
            wait_until("each node knows of the other", || {
                visitor.ask("ping", json!({})).status == 200
            });
        }
        visitor
    }

    /// Other lines in the configuration file, and SIGHUP; returns when the node says so.
    fn rewrite(&self, policy: &str, told: &str) {
        let before = self.home().log().matches(told).count();
        std::fs::write(&self.file, policy).expect("a file can be written");
        self.home().reload();
        wait_until(told, || self.home().log().matches(told).count() > before);
    }

    fn stop(mut self) {
        Node::stop_all(&mut self.nodes);
    }
}

impl Visitor<'_> {
    fn open(&self) -> String {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "policy", "version": "1"},
        }});
        let fields = [("Authorization", self.authorization.as_str())];
        let answer = client::post(&self.node.mcp(), &fields, &initialize);
        let id = answer.field("mcp-session-id");
        id.unwrap_or_else(|| panic!("no session: {answer:?}"))
            .to_owned()
    }

    fn ask(&self, method: &str, mut params: Value) -> Answer {
        let mut fields = vec![("Authorization", self.authorization.as_str())];
        let name = ["name", "uri"].iter().find_map(|it| params[it].as_str());
        let name = name.unwrap_or_default().to_owned();
        match &self.session {
            Some(session) => fields.push(("Mcp-Session-Id", session)),
            None => {
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
                fields.push(("MCP-Protocol-Version", "2026-07-28"));
                fields.push(("Mcp-Method", method));
                if !name.is_empty() {
                    fields.push(("Mcp-Name", &name));
                }
            }
        }
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        client::post(&self.node.mcp(), &fields, &message)
    }

    fn read(&self, uri: &str) -> Answer {
        self.ask("resources/read", json!({"uri": uri}))
    }

    fn call(&self, tool: &str, arguments: &Value) -> Answer {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    fn post(&self, uri: &str, text: &str) -> Answer {
        self.call("post", &json!({"uri": uri, "text": text}))
    }

    /// What a list has, each by the member that names it.
    fn list(&self, of: &str) -> Vec<String> {
        let answer = self.ask(&format!("{of}/list"), json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let result = &parsed(&answer)["result"];
        let named = if of == "resources" { "uri" } else { "name" };
        if self.session.is_none() {
            assert_eq!(result["cacheScope"], "private", "{answer:?}");
        }
        let all = result[of].as_array().expect("a list").iter();
        all.filter_map(|it| it[named].as_str().map(str::to_owned))
            .collect()
    }

    /// A stream that hears of these and of the list of tools, as far as it may.
    fn listens(&self, uris: &[&str]) -> Stream {
        let authorization = ("Authorization", self.authorization.as_str());
        let address = self.node.address();
        let stream = match &self.session {
            Some(session) => {
                for uri in uris {
                    self.ask("resources/subscribe", json!({"uri": uri}));
                }
                Stream::try_of_session(address, session, &[authorization])
            }
            None => Stream::try_listening_with(address, uris, &[authorization]),
        };
        stream.expect("somebody listens").expect_open()
    }
}

fn parsed(answer: &Answer) -> Value {
    // An answer may be a stream of one message.
    let mut lines = answer.body.lines();
    let data = lines.find_map(|line| line.strip_prefix("data: {"));
    let message = data.map_or_else(|| answer.body.clone(), |rest| format!("{{{rest}"));
    serde_json::from_str(&message).unwrap_or_else(|wrong| panic!("{wrong}: {answer:?}"))
}

/// 403 with a challenge that asks for these scopes, and the same in the error.
fn expect_missing(answer: &Answer, scopes: &str) {
    assert_eq!(answer.status, 403, "{answer:?}");
    let challenge = answer.field("www-authenticate").unwrap_or_default();
    for part in [
        "Bearer error=\"insufficient_scope\"".to_owned(),
        format!("scope=\"{scopes}"),
        "resource_metadata=\"http://127.0.0.1:1/.well-known/oauth-protected-resource/mcp\""
            .to_owned(),
    ] {
        assert!(challenge.contains(&part), "{part} is not in: {challenge}");
    }
    assert_eq!(answer.reason(), "insufficient_scope", "{answer:?}");
    assert_eq!(parsed(answer)["id"], 1, "{answer:?}");
    let sentence = parsed(answer)["error"]["message"].to_string();
    assert!(sentence.contains(scopes), "{answer:?}");
}

/// It has worked.
fn expect_done(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = parsed(answer)["result"].clone();
    assert!(
        result.is_object() && result["isError"] != true,
        "{answer:?}"
    );
    result
}

/// The same answer, apart from the name that was asked for.
fn expect_alike(answer: &Answer, name: &str, of_nothing: &Answer, nothing: &str) {
    let seen = |answer: &Answer, name: &str| {
        let mut names: Vec<String> = answer.fields.keys().map(ToString::to_string).collect();
        names.sort();
        (
            answer.status,
            names,
            parsed(answer).to_string().replace(name, "…"),
        )
    };
    assert_eq!(seen(answer, name), seen(of_nothing, nothing));
}
