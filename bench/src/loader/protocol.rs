//! What a client of each kind sends until its stream is open, request by request on one connection.

use std::sync::OnceLock;

/// Where requests go, if not to /mcp: one process asks one path.
pub(crate) static PATH: OnceLock<String> = OnceLock::new();

fn path() -> &'static str {
    PATH.get().map_or("/mcp", String::as_str)
}

/// A resource that every client subscribes to and that is published.
pub(crate) fn uri(topic: usize) -> String {
    match topic {
        0 => "board://bench".to_owned(),
        topic => format!("board://bench-{topic}"),
    }
}

/// What an event must say to count as a delivery.
pub(crate) const NEEDLE: &str = r#""notifications/resources/updated""#;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// 2025-11-25: a session that subscribes, and its GET stream.
    Legacy,
    /// 2026-07-28: one `subscriptions/listen`.
    Modern,
    /// A GET without anything before it, for floors.
    Raw,
    /// A connection whose only request was answered and that stays open.
    KeepAlive,
}

impl Protocol {
    /// What such a stream of a server is called.
    pub(crate) fn stream_of(self, server: &str) -> String {
        match self {
            Protocol::Legacy => format!("{server}, session and GET"),
            Protocol::Modern => format!("{server}, listen"),
            Protocol::Raw | Protocol::KeepAlive => server.to_owned(),
        }
    }

    /// The request of this step of a client that subscribes to so many topics; none after the last.
    pub(crate) fn request(
        self,
        step: usize,
        topics: usize,
        session: Option<&str>,
        host: &str,
    ) -> Option<String> {
        let session = session.map(in_session).unwrap_or_default();
        let modern =
            |method: &str| format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
        let request = match (self, step) {
            (Protocol::Legacy, 0) => post(host, "", INITIALIZE),
            (Protocol::Legacy, 1) => post(host, &session, INITIALIZED),
            (Protocol::Legacy, step) if step - 2 < topics => {
                post(host, &session, &subscribe(step - 2))
            }
            (Protocol::Legacy, step) if step - 2 == topics => get(host, &session),
            (Protocol::Modern, 0) => post(host, &modern("subscriptions/listen"), &listen(topics)),
            (Protocol::Raw, 0) => get(host, ""),
            (Protocol::KeepAlive, 0) => post(host, &modern("server/discover"), &discover()),
            _ => return None,
        };
        Some(request)
    }

    pub(crate) fn steps(self, topics: usize) -> usize {
        match self {
            Protocol::Legacy => 3 + topics,
            Protocol::Modern | Protocol::Raw | Protocol::KeepAlive => 1,
        }
    }

    /// The last request is answered by a stream.
    pub(crate) fn streams(self) -> bool {
        self != Protocol::KeepAlive
    }
}

/// Requests of a legacy session outside of its opening.
pub(crate) mod legacy {
    pub(crate) fn initialize(host: &str) -> String {
        super::post(host, "", super::INITIALIZE)
    }

    pub(crate) fn ping(host: &str, session: &str) -> String {
        super::post(host, &super::in_session(session), super::PING)
    }

    pub(crate) fn get(host: &str, session: &str) -> String {
        super::get(host, &super::in_session(session))
    }

    /// What came after the event with this id; all if it is empty.
    pub(crate) fn resume(host: &str, session: &str, last_id: &str) -> String {
        let after = match last_id {
            "" => String::new(),
            last_id => format!("Last-Event-ID: {last_id}\r\n"),
        };
        super::get(host, &(super::in_session(session) + &after))
    }

    pub(crate) fn delete(host: &str, session: &str) -> String {
        let fields = super::in_session(session);
        let path = super::path();
        format!("DELETE {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
    }
}

/// A request that shows an access token.
pub(crate) fn shows(request: &str, token: &str) -> String {
    let (first, rest) = request.split_once("\r\n").unwrap_or((request, ""));
    format!("{first}\r\nAuthorization: Bearer {token}\r\n{rest}")
}

fn in_session(id: &str) -> String {
    format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n")
}

fn post(host: &str, fields: &str, body: &str) -> String {
    let path = path();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(host: &str, fields: &str) -> String {
    let path = path();
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{fields}\r\n")
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

fn subscribe(topic: usize) -> String {
    let uri = uri(topic);
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{uri}"}}}}"#
    )
}

fn listen(topics: usize) -> String {
    let uris: Vec<String> = (0..topics)
        .map(|topic| format!("{:?}", uri(topic)))
        .collect();
    let uris = uris.join(",");
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{{META},"notifications":{{"resourceSubscriptions":[{uris}]}}}}}}"#
    )
}

/// What publishes all of them together.
pub(crate) fn publication(topics: usize) -> String {
    publication_of(0..topics)
}

pub(crate) fn publication_of(topics: std::ops::Range<usize>) -> String {
    let items: Vec<String> = topics
        .map(|topic| format!(r#"{{"uri":"{}"}}"#, uri(topic)))
        .collect();
    format!("[{}]", items.join(","))
}

fn discover() -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#)
}
