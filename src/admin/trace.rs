//! `GET /sessions/{name}/trace` and `GET /principals/{hex}/trace`: what one asks and is sent, as server-sent events.
//!
//! ```text
//! event: request
//! data: {"at":1764547200000,"session":"n1.AAEA…","method":"tools/call","id":7,"bytes":96}
//! ```
//!
//! Whoever does not read misses events, and is told how many; nobody else notices. The response ends with the session that it is
//! about. That of a principal goes on until its reader leaves. Both end when the token is replaced that they were asked for with.

use std::time::Duration;

use http::Version;
use monoio::time::sleep;
use monoio_http::common::request::RequestHead;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::connection::{ConnectionWriter, send};
use super::idempotent::IdempotentPublisher;
use super::response::{AdminResponse, stream_head};
use super::roles::{AdminRole, AdminTokens};
use super::sessions::name_of;
use super::stream::chunk;
use crate::principal::PrincipalId;
use crate::runtime::{TraceBatch, TraceFeed, TraceRefused, now, unix_ms, unix_ms_of};
use crate::shard::{TraceEvent, TraceKind, TraceTarget};
use crate::wire::operator_name::OperatorName;
use crate::wire::response::LAST_CHUNK;

/// A comment on a trace on which nothing happens: whoever is in between gives up on silence.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Why a trace ends that nothing else ended: the token that it began with is not in force any more.
const TOKEN_REPLACED: &str = "token_replaced";

const NO_NAME: &str = "That is no session's name: it is the session id without the secret, as GET /sessions and the log have it.";

/// Bytes of one chunk of events.
const CHUNK_BYTES: usize = 64 * 1024;

/// Who is to be watched, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceQuestion {
    target: TraceTarget,
    with_contents: bool,
}

impl TraceQuestion {
    /// What a request asks for that is at one of the two places.
    ///
    /// # Errors
    /// What is wrong with it, or needs another role.
    pub(super) fn of(head: &RequestHead, role: AdminRole) -> Result<TraceQuestion, AdminResponse> {
        let target = target_of(head.uri.path())?;
        let with_contents = match head.uri.query() {
            None | Some("" | "contents=false") => false,
            Some("contents=true") => true,
            Some(_) => {
                let sentence = "All that a trace takes is ?contents=true: what messages say, too.";
                return Err(AdminResponse::error(400, sentence));
            }
        };
        let question = TraceQuestion {
            target,
            with_contents,
        };
        if role < question.needs() {
            let sentence = format!(
                "What messages say needs the role operate, and this token has the role {role}: leave out ?contents=true, or use the token of {}.",
                AdminRole::Operate.option()
            );
            return Err(AdminResponse::error(403, sentence));
        }
        Ok(question)
    }

    const fn needs(self) -> AdminRole {
        match self.with_contents {
            true => AdminRole::Operate,
            false => AdminRole::Read,
        }
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(super) async fn begin(
        self,
        publisher: &IdempotentPublisher,
    ) -> Result<TraceFeed, AdminResponse> {
        let begun = publisher.backend().trace(self.target, self.with_contents);
        begun.await.map_err(|why| refusal(why, self.target))
    }
}

fn target_of(path: &str) -> Result<TraceTarget, AdminResponse> {
    let mut segments = path.split('/').skip(1);
    let (kind, name) = (segments.next(), segments.next().unwrap_or_default());
    match kind {
        Some("principals") => name.parse().map(TraceTarget::Principal).map_err(|allowed| {
            AdminResponse::error(404, format!("A principal {allowed}, as the log has them."))
        }),
        _ => name_of(name)
            .map(TraceTarget::Named)
            .map_err(|_| AdminResponse::error(404, NO_NAME)),
    }
}

/// A session by its name for operators.
///
/// # Errors
/// What a name is.
pub(super) fn named(name: &str) -> Result<TraceTarget, &'static str> {
    let name: Result<OperatorName, _> = name.parse();
    name.map(TraceTarget::Named).map_err(|_| NO_NAME)
}

/// A principal by its digits.
///
/// # Errors
/// What they are.
pub(super) fn principal(digits: &str) -> Result<TraceTarget, String> {
    let id: Result<PrincipalId, _> = digits.parse();
    id.map(TraceTarget::Principal)
        .map_err(|allowed| format!("\"principal\" {allowed}, as the log has them."))
}

