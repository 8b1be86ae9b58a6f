//! The watcher's life: meet the server, listen until the stream ends, try again.
//!
//! ```text
//! Strange ──discover or initialize──▶ Met ──listen──▶ the stream ends ──wait──▶ Met
//!    ▲                                                       │
//!    └───────────── session gone (404): meet again ◀─────────┘
//! ```

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::backoff::Backoff;
use super::era::{Verdict, verdict};
use super::http::{Endpoint, Reply, Stream};
use super::legacy::Session;
use super::modern;
use super::say::Voice;
use super::sse::Received;
use crate::mcp::Era;

/// What a session's end has to be told with: its id and its protocol version.
pub(super) type Goodbye = Arc<Mutex<Option<(String, String)>>>;

pub(super) struct Watcher {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) voice: Voice,
    pub(super) uris: Vec<String>,
    /// Read a resource after each of its updates.
    pub(super) reads: bool,
    /// `None`: find out.
    pub(super) era: Option<Era>,
    pub(super) goodbye: Goodbye,
    pub(super) last_id: Cell<u64>,
}

/// Why listening ended.
pub(super) enum Ended {
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

impl Ended {
    pub(super) fn lost(sentence: impl Into<String>) -> Self {
        Ended::Lost {
            sentence: sentence.into(),
            retry: None,
        }
    }
}

/// A server whose era is known.
enum Peer {
    Modern,
    Legacy(Session),
}

/// Watches until it is hopeless, and says why.
pub(super) fn follow(watcher: &Watcher) -> String {
    let mut backoff = Backoff::default();
    let mut peer = None;
    loop {
        let met = peer.take().map_or_else(|| meet(watcher), Ok);
        let ended = met.map_or_else(
            |ended| ended,
            |mut met| {
                let ended = listen(watcher, &mut met, &mut backoff);
                peer = Some(met);
                ended
            },
        );
        let (sentence, retry) = match ended {
            Ended::Hopeless(sentence) => return sentence,
            Ended::Lost { sentence, retry } => (sentence, retry),
            Ended::SessionGone(sentence) => {
                peer = None;
                watcher.say_goodbye_to(None);
                let unknown = "what changed since is unknown";
                (format!("the session is gone ({sentence}); {unknown}"), None)
            }
        };
        let wait = backoff.next(retry, random());
        let seconds = wait.as_secs_f64();
        watcher
            .voice
            .status(&format!("{sentence}; again in {seconds:.1} s"));
        std::thread::sleep(wait);
    }
}

fn listen(watcher: &Watcher, peer: &mut Peer, backoff: &mut Backoff) -> Ended {
    match peer {
        Peer::Modern => modern::listen(watcher, backoff),
        Peer::Legacy(session) => session.listen(watcher, backoff),
    }
}

/// Finds out the server's era, and opens a session if it takes one.
fn meet(watcher: &Watcher) -> Result<Peer, Ended> {
    let era = match watcher.era {
        Some(era) => era,
        None => discover(watcher)?,
    };
    match era {
        Era::Modern => Ok(Peer::Modern),
        Era::Legacy => Session::open(watcher).map(Peer::Legacy),
    }
}

fn discover(watcher: &Watcher) -> Result<Era, Ended> {
    let (id, reply) =
        modern::ask(watcher, "server/discover", json!({}), None).map_err(Ended::lost)?;
    let status = reply.status;
    let body = reply.into_json(id);
    match verdict(status, body.as_ref()) {
        Verdict::Modern => Ok(Era::Modern),
        Verdict::Legacy => Ok(Era::Legacy),
        Verdict::GiveUp(sentence) => Err(Ended::Hopeless(sentence)),
        Verdict::TryAgain(sentence) => Err(Ended::lost(sentence)),
    }
}

impl Watcher {
    pub(super) fn next_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Remembers the session to end when the program ends.
    pub(super) fn say_goodbye_to(&self, session: Option<(String, String)>) {
        *self.goodbye.lock().expect("nobody panics with it") = session;
    }

    /// Prints what a read brought, or why it brought nothing.
    pub(super) fn show_read(&self, uri: &str, answer: Result<(u64, Reply), String>) {
        let result = answer.and_then(|(id, reply)| {
            let status = reply.status;
            let body = reply.into_json(id).unwrap_or_default();
            match &body["result"] {
                Value::Object(_) => Ok(body["result"].clone()),
                _ => Err(super::http::complaint(status, &body)),
            }
        });
        match result {
            Ok(result) => self.voice.contents(&result),
            Err(sentence) => self.voice.status(&format!("cannot read {uri}: {sentence}")),
        }
    }

    /// Hands each message of a stream to `take` until that ends it or the stream ends. `resume` hears of each
    /// event's id.
    pub(super) fn listen_on(
        &self,
        mut stream: Stream,
        mut resume: impl FnMut(String),
        mut take: impl FnMut(Value) -> Option<Ended>,
    ) -> Ended {
        let mut retry = None;
        let sentence = loop {
            match stream.next() {
                Ok(Some(Received::Event { data, id })) => {
                    if !id.is_empty() {
                        resume(id);
                    }
                    match serde_json::from_str(&data) {
                        Ok(message) => {
                            if let Some(ended) = take(message) {
                                return ended;
                            }
                        }
                        Err(error) => self.voice.status(&format!("an event is not JSON: {error}")),
                    }
                }
                Ok(Some(Received::Id(id))) => resume(id),
                Ok(Some(Received::Comment)) => self.voice.comment(),
                Ok(Some(Received::Retry(wait))) => retry = Some(wait),
                Ok(None) => break "the stream ended".to_owned(),
                Err(error) => break format!("the stream broke: {error}"),
            }
        };
        Ended::Lost { sentence, retry }
    }
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
