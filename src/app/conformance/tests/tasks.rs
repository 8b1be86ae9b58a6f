//! The tasks extension, as a client of 2026-07-28 sees it.

use super::*;

fn declaring() -> Peer {
    modern().declaring(json!({
        "elicitation": {},
        "extensions": { "io.modelcontextprotocol/tasks": {} },
    }))
}

fn start(peer: &Peer, tool: &str, arguments: Value) -> Value {
    let created = peer.other(
        "tools/call",
        &json!({ "name": tool, "arguments": arguments }),
    );
    assert_eq!(created["resultType"], "task");
    for absent in [
        "task",
        "ttl",
        "pollInterval",
        "result",
        "error",
        "inputRequests",
        "requestState",
    ] {
        assert_eq!(created.get(absent), None);
    }
    assert!(created["ttlMs"].as_u64().unwrap() > 0);
    json!({ "taskId": created["taskId"] })
}

#[test]
fn a_computation_goes_on_behind_its_task() {
    let peer = declaring();
    let task = start(&peer, "slow_compute", json!({ "seconds": 2, "label": "x" }));
    assert_eq!(peer.result("tasks/get", &task)["status"], "working");
    peer.world.finish_background();
    let done = peer.result("tasks/get", &task);
    assert_eq!(done["status"], "completed");
    assert_eq!(done["result"], text("Computed x in 2 s"));
    assert_eq!(done["lastUpdatedAt"], "1970-01-01T00:00:02.000Z");
}

#[test]
fn a_client_without_tasks_waits() {
    let peer = modern();
    let said = peer.tool_text("slow_compute", json!({ "seconds": 2, "label": "x" }));
    assert_eq!(said, "Computed x in 2 s");
    assert_eq!(peer.world.now_ms.get(), 2000);
    assert_eq!(
        peer.tool_text("greet", json!({ "name": "World" })),
        "Hello, World!"
    );
}

#[test]
fn what_must_be_a_task_needs_the_extension() {
    let required = json!({ "requiredCapabilities": {
        "extensions": { "io.modelcontextprotocol/tasks": {} },
    } });
    let call = json!({ "name": "failing_job", "arguments": {} });
    let task = json!({ "taskId": "x" });
    for (method, params) in [
        ("tools/call", &call),
        ("tasks/get", &task),
        ("tasks/update", &task),
        ("tasks/cancel", &task),
    ] {
        let error = modern().error(method, params);
        assert_eq!(error.code, RpcError::MISSING_CLIENT_CAPABILITY);
        assert_eq!(error.data.as_deref(), Some(&required));
    }
}

#[test]
fn a_failed_tool_and_a_failed_protocol() {
    let peer = declaring();
    let failing = start(&peer, "failing_job", json!({}));
    let broken = start(&peer, "protocol_error_job", json!({}));
    peer.world.finish_background();
    let failing = peer.result("tasks/get", &failing);
    assert_eq!(failing["status"], "completed");
    assert_eq!(failing["result"]["isError"], true);
    let broken = peer.result("tasks/get", &broken);
    assert_eq!(broken["status"], "failed");
    assert_eq!(broken["error"]["code"], RpcError::INTERNAL_ERROR);
    assert!(broken["error"]["message"].is_string());
    assert_eq!(broken.get("result"), None);
}

#[test]
fn cancelling_twice_is_acknowledged_twice() {
    let peer = declaring();
    let task = start(&peer, "slow_compute", json!({ "seconds": 60 }));
    for _ in 0..2 {
        assert_eq!(peer.result("tasks/cancel", &task), json!({}));
    }
    assert_eq!(peer.result("tasks/get", &task)["status"], "cancelled");
}

#[test]
fn a_task_waits_for_its_answers() {
    let peer = declaring();
    let task = start(&peer, "multi_input", json!({}));
    let answer = |key: &str| {
        let mut params = task.clone();
        let content = json!({ "name": "n", "confirm": true });
        params["inputResponses"] = json!({ key: { "action": "accept", "content": content } });
        assert_eq!(peer.result("tasks/update", &params), json!({}));
        peer.result("tasks/get", &task)
    };
    let unknown = answer("nobody");
    let keys: Vec<_> = unknown["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(keys, ["confirmation", "user_name"]);
    let partly = answer("user_name");
    assert_eq!(partly["status"], "input_required");
    let keys: Vec<_> = partly["inputRequests"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(keys, ["confirmation"]);
    assert_eq!(answer("confirmation")["status"], "completed");
}

#[test]
fn a_confirmed_deletion() {
    let peer = declaring();
    let task = start(&peer, "confirm_delete", json!({ "filename": "a.txt" }));
    let mut update = task.clone();
    update["inputResponses"] =
        json!({ "confirm": { "action": "accept", "content": { "confirm": true } } });
    peer.result("tasks/update", &update);
    let done = peer.result("tasks/get", &task);
    assert_eq!(done["result"], text("Deleted a.txt"));
}

#[test]
fn asked_first_and_a_task_then() {
    let peer = declaring();
    let mut call = json!({ "name": "test_tool_with_task", "arguments": {} });
    let interim = peer.other("tools/call", &call);
    assert_eq!(interim["resultType"], "input_required");
    assert_eq!(interim.get("taskId"), None);
    call["inputResponses"] =
        json!({ "user_name": { "action": "accept", "content": { "name": "Alice" } } });
    let created = peer.other("tools/call", &call);
    assert_eq!(created["resultType"], "task");
    assert_eq!(created.get("requestState"), None);
    peer.world.finish_background();
    let done = peer.result("tasks/get", &json!({ "taskId": created["taskId"] }));
    assert_eq!(done["result"], text("Hello, Alice!"));
}

#[test]
fn another_core_sees_the_task() {
    let shared = Conformance::new();
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let one = Peer::modern(shared.app()).declaring(tasks.clone());
    let other = Peer::modern(shared.app()).declaring(tasks);
    let task = start(&one, "slow_compute", json!({ "seconds": 1 }));
    assert_eq!(other.result("tasks/get", &task)["status"], "working");
}

#[test]
fn unknown_tasks_and_methods() {
    let peer = declaring();
    let task = json!({ "taskId": "nope" });
    assert_eq!(
        peer.error("tasks/get", &task).code,
        RpcError::INVALID_PARAMS
    );
    for method in ["tasks/result", "tasks/list"] {
        assert_eq!(peer.error(method, &task).code, RpcError::METHOD_NOT_FOUND);
    }
    let code = legacy().error("tasks/get", &task).code;
    assert_eq!(code, RpcError::METHOD_NOT_FOUND);
}
