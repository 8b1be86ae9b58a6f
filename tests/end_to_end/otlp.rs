//! Spans of calls, as an OpenTelemetry collector gets them. The collector is `tests/clients/otlp_receiver.py`, which reads them
//! with the official Python package.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::client::{Session, initialize};
use crate::cluster::node::Node;
use crate::cluster::redis::Redis;
use crate::ports::free_port;
use crate::program::{EndedWithItsTest, output_of, scratch_folder};
use crate::server::{App, Placement, Server, binary};
use crate::tools::script;
use crate::waits::{agent, wait_for};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

struct Collector {
    _child: EndedWithItsTest,
    url: String,
}

impl Collector {
    fn start() -> Collector {
        let port = free_port();
        let mut command = script("otlp_receiver.py");
        let child = command.arg(port.to_string()).spawn();
        let collector = Collector {
            _child: EndedWithItsTest(child.expect("Python starts")),
            url: format!("http://127.0.0.1:{port}"),
        };
        wait_for("the collector is there", || {
            agent().get(format!("{}/spans", collector.url)).call().ok()
        });
        collector
    }

    fn read(&self, path: &str) -> Vec<Value> {
        let answer = agent().get(format!("{}{path}", self.url)).call();
        let text = answer
            .expect("an answer")
            .body_mut()
            .read_to_string()
            .expect("text");
        serde_json::from_str(&text).expect("a list")
    }

    fn answer_with(&self, mode: &str) {
        let put = agent().put(format!("{}/mode", self.url)).send(mode);
        put.expect("it is told");
    }

