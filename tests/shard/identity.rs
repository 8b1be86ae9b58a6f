//! Who is let in at the head of a request, and what the others are told.

use std::net::IpAddr;
use std::sync::Arc;

use pinfold::internals::auth::{Identity, PrincipalId, Reason, Searched, TOKEN_FILE_ISSUER, Who};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, IdentityAnswer, IdentityQuestion};
use pinfold::internals::wire::forwarded::PeerSecret;
use pinfold::internals::wire::session_id::NodeName;
use serde_json::json;

use crate::support::identified::{bearer, identify_by, rules, tokens};
use crate::support::node::{Node, setup};
use crate::support::{Answer, Client, Request};

const V11: &str = "2025-11-25";

fn identified() -> Client {
    Client::identified(Limits::default())
}

fn list() -> Request {
    Request::modern(1, "tools/list", json!({}))
}

fn challenge(answer: &Answer) -> &str {
    answer.field("www-authenticate").expect("a challenge")
}

#[test]
fn a_request_without_a_token() {
    let mut client = identified();
    let socket = client.connect();
    for request in [
        list(),
        Request::initialize(V11),
        Request::get("x"),
        Request::delete("x"),
        Request::post_text("no JSON"),
    ] {
        let refused = client.exchange(socket, &request);
        assert_eq!(
            (refused.status, refused.reason()),
            (401, "unauthenticated".into())
        );
        let challenge = challenge(&refused);
        let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains(metadata),
            "{challenge}"
        );
        assert!(!challenge.contains("error="), "{challenge}");
    }
    // The connection goes on, and nobody heard of any of it.
    client.send(socket, &list().shown_by("alice"));
    assert_eq!(client.node.calls.len(), 1);
    assert_eq!(client.node.cores[0].shard.counts().sessions, 0);
}

#[test]
fn credentials_of_another_kind_or_of_nobody_or_twice() {
    let mut client = identified();
    for (fields, status, reason) in [
        (
            vec!["Basic YWxpY2U6c2VjcmV0".to_owned()],
            401,
            "unauthenticated",
        ),
        (vec![bearer("nobody")], 401, "token_unknown"),
        (vec!["Bearer".to_owned()], 401, "token_malformed"),
        (
            vec![format!("Bearer {}", "a".repeat(9_000))],
            401,
            "token_too_long",
        ),
        (
            vec![bearer("alice"), bearer("alice")],
            400,
            "doubled_authorization",
        ),
    ] {
        let with = |request: Request, field: &String| request.with("Authorization", field);
        let request = fields.iter().fold(list(), with);
        let refused = client.ask(&request);
        assert_eq!(
            (refused.status, refused.reason()),
            (status, reason.to_owned())
        );
    }
    let in_query = list().target(&format!("/mcp?access_token={}", &bearer("alice")[7..]));
    assert_eq!(
        client.ask(&in_query).status,
        401,
        "a token in a query is none"
    );
}

#[test]
fn a_large_body_that_is_read_of_somebody_who_is_not_let_in() {
    let mut client = identified();
    let socket = client.connect();
    let mut request = list();
    request.body = vec![b' '; 200_000];
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, &request.bytes()[..1_000]);
    let refused = client.answer(socket);
    assert_eq!(refused.status, 401, "before the rest of it has come");
    assert_eq!(refused.field("connection"), Some("close"));
}

#[test]
fn a_page_that_may_not_read_why_it_is_refused() {
    let mut client = identified();
    let origin = "https://app.example";
    let refused = client.ask(&list().with("Origin", origin));
    assert_eq!(refused.field("access-control-allow-origin"), Some(origin));
    let exposed = refused.field("access-control-expose-headers");
    assert_eq!(exposed, Some("Mcp-Session-Id, WWW-Authenticate"));
    let mut preflight = list().with("Origin", origin);
    (preflight.method, preflight.body) = ("OPTIONS", Vec::new());
    assert_eq!(
        client.ask(&preflight).status,
        204,
        "asked before a token is sent"
    );
}