pub(super) fn refusal(why: TraceRefused, target: TraceTarget) -> AdminResponse {
    match (why, target) {
        (TraceRefused::NotHere, TraceTarget::Named(name)) => AdminResponse::error(
            404,
            format!("Neither a session nor a listen stream of this node is called {name}: it has ended, or is another node's."),
        ),
        (TraceRefused::NotHere, TraceTarget::Principal(_)) => {
            AdminResponse::error(503, "No core of this node answers.").with("Retry-After", "1")
        }
        (TraceRefused::NobodyIsAsked, _) => AdminResponse::error(
            409,
            "Nobody is asked who they are here (--auth): there are no principals. A session can be watched by its name.",
        ),
        (TraceRefused::TooMany, _) => AdminResponse::error(
            503,
            format!(
                "{} sessions or principals are watched or logged at this moment, which is as many as may be: end one of them.",
                crate::limits::TRACES_MAX
            ),
        )
        .with("Retry-After", "30"),
        (TraceRefused::Busy, _) => {
            AdminResponse::error(503, "The node is busy, or ends: try again.").with("Retry-After", "1")
        }
    }
}

/// Sends what happens until nothing more can, the token is replaced by which it began, or `left` says that the reader is gone.
pub(super) async fn serve(
    head: &RequestHead,
    (question, tokens): (TraceQuestion, &AdminTokens),
    mut feed: TraceFeed,
    writer: &mut ConnectionWriter,
    left: impl Future<Output = ()>,
) {
    let chunked = head.version == Version::HTTP_11;
    let mut left = Box::pin(left);
    let mut lost = Box::pin(tokens.lost(&head.headers, question.needs()));
    let mut begun = stream_head("text/event-stream", chunked, false).into_bytes();
    begun.extend(framed(b": watching\n\n".to_vec(), chunked));
    if !send(writer, begun).await {
        return;
    }
    loop {
        let batch = monoio::select! {
            batch = feed.next() => Some(batch),
            () = sleep(KEEP_ALIVE_EVERY) => None,
            () = &mut left => return,
            () = &mut lost => Some(token_replaced(question.target)),
        };
        let is_over = batch.as_ref().is_some_and(|it| ends(it, question.target));
        let pieces = batch.map_or_else(|| vec![b":\n\n".to_vec()], |it| render(&it));
        for piece in pieces {
            if !send(writer, framed(piece, chunked)).await {
                return;
            }
        }
        if is_over {
            if chunked {
                send(writer, LAST_CHUNK.to_vec()).await;
            }
            return;
        }
    }
}

fn framed(bytes: Vec<u8>, chunked: bool) -> Vec<u8> {
    if chunked { chunk(&bytes) } else { bytes }
}

/// Whoever was watched by name is gone, or the reader may not watch any longer.
fn ends(batch: &TraceBatch, target: TraceTarget) -> bool {
    let is_named = matches!(target, TraceTarget::Named(_));
    let is_last = |it: &TraceEvent| is_named || it.reason == Some(TOKEN_REPLACED);
    let mut ends = batch.events.iter().filter(|it| it.kind == TraceKind::End);
    ends.any(is_last)
}

/// What ends a trace whose reader may not watch any longer.
fn token_replaced(target: TraceTarget) -> TraceBatch {
    let name = match target {
        TraceTarget::Named(name) => Some(name.to_string().into()),
        TraceTarget::Principal(_) => None,
    };
    let over = TraceEvent {
        name,
        reason: Some(TOKEN_REPLACED),
        ..TraceEvent::new(TraceKind::End, now())
    };
    TraceBatch {
        events: vec![over],
        missed: 0,
    }
}

/// As events of a stream, in pieces.
fn render(batch: &TraceBatch) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut put = |kind: &str, data: &Value| {
        let event = format!("event: {kind}\ndata: {data}\n\n");
        match pieces.last_mut() {
            Some(last) if last.len() < CHUNK_BYTES => last.extend_from_slice(event.as_bytes()),
            _ => pieces.push(event.into_bytes()),
        }
    };
    // Nobody reads on after an end.
    let is_end = |it: &TraceEvent| it.kind == TraceKind::End;
    let before_end = batch.events.iter().position(is_end);
    let (before, after) = batch
        .events
        .split_at(before_end.unwrap_or(batch.events.len()));
    for event in before {
        put(event.kind.name(), &rendered(event));
    }
    if batch.missed > 0 {
        put("missed", &json!({"at": unix_ms(), "missed": batch.missed}));
    }
    for event in after {
        put(event.kind.name(), &rendered(event));
    }
    pieces
}

