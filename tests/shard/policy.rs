//! What somebody may do, asked where a request is served: what is not theirs is not there, and what another token would open is
//! said to be so.

use pinfold::app::call::Outcome;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Request};

const V03: &str = "2025-03-26";
pub(super) const V11: &str = "2025-11-25";

/// Alice and bob have `board:read`, dora `board:read board:write other`, carol nothing.
const POLICY: &str = r#"
read = "board:read"
subscribe = "board:read"
publish = "board:write"
[tools]
"post" = "board:write"
"admin_*" = "nobody"
[prompts]
"secret" = "nobody"
"review" = "board:write"
[resources]
"board://Area/{subject}/*" = "anyone"
"board://gr%C3%BCn/x" = "nobody"
"#;

pub(super) fn governed() -> Client {
    Client::governed(POLICY)
}

/// The same request as each era writes it, of somebody.
pub(super) fn of_both_eras(
    client: &mut Client,
    who: &str,
    method: &str,
    params: &Value,
) -> [Request; 2] {
    let session = client.session_of(who, V11);
    [
        Request::call(&session, 7, method, params.clone()),
        Request::modern(7, method, params.clone()),
    ]
    .map(|request| request.shown_by(who))
}

pub(super) fn challenge(answer: &Answer) -> &str {
    answer.field("www-authenticate").expect("a challenge")
}

/// It is refused, and the application never hears of it.
pub(super) fn refused(client: &mut Client, who: &str, method: &str, params: &Value) -> [Answer; 2] {
    let requests = of_both_eras(client, who, method, params);
    let answers = requests.map(|request| client.ask(&request));
    assert!(client.node.calls.is_empty(), "{method} {params}");
    answers
}

fn is_served(client: &mut Client, who: &str, method: &str, params: &Value) {
    for request in of_both_eras(client, who, method, params) {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        client.finish(&call, "{}");
        assert_eq!(client.answer(socket).status, 200, "{method} {params}");
    }
}

/// SHOULD, 2026-07-28 authorization, "Runtime Insufficient Scope Errors".
#[test]
fn an_action_without_its_scope() {
    let mut client = governed();
    for (method, params) in [
        ("tools/call", json!({"name": "post"})),
        ("prompts/get", json!({"name": "review"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "a", "value": ""}}),
        ),
    ] {
        for answer in refused(&mut client, "alice", method, &params) {
            let told = (answer.status, answer.code(), answer.reason());
            assert_eq!(told, (403, -32600, "insufficient_scope".into()));
            assert_eq!(answer.json()["id"], 7);
            assert_eq!(answer.json()["error"]["data"]["scopes"], "board:write");
            let challenge = challenge(&answer);
            for part in [
                "Bearer error=\"insufficient_scope\"",
                // What she has of what matters here, too: some clients ask for no more than this.
                "scope=\"board:write board:read\"",
                "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"",
            ] {
                assert!(challenge.contains(part), "{challenge}");
            }
        }
        is_served(&mut client, "dora", method, &params);
    }
    for (method, uri) in [
        ("resources/read", "a://b"),
        ("resources/read", "BOARD://lunch"),
    ] {
        let params = json!({"uri": uri});
        let [legacy, modern] = refused(&mut client, "carol", method, &params);
        assert_eq!((legacy.status, modern.status), (403, 403));
        is_served(&mut client, "alice", method, &params);
    }
}

/// To the letter what is said of what is not there.
#[test]
fn a_thing_that_is_hidden_and_can_be_told_from_one_that_is_not_there() {
    let mut client = governed();
    for (method, params, codes, sentence) in [
        (
            "tools/call",
            json!({"name": "admin_reset"}),
            [-32602, -32602],
            "Unknown tool: admin_reset",
        ),
        (
            "prompts/get",
            json!({"name": "secret"}),
            [-32602, -32602],
            "Unknown prompt: secret",
        ),
        (
            "resources/read",
            json!({"uri": "board://area/bob/x"}),
            [-32002, -32602],
            "Resource not found: board://area/bob/x",
        ),
    ] {
        let answers = refused(&mut client, "alice", method, &params);
        for (answer, code) in answers.iter().zip(codes) {
            let told = (answer.status, answer.code(), answer.sentence());
            assert_eq!(told, (200, code, sentence.to_owned()));
            assert_eq!(answer.reason(), "", "{answer:?}");
            assert_eq!(answer.field("www-authenticate"), None);
        }
    }
    is_served(
        &mut client,
        "bob",
        "resources/read",
        &json!({"uri": "board://area/bob/x"}),
    );
}

