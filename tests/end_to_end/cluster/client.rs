//! A client for single requests, and a session that it opened. Every request has a connection of its own, so that what
//! became of one says nothing of the next.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::HeaderMap;
use ureq::{Agent, Body, RequestBuilder};

use super::wait_for;

const TIME_LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: String,
}

/// A session of 2025-06-18.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    url: String,
    pub(crate) id: String,
}

impl Answer {
    fn read(answer: ureq::http::Response<Body>) -> Option<Answer> {
        let (head, mut body) = answer.into_parts();
        Some(Answer {
            status: head.status.as_u16(),
            fields: head.headers,
            body: body.read_to_string().ok()?,
        })
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }

    /// `data.reason` of a JSON-RPC error.
    pub(crate) fn reason(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let reason = &body["error"]["data"]["reason"];
        reason.as_str().unwrap_or_default().to_owned()
    }

    /// 404 with this reason.
    pub(crate) fn expect_gone(&self, reason: &str) {
        assert_eq!(
            (self.status, self.reason().as_str()),
            (404, reason),
            "{self:?}"
        );
    }
}

impl Session {
    pub(crate) fn open(url: &str) -> Session {
        let answer = initialize(url, &[]);
        let id = answer.field("mcp-session-id");
        let id = id.unwrap_or_else(|| panic!("no session: {answer:?}"));
        Session::known(url, id)
    }

    /// A session that somebody opened, by way of this URL.
    pub(crate) fn known(url: &str, id: &str) -> Session {
        Session {
            url: url.to_owned(),
            id: id.to_owned(),
        }
    }

    pub(crate) fn through(&self, url: &str) -> Session {
        Session::known(url, &self.id)
    }

    pub(crate) fn ping(&self) -> Answer {
        self.ping_with(&[])
    }

    pub(crate) fn ping_with(&self, fields: &[(&str, &str)]) -> Answer {
        self.request("ping", json!({}), fields)
    }

    /// What becomes of it in the end: a node that cannot tell yet says so, and when to ask again.
    pub(crate) fn ping_until_known(&self) -> Answer {
        wait_for("a node knows about the session", || {
            let answer = self.ping();
            let later = answer.status == 503 && answer.field("retry-after").is_some();
            (!later).then_some(answer)
        })
    }

    pub(crate) fn try_ping(&self) -> Option<Answer> {
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        try_post(&self.url, &[("Mcp-Session-Id", &self.id)], &ping)
    }

    pub(crate) fn request(&self, method: &str, params: Value, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("Mcp-Session-Id", self.id.as_str())];
        all.extend(fields);
        post(&self.url, &all, &request(method, params))
    }

    /// `None` if it is never answered.
    pub(crate) fn try_request(&self, method: &str, params: Value) -> Option<Answer> {
        let fields = [("Mcp-Session-Id", self.id.as_str())];
        try_post(&self.url, &fields, &request(method, params))
    }

    pub(crate) fn subscribe(&self, uri: &str) {
        let answer = self.request("resources/subscribe", json!({"uri": uri}), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) fn delete(&self) -> Answer {
        try_delete(&self.url, &self.id).expect("an answer")
    }
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

pub(crate) fn initialize(url: &str, fields: &[(&str, &str)]) -> Answer {
    try_initialize(url, fields).expect("an answer")
}

pub(crate) fn try_initialize(url: &str, fields: &[(&str, &str)]) -> Option<Answer> {
    let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "pinfold-fleet", "version": "1"},
    }});
    try_post(url, fields, &request)
}

pub(crate) fn post(url: &str, fields: &[(&str, &str)], body: &Value) -> Answer {
    try_post(url, fields, body).expect("an answer")
}

pub(crate) fn try_post(url: &str, fields: &[(&str, &str)], body: &Value) -> Option<Answer> {
    let request = agent()
        .post(url)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream");
    let answer = with_fields(request, fields).send(body.to_string());
    Answer::read(answer.ok()?)
}

/// What a client of 2026-07-28 asks to read a resource: fields and body.
pub(crate) fn reading(uri: &str) -> ([(&'static str, String); 3], Value) {
    let fields = [
        ("MCP-Protocol-Version", "2026-07-28".to_owned()),
        ("Mcp-Method", "resources/read".to_owned()),
        ("Mcp-Name", uri.to_owned()),
    ];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {
        "uri": uri,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    (fields, body)
}

pub(crate) fn modern_read(url: &str, uri: &str) -> Option<Answer> {
    let (fields, body) = reading(uri);
    let fields = fields.each_ref().map(|(name, it)| (*name, it.as_str()));
    try_post(url, &fields, &body)
}

pub(crate) fn try_delete(url: &str, session: &str) -> Option<Answer> {
    try_delete_with(url, &[("Mcp-Session-Id", session)])
}

pub(crate) fn try_delete_with(url: &str, fields: &[(&str, &str)]) -> Option<Answer> {
    let answer = with_fields(agent().delete(url), fields).call();
    Answer::read(answer.ok()?)
}

pub(crate) fn try_get(url: &str, fields: &[(&str, &str)]) -> Option<Answer> {
    let answer = with_fields(agent().get(url), fields).call();
    Answer::read(answer.ok()?)
}

fn with_fields<B>(request: RequestBuilder<B>, fields: &[(&str, &str)]) -> RequestBuilder<B> {
    let add =
        |request: RequestBuilder<B>, (name, value): &(&str, &str)| request.header(*name, *value);
    fields.iter().fold(request, add)
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(TIME_LIMIT));
    // The proxy under test speaks with a certificate of its own; only its readiness is asked this way.
    let tls = ureq::tls::TlsConfig::builder()
        .disable_verification(true)
        .build();
    config.tls_config(tls).proxy(None).build().into()
}
