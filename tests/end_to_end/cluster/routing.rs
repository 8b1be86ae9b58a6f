//! What the proxy does with the configuration of `pinfold traefik`, whatever the nodes know of each other.

use std::collections::BTreeSet;

use pinfold::internals::cluster::steering::cookie_value;
use serde_json::json;

use super::client::{Answer, Session, initialize, try_get};
use super::fleet::{Fleet, NODES, Plan};
use super::stream::Stream;
use super::{POLL, wait_until};

fn alone(test: &'static str, affinity: &'static str) -> Fleet {
    let plan = Plan {
        affinity,
        joined: false,
        ..Plan::new(test)
    };
    plan.start()
}

/// The node's name leads the id.
fn node_of(answer: &Answer) -> String {
    let id = answer.field("mcp-session-id");
    let id = id.unwrap_or_else(|| panic!("no session: {answer:?}"));
    id.split('.').next().expect("a name").to_owned()
}

/// `_mcp_backend=…`, as a client would send it back.
fn pair(set_cookie: &str) -> &str {
    set_cookie.split(';').next().expect("a pair")
}

#[test]
fn the_cookie_names_the_node_and_is_for_this_endpoint_alone() {
    let fleet = alone("cluster/cookie", "cookie");
    for _ in NODES {
        let answer = initialize(&fleet.traefik.mcp(), &[]);
        let value = cookie_value(&fleet.node(&node_of(&answer)).url());
        let cookie = answer.field("set-cookie").expect("a cookie");
        let wanted = format!("_mcp_backend={value}; Path=/mcp; HttpOnly; Secure; SameSite=Strict");
        assert_eq!(cookie, wanted);
    }
    fleet.stop();
}

#[test]
fn who_keeps_the_cookie_stays_while_the_rest_of_the_site_goes_round() {
    let fleet = alone("cluster/pinned", "cookie");
    let first = initialize(&fleet.traefik.mcp(), &[]);
    let cookie = pair(first.field("set-cookie").expect("a cookie")).to_owned();
    let keeps = [("Cookie", cookie.as_str())];
    let mut served = Vec::new();
    for _ in 0..9 {
        let answer = initialize(&fleet.traefik.mcp(), &keeps);
        assert_eq!(node_of(&answer), node_of(&first), "another node");
        let page = try_get(&format!("{}/graphql", fleet.traefik.url()), &keeps).expect("a page");
        assert_eq!(page.field("set-cookie"), None, "a cookie outside of /mcp");
        served.push(page.body);
    }
    // In turns: each as often as the others.
    for number in 0..3 {
        let name = format!("site {number}");
        assert_eq!(
            served.iter().filter(|it| **it == name).count(),
            3,
            "{served:?}"
        );
    }
    fleet.stop();
}

#[test]
fn who_keeps_no_cookie_meets_every_node() {
    for affinity in ["cookie", "none"] {
        let fleet = alone("cluster/no_cookie", affinity);
        let answers: Vec<_> = (0..6)
            .map(|_| initialize(&fleet.traefik.mcp(), &[]))
            .collect();
        let nodes: BTreeSet<_> = answers.iter().map(node_of).collect();
        assert_eq!(nodes.len(), NODES.len(), "{nodes:?}");
        let has_cookie = |answer: &Answer| answer.field("set-cookie").is_some();
        assert!(
            answers
                .iter()
                .all(|it| has_cookie(it) == (affinity == "cookie"))
        );
        fleet.stop();
    }
}