#[test]
fn a_spelling_that_gets_around_a_rule() {
    let mut client = governed();
    for foreign in [
        "board://area/bob/x",
        "BOARD://AREA/bob/x",
        "board://%41rea/bob/x",
        "board://area/%62ob/x",
        "board://area/bob%2Fx",
        "board://area%2Fbob/x",
        "board://area/alice/../bob/x",
        "board://area/alice/%2E%2e/bob/x",
        "board://area/bob/../alice/x",
        "board://area/./alice/x",
        "board://area//bob/x",
        "board://area/Alice/x",
        "board://area/alice%00/x",
        "board://grün/x",
        "board://GR%c3%bcN/%78",
    ] {
        let params = json!({"uri": foreign});
        let requests = of_both_eras(&mut client, "alice", "resources/read", &params);
        if foreign == "board://area//bob/x" {
            // That is nobody's area: the rule for all of a kind holds.
            continue;
        }
        for mut request in requests {
            if request.fields.iter().any(|(name, _)| name == "Mcp-Name") && !foreign.is_ascii() {
                let encoded = "=?base64?Ym9hcmQ6Ly9ncsO8bi94?=";
                request = request.but("Mcp-Name", encoded);
            }
            let answer = client.ask(&request);
            let is_hidden = answer.sentence().starts_with("Resource not found: ");
            assert!(answer.status == 200 && is_hidden, "{foreign}: {answer:?}");
            assert_eq!(answer.reason(), "");
        }
    }
    assert!(client.node.calls.is_empty());
    for own in [
        "board://area/alice/x",
        "BOARD://Area/%61lice/x",
        "board://area%2falice/x",
    ] {
        is_served(&mut client, "alice", "resources/read", &json!({"uri": own}));
    }
    for answer in refused(
        &mut client,
        "alice",
        "resources/read",
        &json!({"uri": "a|b"}),
    ) {
        assert_eq!((answer.status, answer.code()), (200, -32602));
    }
}

#[test]
fn a_name_that_is_read_twice_and_otherwise() {
    let mut client = governed();
    let session = client.session_of("alice", V11);
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    for (method, params) in [
        ("tools/call", r#""name":"echo","name":"admin_reset""#),
        ("tools/call", r#""name":"admin_reset","name":"echo""#),
        ("tools/call", r#""name":"echo","\u006eame":"admin_reset""#),
        ("tools/call", r#""arguments":{}"#),
        ("tools/call", r#""name":null"#),
        ("tools/call", r#""name":["admin_reset"]"#),
        ("tools/call", r#""Name":"admin_reset""#),
        (
            "resources/read",
            r#""uri":"board://area/alice/x","uri":"board://area/bob/x""#,
        ),
        ("prompts/get", r#""name":"hello","name":"secret""#),
        (
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"secret","name":"hello"},"argument":{"name":"a","value":""}"#,
        ),
        (
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"hello"},"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":""}"#,
        ),
        (
            "completion/complete",
            r#""ref":["ref/prompt","secret"],"argument":{"name":"a","value":""}"#,
        ),
        (
            "completion/complete",
            r#""argument":{"name":"a","value":""}"#,
        ),
    ] {
        let text = |members: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{members}}}}}"#)
        };
        let legacy = Request::post_text(&text(params)).session(&session);
        let mut modern = Request::modern(7, method, json!({})).with("Mcp-Name", "echo");
        modern.body = text(&format!("{meta},{params}")).into();
        for request in [legacy, modern] {
            let answer = client.ask(&request.shown_by("alice"));
            assert!(
                matches!(answer.code(), -32602 | -32020),
                "{params}: {answer:?}"
            );
            assert!(!answer.body.contains("\"result\""), "{params}: {answer:?}");
        }
    }
    assert!(client.node.calls.is_empty());
    // Escapes are read as the application reads them.
    let escaped = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"n\u0061me":"\u0061dmin_reset"}}"#;
    let request = Request::post_text(escaped).session(&session);
    let answer = client.ask(&request.shown_by("alice"));
    assert_eq!(answer.sentence(), "Unknown tool: admin_reset");
    let escaped =
        r#"{"jsonrpc":"2.0","id":7,"method":"tools\/call","params":{"name":"admin_reset"}}"#;
    let request = Request::post_text(escaped).session(&session);
    let answer = client.ask(&request.shown_by("alice"));
    assert_eq!(answer.sentence(), "Unknown tool: admin_reset");
}

