//! Requests as clients of each revision write them.

use serde_json::{Value, json};

pub const MODERN: &str = "2026-07-28";

#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub version: &'static str,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &'static str) -> Self {
        Request {
            method,
            target: "/mcp".into(),
            version: "HTTP/1.1",
            fields: vec![("Host".into(), "localhost:8080".into())],
            body: Vec::new(),
        }
    }

    pub fn get(session: &str) -> Self {
        Self::new("GET")
            .with("Accept", "text/event-stream")
            .session(session)
    }

    pub fn delete(session: &str) -> Self {
        Self::new("DELETE").session(session)
    }

    pub fn post(body: &Value) -> Self {
        Self::post_text(&body.to_string())
    }

    pub fn post_text(body: &str) -> Self {
        let mut request = Self::new("POST")
            .with("Content-Type", "application/json")
            .with("Accept", "application/json, text/event-stream");
        request.body = body.into();
        request
    }

    pub fn initialize(version: &str) -> Self {
        Self::post(
            &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": version,
                "capabilities": {"sampling": {}, "elicitation": {}, "roots": {}},
                "clientInfo": {"name": "test", "version": "1"},
            }}),
        )
    }

    /// A request in a session.
    pub fn call(session: &str, id: impl Into<Value>, method: &str, params: Value) -> Self {
        let id: Value = id.into();
        Self::post(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .session(session)
    }

    pub fn tool(session: &str, id: impl Into<Value>) -> Self {
        Self::call(session, id, "tools/call", json!({"name": "t"}))
    }

    pub fn ping(session: &str, id: u64) -> Self {
        Self::call(session, id, "ping", json!({}))
    }

    pub fn subscribe(session: &str, uri: &str) -> Self {
        Self::call(session, 1, "resources/subscribe", json!({"uri": uri}))
    }

    /// A request of 2026-07-28 with all that belongs to it; what `params` has already is kept.
    pub fn modern(id: impl Into<Value>, method: &str, params: Value) -> Self {
        let (id, mut params): (Value, Value) = (id.into(), params);
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let given = params.as_object_mut().expect("params are an object");
        given.entry("_meta").or_insert(meta);
        let name = given
            .get("name")
            .or(given.get("uri"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let mut request =
            Self::post(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .with("MCP-Protocol-Version", MODERN)
                .with("Mcp-Method", method);
        if let Some(name) = name {
            request = request.with("Mcp-Name", &name);
        }
        request
    }

    pub fn listen(id: impl Into<Value>, notifications: Value) -> Self {
        Self::modern(
            id,
            "subscriptions/listen",
            json!({"notifications": notifications}),
        )
    }

    pub fn session(self, id: &str) -> Self {
        self.with("Mcp-Session-Id", id)
    }

    pub fn resume(self, event_id: &str) -> Self {
        self.with("Last-Event-ID", event_id)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// In place of what the field said.
    pub fn but(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    pub fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    pub fn target(mut self, target: &str) -> Self {
        self.target = target.into();
        self
    }

    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = |name: &str| {
            self.fields
                .iter()
                .any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        if !self.body.is_empty() && !framed("content-length") && !framed("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
