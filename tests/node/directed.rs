//! What a handler, or the program around the node, publishes for one of its users: on every node their clients hear of it,
//! and nobody else's do.

use pinfold::app::{Context, NoArguments, Toolkit, Topic};
use pinfold::mcp::types::Resource;
use pinfold::{Authenticator, Identity, Node, Presented, PrincipalId, Reason};
use serde_json::{Value, json};

use crate::client::{Session, USER, small, wait_until};
use crate::redis::Redis;

const USERS: &str = "users-of-the-shop";
const CART: &str = "shop://cart";

fn principal(user: &str) -> PrincipalId {
    PrincipalId::of(USERS, user)
}

fn cart() -> Topic {
    Topic::Resource(CART.into())
}

fn shop() -> Toolkit {
    // Whoever buys has other clients, which show the same cart.
    let buy = |_: NoArguments, context: Context| async move {
        let caller = context.principal().expect("everybody is somebody");
        context.publish_to(caller, cart());
        "bought"
    };
    Toolkit::new("shop", "1.0.0")
        .resource(Resource::new(CART, "Cart"), |_| async { "empty" })
        .tool("buy", "Buys.", buy)
        .subscribable(|uri| uri == CART)
}

fn start(name: &str, redis: &Redis) -> Node {
    let by_name = |presented: Presented| async move {
        let name = presented.field(USER).ok_or(Reason::Missing)?;
        Ok(Identity::new(USERS, name))
    };
    small(Node::builder(shop))
        .authenticate(Authenticator::hook(by_name))
        .name(name)
        .redis(&redis.url())
        .peer_secret([7; 32])
        .start()
        .expect("it starts")
}

/// As far as the list of tools, which is published for all when nothing else is to come.
fn told(stream: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut topics = Vec::new();
    for message in stream {
        if message["method"] == "notifications/tools/list_changed" {
            return topics;
        }
        topics.push(message["params"]["uri"].clone());
    }
    panic!("the stream ended: {topics:?}");
}

#[test]
fn a_change_in_the_cart_of_one_user_that_another_one_hears_of() {
    let redis = Redis::start();
    let (a, b) = (start("a", &redis), start("b", &redis));
    for node in [&a, &b] {
        wait_until("a node does not become ready", || node.is_ready());
    }
    let at = |node: &Node, user| {
        let session = Session::open_as(node.address(), user);
        assert!(session.subscribe(CART)["result"].is_object());
        session
    };
    let sessions = [
        at(&a, "alice"),
        at(&b, "alice"),
        at(&a, "bob"),
        at(&b, "bob"),
    ];
    let [at_a, mut at_b, bob_at_a, bob_at_b] = sessions.each_ref().map(Session::stream);
    let bought = sessions[0].call("tools/call", &json!({"name": "buy", "arguments": {}}));
    assert_eq!(bought["result"]["content"][0]["text"], "bought");
    let first = at_b.next().expect("the stream goes on");
    assert_eq!(first["params"]["uri"], CART);
    // One after the other: what comes before the last is told before it.
    let publish_to = |user, topic| {
        let published = b.publisher().publish_to(principal(user), topic);
        published.expect("it is not busy")
    };
    publish_to("carol", cart());
    publish_to("alice", Topic::Prompts);
    publish_to("bob", cart());
    b.publisher().publish(Topic::Tools).expect("it is not busy");
    assert_eq!(told(at_a), [CART]);
    assert!(told(at_b).is_empty());
    assert_eq!(told(bob_at_a), [CART]);
    assert_eq!(told(bob_at_b), [CART]);
    for node in [&a, &b] {
        node.stop();
        node.join_blocking().expect("it ends well");
    }
}