#[test]
fn a_large_body_that_gets_around_a_rule() {
    let mut client = governed();
    let filling = "x".repeat(200_000);
    for (who, name, status) in [("alice", "post", 403), ("alice", "admin_x", 200)] {
        let params = json!({"name": name, "arguments": {"filling": filling}});
        for answer in refused(&mut client, who, "tools/call", &params) {
            assert_eq!(answer.status, status);
            assert!(answer.body.contains("\"error\""));
        }
    }
    is_served(
        &mut client,
        "dora",
        "tools/call",
        &json!({"name": "post", "arguments": {"filling": filling}}),
    );
}

/// In a batch the others are served.
#[test]
fn a_message_of_a_batch_that_gets_around_a_rule() {
    let mut client = governed();
    let session = client.session_of("alice", V03);
    let message = |id: u64, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let batch = json!([
        message(1, "tools/call", json!({"name": "post"})),
        message(2, "tools/call", json!({"name": "admin_x"})),
        message(
            3,
            "resources/subscribe",
            json!({"uri": "board://area/bob/x"})
        ),
        message(4, "resources/read", json!({"uri": "board://area/bob/x"})),
        message(5, "ping", json!({})),
        message(6, "tools/call", json!({"name": "echo"})),
    ]);
    let socket = client.open(&Request::post(&batch).session(&session).shown_by("alice"));
    let call = client.call();
    assert!(
        client.node.calls.is_empty(),
        "only the last is for the application"
    );
    client.finish(&call, "{}");
    let answers = client.messages(socket);
    let code = |id: u64| {
        let answer = answers.iter().find(|it| it["id"] == id);
        answer.expect("each is answered")["error"]["code"].clone()
    };
    let codes: Vec<Value> = (1..=6).map(code).collect();
    assert_eq!(
        json!(codes),
        json!([-32600, -32602, -32002, -32002, null, null])
    );
    let missing = answers
        .iter()
        .find(|it| it["id"] == 1)
        .expect("it is answered");
    assert_eq!(missing["error"]["data"]["reason"], "insufficient_scope");
}

#[test]
fn a_subscription_to_what_somebody_may_not_read() {
    let mut client = governed();
    let session = client.session_of("alice", V11);
    let subscribe = |uri: &str, who: &str| Request::subscribe(&session, uri).shown_by(who);
    let hidden = client.ask(&subscribe("board://area/bob/x", "alice"));
    assert_eq!(
        (hidden.status, hidden.code(), hidden.sentence()),
        (200, -32002, "Resource not found: board://area/bob/x".into())
    );
    // As of what nobody may subscribe to.
    let nobodys = client.ask(&subscribe("forbidden:x", "alice"));
    let like_it = nobodys.body.replace("forbidden:x", "board://area/bob/x");
    assert_eq!(hidden.body, like_it);
    assert_eq!(
        client
            .ask(&subscribe("board://area/alice/x", "alice"))
            .status,
        200
    );
    let stream = client.open(&Request::get(&session).shown_by("alice"));
    client.updated("board://area/bob/x");
    client.updated("board://area/alice/x");
    assert_eq!(client.topics(stream), ["board://area/alice/x"]);

    let carols = client.session_of("carol", V11);
    let missing = client.ask(&Request::subscribe(&carols, "a:b").shown_by("carol"));
    assert_eq!(
        (missing.status, missing.reason()),
        (403, "insufficient_scope".into())
    );
    assert!(challenge(&missing).contains("scope=\"board:read\""));
}