#[test]
fn a_session_id_leads_to_its_node_without_a_cookie_and_against_a_wrong_one() {
    let fleet = alone("cluster/by_name", "node");
    let wrong = format!("_mcp_backend={}", cookie_value(&fleet.node("a").url()));
    for name in NODES {
        let direct = Session::open(&fleet.node(name).mcp());
        let session = direct.through(&fleet.traefik.mcp());
        for fields in [[].as_slice(), &[("Cookie", wrong.as_str())]] {
            for _ in 0..4 {
                let answer = session.ping_with(fields);
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
        let mut stream = Stream::of_session(fleet.traefik.address(), &session.id).expect_open();
        fleet
            .node(name)
            .publish(&serde_json::json!([{"topic": "tools"}]));
        stream.wait_to_hear("notifications/tools/list_changed");
        assert_eq!(session.delete().status, 204);
    }
    fleet.stop();
}

/// Their requests come in two pieces and are answered at once, which a proxy must be able to take.
#[test]
fn a_stream_that_the_proxy_cuts_as_soon_as_it_begins() {
    const CLIENTS: usize = 8;
    const STREAMS_EACH: usize = 50;
    let fleet = alone("cluster/in_pieces", "node");
    let proxy = fleet.traefik.address();
    let open = || -> Vec<Stream> {
        let streams = (0..STREAMS_EACH).map(|_| Stream::listening(proxy, &[]).expect_open());
        streams.collect()
    };
    let mut streams: Vec<Stream> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(open)).collect();
        let opened = clients.into_iter().map(|it| it.join().expect("streams"));
        opened.flatten().collect()
    });
    for node in &fleet.nodes {
        node.publish(&serde_json::json!([{"topic": "tools"}]));
    }
    for stream in &mut streams {
        stream.wait_to_hear("notifications/tools/list_changed");
    }
    fleet.stop();
}

/// Neither the proxy's own 502 nor a time-out, from the first request on.
#[test]
fn a_dead_nodes_clients_get_an_answer_from_a_living_one() {
    let mut fleet = alone("cluster/dead_node", "node");
    let session = Session::open(&fleet.node("b").mcp()).through(&fleet.traefik.mcp());
    let cookie = format!("_mcp_backend={}", cookie_value(&fleet.node("b").url()));
    fleet.node_mut("b").kill();
    for _ in 0..5 {
        let answer = session.ping();
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(!answer.reason().is_empty(), "{answer:?}");
    }
    for fields in [[].as_slice(), &[("Cookie", cookie.as_str())]] {
        for _ in 0..3 {
            let answer = initialize(&fleet.traefik.mcp(), fields);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    // And once it is back, it is given clients again.
    fleet.node_mut("b").start_again();
    wait_until("the proxy finds the node again", || {
        node_of(&initialize(&fleet.traefik.mcp(), &[])) == "b"
    });
    fleet.stop();
}

/// Whoever asks for a session of a node that is gone, for a moment or for good: a node says that it has
/// ended, and why. The proxy knows nothing.
#[test]
fn a_session_of_a_dead_node_that_the_proxy_answers_for() {
    for affinity in ["node", "cookie"] {
        let plan = Plan {
            affinity,
            ..Plan::new("cluster/dead_by_name").ending()
        };
        let mut fleet = plan.start();
        let proxy = fleet.traefik.address();
        let session = Session::open(&fleet.node("b").mcp()).through(&fleet.traefik.mcp());
        let cookie = format!("_mcp_backend={}", cookie_value(&fleet.node("b").url()));
        fleet.node_mut("b").kill();
        let answered = |fields: &[(&str, &str)]| {
            for answer in [
                session.ping_with(fields),
                session.request("resources/list", json!({}), fields),
            ] {
                assert_eq!(answer.status, 404, "{answer:?}");
                assert!(!answer.reason().is_empty(), "{answer:?}");
            }
            assert_eq!(Stream::of_session(proxy, &session.id).status(), 404);
        };
        // From the first request on, and when the proxy has long known of it.
        for round in 0..40 {
            answered(&[]);
            answered(&[("Cookie", &cookie)]);
            if round >= 20 {
                std::thread::sleep(POLL);
            }
        }
        fleet.stop();
    }
}

/// One hop too many, once: the answer to it brings the cookie of the node that has the session.
#[test]
fn a_client_that_is_passed_on_with_every_request() {
    let plan = Plan {
        affinity: "cookie",
        ..Plan::new("cluster/steered")
    };
    let fleet = plan.start();
    let cookie = |name: &str| format!("_mcp_backend={}", cookie_value(&fleet.node(name).url()));
    let session = Session::open(&fleet.node("a").mcp()).through(&fleet.traefik.mcp());
    let wrong = cookie("b");
    let answer = session.ping_with(&[("Cookie", &wrong)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let steered = pair(answer.field("set-cookie").expect("a cookie")).to_owned();
    assert_eq!(steered, cookie("a"));

    let keeps = [("Cookie", steered.as_str())];
    let answer = session.ping_with(&keeps);
    let told = (answer.status, answer.field("set-cookie"));
    assert_eq!(told, (200, None), "{answer:?}");
    assert_eq!(node_of(&initialize(&fleet.traefik.mcp(), &keeps)), "a");
    fleet.stop();
}
