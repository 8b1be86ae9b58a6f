//! What the program that runs a node sees of it.

use std::time::{Duration, Instant};

use pinfold::Driver;
use pinfold::app::Toolkit;
use serde_json::{Value, json};

use crate::server::{LIMIT, Served};

#[test]
fn a_session_that_its_own_program_does_not_see() {
    let mut served = Served::start(Driver::Auto, || Toolkit::new("t", "1"));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let session = served.session();
    let other = served.session();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    served.send("POST", &ping, &[("Mcp-Session-Id", &session)]);
    let node = served.node();
    let seen = runtime.block_on(node.sessions(10));
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(session.starts_with(&seen[0].name), "the oldest first");
    assert!(seen[0].name.len() < session.len(), "without the secret");
    assert_eq!(seen[0].requests, 2);
    let client = Some(("test".to_owned(), "1".to_owned()));
    assert_eq!((&seen[0].client, seen[0].blocked_for), (&client, None));
    assert_eq!(runtime.block_on(node.sessions(1)).len(), 1);
    served.send("DELETE", &Value::Null, &[("Mcp-Session-Id", &other)]);
    assert_eq!(runtime.block_on(node.sessions(10)).len(), 1);
    let deadline = Instant::now() + LIMIT;
    while node.stats().sessions_ended == 0 {
        assert!(Instant::now() < deadline, "{:?}", node.stats());
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = node.stats();
    assert_eq!((stats.sessions, stats.slow_readers), (1, 0));
    assert!(stats.requests > 0, "{stats:?}");
    served.stop();
    assert!(runtime.block_on(node.sessions(10)).is_empty(), "it is over");
}
