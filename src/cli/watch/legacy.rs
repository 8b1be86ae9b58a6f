//! The legacy era (2025-03-26 to 2025-11-25): a session, subscriptions by request, and a GET stream that is
//! resumed after the last event's id.

use serde_json::{Value, json};

use super::backoff::WatchBackoff;
use super::http::{HttpReply, complaint};
use super::message::{answer, notification, request};
use super::watcher::{WatchEnded, Watcher};
use crate::mcp::{ProtocolVersion, RpcMethod};

pub(super) struct LegacySession {
    /// A server without sessions gives none.
    id: Option<String>,
    version: String,
    last_event_id: Option<String>,
}

impl LegacySession {
    /// Initializes, and subscribes to the watched resources.
    pub(super) fn open(watcher: &Watcher) -> Result<Self, WatchEnded> {
        let mut session = LegacySession {
            id: None,
            version: ProtocolVersion::LATEST_LEGACY.as_str().to_owned(),
            last_event_id: None,
        };
        session.initialize(watcher)?;
        for uri in &watcher.uris {
            session.subscribe(watcher, uri)?;
        }
        Ok(session)
    }

    fn initialize(&mut self, watcher: &Watcher) -> Result<(), WatchEnded> {
        let id = watcher.next_id();
        let params = json!({
            "protocolVersion": self.version,
            "capabilities": {},
            "clientInfo": super::client_info(),
        });
        let message = request(id, RpcMethod::Initialize, &params);
        let reply = watcher
            .endpoint
            .ask(&message, &[])
            .map_err(WatchEnded::lost)?;
        let status = reply.status;
        let session_id = reply.header("Mcp-Session-Id");
        let body = reply.into_json(id).unwrap_or_default();
        let Some(version) = body["result"]["protocolVersion"].as_str() else {
            let sentence = format!(
                "the server does not initialize: {}",
                complaint(status, &body)
            );
            return Err(match status {
                429 | 500..=599 => WatchEnded::lost(sentence),
                _ => WatchEnded::Hopeless(sentence),
            });
        };
        self.version = version.to_owned();
        self.id = session_id;
        watcher.remember_session(self.id.clone().map(|id| (id, self.version.clone())));
        let server = &body["result"]["serverInfo"];
        watcher.printer.status(&format!(
            "connected ({}) to {} {}",
            self.version,
            server["name"].as_str().unwrap_or("a server without a name"),
            server["version"].as_str().unwrap_or_default(),
        ));
        let initialized = notification(RpcMethod::Initialized);
        self.post(watcher, &initialized)
            .map(drop)
            .map_err(WatchEnded::lost)
    }

    fn subscribe(&self, watcher: &Watcher, uri: &str) -> Result<(), WatchEnded> {
        let id = watcher.next_id();
        let message = request(id, RpcMethod::ResourcesSubscribe, &json!({ "uri": uri }));
        let reply = self.post(watcher, &message).map_err(WatchEnded::lost)?;
        let status = reply.status;
        if status == 404 && self.id.is_some() {
            return Err(WatchEnded::SessionGone(reply.into_complaint()));
        }
        let body = reply.into_json(id).unwrap_or_default();
        if body.get("result").is_none() {
            let sentence = complaint(status, &body);
            watcher
                .printer
                .status(&format!("cannot subscribe to {uri}: {sentence}"));
        }
        Ok(())
    }

    /// Listens until the stream ends.
    pub(super) fn listen(&mut self, watcher: &Watcher, backoff: &mut WatchBackoff) -> WatchEnded {
        let last_event_id = self.last_event_id.clone();
        let mut headers = self.headers();
        if let Some(last) = &last_event_id {
            headers.push(("Last-Event-ID", last));
        }
        let reply = match watcher.endpoint.get(&headers) {
            Ok(reply) => reply,
            Err(sentence) => return WatchEnded::lost(sentence),
        };
        if reply.status != 200 || !reply.is_event_stream() {
            return self.refusal(reply);
        }
        backoff.reset();
        watcher.printer.status(match last_event_id {
            Some(_) => "listening again, from where the stream ended",
            None => "listening",
        });
        let mut resume_from = last_event_id;
        let ended = watcher.listen_on(
            reply.into_stream(),
            |id| resume_from = Some(id),
            |message| {
                self.take(watcher, &message);
                None
            },
        );
        self.last_event_id = resume_from;
        ended
    }

    fn refusal(&self, reply: HttpReply) -> WatchEnded {
        let status = reply.status;
        let sentence = reply.into_complaint();
        match status {
            // Some servers say 400 for a session they do not know.
            400 | 404 if self.id.is_some() => WatchEnded::SessionGone(sentence),
            409 | 429 | 500..=599 => {
                WatchEnded::lost(format!("the server does not open a stream: {sentence}"))
            }
            405 => WatchEnded::Hopeless("the server has no notification stream (405)".into()),
            _ => WatchEnded::Hopeless(format!("the server does not open a stream: {sentence}")),
        }
    }

    fn take(&self, watcher: &Watcher, message: &Value) {
        let Some(method) = message["method"].as_str() else {
            return;
        };
        if let Some(id) = message.get("id") {
            // A server that cannot be answered will find out by itself.
            let _ = self.post(watcher, &answer(id, method));
            return;
        }
        watcher.printer.event(message);
        if let (Some(RpcMethod::ResourceUpdated), true, Some(uri)) = (
            RpcMethod::of(method),
            watcher.reads,
            message["params"]["uri"].as_str(),
        ) {
            let id = watcher.next_id();
            let message = request(id, RpcMethod::ResourcesRead, &json!({ "uri": uri }));
            let reply = self.post(watcher, &message).map(|reply| (id, reply));
            watcher.show_read(uri, reply);
        }
    }

    fn post(&self, watcher: &Watcher, message: &[u8]) -> Result<HttpReply, String> {
        watcher.endpoint.ask(message, &self.headers())
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        session_headers(self.id.as_deref(), &self.version)
    }
}

/// What every request of a session carries.
pub(super) fn session_headers<'a>(
    id: Option<&'a str>,
    version: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![("MCP-Protocol-Version", version)];
    headers.extend(id.map(|id| ("Mcp-Session-Id", id)));
    headers
}
