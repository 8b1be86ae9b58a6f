//! What lists show of what there is, and to whom: nobody sees what they may not have, and nothing is shared.

use pinfold::app::call::{Caching, Outcome};
use serde_json::{Value, json};

use super::policy::{V11, governed, of_both_eras, refused};
use crate::support::{Client, Request};

#[test]
fn a_list_that_changes_and_that_somebody_may_not_see() {
    let mut client = Client::governed("list = \"nobody\"");
    let session = client.session_of("alice", V11);
    let stream = client.open(&Request::get(&session).shown_by("alice"));
    let filter = json!({"toolsListChanged": true, "promptsListChanged": true});
    let listening = client.open(&Request::listen(1, filter.clone()).shown_by("alice"));
    let acknowledged = client.messages(listening);
    assert_eq!(acknowledged[0]["params"]["notifications"], json!({}));
    client.publish(pinfold::app::Topic::Tools);
    assert!(client.messages(stream).is_empty() && client.messages(listening).is_empty());

    for (method, member) in [
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        let [legacy, modern] = refused(&mut client, "alice", method, &json!({}));
        assert_eq!(legacy.json()["result"], json!({ member: [] }));
        let result = &modern.json()["result"];
        assert_eq!(
            (&result[member], &result["cacheScope"]),
            (&json!([]), &json!("private"))
        );
        assert_eq!(result["resultType"], "complete");
    }

    let mut client = Client::governed("list = \"see\"");
    let refused = client.ask(&Request::listen(1, filter).shown_by("alice"));
    assert_eq!(
        (refused.status, refused.reason()),
        (403, "insufficient_scope".into())
    );
    let refused = client.ask(&Request::modern(1, "tools/list", json!({})).shown_by("alice"));
    assert_eq!(refused.status, 403);
}

/// What the application answers to a list, as somebody sees it.
fn listed(client: &mut Client, who: &str, method: &str, result: &Value) -> [Value; 2] {
    of_both_eras(client, who, method, &json!({})).map(|request| {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        let outcome = Outcome::Result {
            json: result.to_string(),
            caching: Some(Caching {
                ttl_ms: 60_000,
                public: true,
            }),
        };
        client.node.outcome(call.core, call.key, &outcome);
        client.answer(socket).json()
    })
}

#[test]
fn a_list_that_names_what_somebody_may_not_have() {
    let mut client = governed();
    for (method, member, key, all, alices) in [
        (
            "tools/list",
            "tools",
            "name",
            json!(["post", "echo", "admin_x"]),
            json!(["echo"]),
        ),
        (
            "prompts/list",
            "prompts",
            "name",
            json!(["review", "secret", "hello"]),
            json!(["hello"]),
        ),
        (
            "resources/list",
            "resources",
            "uri",
            json!([
                "board://area/bob/x",
                "board://area/alice/x",
                "a://b",
                "board://gr%C3%BCn/x"
            ]),
            json!(["board://area/alice/x", "a://b"]),
        ),
        (
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
            json!([
                "board://area/bob/{x}",
                "board://area/{who}/{+path}",
                "board://{+path}"
            ]),
            json!(["board://area/{who}/{+path}", "board://{+path}"]),
        ),
    ] {
        let entries = |names: &Value| -> Vec<Value> {
            let names = names.as_array().expect("names").iter();
            names
                .map(|name| json!({"title": "a, \"b\" }]", key: name, "x": [1]}))
                .collect()
        };
        let result = json!({member: entries(&all), "nextCursor": "after:x", "more": 1.5});
        for answer in listed(&mut client, "alice", method, &result) {
            let seen = &answer["result"];
            assert_eq!(seen[member], json!(entries(&alices)), "{method}");
            assert_eq!(
                (&seen["nextCursor"], &seen["more"]),
                (&json!("after:x"), &json!(1.5))
            );
        }
    }
}

/// MUST, 2026-07-28 caching: what is for one client alone is not shared.
#[test]
fn a_list_or_a_resource_that_others_may_share() {
    let mut client = governed();
    for (method, params, result) in [
        (
            "tools/list",
            json!({}),
            json!({"tools": [{"name": "echo"}]}),
        ),
        (
            "resources/read",
            json!({"uri": "a://b"}),
            json!({"contents": []}),
        ),
    ] {
        for is_in_text in [false, true] {
            let request = Request::modern(7, method, params.clone()).shown_by("alice");
            let socket = client.connect();
            client.send(socket, &request);
            let call = client.call();
            let mut json = result.clone();
            let outcome = if is_in_text {
                json["cacheScope"] = "public".into();
                json["resultType"] = "complete".into();
                let json = json.to_string();
                Outcome::Other { json }
            } else {
                let caching = Some(Caching {
                    ttl_ms: 60_000,
                    public: true,
                });
                let json = json.to_string();
                Outcome::Result { json, caching }
            };
            client.node.outcome(call.core, call.key, &outcome);
            let answer = client.answer(socket).json();
            assert_eq!(answer["result"]["cacheScope"], "private", "{answer}");
        }
    }
}

#[test]
fn a_list_that_cannot_be_read_and_is_shown() {
    let mut client = governed();
    for broken in [
        r#"{"tools":{"admin_x":{}}}"#,
        r#"{"tools":[{"name":"echo"},{"title":"admin_x"}]}"#,
        r#"{"tools":[{"name":"echo","name":"admin_x"}]}"#,
        r#"{"tools":[],"tools":[{"name":"admin_x"}]}"#,
        r#"{"tools":["admin_x"]}"#,
        r#"{"tools":[{"name":["admin_x"]}]}"#,
        r#"["admin_x"]"#,
    ] {
        for request in of_both_eras(&mut client, "alice", "tools/list", &json!({})) {
            let socket = client.connect();
            client.send(socket, &request);
            let call = client.call();
            client.finish(&call, broken);
            let answer = client.answer(socket);
            assert_eq!(answer.code(), -32603, "{broken}");
            assert!(!answer.body.contains("admin_x"), "{answer:?}");
        }
    }
}

/// The answer is made while nobody is connected, and is for the same client.
#[test]
fn a_list_that_is_fetched_by_a_resume() {
    let mut client = governed();
    let session = client.session_of("alice", V11);
    let request = Request::call(&session, 7, "tools/list", json!({})).shown_by("alice");
    let socket = client.connect();
    client.send(socket, &request);
    let call = client.call();
    client.notify(&call, 1);
    let last = client.last_event_id(socket);
    client.node.cut(socket);
    client.finish(&call, r#"{"tools":[{"name":"admin_x"},{"name":"echo"}]}"#);
    let resumed = client.open(&Request::get(&session).resume(&last).shown_by("alice"));
    let messages = client.messages(resumed);
    let answer = messages
        .iter()
        .find(|it| it["id"] == 7)
        .expect("the answer");
    assert_eq!(answer["result"]["tools"], json!([{"name": "echo"}]));
}
