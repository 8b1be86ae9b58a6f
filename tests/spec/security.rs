//! Transports, "Security Warning" and "Security & Endpoint": who is let in.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::ShardSetup;
use serde_json::json;

use crate::support::node::setup;
use crate::support::{Client, Node, Request};
use crate::{V06, V11};

fn discover() -> Request {
    Request::modern(1, "server/discover", json!({}))
}

/// An invalid `Origin` is answered 403, whatever is asked and in whatever era.
#[test]
fn a_page_from_elsewhere_is_served() {
    let mut client = Client::new();
    let session = client.session(V11);
    let requests = [
        Request::initialize(V11),
        discover(),
        Request::get(&session),
        Request::delete(&session),
        Request::new("OPTIONS"),
    ];
    for request in requests {
        for origin in [
            "http://evil.example.com",
            "null",
            "http://localhost.evil.example.com",
        ] {
            let answer = client.ask(&request.clone().with("Origin", origin));
            assert_eq!(answer.status, 403, "{origin}");
            assert!(answer.sentence().contains("Origin"));
            assert_eq!(answer.field("access-control-allow-origin"), None);
        }
    }
    assert_eq!(
        client.ask(&Request::ping(&session, 1)).status,
        200,
        "the session is untouched"
    );
}

/// On loopback only a loopback `Host` is meant for this server.
#[test]
fn a_rebound_name_is_served() {
    let mut client = Client::new();
    for request in [Request::initialize(V11), discover()] {
        let answer = client.ask(&request.clone().but("Host", "evil.example.com"));
        assert_eq!(answer.status, 403);
        assert!(answer.sentence().contains("Host"));
        assert_eq!(
            client
                .ask(
                    &request
                        .clone()
                        .but("Host", "127.0.0.1:8080")
                        .with("Origin", "http://127.0.0.1:8080")
                )
                .status,
            200
        );
        assert_eq!(client.ask(&request.but("Host", "[::1]:8080")).status, 200);
    }
}

#[test]
fn a_public_name_is_refused_behind_a_proxy() {
    let behind_proxy = |core| {
        let mut setup: ShardSetup = setup(core, 1, Limits::default(), 1);
        setup.gate.loopback = false;
        setup
    };
    let mut client = Client {
        node: Node::with(1, behind_proxy),
    };
    assert_eq!(
        client
            .ask(&Request::initialize(V11).but("Host", "mcp.example.com"))
            .status,
        200
    );
    let local = Request::initialize(V11).with("Origin", "http://localhost:3000");
    assert_eq!(
        client.ask(&local).status,
        403,
        "local pages are nobody's friend there"
    );
}

/// A browser is told what an allowed page may send and read, and nothing about anyone else.
#[test]
fn an_allowed_page_that_cannot_read_its_answers() {
    let mut client = Client::new();
    let origin = "https://app.example";
    let preflight = client.ask(
        &Request::new("OPTIONS")
            .with("Origin", origin)
            .with("Access-Control-Request-Method", "POST"),
    );
    assert_eq!(
        (
            preflight.status,
            preflight.field("access-control-allow-origin")
        ),
        (204, Some(origin))
    );
    for name in [
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "Mcp-Method",
        "Mcp-Name",
        "Last-Event-ID",
        "Content-Type",
    ] {
        assert!(
            preflight
                .field("access-control-allow-headers")
                .expect("a list")
                .contains(name),
            "{name}"
        );
    }
    let answer = client.ask(&Request::initialize(V06).with("Origin", origin));
    assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
    assert_eq!(
        answer.field("access-control-expose-headers"),
        Some("Mcp-Session-Id")
    );
    assert_eq!(answer.field("vary"), Some("Origin"));
    let session = answer
        .field("mcp-session-id")
        .expect("a session")
        .to_owned();
    let socket = client.connect();
    let stream = client.exchange(
        socket,
        &Request::get(&session)
            .with("Origin", origin)
            .with("Accept", "*/*"),
    );
    assert_eq!(stream.field("access-control-allow-origin"), Some(origin));
}

/// The next request on the connection is not from that page.
#[test]
fn an_origin_that_sticks_to_its_connection() {
    let mut client = Client::new();
    let socket = client.connect();
    client.exchange(
        socket,
        &Request::initialize(V11).with("Origin", "https://app.example"),
    );
    let answer = client.exchange(socket, &Request::initialize(V11));
    assert_eq!(answer.field("access-control-allow-origin"), None);
}

/// Two values could be read in two ways, by a proxy and by us.
#[test]
fn a_doubled_field_is_believed() {
    for name in [
        "Origin",
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "Mcp-Method",
        "Content-Type",
        "Last-Event-ID",
    ] {
        let mut client = Client::new();
        let request = Request::initialize(V11)
            .without("Content-Type")
            .with(name, "http://localhost")
            .with(name, "http://localhost");
        assert_eq!(client.ask(&request).status, 400, "{name}");
    }
}

