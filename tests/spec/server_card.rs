//! SEP-2127 and its extension, its chapter on discovery: the server card and the catalog that leads to it.

use std::sync::Arc;

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{CardSettings, ShardSetup};
use serde_json::Value;

use crate::V11;
use crate::support::node::setup;
use crate::support::{Answer, Client, Node, Request};

const CARD: &str = "/mcp/server-card";
const CATALOG: &str = "/.well-known/ai-catalog.json";
const URL: &str = "https://mcp.example.com/mcp";

fn client_with(change: impl Fn(&mut ShardSetup)) -> Client {
    let changed = |core| {
        let mut setup = setup(core, 1, Limits::default(), 1);
        change(&mut setup);
        setup
    };
    Client {
        node: Node::with(1, changed),
    }
}

/// Behind a proxy, and known to everybody by its URL.
fn public() -> Client {
    client_with(|setup| {
        setup.gate.loopback = false;
        let public_url = Some(URL.parse().expect("a public URL"));
        setup.card = Some(CardSettings {
            public_url,
            asks_for_token: false,
        });
    })
}

fn read(path: &str) -> Request {
    let mut request = Request::new("GET");
    request.target = path.into();
    request
}

fn asked(method: &'static str, path: &str) -> Request {
    Request {
        method,
        ..read(path)
    }
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).expect("JSON")
}

/// A card MUST have its schema's members; what it says SHOULD NOT contradict `server/discover`. The catalog's entry MUST have
/// the type of a card, and either a URL or the card.
#[test]
fn a_client_that_must_connect_to_learn_where_to() {
    let mut client = public();
    let catalog = json(&client.ask(&read(CATALOG)));
    assert_eq!(catalog["specVersion"], "0.9");
    let entry = &catalog["entries"][0];
    assert_eq!(entry["type"], "application/mcp-server-card+json");
    assert_eq!(entry["url"], format!("{URL}/server-card"));
    assert_eq!(entry.get("data"), None);
    assert_eq!(entry["identifier"], "urn:air:mcp.example.com:test:mcp");
    let card = json(&client.ask(&read(CARD)));
    assert_eq!(
        card["$schema"],
        "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
    );
    assert_eq!(card["name"], "com.example.mcp/test");
    assert_eq!(card["remotes"][0]["type"], "streamable-http");
    assert_eq!(card["remotes"][0]["url"], URL);
    let discover = Request::modern(1, "server/discover", serde_json::json!({}));
    let told = json(&client.ask(&discover));
    assert_eq!(
        card["remotes"][0]["supportedProtocolVersions"],
        told["result"]["supportedVersions"]
    );
    assert_eq!(
        card["version"],
        told["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["version"]
    );
}

/// Cards do not enumerate primitives, and say nothing of capabilities: those may depend on who asks.
#[test]
fn a_card_that_tells_what_only_those_may_know_who_are_let_in() {
    let mut client = client_with(|setup| {
        Arc::make_mut(&mut setup.server_info).instructions = Some("secret".into());
    });
    let answer = client.ask(&read(CARD));
    let card = json(&answer);
    for member in [
        "tools",
        "resources",
        "prompts",
        "capabilities",
        "instructions",
        "_meta",
    ] {
        assert_eq!(card.get(member), None);
    }
    assert!(!answer.body.contains("secret"));
}

/// "CORS Requirements": MUST, and the card's own media type SHOULD be respected.
#[test]
fn a_page_that_cannot_read_the_card() {
    let mut client = public();
    for (path, media_type) in [
        (CARD, "application/mcp-server-card+json"),
        (CATALOG, "application/ai-catalog+json"),
    ] {
        let request = read(path)
            .with("Origin", "https://anybody.example")
            .with("Accept", media_type);
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("content-type", media_type),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET"),
            (
                "access-control-allow-headers",
                "Content-Type, If-None-Match",
            ),
            ("access-control-expose-headers", "ETag"),
            ("cache-control", "public, max-age=3600"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{path}");
        }
        let named = |name: &str| answer.fields.iter().filter(|it| it.0 == name).count();
        assert_eq!(named("access-control-allow-origin"), 1);
        let preflight = asked("OPTIONS", path)
            .with("Origin", "https://anybody.example")
            .with("Access-Control-Request-Method", "GET")
            .with("Access-Control-Request-Headers", "if-none-match");
        let answer = client.ask(&preflight);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        let allowed = answer.field("access-control-allow-headers");
        assert!(allowed.is_some_and(|it| it.contains("If-None-Match")));
    }
}

/// "Caching": hosts SHOULD return an `ETag` and honour `If-None-Match`.
#[test]
fn an_unchanged_card_that_is_sent_once_more() {
    let mut client = public();
    let socket = client.connect();
    let first = client.exchange(socket, &read(CARD));
    let tag = first.field("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 16);
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".into(),
    ] {
        let request = read(CARD).with("If-None-Match", &known);
        let answer = client.exchange(socket, &request);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
        assert_eq!(answer.field("etag"), Some(tag.as_str()));
        assert_eq!(
            answer.field("content-length"),
            None,
            "that of the 200, or none"
        );
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    }
    let other = read(CARD).with("If-None-Match", "\"other\"");
    assert_eq!(client.exchange(socket, &other).body, first.body);
    let catalog = client.exchange(socket, &read(CATALOG));
    assert_ne!(catalog.field("etag"), Some(tag.as_str()));
}

#[test]
fn a_document_that_somebody_writes_to() {
    let mut client = public();
    let socket = client.connect();
    for method in ["POST", "DELETE", "PUT"] {
        let mut request = asked(method, CARD);
        request.body = b"{}".into();
        let answer = client.exchange(socket, &request);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
        assert!(answer.sentence().contains("GET"), "{answer:?}");
    }
    let whole = client.exchange(socket, &read(CARD));
    let head = client.exchange(socket, &asked("HEAD", CARD));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.field("content-length"), whole.field("content-length"));
    assert_eq!(head.field("etag"), whole.field("etag"));
}

