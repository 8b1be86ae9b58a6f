//! Sessions in the words of the admin listener's JSON. What shows here is on somebody's screen: no secret, no token.

use serde_json::{Map, Value, json};

use crate::mcp::types::LoggingLevel;
use crate::mcp::{Era, ProtocolVersion};
use crate::runtime::{unix_ms, unix_ms_of};
use crate::shard::view::{
    ClientName, EndedRow, LastError, SessionDetail, SessionRow, StreamDetail, StreamKind,
};

pub(super) fn row_json(row: &SessionRow) -> Value {
    let since = row.blocked_since.map(unix_ms_of);
    json!({
        "name": row.name.to_string(),
        "era": era(row.version),
        "protocolVersion": row.version.as_str(),
        "client": client(row.client.as_ref()),
        "principal": row.principal.map(|it| it.to_string()),
        "core": row.core,
        "createdAt": unix_ms_of(row.created_at),
        "lastActive": unix_ms_of(row.last_active),
        "streams": row.streams,
        "open": row.is_open,
        "calls": row.calls,
        "subscriptions": row.subscriptions,
        "pendingEvents": row.pending_events,
        "pendingBytes": row.pending_bytes,
        "blockedForMs": since.map(|since| unix_ms().saturating_sub(since)),
        "requests": row.requests,
        "events": row.events,
    })
}

/// The row, and what it is made of: `subscriptions` are names here, and `subscriptionsTotal` counts them.
pub(super) fn detail_json(detail: &SessionDetail) -> Value {
    let SessionDetail {
        row,
        subscriptions,
        streams,
        log_level,
        last_errors,
    } = detail;
    let streams: Vec<Value> = streams.iter().map(stream).collect();
    let errors: Vec<Value> = last_errors.iter().map(error).collect();
    let mut all = row_json(row);
    let more = json!({
        "subscriptions": subscriptions,
        "subscriptionsTotal": row.subscriptions,
        "streamDetails": streams,
        "logLevel": log_level.and_then(LoggingLevel::name_of),
        "lastErrors": errors,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend::<Map<String, Value>>(more);
    }
    all
}

pub(super) fn ended_json(row: &EndedRow) -> Value {
    json!({
        "name": row.name.to_string(),
        "era": era(row.version),
        "protocolVersion": row.version.as_str(),
        "client": client(row.client.as_ref()),
        "principal": row.principal.map(|it| it.to_string()),
        "createdAt": unix_ms_of(row.created_at),
        "endedAt": unix_ms_of(row.ended_at),
        "reason": row.reason.word(),
        "requests": row.requests,
        "events": row.events,
    })
}

fn stream(stream: &StreamDetail) -> Value {
    let kind = match stream.kind {
        StreamKind::Get => "get",
        StreamKind::Post => "post",
        StreamKind::Listen => "listen",
    };
    json!({
        "kind": kind,
        "open": stream.is_open,
        "queuedEvents": stream.queued_events,
        "queuedBytes": stream.queued_bytes,
        "since": stream.closed_at.map(unix_ms_of),
    })
}

fn error(error: &LastError) -> Value {
    json!({
        "at": unix_ms_of(error.at),
        "method": error.method,
        "code": error.code,
        "message": error.message,
    })
}

fn client(client: Option<&ClientName>) -> Value {
    match client {
        Some(ClientName { name, version }) => json!({"name": name, "version": version}),
        None => Value::Null,
    }
}

const fn era(version: ProtocolVersion) -> &'static str {
    match version.era() {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}