fn rendered(event: &TraceEvent) -> Value {
    let mut members = Map::new();
    members.insert("at".into(), unix_ms_of(event.at).into());
    members.insert("session".into(), event.name.as_deref().into());
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.into(), value);
        }
    };
    let text = |text: &Option<Box<str>>| text.as_deref().map(Value::from);
    put("method", text(&event.method));
    put("id", event.id.as_deref().map(json_or_text));
    put("status", event.status.map(Value::from));
    put("code", event.code.map(Value::from));
    put("durationMs", event.duration_ms.map(Value::from));
    put("bytes", event.bytes.map(Value::from));
    put("topic", text(&event.topic));
    put("stream", event.stream.map(|kind| kind.word().into()));
    put("open", event.stream.map(|_| event.is_open.into()));
    put("reason", event.reason.map(Value::from));
    put("contents", text(&event.contents));
    Value::Object(members)
}

/// An id is JSON; one that was cut is a text.
fn json_or_text(id: &str) -> Value {
    let whole: Result<&RawValue, _> = serde_json::from_str(id);
    let value = whole.and_then(|it| serde_json::from_str(it.get()));
    value.unwrap_or_else(|_| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::view::StreamKind;

    fn event(kind: TraceKind) -> TraceEvent {
        TraceEvent {
            name: Some("n1.AAAA".into()),
            ..TraceEvent::new(kind, 1_000)
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let answer = TraceEvent {
            method: Some("tools/call".into()),
            id: Some(r#""a\"b""#.into()),
            status: Some(200),
            code: Some(-32_602),
            duration_ms: Some(0),
            ..event(TraceKind::Answer)
        };
        let mut value = rendered(&answer);
        assert!(value["at"].take().is_u64());
        let expected = json!({"at": null, "session": "n1.AAAA", "method": "tools/call", "id": "a\"b", "status": 200,
            "code": -32602, "durationMs": 0});
        assert_eq!(value, expected);
        let opened = TraceEvent {
            name: None,
            stream: Some(StreamKind::Listen),
            is_open: true,
            ..event(TraceKind::Stream)
        };
        let mut value = rendered(&opened);
        value["at"].take();
        assert_eq!(
            value,
            json!({"at": null, "session": null, "stream": "listen", "open": true})
        );
    }

    #[test]
    fn what_was_missed_is_told_after_what_was_not() {
        let pieces = render(&TraceBatch {
            events: vec![event(TraceKind::Event)],
            missed: 3,
        });
        let text = String::from_utf8(pieces.concat()).expect("text");
        let kinds: Vec<&str> = text
            .lines()
            .filter(|it| it.starts_with("event: "))
            .collect();
        assert_eq!(kinds, ["event: event", "event: missed"]);
        assert!(text.contains(r#""missed":3"#), "{text}");
    }

    #[test]
    fn what_was_missed_is_told_before_the_end() {
        let kinds = [TraceKind::Event, TraceKind::End, TraceKind::Answer];
        let pieces = render(&TraceBatch {
            events: kinds.into_iter().map(event).collect(),
            missed: 3,
        });
        let text = String::from_utf8(pieces.concat()).expect("text");
        let kinds: Vec<&str> = text
            .lines()
            .filter_map(|it| it.strip_prefix("event: "))
            .collect();
        assert_eq!(kinds, ["event", "missed", "end", "answer"]);
    }

    #[test]
    fn a_name_that_is_none() {
        let status = |path| target_of(path).map(|_| 200).map_err(|it| it.status);
        assert_eq!(status("/sessions/nobody/trace"), Err(404));
        assert_eq!(status("/principals/xyz/trace"), Err(404));
        assert_eq!(
            status("/principals/dc18d98ab34b2f83b5913fec82dc81e9/trace"),
            Ok(200)
        );
    }

    #[test]
    fn a_name_whose_tilde_is_encoded() {
        let name = "n1.~AAEAAAACAAAAAwAAAAAAAAAE";
        let plain = target_of(&format!("/sessions/{name}/trace")).map(|it| it.to_string());
        let encoded = format!("/sessions/{}/trace", name.replace('~', "%7E"));
        let encoded = target_of(&encoded).map(|it| it.to_string());
        assert_eq!(plain.ok().as_deref(), Some(name));
        assert_eq!(encoded.ok().as_deref(), Some(name));
        assert!(target_of("/sessions/%FF/trace").is_err());
    }

    #[test]
    fn a_name_that_the_log_has_otherwise() {
        let (name, principal) = (
            "n1.AAEAAAACAAAAAwAAAAAAAAAE",
            "dc18d98ab34b2f83b5913fec82dc81e9",
        );
        let shown = |path: String| target_of(&path).map(|it| it.to_string()).ok();
        assert_eq!(
            shown(format!("/sessions/{name}/trace")).as_deref(),
            Some(name)
        );
        assert_eq!(
            shown(format!("/principals/{principal}/trace")).as_deref(),
            Some(principal)
        );
    }
}
