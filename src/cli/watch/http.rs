//! Messages to the server and answers from it, over HTTP, for both eras.
//!
//! An answer is a JSON body or an event stream that ends with the response; a notification stream is an event
//! stream that does not.

use std::io::{BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

use super::sse::{SseItem, SseReader};
use crate::admin::Token;

/// To the first byte of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Of an answer that is not a stream.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) type EventStream = SseReader<BufReader<ureq::BodyReader<'static>>>;

pub(super) type HeaderPairs<'a> = &'a [(&'a str, &'a str)];

/// The server's endpoint.
pub(super) struct Endpoint {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

/// An answer whose body has not been read.
pub(super) struct HttpReply {
    pub(super) status: u16,
    response: Response<Body>,
}

impl Endpoint {
    pub(super) fn new(url: &str, token: Option<&Token>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("pinfold-watch/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .build()
            .new_agent();
        Endpoint {
            agent,
            url: url.to_owned(),
            authorization: token.map(|token| format!("Bearer {}", token.expose())),
        }
    }

    /// Sends one message that is answered soon.
    ///
    /// # Errors
    /// A sentence on why there is no answer.
    pub(super) fn ask(&self, message: &[u8], headers: HeaderPairs) -> Result<HttpReply, String> {
        self.post(message, headers, Some(2 * ANSWER_TIMEOUT))
    }

    /// Sends one message that is answered by a stream without an end.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) fn listen(&self, message: &[u8], headers: HeaderPairs) -> Result<HttpReply, String> {
        self.post(message, headers, None)
    }

    fn post(
        &self,
        message: &[u8],
        headers: HeaderPairs,
        timeout: Option<Duration>,
    ) -> Result<HttpReply, String> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream");
        for (name, value) in self.with_authorization(headers) {
            request = request.header(name, value);
        }
        request
            .config()
            .timeout_global(timeout)
            .build()
            .send(message)
            .map(HttpReply::new)
            .map_err(|error| self.no_answer(&error))
    }

    /// Opens the notification stream of a legacy session.
    pub(super) fn get(&self, headers: HeaderPairs) -> Result<HttpReply, String> {
        let mut request = self
            .agent
            .get(&self.url)
            .header("Accept", "text/event-stream");
        for (name, value) in self.with_authorization(headers) {
            request = request.header(name, value);
        }
        request
            .call()
            .map(HttpReply::new)
            .map_err(|error| self.no_answer(&error))
    }

    /// Ends a legacy session; nobody waits long for a goodbye.
    pub(super) fn delete(&self, headers: HeaderPairs) {
        let mut request = self.agent.delete(&self.url);
        for (name, value) in self.with_authorization(headers) {
            request = request.header(name, value);
        }
        let _ = request
            .config()
            .timeout_global(Some(Duration::from_secs(2)))
            .build()
            .call();
    }

    fn with_authorization<'a>(
        &'a self,
        headers: HeaderPairs<'a>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let authorization = self.authorization.as_deref();
        headers
            .iter()
            .copied()
            .chain(authorization.map(|value| ("Authorization", value)))
    }

    fn no_answer(&self, error: &ureq::Error) -> String {
        let url = &self.url;
        match error {
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {url}")
            }
            ureq::Error::HostNotFound => format!("there is no host of that name: {url}"),
            _ => format!("{url} did not answer: {error}"),
        }
    }
}

impl HttpReply {
    fn new(response: Response<Body>) -> Self {
        HttpReply {
            status: response.status().as_u16(),
            response,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.response.headers().get(name)?;
        value.to_str().ok().map(ToOwned::to_owned)
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.response.body().mime_type() == Some("text/event-stream")
    }

    pub(super) fn into_stream(self) -> EventStream {
        SseReader::new(BufReader::new(self.response.into_body().into_reader()))
    }

    /// The body as JSON, or the response with this id out of an event stream; `None` if there is neither.
    pub(super) fn into_json(self, id: u64) -> Option<Value> {
        if self.is_event_stream() {
            return response_in(self.into_stream(), id);
        }
        let mut text = String::new();
        let reader = self.response.into_body().into_reader();
        reader
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut text)
            .ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Why a request was not answered as it should be: the error's message, or the status alone.
    pub(super) fn into_complaint(self) -> String {
        let status = self.status;
        let body = self.into_json(0).unwrap_or_default();
        complaint(status, &body)
    }
}

/// What an error answer says.
pub(super) fn complaint(status: u16, body: &Value) -> String {
    let message = body["error"]["message"].as_str();
    let reason = body["error"]["data"]["reason"].as_str();
    match (message, reason) {
        (Some(message), Some(reason)) => format!("{status}: {message} ({reason})"),
        (Some(message), None) => format!("{status}: {message}"),
        (None, _) => status.to_string(),
    }
}

fn response_in(mut stream: EventStream, id: u64) -> Option<Value> {
    while let Ok(Some(received)) = stream.next() {
        let SseItem::Event { data, .. } = received else {
            continue;
        };
        let message: Value = serde_json::from_str(&data).ok()?;
        if message["id"] == id && message.get("method").is_none() {
            return Some(message);
        }
    }
    None
}