/// Without a session, and without any; nobody's session is touched by it.
#[test]
fn a_card_that_costs_a_session() {
    let mut client = public();
    let session = client.session(V11);
    for request in [read(CARD), read(CARD).session(&session)] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("mcp-session-id"), None);
    }
    let of_nobody = read(CARD).session("gone.0");
    assert_eq!(client.ask(&of_nobody).status, 200);
    assert_eq!(client.ask(&Request::ping(&session, 1)).status, 200);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 1);
}

/// DNS rebinding: a name that somebody points at this machine is not this server's, whatever is asked for.
#[test]
fn a_rebound_name_that_reads_the_card() {
    let mut client = client_with(|_| {});
    for path in [CARD, CATALOG] {
        let rebound = read(path).but("Host", "evil.example.com");
        assert_eq!(client.ask(&rebound).status, 403);
    }
    let mut named = client_with(|setup| {
        setup.gate.loopback = false;
        setup.gate.hosts = vec!["mcp.example.com".into()];
        let public_url = Some(URL.parse().expect("a public URL"));
        setup.card = Some(CardSettings {
            public_url,
            asks_for_token: false,
        });
    });
    let other = read(CARD).but("Host", "evil.example.com");
    assert_eq!(named.ask(&other).status, 403);
    let own = read(CARD).but("Host", "mcp.example.com");
    assert_eq!(named.ask(&own).status, 200);
}

/// Without a public URL the card is for whoever builds the server. "Transport Security": HTTP for local development only.
#[test]
fn a_stranger_that_learns_what_runs_on_this_machine() {
    let mut client = client_with(|_| {});
    let answer = client.ask(&read(CARD).but("Host", "127.0.0.1:9000"));
    let card = json(&answer);
    assert_eq!(card["remotes"][0]["url"], "http://127.0.0.1:9000/mcp");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let catalog = json(&client.ask(&read(CATALOG)));
    assert_eq!(
        catalog["entries"][0]["url"],
        "http://localhost:8080/mcp/server-card"
    );
    let strange = read(CARD).with("Origin", "https://evil.example.com");
    assert_eq!(client.ask(&strange).status, 403);
    let friend = read(CARD).with("Origin", "https://app.example");
    assert_eq!(client.ask(&friend).status, 200);
}

/// A URL that only the request named would be whatever its sender likes, and caches would hand it on.
#[test]
fn a_card_that_names_whatever_host_it_was_asked_for() {
    let mut client = client_with(|setup| setup.gate.loopback = false);
    for host in ["evil.example.com", "localhost:8080"] {
        for path in [CARD, CATALOG] {
            let answer = client.ask(&read(path).but("Host", host));
            assert_eq!(answer.status, 404, "{host}");
            assert!(answer.sentence().contains("--public-url"), "{answer:?}");
        }
    }
    let mut behind_proxy = client_with(|setup| setup.gate.hosts = vec!["mcp.example.com".into()]);
    let asked = read(CARD).but("Host", "mcp.example.com");
    assert_eq!(behind_proxy.ask(&asked).status, 404);
}

#[test]
fn a_card_that_nobody_wanted() {
    let mut client = client_with(|setup| setup.card = None);
    for path in [CARD, CATALOG] {
        let answer = client.ask(&read(path));
        assert_eq!(answer.status, 404);
        assert!(answer.sentence().contains("/mcp"), "{answer:?}");
    }
}

/// `<streamable-http-url>/server-card`, wherever the endpoint is.
#[test]
fn an_endpoint_whose_card_is_somewhere_else() {
    for (endpoint, card) in [("/", "/server-card"), ("/v1/mcp", "/v1/mcp/server-card")] {
        let mut client = client_with(|setup| setup.gate.path = endpoint.into());
        let told = json(&client.ask(&read(card)));
        let url = told["remotes"][0]["url"].as_str().expect("a URL");
        assert_eq!(
            format!("{}/server-card", url.trim_end_matches('/')),
            format!("http://localhost:8080{card}")
        );
        if endpoint != "/" {
            assert_eq!(client.ask(&read(CARD)).status, 404);
        }
    }
}

#[test]
fn a_token_that_a_user_is_not_asked_for() {
    let mut client = client_with(|setup| {
        let public_url = Some(URL.parse().expect("a public URL"));
        setup.card = Some(CardSettings {
            public_url,
            asks_for_token: true,
        });
    });
    let card = json(&client.ask(&read(CARD)));
    let field = &card["remotes"][0]["headers"][0];
    assert_eq!(field["name"], "Authorization");
    assert_eq!(
        (&field["isRequired"], &field["isSecret"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
}