#[test]
fn a_token_that_expires_between_two_requests_of_a_connection() {
    let mut client = identified();
    let socket = client.connect();
    client.send(socket, &list().shown_by("carol"));
    let call = client.call();
    client.finish(&call, r#"{"tools":[]}"#);
    assert_eq!(client.answer(socket).status, 200);
    client.node.pass(31_000);
    let refused = client.exchange(socket, &list().shown_by("carol"));
    assert_eq!(
        (refused.status, refused.reason()),
        (401, "token_expired".into())
    );
}

#[test]
fn a_body_that_arrives_after_its_token_expired() {
    let mut client = identified();
    let request = list().shown_by("carol").bytes();
    let (head, rest) = request.split_at(request.len() - 10);
    client.node.pass(25_000);
    let socket = client.connect();
    client.send_bytes(socket, head);
    client.node.pass(6_000);
    client.node.sockets[socket].reader.expected.push_back(false);
    client.send_bytes(socket, rest);
    let refused = client.answer(socket);
    assert_eq!(
        (refused.status, refused.reason()),
        (401, "token_expired".into())
    );
    assert!(client.node.calls.is_empty());
}

#[test]
fn a_handler_that_does_not_learn_who_asks_or_learns_the_token() {
    let mut client = identified();
    let socket = client.connect();
    client.send(socket, &list().shown_by("alice"));
    let caller = client.call().request.caller;
    let identity = caller.identity.expect("somebody");
    assert_eq!(identity.id(), PrincipalId::of(TOKEN_FILE_ISSUER, "alice"));
    assert!(identity.scopes().has("board:read"));
    assert_eq!(caller.headers.get("authorization"), None);
}

#[test]
fn a_principal_whose_address_nobody_knows_any_more() {
    let [proxy, stranger] = [[127, 0, 0, 1], [203, 0, 113, 9]].map(IpAddr::from);
    let mut client = identified();
    let request = list()
        .shown_by("alice")
        .with("X-Forwarded-For", "203.0.113.9");
    let bytes = request.bytes();
    for peer in [proxy, stranger] {
        // Whole, and with a body that comes later.
        for pieces in [vec![&bytes[..]], bytes.chunks(bytes.len() - 5).collect()] {
            let socket = client.node.connect(0, Some(peer)).expect("there is room");
            for piece in pieces {
                client.send_bytes(socket, piece);
            }
            let caller = client.call().request.caller;
            assert!(caller.identity.is_some());
            assert_eq!(caller.address, Some(stranger), "by way of {peer}");
            client.node.calls.clear();
        }
    }
}

#[test]
fn health_and_metadata_that_are_not_for_everybody() {
    let mut client = identified();
    let get = |path: &str| {
        let mut request = Request::new("GET").target(path);
        request.fields[0].1 = "mcp.example.com".into();
        request
    };
    assert_eq!(client.ask(&get("/healthz")).status, 200);
    assert_eq!(client.ask(&get("/readyz")).status, 200);
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        let told = client.ask(&get(path).with("Origin", "https://anywhere.example"));
        assert_eq!(told.status, 200, "{path}");
        assert_eq!(told.json()["resource"], "https://mcp.example.com/mcp");
        assert_eq!(told.field("access-control-allow-origin"), Some("*"));
        assert_eq!(told.field("content-type"), Some("application/json"));
        assert!(told.field("cache-control").is_some());
        let mut head = get(path);
        head.method = "HEAD";
        let answered = client.ask(&head);
        assert_eq!((answered.status, answered.body.as_str()), (200, ""));
        let mut preflight = get(path).with("Origin", "https://anywhere.example");
        preflight.method = "OPTIONS";
        let answered = client.ask(&preflight);
        assert_eq!(
            (
                answered.status,
                answered.field("access-control-allow-origin")
            ),
            (204, Some("*"))
        );
        assert_eq!(
            client.ask(&Request::post(&json!({})).target(path)).status,
            404
        );
        assert_eq!(
            Client::new().ask(&Request::new("GET").target(path)).status,
            404,
            "nobody is asked"
        );
    }
}

#[test]
fn a_page_that_cannot_read_how_to_get_in() {
    let mut client = identified();
    let mut read = Request::new("GET").target("/.well-known/oauth-protected-resource/mcp");
    read.fields[0].1 = "elsewhere.example".into();
    let told = client.ask(&read);
    assert_eq!((told.status, told.field("vary")), (200, None), "{told:?}");
    assert_eq!(told.field("cache-control"), Some("public, max-age=300"));
    let tag = told.field("etag").expect("a tag").to_owned();
    let known = client.ask(&read.clone().with("If-None-Match", &tag));
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    read.method = "OPTIONS";
    let preflight = read
        .with("Origin", "https://anywhere.example")
        .with("Access-Control-Request-Headers", "mcp-protocol-version");
    let allowed = client.ask(&preflight);
    assert_eq!(allowed.field("access-control-allow-headers"), Some("*"));
    assert_eq!(allowed.field("access-control-max-age"), Some("86400"));
}

#[test]
fn rules_that_a_core_does_not_hear_of() {
    let mut client = identified();
    client.send_nothing_but(&list().shown_by("alice"), 1);
    let fewer = rules(Who::Tokens(tokens()));
    let fewer = fewer.with_tokens(Default::default());
    client.node.cores[0].shard.handle_rules(Arc::new(fewer));
    assert_eq!(
        client.ask(&list().shown_by("alice")).reason(),
        "token_unknown"
    );
    let revoked = rules(Who::Tokens(tokens()));
    let alice = PrincipalId::of(TOKEN_FILE_ISSUER, "alice");
    let revoked = revoked.with_next_epoch().with_revoked(alice, u64::MAX);
    client.node.cores[0].shard.handle_rules(Arc::new(revoked));
    assert_eq!(
        client.ask(&list().shown_by("alice")).reason(),
        "token_revoked"
    );
    assert!(
        client.node.calls.is_empty(),
        "what she asked for is cancelled"
    );
    client.send_nothing_but(&list().shown_by("bob"), 1);
}