    /// So many spans, and no more.
    fn spans(&self, count: usize) -> Vec<Value> {
        let spans = wait_for("the spans are there", || {
            let spans = self.read("/spans");
            (spans.len() >= count).then_some(spans)
        });
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// All that it was ever sent, as it came.
    fn bytes(&self) -> Vec<u8> {
        let requests = self.read("/requests");
        let bodies = requests.iter().map(|it| base64_of(&it["body"]));
        bodies.flatten().collect()
    }
}

fn base64_of(value: &Value) -> Vec<u8> {
    use base64::Engine as _;
    let text = value.as_str().expect("text");
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.expect("base64")
}

fn start(url: &str, more: &[&str], scratch: &Path) -> Server {
    let mut options = vec!["--otlp-endpoint", url];
    options.extend(more);
    Server::start_with(&options, App::Conformance, Placement::AtRandom, scratch)
}

fn call(session: &Session, tool: &str, fields: &[(&str, &str)]) {
    let params = json!({"name": tool, "arguments": {}});
    let answer = session.request("tools/call", params, fields);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn metric(server: &Server, name: &str) -> Option<u64> {
    let answer = agent().get(format!("{}/metrics", server.admin())).call();
    let page = answer
        .expect("a page")
        .body_mut()
        .read_to_string()
        .expect("text");
    let line = page.lines().find_map(|it| it.strip_prefix(name));
    line.map(|it| it.trim().parse().expect("a number"))
}

/// The span of this name.
fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let found = spans.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

/// A token of `pinfold token new`, and the file that lets it in.
fn new_token(scratch: &Path) -> (String, PathBuf) {
    let made = output_of(Command::new(binary()).args(["token", "new", "--name", "alice"]));
    let file = scratch.join("tokens");
    std::fs::write(&file, &made.stdout).expect("a file can be written");
    let token = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    (token, file)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

/// The call that ended well.
fn succeeded(spans: &[Value], id: &str) {
    let said = named(spans, "tools/call test_simple_text");
    assert_eq!(
        (&said["traceId"], &said["parentSpanId"]),
        (&json!(TRACE), &json!(PARENT))
    );
    assert_eq!(said["kind"], "SPAN_KIND_SERVER");
    assert_eq!(said["status"], "STATUS_CODE_UNSET");
    assert!(
        said["end"].as_u64() >= said["start"].as_u64() && said["start"].as_u64() > Some(1 << 60)
    );
    let attributes = &said["attributes"];
    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "test_simple_text"),
        ("gen_ai.operation.name", "execute_tool"),
        ("mcp.protocol.version", "2025-06-18"),
        ("jsonrpc.request.id", "1"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("client.address", "127.0.0.1"),
        ("mcp.session.id", &id[..id.len() - 22]),
    ] {
        assert_eq!(attributes[name], value, "{name}: {attributes}");
    }
    let principal = attributes["pinfold.principal"].as_str();
    assert!(principal.is_some_and(|it| it.len() == 32), "{attributes}");
    assert_eq!(attributes.get("error.type"), None);
    assert_eq!(said["resource"]["service.name"], "pinfold");
}

fn others(spans: &[Value]) {
    let asked = named(spans, "prompts/get test_simple_prompt");
    assert_eq!(asked["traceId"], "11111111111111111111111111111111");
    assert_eq!(
        asked["attributes"]["gen_ai.prompt.name"],
        "test_simple_prompt"
    );
    let failed = named(spans, "tools/call test_error_handling");
    assert_eq!(failed["attributes"]["error.type"], "tool_error");
    assert_eq!(
        (&failed["status"], &failed["parentSpanId"]),
        (&json!("STATUS_CODE_ERROR"), &json!(""))
    );
    let unknown = named(spans, "tools/call");
    assert_eq!(unknown["attributes"]["error.type"], "-32602");
    assert_eq!(unknown["attributes"]["rpc.response.status_code"], "-32602");
    assert_eq!(unknown["status"], "STATUS_CODE_ERROR");
    // In words it may say again whatever the request did.
    assert_eq!(unknown["message"], "");
    let read = named(spans, "resources/read");
    assert_eq!(read["attributes"]["mcp.resource.uri"], "test://static-text");
}

#[test]
fn a_span_that_is_not_what_conventions_say_or_tells_a_secret() {
    let scratch = scratch_folder("otlp/conventions");
    let collector = Collector::start();
    let (token, file) = new_token(&scratch);
    let key = scratch.join("headers");
    std::fs::write(&key, "x-api-key: of-the-collector\n").expect("a file can be written");
    let [file, key] = [&file, &key].map(|it| it.to_str().expect("a plain path"));
    let options = [
        "--auth",
        "token",
        "--auth-token-file",
        file,
        "--otlp-headers-file",
        key,
        "--otlp-sample",
        "1",
    ];
    let server = start(&collector.url, &options, &scratch);
    let shown = format!("Bearer {token}");
    let authorization = ("Authorization", shown.as_str());
    let opened = initialize(&server.mcp(), &[authorization]);
    let id = opened.field("mcp-session-id").expect("a session");
    let session = Session::known(&server.mcp(), id);
    let with = |flags: &str| traceparent(TRACE, flags);
    let (sampled, unsampled) = (with("01"), with("00"));
    call(
        &session,
        "test_simple_text",
        &[authorization, ("traceparent", &sampled)],
    );
    call(
        &session,
        "test_error_handling",
        &[authorization, ("traceparent", &unsampled)],
    );
    // What `_meta` says goes before what the header says.
    let own = traceparent("11111111111111111111111111111111", "01");
    let params = json!({"name": "test_simple_prompt", "_meta": {"traceparent": own}});
    let fields = [authorization, ("traceparent", unsampled.as_str())];
    session.request("prompts/get", params, &fields);
    call(&session, "test_error_handling", &[authorization]);
    let params = json!({"name": "nobody-has-this"});
    session.request("tools/call", params, &[authorization]);
    let params = json!({"uri": "test://eve:hunter2@static-text"});
    session.request("resources/read", params, &[authorization]);
    let spans = collector.spans(5);

    succeeded(&spans, id);
    others(&spans);
    assert_eq!(
        collector.read("/requests")[0]["headers"]["x-api-key"],
        "of-the-collector"
    );
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    let bytes = collector.bytes();
    assert!(contains(&bytes, "test_simple_text"), "it was looked at");
    for secret in [id, &id[id.len() - 22..], &token, "hunter2"] {
        assert!(!contains(&bytes, secret), "{secret} is among what was sent");
    }
    collector.spans(5);
}

#[test]
fn what_waits_when_the_node_ends() {
    let scratch = scratch_folder("otlp/end");
    let collector = Collector::start();
    let server = start(&collector.url, &["--otlp-sample", "0"], &scratch);
    let session = Session::open(&server.mcp());
    let sampled = traceparent(TRACE, "01");
    for _ in 0..600 {
        call(&session, "test_simple_text", &[("traceparent", &sampled)]);
        // Of those without a parent none.
        call(&session, "test_simple_text", &[]);
    }
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    collector.spans(600);
    assert!(collector.read("/requests").len() > 1, "a batch has an end");
}

#[test]
fn a_collector_that_wants_a_pause() {
    let scratch = scratch_folder("otlp/pause");
    let collector = Collector::start();
    collector.answer_with("503");
    let server = start(&collector.url, &[], &scratch);
    let session = Session::open(&server.mcp());
    for _ in 0..20 {
        call(&session, "test_simple_text", &[]);
    }
    wait_for("it was asked twice", || {
        (collector.read("/requests").len() >= 2).then_some(())
    });
    collector.answer_with("ok");
    collector.spans(20);
    let times: Vec<f64> = collector
        .read("/requests")
        .iter()
        .filter_map(|it| it["at"].as_f64())
        .collect();
    assert!(
        times[1] - times[0] > 1.9,
        "it asked for two seconds: {times:?}"
    );
    assert_eq!(metric(&server, "pinfold_spans_dropped_total"), Some(0));
    wait_for("they are counted", || {
        (metric(&server, "pinfold_spans_exported_total") == Some(20)).then_some(())
    });
    server.wait_to_log("spans are not taken");
    assert_eq!(server.log().matches("spans are not taken").count(), 1);
    // One of them is refused, which is told; then all.
    collector.answer_with("part");
    call(&session, "test_simple_text", &[]);
    call(&session, "test_simple_text", &[]);
    wait_for("one is lost", || {
        (metric(&server, "pinfold_spans_dropped_total") == Some(1)).then_some(())
    });
    server.wait_to_log("one too many");
    collector.answer_with("400");
    call(&session, "test_simple_text", &[]);
    wait_for("another one is", || {
        (metric(&server, "pinfold_spans_dropped_total") >= Some(2)).then_some(())
    });
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn a_collector_that_is_not_there_or_hangs() {
    let scratch = scratch_folder("otlp/away");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let server = start(&nobody, &[], &scratch);
    let session = Session::open(&server.mcp());
    for _ in 0..50 {
        call(&session, "test_simple_text", &[]);
    }
    wait_for("they are lost", || {
        (metric(&server, "pinfold_spans_dropped_total") >= Some(50)).then_some(())
    });
    call(&session, "test_simple_text", &[]);
    server.wait_to_log("spans are not taken");
    let log = server.log();
    assert_eq!(log.matches("spans are not taken").count(), 1, "{log}");
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));

    let scratch = scratch_folder("otlp/hangs");
    let collector = Collector::start();
    collector.answer_with("hang");
    let server = start(&collector.url, &[], &scratch);
    let session = Session::open(&server.mcp());
    for _ in 0..50 {
        call(&session, "test_simple_text", &[]);
    }
    wait_for("it was asked", || {
        (!collector.read("/requests").is_empty()).then_some(())
    });
    let log = scratch.join("server.log");
    server.stop().unwrap_or_else(|fault| panic!("{fault}"));
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("exported=0 dropped=50"), "{log}");
}

