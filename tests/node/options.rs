//! What is wrong with a node's options is said by `start`, in a sentence, and nothing is left of it.

use std::net::TcpListener;

use pinfold::prometheus::Registry;
use pinfold::{Authenticator, Identity, Node, NodeBuilder, Presented, Reason};

use crate::client::{ANY_PORT, Session, is_closed, named, small};

fn refused(change: impl FnOnce(NodeBuilder) -> NodeBuilder) -> String {
    let builder = change(small(Node::builder(named("wrong"))));
    let wrong = builder.start().expect_err("it does not start");
    wrong.to_string()
}

#[test]
fn an_option_that_nobody_looks_at() {
    let path = refused(|node| node.path("mcp"));
    assert!(
        path.contains("path mcp: must be a path such as /mcp"),
        "{path}"
    );
    let listen = refused(|node| node.listen("localhost"));
    assert!(
        listen.contains("listen localhost: must be an IP address and a port"),
        "{listen}"
    );
    let host = refused(|node| node.allow_host("http://a"));
    assert!(host.contains("host http://a: must be a host"), "{host}");
    let origin = refused(|node| node.allow_origin("example.com"));
    assert!(
        origin.contains("origin example.com: must be http://"),
        "{origin}"
    );
    let url = refused(|node| node.public_url("http://mcp.example.com/mcp"));
    assert!(
        url.contains("public_url http://mcp.example.com/mcp: must be the URL"),
        "{url}"
    );
    let name = refused(|node| node.name("Node 1"));
    assert!(name.contains("name Node 1: must be 1 to 16"), "{name}");
    let admin = refused(|node| node.admin("0.0.0.0:0"));
    assert!(admin.contains("unless there is a token"), "{admin}");
    let token = refused(|node| node.admin(ANY_PORT).admin_token("two words"));
    assert!(
        token.contains("admin token must be visible ASCII"),
        "{token}"
    );
    let cores = refused(|node| node.cores(1_000));
    assert!(
        cores.contains("cores 1000: must be a number from 1 to 512"),
        "{cores}"
    );
}

/// The same sentence for an address and for a socket that somebody else made; and then nothing listens.
#[test]
fn a_node_that_lets_strangers_in_because_nobody_said_otherwise() {
    let open = "0.0.0.0:0";
    let told = refused(|node| node.listen(open));
    assert!(
        told.contains("listen 0.0.0.0:0: must be a loopback address"),
        "{told}"
    );
    assert!(told.contains("NodeBuilder::let_anybody_in"), "{told}");
    let lent = TcpListener::bind(open).expect("a free port");
    let address = lent.local_addr().expect("an address");
    let told = refused(|node| node.listener(lent));
    assert!(
        told.contains(&format!("listen {address}: must be")),
        "{told}"
    );
    let starts = |node: NodeBuilder| {
        let node = small(node).listen(open).start().expect("somebody said so");
        node.stop();
        node.join_blocking().expect("it ends well");
    };
    let named = || Node::builder(named("open"));
    starts(named().let_anybody_in());
    starts(named().authenticate(Authenticator::None));
    starts(
        named().authenticate(Authenticator::hook(|_: Presented| async {
            Err::<Identity, Reason>(Reason::Missing)
        })),
    );
}

#[test]
fn a_card_that_does_not_heed_the_options() {
    let read = |change: fn(NodeBuilder) -> NodeBuilder| {
        let node = change(small(Node::builder(named("own")))).start();
        let node = node.expect("it starts");
        let url = format!("http://{}/v1/mcp/server-card", node.address());
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let answer = ureq::Agent::new_with_config(config.build()).get(url).call();
        let mut answer = answer.expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        node.stop();
        node.join_blocking().expect("it ends");
        (answer.status().as_u16(), text)
    };
    let (status, text) = read(|node| {
        let node = node.path("/v1/mcp");
        node.public_url("https://mcp.example.com/mcp")
    });
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""name":"com.example.mcp/own","version":"1.0.0""#));
    assert!(text.contains(r#""url":"https://mcp.example.com/mcp""#));
    let (status, text) = read(|node| node.path("/v1/mcp").server_card(false));
    assert_eq!(status, 404, "{text}");
}

#[test]
fn settings_of_redis_that_nobody_looks_at() {
    let good = "redis://127.0.0.1:1";
    let url = refused(|node| node.redis("http://:secret@127.0.0.1"));
    assert!(url.contains("redis://") && !url.contains("secret"), "{url}");
    let name = refused(|node| node.redis(good).no_forwarding());
    assert!(name.contains("needs a name"), "{name}");
    let secret = refused(|node| node.redis(good).name("a"));
    assert!(secret.contains("peer_secret"), "{secret}");
    let short = refused(|node| node.redis(good).name("a").peer_secret("short"));
    assert!(short.contains("at least 16 bytes"), "{short}");
    let open = refused(|node| {
        node.redis(good)
            .name("a")
            .peer_secret([7; 32])
            .advertise("10.0.0.1")
    });
    assert!(
        open.contains("advertise 10.0.0.1: must be http://"),
        "{open}"
    );
    let alone = refused(|node| node.peer_secret([7; 32]));
    assert!(alone.contains("no sense without redis"), "{alone}");
    let adopts = refused(pinfold::NodeBuilder::adopt_sessions);
    assert!(adopts.contains("adopt_sessions"), "{adopts}");
    let unreached = refused(|node| node.redis(good).name("a").no_forwarding().adopt_sessions());
    assert!(
        unreached.contains("adopt_sessions cannot be used with no_forwarding"),
        "{unreached}"
    );
    let prefix = refused(|node| {
        node.redis(good)
            .name("a")
            .no_forwarding()
            .redis_prefix("a b")
    });
    assert!(prefix.contains("redis_prefix a b: must be"), "{prefix}");
}

#[test]
fn an_address_that_a_later_option_takes_back() {
    let mut options = pinfold::Options::default();
    options.path = "/other".to_owned();
    options.listen = vec![ANY_PORT.parse().unwrap()];
    let node = Node::builder_from(options, named("from"))
        .cores(1)
        .path("/mcp");
    let node = node.start().expect("it starts");
    assert_ne!(node.address().port(), 8080);
    assert_eq!(Session::open(node.address()).whoami(), "from");
    node.stop();
    node.join_blocking().expect("it ends");
}

#[test]
fn a_port_in_use_that_takes_the_other_ones_along() {
    let taken = std::net::TcpListener::bind(ANY_PORT).expect("a port");
    let taken_at = taken.local_addr().expect("it is bound");
    let said = refused(|node| node.listen(taken_at));
    assert!(said.contains("is in use by another program"), "{said}");
    let free = std::net::TcpListener::bind(ANY_PORT).expect("a port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let said = refused(|node| node.listen(address).listen(taken_at));
    assert!(said.contains(&taken_at.to_string()), "{said}");
    assert!(is_closed(address));
}

#[test]
fn two_nodes_that_count_in_one_registry() {
    let registry = Registry::new();
    let node = small(Node::builder(named("one"))).registry(registry.clone());
    let node = node.start().expect("it starts");
    let said = refused(|other| other.registry(registry.clone()));
    assert!(
        said.contains("registry") && said.contains("one of its own"),
        "{said}"
    );
    node.stop();
    node.join_blocking().expect("it ends");
    drop(node);
    let again = small(Node::builder(named("two"))).registry(registry);
    let again = again.start().expect("nobody counts there any more");
    again.stop();
    again.join_blocking().expect("it ends");
}