fn by_hook() -> Client {
    let mut client = Client::new();
    identify_by(&mut client.node, &Arc::new(rules(Who::Hook)));
    client
}

fn says(client: &mut Client, answer: IdentityAnswer) {
    let (core, sender) = client.node.who.pop_front().expect("somebody was asked");
    let now = client.node.now;
    let shard = &mut client.node.cores[core].shard;
    shard.handle_identified(now, sender.connection, sender.number, answer);
    client.node.settle(core);
}

fn is(subject: &str) -> IdentityAnswer {
    IdentityAnswer::Hook(Ok(Identity::new("hook", subject)))
}

#[test]
fn a_program_that_is_asked_who_it_is() {
    let mut client = by_hook();
    let socket = client.connect();
    client.send(socket, &list().with("X-Api-Key", "k"));
    let (_, sender) = client.node.who.front().expect("somebody was asked");
    let IdentityQuestion::Hook(presented) = &sender.question else {
        panic!("the program is asked");
    };
    assert_eq!(presented.field("x-api-key"), Some("k"));
    assert!(client.node.calls.is_empty());
    says(&mut client, is("alice"));
    let call = client.call();
    assert_eq!(
        call.request.caller.identity.expect("somebody").subject(),
        "alice"
    );
    client.node.calls.clear();
    let other = client.connect();
    client.send(other, &list());
    says(&mut client, IdentityAnswer::Hook(Err(Reason::UnknownToken)));
    assert_eq!(client.answer(other).reason(), "token_unknown");
}

#[test]
fn an_answer_that_came_too_late_and_is_taken_for_that_to_the_next_request() {
    let mut client = by_hook();
    let socket = client.connect();
    client.send(socket, &list());
    let late = client.node.who.pop_front().expect("somebody was asked");
    client.node.pass(Limits::default().head_timeout_ms + 1_000);
    let refused = client.answer(socket);
    assert_eq!(
        (refused.status, refused.reason()),
        (503, "authentication_unavailable".into())
    );
    assert!(refused.field("retry-after").is_some());
    client.send(socket, &list());
    client.node.who.push_front(late);
    says(&mut client, is("mallory"));
    assert!(client.node.calls.is_empty());
    says(&mut client, is("alice"));
    assert_eq!(
        client
            .call()
            .request
            .caller
            .identity
            .expect("somebody")
            .subject(),
        "alice"
    );
}

#[test]
fn a_client_that_is_gone_when_it_is_known_who_it_was() {
    let mut client = by_hook();
    let socket = client.connect();
    client.send(socket, &list());
    client.node.cut(socket);
    says(&mut client, is("alice"));
    says_nothing_more(&client);
}

fn says_nothing_more(client: &Client) {
    assert!(client.node.calls.is_empty() && client.node.who.is_empty());
    client.node.cores[0].shard.invariants();
}

#[test]
fn a_search_that_is_asked_for_twice() {
    let mut client = by_hook();
    let socket = client.connect();
    client.send(socket, &list());
    says(&mut client, IdentityAnswer::Searched(Searched::CannotTell));
    assert_eq!(client.answer(socket).status, 503);
    says_nothing_more(&client);
}

/// A node among others, of this name.
fn among_others(name: &str) -> Client {
    let node = Node::with(1, |core| {
        let mut setup = setup(core, 1, Limits::default(), 0x00b0_0700);
        setup.node = NodeName::new(name).expect("a name");
        setup.cluster = Some(Cluster {
            secret: Some(PeerSecret::new(b"of the nodes")),
        });
        setup
    });
    let mut client = Client { node };
    identify_by(&mut client.node, &Arc::new(rules(Who::Tokens(tokens()))));
    client
}

#[test]
fn a_request_for_another_nodes_session_that_is_passed_on_for_nobody() {
    let session = among_others("node-b").session_of("alice", V11);
    let mut client = among_others("node-a");
    let refused = client.ask(&Request::ping(&session, 1));
    assert_eq!(refused.status, 401);
    assert!(client.node.asked.is_empty());
    let socket = client.connect();
    client.send(socket, &Request::ping(&session, 1).shown_by("alice"));
    assert_eq!(client.node.asked.len(), 1);
}

#[test]
fn a_request_that_another_node_passed_on_and_nobody_looks_at() {
    let mut client = among_others("node-a");
    let session = client.session_of("alice", V11);
    let from = NodeName::new("node-b").expect("a name");
    let proof = PeerSecret::new(b"of the nodes").sign(from, &session);
    let passed_on = Request::ping(&session, 1).with("Pinfold-Forwarded", &proof);
    assert_eq!(client.ask(&passed_on.clone()).status, 401);
    assert_eq!(client.ask(&passed_on.clone().shown_by("bob")).status, 404);
    assert_eq!(client.ask(&passed_on.shown_by("alice")).status, 200);
}

impl Client {
    /// So many calls have come when this was sent.
    fn send_nothing_but(&mut self, request: &Request, calls: usize) {
        let socket = self.connect();
        self.send(socket, request);
        assert_eq!(self.node.calls.len(), calls);
    }
}
