//! Responses into bytes: status, one type, one body, and a sentence for whatever was not answered as asked.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::leaving::Leaving;

pub(super) struct AdminResponse {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Beyond those of the framing.
    pub(super) headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(super) body: String,
    /// The process ends when this answer was written.
    pub(super) leaving: Option<Leaving>,
}

impl AdminResponse {
    pub(super) fn text(status: u16, body: &str) -> Self {
        AdminResponse {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: body.to_owned(),
            leaving: None,
        }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        AdminResponse {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: format!("{value}\n"),
            leaving: None,
        }
    }

    /// What was asked for.
    pub(super) fn of(value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).map(|it| it + "\n");
        AdminResponse {
            body: body.unwrap_or_default(),
            ..Self::json(200, &Value::Null)
        }
    }

    /// A response that is not the answer asked for, with a sentence that says what to do.
    pub(super) fn error(status: u16, sentence: impl Into<String>) -> Self {
        Self::json(status, &json!({ "error": sentence.into() }))
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The last answer of this process.
    pub(super) fn leaving(mut self, leaving: Leaving) -> Self {
        self.leaving = Some(leaving);
        self
    }

    /// The response's bytes; `HEAD` gets them without the body.
    pub(super) fn emit(&self, with_body: bool, keep_alive: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        let mut extra = String::new();
        for (name, value) in &self.headers {
            let _ = write!(extra, "{name}: {value}\r\n");
        }
        let close = if keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        let body = if with_body { self.body.as_str() } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{extra}{close}\r\n{body}",
            self.status,
            self.content_type,
            self.body.len(),
        )
        .into_bytes()
    }
}

/// The head of a response whose body comes piece by piece.
pub(super) fn stream_head(content_type: &str, chunked: bool, keep_alive: bool) -> String {
    let coding = if chunked {
        "Transfer-Encoding: chunked\r\n"
    } else {
        ""
    };
    let close = if keep_alive {
        ""
    } else {
        "Connection: close\r\n"
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\n{coding}{close}\r\n"
    )
}
