//! The examples run and do what they say: each is started as a user would start it and driven over plain HTTP, and
//! the largest by the official clients. Cargo builds them for every `cargo test` of the whole package.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/acl.rs"]
mod acl;
#[path = "support/ports.rs"]
mod ports;
#[path = "end_to_end/program.rs"]
#[allow(dead_code, reason = "most of it is for the program's own tests")]
mod program;
#[path = "bus/redis.rs"]
#[allow(dead_code, reason = "the tests of the bus hang it, too")]
mod redis;
#[path = "end_to_end/tally.rs"]
#[allow(dead_code, reason = "most of it is for the program's own tests")]
mod tally;
#[path = "end_to_end/tools.rs"]
#[allow(dead_code, reason = "most of it is for the program's own tests")]
mod tools;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

// ureq brings an older getrandom; the functions that clippy.toml bans are those of ours.
use pinfold as _;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

struct Example {
    child: Child,
    url: String,
}

impl Example {
    fn start(name: &str) -> Example {
        Example::start_with(name, &[]).0
    }

    /// With what it is told besides its address, and with what it says.
    fn start_with(name: &str, more: &[&str]) -> (Example, BufReader<ChildStdout>) {
        let folder = Path::new(env!("CARGO_BIN_EXE_pinfold")).parent();
        let program = folder.expect("a folder").join("examples").join(name);
        let address = format!("127.0.0.1:{}", ports::free_port());
        let child = Command::new(&program)
            .arg(&address)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|fault| {
            panic!("{program:?}: {fault}; `cargo build --examples` makes it")
        });
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let example = Example {
            child,
            url: format!("http://{address}/mcp"),
        };
        let deadline = Instant::now() + LIMIT;
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        (example, said)
    }

    fn post(&self, message: &Value, fields: &[(&str, &str)]) -> ureq::http::Response<ureq::Body> {
        let mut request = ureq::post(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let limited = request.config().timeout_global(Some(LIMIT)).build();
        limited.send(message.to_string()).expect("an answer")
    }

    fn modern(
        &self,
        method: &str,
        name: &str,
        mut params: Value,
    ) -> ureq::http::Response<ureq::Body> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        });
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let fields = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", method),
            ("Mcp-Name", name),
        ];
        self.post(&message, &fields)
    }

    /// A session of 2025-11-25 whose client can be asked.
    fn initialize(&self) -> String {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "test", "version": "1"},
        }});
        let answer = self.post(&message, &[]);
        let id = answer.headers().get("mcp-session-id").expect("a session");
        id.to_str().expect("ASCII").to_owned()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json_of(answer: ureq::http::Response<ureq::Body>) -> Value {
    let text = answer.into_body().read_to_string().expect("a body");
    serde_json::from_str(&text).expect("JSON")
}

/// The messages of an event stream, as they come, until it ends or breaks off.
fn events(answer: ureq::http::Response<ureq::Body>) -> impl Iterator<Item = Value> {
    let lines = BufReader::new(answer.into_body().into_reader()).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
}

#[test]
fn the_smallest_server_adds() {
    let example = Example::start("smallest");
    let session = example.initialize();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "add", "arguments": {"a": 2, "b": 3}}});
    let answer = json_of(example.post(&call, &[("Mcp-Session-Id", &session)]));
    assert_eq!(answer["result"]["content"][0]["text"], "5", "{answer}");
}

#[test]
fn the_ticker_tells_its_subscribers() {
    let example = Example::start("ticker");
    let filter = json!({"notifications": {"resourceSubscriptions": ["ticker://count"]}});
    let mut told = events(example.modern("subscriptions/listen", "", filter));
    let first = told.next().expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let second = told.next().expect("a tick");
    assert_eq!(second["params"]["uri"], "ticker://count", "{second}");
}

#[test]
fn the_tool_that_asks_goes_on_with_the_answer_of_a_modern_client() {
    let example = Example::start("ask");
    let mut call = json!({"name": "plan_trip", "arguments": {"city": "Rome"}});
    let asked = json_of(example.modern("tools/call", "plan_trip", call.clone()));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    assert_eq!(
        asked["result"]["inputRequests"]["wishes"]["method"],
        "elicitation/create"
    );
    call["inputResponses"] =
        json!({"wishes": {"action": "accept", "content": {"days": 3, "pace": "slow"}}});
    if let Some(state) = asked["result"].get("requestState") {
        call["requestState"] = state.clone();
    }
    let answer = json_of(example.modern("tools/call", "plan_trip", call));
    let text = answer["result"]["content"][0]["text"].as_str();
    assert_eq!(
        text,
        Some("3 days in Rome, at a slow pace. Enjoy!"),
        "{answer}"
    );
}

