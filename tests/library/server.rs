//! A server of this process, and plain HTTP requests to it.

use std::time::Duration;

use pinfold::app::App;
use pinfold::{Driver, Node, NodeBuilder};
use serde_json::{Value, json};

/// Nothing here takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Served {
    running: Option<Node>,
    pub(crate) url: String,
}

/// Where it may be had, io_uring, and epoll in any case.
pub(crate) fn drivers() -> [Driver; 2] {
    [Driver::Auto, Driver::Epoll]
}

impl Served {
    pub(crate) fn start<A: App + 'static>(
        driver: Driver,
        app: impl Fn() -> A + Send + Sync + 'static,
    ) -> Served {
        Served::start_with(driver, app, |builder| builder)
    }

    /// On one core, for the tests of one process share two.
    pub(crate) fn start_with<A: App + 'static>(
        driver: Driver,
        app: impl Fn() -> A + Send + Sync + 'static,
        build: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Served {
        let builder = Node::builder(app)
            .listen("127.0.0.1:0")
            .cores(1)
            .driver(driver);
        let running = build(builder).start();
        let running = running.unwrap_or_else(|fault| panic!("{fault}"));
        Served {
            url: format!("http://{}/mcp", running.address()),
            running: Some(running),
        }
    }

    pub(crate) fn node(&self) -> Node {
        self.running.clone().expect("it runs")
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            running.join_blocking().expect("a node that ends well");
        }
    }

    pub(crate) fn send(
        &self,
        method: &str,
        message: &Value,
        fields: &[(&str, &str)],
    ) -> ureq::http::Response<ureq::Body> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(message.to_string()).expect("a request");
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build();
        ureq::Agent::new_with_config(agent)
            .run(request)
            .expect("an answer")
    }

    /// Calls a tool without arguments, as a client of 2026-07-28.
    pub(crate) fn call(&self, tool: &str) -> Value {
        let params = json!({"name": tool, "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let fields = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", tool),
        ];
        json_of(self.send("POST", &message, &fields))
    }

    pub(crate) fn text(&self, tool: &str) -> String {
        let answer = self.call(tool);
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {answer}"))
            .to_owned()
    }

    /// A session of 2025-11-25.
    pub(crate) fn session(&self) -> String {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }});
        let answer = self.send("POST", &message, &[]);
        let id = answer.headers().get("mcp-session-id").expect("a session");
        id.to_str().expect("ASCII").to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

pub(crate) fn json_of(answer: ureq::http::Response<ureq::Body>) -> Value {
    let text = answer.into_body().read_to_string().expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}
