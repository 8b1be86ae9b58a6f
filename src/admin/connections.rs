//! Connections for operators: `GET /connections`, `DELETE /connections/{name}`. A client that does not read a plain answer and has no
//! session is in no list of sessions; here it is.

use serde_json::{Value, json};

use super::operators::{ConnectionsPageQuestion, OperatorBackend};
use super::response::AdminResponse;
use super::sessions::{ROWS_DEFAULT, ROWS_MAX, count, decoded, not_viewed, pairs};
use crate::runtime::{unix_ms, unix_ms_of};
use crate::shard::view::ConnectionRow;
use crate::wire::operator_name::{ConnectionName, NotAName};

pub(super) async fn list(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let mut asked = ConnectionsPageQuestion {
        only_slow: false,
        limit: ROWS_DEFAULT,
    };
    for (name, value) in pairs(query) {
        match (&*name, &*value, count(&value, ROWS_MAX)) {
            ("state", "slow", _) => asked.only_slow = true,
            ("limit", _, Some(limit)) => asked.limit = limit,
            _ => {
                let sentence = format!(
                    "GET /connections takes state=slow (of those alone whose clients do not read) and limit, from 1 to {ROWS_MAX}, and no more."
                );
                return AdminResponse::error(400, sentence);
            }
        }
    }
    match backend.connections(asked).await {
        Ok(page) => {
            let rows: Vec<Value> = page.rows.iter().map(row_json).collect();
            let answer = json!({"connections": rows, "total": page.total, "node": backend.name()});
            AdminResponse::json(200, &answer)
        }
        Err(why) => not_viewed(&why),
    }
}

pub(super) fn name_of(segment: &str) -> Result<ConnectionName, NotAName> {
    decoded(segment)?.parse()
}

pub(super) async fn end(
    name: Result<ConnectionName, NotAName>,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let ended = match name {
        Ok(name) => backend.end_connection(name).await,
        Err(NotAName) => {
            let sentence =
                "This is no connection's name. A name is what GET /connections has as \"name\".";
            return AdminResponse::error(404, sentence);
        }
    };
    match ended {
        Ok(()) => AdminResponse::json(200, &json!({"ended": 1})),
        Err(super::NotViewed::Missing(_)) => AdminResponse::error(
            404,
            "There is no such connection here: it has ended, or has another name since it moved to another core.",
        ),
        Err(why) => not_viewed(&why),
    }
}

fn row_json(row: &ConnectionRow) -> Value {
    let since = row.blocked_since.map(unix_ms_of);
    json!({
        "name": row.name.to_string(),
        "core": row.core,
        "peer": row.peer.map(|it| it.to_string()),
        "client": row.client.map(|it| it.to_string()),
        "principal": row.principal.map(|it| it.to_string()),
        "session": row.session.map(|it| it.to_string()),
        "stream": row.stream.map(|it| it.word()),
        "pendingBytes": row.pending_bytes,
        "blockedForMs": since.map(|since| unix_ms().saturating_sub(since)),
    })
}
