//! What operators read of a node: the page for Prometheus and `GET /node`, as a node's own threads say it.

use pinfold::Node;
use pinfold::app::{NoArguments, Toolkit, Topic};
use serde_json::{Value, json};

use crate::client::{ANY_PORT, Session, small, wait_until};

fn read(node: &Node, path: &str) -> String {
    let admin = node.admin_address().expect("it has one");
    let answer = ureq::get(format!("http://{admin}{path}")).call();
    let mut answer = answer.expect("an answer");
    answer.body_mut().read_to_string().expect("a text")
}

fn app() -> Toolkit {
    let hello = |_: NoArguments, _| async { "hello" };
    Toolkit::new("test", "0").tool("hello", "Says hello.", hello)
}

/// One client has a session with a stream, has called two tools, and was told of one publication.
const OF_ONE_CLIENT: &[&str] = &[
    "pinfold_sessions 1",
    "pinfold_calls 0",
    "pinfold_streams{kind=\"get\"} 1",
    "pinfold_streams{kind=\"listen\"} 0",
    "pinfold_streams{kind=\"post\"} 0",
    "pinfold_listeners 1",
    "pinfold_publications_total 1",
    "pinfold_deliveries_total{era=\"legacy\"} 1",
    "pinfold_deliveries_total{era=\"modern\"} 0",
    "pinfold_conflated_total 0",
    "pinfold_publish_to_last_write_seconds_count 1",
    "pinfold_pending_bytes 0",
    "pinfold_blocked_streams 0",
    "pinfold_moves_total 0",
    "pinfold_forwards_total{outcome=\"answered\"} 0",
    "pinfold_forwards_total{outcome=\"broke_off\"} 0",
    "pinfold_forwards_total{outcome=\"returned\"} 0",
    "pinfold_mailbox_messages{core=\"0\"} 0",
    "pinfold_memory_line_bytes{line=\"sessions\"} 120",
    "pinfold_node_state{state=\"ready\"} 1",
    "pinfold_node_state{state=\"draining\"} 0",
    "pinfold_limit{what=\"sessions\"} 1000000",
    concat!(
        "pinfold_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    ),
];

const OF_ANY_VALUE: &[&str] = &[
    "pinfold_connections ",
    "pinfold_core_busy_seconds_total{core=\"0\"} ",
    "pinfold_core_waited_seconds_total{core=\"0\"} ",
    "pinfold_thread_last_beat_seconds{thread=\"core-0\"} ",
    "pinfold_thread_last_beat_seconds{thread=\"control\"} ",
    "pinfold_memory_line_bytes{line=\"subscriptions\"} ",
    "process_resident_memory_bytes ",
    "process_start_time_seconds ",
];

#[test]
fn a_metric_that_is_not_on_the_page_or_has_another_value() {
    let builder = small(Node::builder(app)).cores(1).admin(ANY_PORT).name("a");
    let node = builder.start().expect("it starts");
    let session = Session::open(node.address());
    let mut stream = session.stream();
    let called = session.call("tools/call", &json!({"name": "hello", "arguments": {}}));
    assert!(called["result"].is_object(), "{called}");
    let unknown = session.call("tools/call", &json!({"name": "nothing"}));
    assert!(unknown["error"].is_object(), "{unknown}");
    node.publisher()
        .publish(Topic::Tools)
        .expect("it is not busy");
    stream.next().expect("it is told");
    // What the cores say on the page is a moment old.
    let has = |line: &str| {
        wait_until(line, || {
            read(&node, "/metrics").lines().any(|it| it == line)
        })
    };
    let of = "mcp_server_operation_duration_seconds_count{mcp_method_name=\"tools/call\",gen_ai_tool_name=";
    has(&format!(
        "{of}\"hello\",error_type=\"\",mcp_protocol_version=\"2025-11-25\"}} 1"
    ));
    has(&format!(
        "{of}\"_OTHER\",error_type=\"-32602\",mcp_protocol_version=\"2025-11-25\"}} 1"
    ));
    for line in OF_ONE_CLIENT {
        has(line);
    }
    let page = read(&node, "/metrics");
    for name in OF_ANY_VALUE {
        assert!(page.contains(&format!("\n{name}")), "{name} in {page}");
    }
    let delete = ureq::delete(format!("http://{}/mcp", node.address()));
    let deleted = delete.header("Mcp-Session-Id", &session.id).call();
    assert_eq!(deleted.expect("an answer").status(), 204);
    has("pinfold_sessions_ended_total{reason=\"deleted\"} 1");
    has(
        "mcp_server_session_duration_seconds_count{reason=\"deleted\",mcp_protocol_version=\"2025-11-25\"} 1",
    );
    wait_until("a connection that left is counted", || {
        read(&node, "/metrics").contains("pinfold_connections_closed_total{reason=\"peer_left\"}")
    });
    let refused = session.call("ping", &json!({}));
    assert!(refused.get("result").is_none(), "{refused}");
    has("pinfold_http_refusals_total{status=\"404\"} 1");
    node.stop();
    node.join_blocking().expect("it ends");
}

#[test]
fn a_node_that_says_something_else_of_itself_than_its_page() {
    let builder = small(Node::builder(app)).cores(1).admin(ANY_PORT).name("a");
    let node = builder.start().expect("it starts");
    let session = Session::open(node.address());
    session.call("ping", &json!({}));
    session.call("nothing/like/it", &json!({}));
    let ask = || -> Value { serde_json::from_str(&read(&node, "/node")).expect("JSON") };
    wait_until("three requests", || ask()["totals"]["requests"] == 3);
    wait_until("busy", || ask()["cores"][0]["busyS"].as_f64() > Some(0.0));
    let said = ask();
    assert_eq!(
        (&said["node"], &said["state"]),
        (&json!("a"), &json!("ready"))
    );
    assert_eq!(said["totals"]["errors"], 1, "{said}");
    assert_eq!(said["totals"]["sessions"], 1);
    assert_eq!(said["cores"][0]["sessions"], 1);
    assert_eq!(said["cores"].as_array().map(Vec::len), Some(node.cores()));
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    let operations = &said["latency"]["operations"];
    let counts = operations["counts"].as_array().expect("a list");
    let all: u64 = counts.iter().filter_map(Value::as_u64).sum();
    let bounds = operations["boundsS"].as_array().expect("a list");
    assert_eq!((all, counts.len()), (3, bounds.len() + 1));
    let started = said["startedAt"].as_u64().expect("a time");
    assert!(started <= said["now"].as_u64().expect("a time"), "{said}");
    drop(node.drain());
    wait_until("it drains", || ask()["state"] == "draining");
    node.stop();
    node.join_blocking().expect("it ends");
}
