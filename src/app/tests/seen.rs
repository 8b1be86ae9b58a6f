//! What a handler sees beside its arguments, and what it can do once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{
    Context, Error, NoArguments, OpenedSession, SessionEnd, Subscriber, Toolkit, Topic,
};
use crate::mcp::RpcMethod;
use crate::mcp::types::{
    ElicitRequest, ElicitSchema, JsonObject, LoggingLevel, Resource, ResourceTemplate, Tool,
};
use crate::principal::PrincipalId;
use crate::testing::TestServer;

fn telling() -> Toolkit {
    let tell = |arguments: JsonObject, context: Context| async move {
        let headers = context.headers();
        let seen = json!({
            "tenant": headers.get("x-tenant"),
            "authorization": headers.get("authorization"),
            "address": context.client_address(),
            "has_session": context.session().is_some(),
            "trace": context.meta().get("traceparent"),
            "arguments": arguments.len(),
        });
        seen.to_string()
    };
    Toolkit::new("t", "1").add_tool(Tool::new("tell", ""), tell)
}

#[test]
fn a_request_seen_from_within() {
    for (app, authorization) in [
        (telling(), Value::Null),
        (telling().sees_credentials(), json!("Bearer secret")),
    ] {
        for (client, has_session) in TestServer::new(app)
            .both_eras()
            .into_iter()
            .zip([true, false])
        {
            let client = client
                .header("X-Tenant", "acme")
                .header("Authorization", "Bearer secret")
                .meta("traceparent", json!("00-1-2-03"))
                .address([192, 0, 2, 9].into());
            for size in [1, 200_000] {
                let arguments = json!({ "text": "x".repeat(size) });
                let result = client.call_tool("tell", arguments).expect("a result");
                let seen: Value =
                    serde_json::from_str(result.first_text().expect("text")).expect("JSON");
                let expected = json!({
                    "tenant": "acme",
                    "authorization": authorization,
                    "address": "192.0.2.9",
                    "has_session": has_session,
                    "trace": "00-1-2-03",
                    "arguments": 1,
                });
                assert_eq!(seen, expected);
            }
        }
    }
}

#[test]
fn the_trace_that_a_request_belongs_to() {
    const IN_HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const IN_META: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let tell = |_: JsonObject, context: Context| async move {
        let trace = context.trace_context().map(|it| it.to_string());
        trace.unwrap_or_default()
    };
    let app = || Toolkit::new("t", "1").add_tool(Tool::new("tell", ""), tell);
    for (header, meta, expected) in [
        (None, None, ""),
        (Some(IN_HEADER), None, IN_HEADER),
        (None, Some(json!(IN_META)), IN_META),
        (Some(IN_HEADER), Some(json!(IN_META)), IN_META),
        (Some(IN_HEADER), Some(json!("00-1-2-03")), IN_HEADER),
        (Some("00-1-2-03"), Some(json!(7)), ""),
    ] {
        for mut client in TestServer::new(app()).both_eras() {
            if let Some(header) = header {
                client = client.header("Traceparent", header);
            }
            if let Some(meta) = &meta {
                client = client.meta("traceparent", meta.clone());
            }
            for size in [1, 200_000] {
                let arguments = json!({ "text": "x".repeat(size) });
                let result = client.call_tool("tell", arguments).expect("a result");
                assert_eq!(result.first_text(), Some(expected), "{header:?} {meta:?}");
            }
        }
    }
}

/// What is logged while something is done, as the program writes it.
#[cfg(feature = "cli")]
fn logged(work: impl FnOnce()) -> String {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let theirs = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || theirs.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = lines.0.lock().expect("nobody panicked").clone();
    String::from_utf8(bytes).expect("text")
}

#[cfg(feature = "cli")]
#[test]
fn a_line_of_a_handler_that_does_not_say_which_trace_it_is_of() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let tell = |_: JsonObject, _: Context| async {
        tracing::warn!("the oven is cold");
        "told"
    };
    let app = || Toolkit::new("t", "1").add_tool(Tool::new("tell", ""), tell);
    for size in [1, 200_000] {
        for client in TestServer::new(app()).both_eras() {
            let client = client.header("traceparent", TRACE);
            let lines = logged(|| {
                let arguments = json!({ "text": "x".repeat(size) });
                client.call_tool("tell", arguments).expect("a result");
            });
            let line = lines.lines().find(|line| line.contains("the oven is cold"));
            let line = line.expect("it was logged");
            assert!(
                line.contains("trace_id=\"0af7651916cd43dd8448eb211c80319c\""),
                "{line}"
            );
            assert!(line.contains(RpcMethod::ToolsCall.name()), "{line}");
        }
    }
}

fn logging(app: Toolkit) -> Toolkit {
    app.tool("log", "", |_: NoArguments, context: Context| async move {
        context.log(LoggingLevel::Error, None, "on fire");
        "done"
    })
}

#[test]
fn a_log_message_of_a_server_that_declares_none() {
    for client in TestServer::new(logging(Toolkit::new("t", "1"))).both_eras() {
        client.call_tool("log", json!({})).expect("a result");
        assert_eq!(client.logs(), []);
    }
    for client in TestServer::new(logging(Toolkit::new("t", "1").logging())).both_eras() {
        client.call_tool("log", json!({})).expect("a result");
        assert_eq!(client.logs()[0].data, "on fire");
    }
}