/// Session ids are visible ASCII, and guessing the secret is told apart from nothing.
#[test]
fn a_guessed_session_is_served() {
    let mut client = Client::new();
    let session = client.session(V11);
    assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) && session.len() <= 64);
    let last = if session.ends_with('A') { "Q" } else { "A" };
    let guessed = format!("{}{last}", &session[..session.len() - 1]);
    let answer = client.ask(&Request::ping(&guessed, 1));
    assert_eq!((answer.status, &*answer.reason()), (404, "unknown"));
    assert!(
        !answer.body.contains(&session[30..]),
        "no secret in an answer"
    );
}

/// Fetch, "CORS-preflight": a page sends what the server allows by name, and only tools know their `Mcp-Param-*`.
#[test]
fn a_page_that_may_not_send_what_a_tool_asks_for() {
    let mut client = Client::new();
    let preflight = |client: &mut Client, asked: &str| {
        let request = Request::new("OPTIONS")
            .with("Origin", "https://app.example")
            .with("Access-Control-Request-Method", "POST")
            .with("Access-Control-Request-Headers", asked);
        let answer = client.ask(&request);
        assert_eq!(answer.status, 204, "{asked}");
        let allowed = answer.field("access-control-allow-headers");
        allowed.expect("a list").to_owned()
    };
    let asked = "authorization,content-type, mcp-param-region,traceparent,tracestate,baggage";
    let allowed = preflight(&mut client, asked);
    let names: Vec<&str> = allowed.split(", ").collect();
    assert_eq!(names, asked.split(',').map(str::trim).collect::<Vec<_>>());
    let allowed = preflight(&mut client, "x-one, two words,, x(y), *\u{fc}, x-two");
    assert_eq!(allowed, "x-one, x-two", "what is no name is not repeated");
    let allowed = preflight(&mut client, "");
    assert!(allowed.contains("traceparent") && allowed.contains("Mcp-Session-Id"));
    let foreign = Request::new("OPTIONS")
        .with("Origin", "https://evil.example")
        .with("Access-Control-Request-Headers", "mcp-param-region");
    assert_eq!(client.ask(&foreign).status, 403);
}

fn client_of(change: impl Fn(&mut ShardSetup)) -> Client {
    let setup = |core| {
        let mut setup: ShardSetup = setup(core, 1, Limits::default(), 1);
        change(&mut setup);
        setup
    };
    Client {
        node: Node::with(1, setup),
    }
}

/// Any address of 127.0.0.0/8 is this machine, and so is its name with the dot written out.
#[test]
fn the_url_of_the_own_banner_is_refused() {
    let mut client = Client::new();
    for host in [
        "127.0.0.2:8080",
        "127.9.9.9",
        "localhost.",
        "localhost.:8080",
        "[::1]",
    ] {
        let request = discover().but("Host", host);
        assert_eq!(client.ask(&request).status, 200, "{host}");
        let own = request.with("Origin", &format!("http://{host}"));
        assert_eq!(client.ask(&own).status, 200, "{host}");
    }
    for host in [
        "127.0.0.2.evil.example",
        "localhost..",
        "128.0.0.1",
        "0.0.0.0",
    ] {
        assert_eq!(
            client.ask(&discover().but("Host", host)).status,
            403,
            "{host}"
        );
    }
}

#[test]
fn an_origin_refused_for_its_spelling() {
    let mut client = client_of(|setup| setup.gate.loopback = false);
    for (origin, status) in [
        ("https://app.example", 200),
        ("https://app.example:443", 200),
        ("https://APP.example", 200),
        ("https://app.example:80", 403),
        ("http://app.example", 403),
        ("https://app.example:8443", 403),
        ("https://app.example.evil.example", 403),
    ] {
        let request = discover().with("Origin", origin);
        assert_eq!(client.ask(&request).status, status, "{origin}");
    }
}

/// Its own pages are this server's, but only under a name that it was given: a page can have any name point here.
#[test]
fn a_page_of_this_very_server_is_refused() {
    let mut named = client_of(|setup| {
        setup.gate.loopback = false;
        setup.gate.hosts = vec!["mcp.example.com".into()];
    });
    for (host, origin, status) in [
        ("mcp.example.com", "https://mcp.example.com", 200),
        ("mcp.example.com:443", "https://mcp.example.com", 200),
        ("mcp.example.com:8080", "http://mcp.example.com:8080", 200),
        ("localhost:8080", "https://mcp.example.com", 200),
        ("mcp.example.com", "https://mcp.example.com:8443", 403),
        ("mcp.example.com", "https://evil.example", 403),
        ("localhost:8080", "http://localhost:8080", 403),
    ] {
        let request = discover().but("Host", host).with("Origin", origin);
        assert_eq!(named.ask(&request).status, status, "{host} {origin}");
    }
    let mut open = client_of(|setup| setup.gate.loopback = false);
    let request = discover()
        .but("Host", "evil.example")
        .with("Origin", "https://evil.example");
    assert_eq!(open.ask(&request).status, 403, "nobody gave it that name");
}
