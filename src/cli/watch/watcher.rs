//! Who watches: how it reaches the server, how it says what comes, and why its listening ends.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::http::{Endpoint, EventStream, HttpReply};
use super::print::Printer;
use super::sse::SseItem;
use crate::mcp::Era;

/// What a session's end has to be told with: its id and its protocol version.
pub(super) type OpenSession = Arc<Mutex<Option<(String, String)>>>;

pub(super) struct Watcher {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) printer: Printer,
    pub(super) uris: Vec<String>,
    /// Read a resource after each of its updates.
    pub(super) reads: bool,
    /// `None`: find out.
    pub(super) era: Option<Era>,
    pub(super) goodbye: OpenSession,
    pub(super) last_id: Cell<u64>,
}

/// Why listening ended.
pub(super) enum WatchEnded {
    /// It may work a moment later.
    Lost {
        sentence: String,
        /// What the server asked to wait.
        retry: Option<Duration>,
    },
    /// The session is gone.
    SessionGone(String),
    /// It will not work later either.
    Hopeless(String),
}

impl WatchEnded {
    pub(super) fn lost(sentence: impl Into<String>) -> Self {
        WatchEnded::Lost {
            sentence: sentence.into(),
            retry: None,
        }
    }
}

impl Watcher {
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Remembers the session to end when the program ends.
    pub(super) fn remember_session(&self, session: Option<(String, String)>) {
        *self.goodbye.lock().expect("nobody panics with it") = session;
    }

    /// Prints what a read brought, or why it brought nothing.
    pub(super) fn show_read(&self, uri: &str, answer: Result<(u64, HttpReply), String>) {
        let result = answer.and_then(|(id, reply)| {
            let status = reply.status;
            let body = reply.into_json(id).unwrap_or_default();
            match &body["result"] {
                Value::Object(_) => Ok(body["result"].clone()),
                _ => Err(super::http::complaint(status, &body)),
            }
        });
        match result {
            Ok(result) => self.printer.contents(&result),
            Err(sentence) => self
                .printer
                .status(&format!("cannot read {uri}: {sentence}")),
        }
    }

    /// Hands each message of a stream to `take` until that ends it or the stream ends. `resume` hears of each
    /// event's id.
    pub(super) fn listen_on(
        &self,
        mut stream: EventStream,
        mut resume: impl FnMut(String),
        mut take: impl FnMut(Value) -> Option<WatchEnded>,
    ) -> WatchEnded {
        let mut retry = None;
        let sentence = loop {
            match stream.next() {
                Ok(Some(SseItem::Event { data, id })) => {
                    if !id.is_empty() {
                        resume(id);
                    }
                    match serde_json::from_str(&data) {
                        Ok(message) => {
                            if let Some(ended) = take(message) {
                                return ended;
                            }
                        }
                        Err(error) => self
                            .printer
                            .status(&format!("an event is not JSON: {error}")),
                    }
                }
                Ok(Some(SseItem::Id(id))) => resume(id),
                Ok(Some(SseItem::Comment)) => self.printer.comment(),
                Ok(Some(SseItem::Retry(wait))) => retry = Some(wait),
                Ok(None) => break "the stream ended".to_owned(),
                Err(error) => break format!("the stream broke: {error}"),
            }
        };
        WatchEnded::Lost { sentence, retry }
    }
}