#[test]
fn a_tool_that_acts_before_it_asks() {
    let acts = Rc::new(Cell::new(0));
    let counted = acts.clone();
    let app = Toolkit::new("t", "1").tool("act", "", move |_: NoArguments, context: Context| {
        let acts = counted.clone();
        async move {
            let act = || async {
                acts.set(acts.get() + 1);
                Ok(acts.get())
            };
            let number: u32 = context.once("act", act).await?;
            for question in ["a", "b"] {
                let form = ElicitSchema::new().boolean("well");
                context
                    .elicit(question, ElicitRequest::form("Well?", form))
                    .await?;
            }
            Ok(number.to_string())
        }
    });
    for (client, number) in TestServer::new(app).both_eras().into_iter().zip(["1", "2"]) {
        client.answers(|_, _| json!({ "action": "accept", "content": { "well": true } }));
        let result = client.call_tool("act", json!({})).expect("a result");
        assert_eq!(result.first_text(), Some(number));
    }
    assert_eq!(acts.get(), 2);
}

#[test]
fn a_subscription_to_what_is_not_there() {
    let app = || {
        Toolkit::new("t", "1")
            .resource(Resource::new("a://one", "One"), |_| async { "1" })
            .resource_template(ResourceTemplate::new("b://{name}", "Each"), |_, _| async {
                "b"
            })
    };
    let client = TestServer::new(app()).legacy();
    assert!(client.subscribe("a://one") && client.subscribe("b://x"));
    assert!(!client.subscribe("a://two") && !client.subscribe("b://x/y"));
    let open = TestServer::new(app().subscribable(|uri| uri.starts_with("a:"))).legacy();
    assert!(open.subscribe("a://two") && !open.subscribe("c://x"));
}

#[test]
fn sessions_and_subscriptions_come_and_go() {
    let sessions = Rc::new(Cell::new(0_i32));
    let hears = Rc::new(Cell::new(0_i32));
    let add = |count: &Rc<Cell<i32>>, step: i32| {
        let count = count.clone();
        move || count.set(count.get() + step)
    };
    let (opened, ended) = (add(&sessions, 1), add(&sessions, -1));
    let (heard, left) = (add(&hears, 1), add(&hears, -1));
    let app = Toolkit::new("t", "1")
        .resource(Resource::new("a://one", "One"), |_| async { "1" })
        .on_session_opened(move |_: &OpenedSession| opened())
        .on_session_ended(move |_, why| {
            assert_eq!(why, SessionEnd::Deleted);
            ended();
        })
        .on_subscribed(move |uri, _: Subscriber| {
            assert_eq!(uri, "a://one");
            heard();
        })
        .on_unsubscribed(move |_, _| left());
    let [legacy, modern] = TestServer::new(app).both_eras();
    assert_eq!(sessions.get(), 1);
    assert!(legacy.subscribe("a://one") && modern.subscribe("a://one"));
    assert_eq!(hears.get(), 2);
    modern.unsubscribe("a://one");
    legacy.unsubscribe("a://one");
    legacy.end_session(SessionEnd::Deleted);
    assert_eq!((sessions.get(), hears.get()), (0, 0));
}

#[test]
fn time_moves_when_it_is_told_to_and_when_there_is_nothing_else_to_do() {
    async fn slow(_: NoArguments, context: Context) -> Result<String, Error> {
        let later = context.clone();
        context.spawn(async move {
            later.sleep(Duration::from_secs(60)).await;
            later.publish(Topic::Tools);
        });
        context.sleep(Duration::from_secs(10)).await;
        context.progress(1.0, None, None);
        Ok("done".to_owned())
    }
    let server = TestServer::new(Toolkit::new("t", "1").tool("slow", "", slow));
    let client = server.modern();
    let mut call = client.start("tools/call", json!({ "name": "slow" }));
    assert!(call.poll().is_none());
    server.advance(Duration::from_secs(9));
    assert!(call.poll().is_none() && client.progress().is_empty());
    server.advance(Duration::from_secs(1));
    assert!(call.poll().is_some());
    assert_eq!(client.progress().len(), 1);
    assert_eq!(server.published(), []);
    server.finish_background();
    assert_eq!(server.published(), [Topic::Tools]);
    assert_eq!(server.elapsed(), Duration::from_secs(60));
}

#[test]
fn what_is_published_for_one_principal_and_counted_as_published_for_all() {
    let alice = PrincipalId::of("users", "alice");
    let tell = move |_: NoArguments, context: Context| async move {
        context.publish_to(alice, Topic::Tools);
        "told"
    };
    let server = TestServer::new(Toolkit::new("t", "1").tool("tell", "", tell));
    for client in server.both_eras() {
        let mut call = client.start("tools/call", json!({ "name": "tell" }));
        assert!(call.poll().is_some());
        assert_eq!(server.published_to(), [(alice, Topic::Tools)]);
        assert_eq!(server.published(), []);
    }
}