#[test]
fn a_request_that_is_passed_on_and_is_two_traces() {
    let scratch = scratch_folder("otlp/two");
    let collector = Collector::start();
    let redis = Redis::start(&scratch);
    let options = ["--otlp-endpoint", collector.url.as_str()];
    let start = |name| {
        let app = (App::Conformance, Placement::OneCore);
        Node::start_placed(name, app.0, app.1, Some(&redis), &options, &scratch)
    };
    let (mut a, mut b) = (start("a"), start("b"));
    let session = Session::open(&a.mcp());
    let beside = session.through(&b.mcp());
    wait_for("b passes on to a", || {
        (beside.ping().status == 200).then_some(())
    });
    let sampled = traceparent(TRACE, "01");
    call(&beside, "test_simple_text", &[("traceparent", &sampled)]);
    call(&session, "test_simple_text", &[("traceparent", &sampled)]);
    let spans = collector.spans(2);
    for span in &spans {
        assert_eq!(
            (&span["traceId"], &span["parentSpanId"]),
            (&json!(TRACE), &json!(PARENT))
        );
        let instance = span["resource"]["service.instance.id"].as_str();
        assert!(instance.is_some_and(|it| it.starts_with("a.")), "{span}");
    }
    assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);
    Node::stop_all([&mut a, &mut b]);
    collector.spans(2);
}
