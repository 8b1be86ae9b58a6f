//! A program of its own that knows who asks.

use pinfold::app::{Context, NoArguments, Toolkit};
use pinfold::internals::runtime::Driver;
use pinfold::{Authenticator, Identity, Presented, Reason};
use serde_json::{Value, json};

use crate::server::Served;

async fn who(_: NoArguments, context: Context) -> String {
    let identity = context.identity().expect("somebody");
    assert_eq!(context.headers().get("authorization"), None);
    format!("{} of {}", identity.subject(), identity.issuer())
}

/// Of keys that nobody has it says so; one makes it panic.
async fn by_key(presented: Presented) -> Result<Identity, Reason> {
    match presented.field("x-api-key").ok_or(Reason::Missing)? {
        "k-alice" => Ok(Identity::new("keys", "alice")),
        "k-bob" => Ok(Identity::new("keys", "bob")),
        "k-panic" => panic!("as this test has it"),
        _ => Err(Reason::UnknownToken),
    }
}

fn told(response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.into_body().read_to_string().expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[test]
fn a_program_that_lets_in_whom_it_does_not_know() {
    let app = || Toolkit::new("t", "1").tool("who", "Who am I?", who);
    let served = Served::start_with(Driver::Auto, app, |node| {
        node.authenticate(Authenticator::hook(by_key))
    });
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }});
    let open = |key: &str| served.send("POST", &message, &[("X-Api-Key", key)]);
    for (key, status, reason) in [
        ("k-nobody", 401, "token_unknown"),
        ("k-panic", 503, "authentication_unavailable"),
    ] {
        let (got, told) = told(open(key));
        assert_eq!(
            (got, &told["error"]["data"]["reason"]),
            (status, &reason.into())
        );
    }
    assert_eq!(told(served.send("POST", &message, &[])).0, 401);
    let opened = open("k-alice");
    let session = opened.headers().get("mcp-session-id").expect("a session");
    let session = session.to_str().expect("ASCII").to_owned();
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "who"}});
    let in_session = |key: &str| {
        let fields = [("X-Api-Key", key), ("Mcp-Session-Id", &*session)];
        told(served.send("POST", &call, &fields))
    };
    let (status, answer) = in_session("k-alice");
    assert_eq!(status, 200);
    assert_eq!(answer["result"]["content"][0]["text"], "alice of keys");
    let (status, answer) = in_session("k-bob");
    assert_eq!(
        (status, &answer["error"]["data"]["reason"]),
        (404, &"unknown".into())
    );
}