#[test]
fn the_tool_that_asks_goes_on_with_the_answer_of_a_session() {
    let example = Example::start("ask");
    let session = example.initialize();
    let fields = [("Mcp-Session-Id", session.as_str())];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "plan_trip", "arguments": {"city": "Rome"}}});
    let mut stream = events(example.post(&call, &fields));
    let asked = stream.next().expect("a question");
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    let wishes = json!({"action": "accept", "content": {"days": 3, "pace": "fast"}});
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": wishes});
    assert_eq!(example.post(&answer, &fields).status(), 202);
    let result = stream.next().expect("a result");
    let text = result["result"]["content"][0]["text"].as_str();
    assert_eq!(
        text,
        Some("3 days in Rome, at a fast pace. Enjoy!"),
        "{result}"
    );
}

/// Answers every request with a greeting.
fn greeter() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its own"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 1024]);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

/// Runs a script of `tests/clients` against `notes`: `arguments` come after the URL and the directory.
fn notes_by(test: &str, script: &str, arguments: &[&str]) {
    let scratch = program::scratch_folder(test);
    let directory = scratch.join("notes");
    std::fs::create_dir(&directory).expect("a directory can be made");
    for (name, text) in [("list.txt", "bread\nmilk"), ("milk.txt", "is white")] {
        std::fs::write(directory.join(name), text).expect("a note can be written");
    }
    let path = directory.to_str().expect("text");
    let (example, _said) = Example::start_with("notes", &[path, &greeter()]);
    let mut command = tools::script(script);
    command.args([&example.url, path]).args(arguments);
    let finished = program::run(&mut command, &scratch.join("client.log"));
    let mut tally = tally::Tally::default();
    let lines = || finished.output.lines();
    lines()
        .filter(|line| line.starts_with("ok "))
        .for_each(|_| tally.pass());
    let planned = lines().find_map(|line| line.strip_prefix("1..")?.parse().ok());
    if !finished.status.success() || planned != Some(tally.count()) {
        tally.fail(&finished.output);
    }
    tally.conclude(test);
}

macro_rules! notes_tests {
    ($($test:ident => $script:literal, $arguments:expr;)*) => {$(
        #[test]
        fn $test() {
            notes_by(stringify!($test), $script, &$arguments);
        }
    )*};
}

notes_tests! {
    notes_typescript_v1_2025_03_26 => "notes.mjs", ["2025-03-26", "v1"];
    notes_typescript_v1_2025_06_18 => "notes.mjs", ["2025-06-18", "v1"];
    notes_typescript_v1_2025_11_25 => "notes.mjs", ["2025-11-25", "v1"];
    notes_typescript_v2_2025_11_25 => "notes.mjs", ["2025-11-25", "v2"];
    notes_typescript_v2_2026_07_28 => "notes.mjs", ["2026-07-28", "v2"];
    notes_python_2025_11_25 => "notes.py", ["2025-11-25"];
    notes_python_2026_07_28 => "notes.py", ["2026-07-28"];
}

/// Its subscribers are told, its page has what it counts itself, and it ends by itself.
fn embedded_runs(more: &[&str], on_page: &dyn Fn(&str) -> bool) {
    let (mut example, said) = Example::start_with("embedded", more);
    let mut said = said.lines().map(|line| line.expect("a line"));
    let admin = said.find_map(|line| Some(line.strip_prefix("admin:")?.trim().to_owned()));
    let admin = admin.expect("it has an admin listener");
    let uri = "thermometer://celsius";
    let filter = json!({"notifications": {"resourceSubscriptions": [uri]}});
    let mut told = events(example.modern("subscriptions/listen", "", filter));
    let second = told.nth(1).expect("a measurement");
    assert_eq!(second["params"]["uri"], uri, "{second}");
    let page = || {
        let page = ureq::get(format!("{admin}/metrics"))
            .call()
            .expect("a page");
        page.into_body().read_to_string().expect("text")
    };
    let deadline = Instant::now() + LIMIT;
    loop {
        let page = page();
        if page.contains("thermometer_measured_total ") && on_page(&page) {
            break;
        }
        assert!(Instant::now() < deadline, "{page}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // It measures ten times; whoever reads to its end has seen it end its streams.
    assert!(told.last().is_some());
    let ended = example.child.wait().expect("it runs");
    assert!(ended.success(), "{ended}");
}

#[test]
fn the_embedded_node_measures_counts_and_ends() {
    embedded_runs(&[], &|page| page.contains("pinfold_sessions 0\n"));
}

#[test]
fn the_embedded_node_publishes_through_redis() {
    let redis = redis::Redis::start();
    let up = "pinfold_redis_up{connection=\"pinfold-thermometer\"} 1\n";
    embedded_runs(&[&redis.url()], &|page| page.contains(up));
    assert_ne!(redis.ask(&["XLEN", "mcp:bus"]), ":0");
}
