//! Sessions in the words of the admin listener's JSON. What shows here is on somebody's screen: no secret, no token.

use serde_json::{Map, Value, json};

use crate::mcp::types::LoggingLevel;
use crate::mcp::{Era, ProtocolVersion};
use crate::principal::PrincipalId;
use crate::runtime::{unix_ms, unix_ms_of};
use crate::shard::Millis;
use crate::shard::view::{
    AdoptedRow, ClientName, EndedRow, LastError, Portability, SessionDetail, SessionRow,
    StreamDetail,
};
use crate::wire::operator_name::OperatorName;

pub(super) fn row_json(row: &SessionRow) -> Value {
    let since = row.blocked_since.map(unix_ms_of);
    let who = RowHead {
        name: &row.name,
        version: row.version,
        client: row.client.as_ref(),
        principal: row.principal,
        created_at: row.created_at,
    };
    let own = who.with(json!({
        "core": row.core,
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
        "portable": row.portable.map(portable),
    }));
    match &row.adopted {
        Some(adopted) => joined(own, adopted_json(row, adopted)),
        None => own,
    }
}

/// True, or why it is not.
fn portable(portability: Portability) -> Value {
    portability
        .obstacle()
        .map_or(Value::Bool(true), Value::from)
}

fn adopted_json(row: &SessionRow, adopted: &AdoptedRow) -> Value {
    let mut more = json!({"bornOn": row.name.node.as_str(), "fence": adopted.fence});
    if adopted.created_at > 0 {
        more["createdAt"] = adopted.created_at.into();
    }
    more
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
    let more = json!({
        "subscriptions": subscriptions,
        "subscriptionsTotal": row.subscriptions,
        "streamDetails": streams,
        "logLevel": log_level.and_then(LoggingLevel::name_of),
        "lastErrors": errors,
    });
    joined(row_json(row), more)
}

pub(super) fn ended_json(row: &EndedRow) -> Value {
    let who = RowHead {
        name: &row.name,
        version: row.version,
        client: row.client.as_ref(),
        principal: row.principal,
        created_at: row.created_at,
    };
    who.with(json!({
        "endedAt": unix_ms_of(row.ended_at),
        "reason": row.reason.word(),
        "requests": row.requests,
        "events": row.events,
    }))
}

/// What is said of each, whether it is there or was.
struct RowHead<'a> {
    name: &'a OperatorName,
    version: ProtocolVersion,
    client: Option<&'a ClientName>,
    principal: Option<PrincipalId>,
    created_at: Millis,
}

impl RowHead<'_> {
    fn with(&self, more: Value) -> Value {
        let own = json!({
            "name": self.name.to_string(),
            "era": era(self.version),
            "protocolVersion": self.version.as_str(),
            "client": client(self.client),
            "principal": self.principal.map(|it| it.to_string()),
            "createdAt": unix_ms_of(self.created_at),
        });
        joined(own, more)
    }
}

/// The members of both; those of the second stand.
fn joined(mut all: Value, more: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend::<Map<String, Value>>(more);
    }
    all
}

fn stream(stream: &StreamDetail) -> Value {
    json!({
        "kind": stream.kind.word(),
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