/// MUST, 2026-07-28 subscriptions: the acknowledgement says what is honoured.
#[test]
fn a_listen_stream_for_what_somebody_may_not_read() {
    let mut client = governed();
    let uris = [
        "board://area/bob/x",
        "board://area/alice/x",
        "board://lunch",
        "forbidden:x",
    ];
    let filter = json!({"resourceSubscriptions": uris, "toolsListChanged": true});
    let stream = client.open(&Request::listen(1, filter.clone()).shown_by("alice"));
    let acknowledged = &client.messages(stream)[0]["params"]["notifications"];
    assert_eq!(
        *acknowledged,
        json!({"resourceSubscriptions": ["board://area/alice/x", "board://lunch"], "toolsListChanged": true})
    );
    for uri in uris {
        client.updated(uri);
    }
    assert_eq!(
        client.topics(stream),
        ["board://area/alice/x", "board://lunch"]
    );

    // Carol could have it all with another token, and is told so before anything is open.
    let refused = client.ask(&Request::listen(1, filter).shown_by("carol"));
    assert_eq!(
        (refused.status, refused.reason()),
        (403, "insufficient_scope".into())
    );
    assert!(challenge(&refused).contains("scope=\"board:read\""));
    assert_eq!(client.node.cores[0].shard.counts().listeners, 1);
}

/// A handler says so of what it does beyond what it was asked for.
#[test]
fn a_handler_that_finds_a_scope_missing() {
    let mut client = governed();
    let scopes = || Outcome::MissingScope {
        scopes: "board:write".into(),
    };
    let params = json!({"name": "echo"});
    for request in of_both_eras(&mut client, "alice", "tools/call", &params) {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        client.node.outcome(call.core, call.key, &scopes());
        let answer = client.answer(socket);
        assert_eq!(
            (answer.status, answer.reason()),
            (403, "insufficient_scope".into())
        );
        assert!(challenge(&answer).contains("scope=\"board:write board:read\""));
    }
    // It was sent something before: the status is said.
    for request in of_both_eras(&mut client, "alice", "tools/call", &params) {
        let socket = client.connect();
        client.send(socket, &request);
        let call = client.call();
        client.notify(&call, 1);
        client.node.outcome(call.core, call.key, &scopes());
        let frames = client.frames_after_head(socket);
        let last = frames.last().expect("an answer").json();
        assert_eq!(
            last["error"]["data"],
            json!({"reason": "insufficient_scope", "scopes": "board:write"})
        );
    }
}

#[test]
fn a_policy_that_changes_and_holds_no_sooner_than_later() {
    let mut client = Client::governed("");
    let params = json!({"name": "post"});
    is_served(&mut client, "alice", "tools/call", &params);
    client.govern(POLICY);
    assert_eq!(
        refused(&mut client, "alice", "tools/call", &params)[0].status,
        403
    );
    client.govern("call = \"nobody\"");
    assert_eq!(
        refused(&mut client, "dora", "tools/call", &params)[1].sentence(),
        "Unknown tool: post"
    );
    client.govern("");
    is_served(&mut client, "alice", "tools/call", &params);
}

/// As a tool of its name.
#[test]
fn a_method_of_an_extension_under_a_policy_that_allows_nothing() {
    let mut client = Client::governed("preset = \"closed\"\n[tools]\n\"shop/*\" = \"board:write\"");
    for answer in refused(&mut client, "dora", "x/y", &json!({})) {
        let told = (answer.code(), answer.sentence());
        assert_eq!(told, (-32601, "Method not found: x/y".into()));
    }
    for answer in refused(&mut client, "alice", "shop/close", &json!({})) {
        assert_eq!(answer.status, 403);
    }
    is_served(&mut client, "dora", "shop/close", &json!({}));
}

/// The specification knows these methods, and the engine does not serve them.
#[test]
fn a_task_that_is_cancelled_under_a_policy_that_allows_nothing() {
    let mut client = Client::governed("preset = \"closed\"");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({"taskId": "7"});
        for answer in refused(&mut client, "dora", method, &params) {
            let told = (answer.code(), answer.sentence());
            assert_eq!(told, (-32601, format!("Method not found: {method}")));
        }
    }
}

#[test]
fn rules_for_what_the_application_does_not_have() {
    let mut client = Client::governed("complete = \"nobody\"\nprompt = \"nobody\"");
    // It declares no `x/…` at all, and an extension's methods are its own matter.
    is_served(&mut client, "alice", "x/y", &json!({}));
    let params = json!({"ref": {"type": "ref/resource", "uri": "a://{b}"}, "argument": {"name": "b", "value": ""}});
    for answer in refused(&mut client, "alice", "completion/complete", &params) {
        assert_eq!(answer.json()["result"]["completion"]["values"], json!([]));
    }
}
