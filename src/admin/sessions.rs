//! Sessions for operators: `GET /sessions`, `DELETE /sessions?principal=…`, `GET` and `DELETE /sessions/{name}`,
//! `POST /sessions/{name}/drain`, `GET /sessions/ended`. Listen streams of 2026-07-28 are in the lists, too.
//!
//! A page of the list says where the next one begins: after a position, not after so many. So nobody is shown twice or left out
//! for those that came or ended meanwhile, if what it is sorted by stands still.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::node_rows::{NodeRow, NodeRows};
use super::operators::{NotViewed, OperatorBackend, SessionsQuestion};
use super::response::AdminResponse;
use super::sessions_json::{detail_json, ended_json, row_json};
use crate::limits::ENDED_KEPT;
use crate::mcp::Era;
use crate::principal::PrincipalId;
use crate::runtime::unix_ms_of;
use crate::shard::view::{Part, RowPosition, RowState, SessionFilter, SortBy, ViewOrder};
use crate::wire::operator_name::{NotAName, OperatorName};

/// Rows of a page: what a person reads, and what a program may ask for. A row has half a kilobyte.
pub(super) const ROWS_DEFAULT: usize = 100;
pub(super) const ROWS_MAX: usize = 1_000;

/// The name in `/sessions/{name}` as it stands in a path, where some write `~` as `%7E`.
pub(super) fn name_of(segment: &str) -> Result<OperatorName, NotAName> {
    decoded(segment)?.parse()
}

pub(super) fn decoded(segment: &str) -> Result<Cow<'_, str>, NotAName> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map_err(|_| NotAName)
}

pub(super) async fn list(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let asked = match question(query) {
        Ok(asked) => asked,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    match backend.sessions(asked).await {
        Err(why) => not_viewed(&why),
        Ok(page) => {
            let rows: Vec<_> = page.rows.iter().map(|(_, row)| row_json(row)).collect();
            let answer = json!({
                "sessions": rows,
                "total": page.total,
                "next": page.next.map(cursor),
                "node": backend.name(),
            });
            AdminResponse::json(200, &answer)
        }
    }
}

/// A node's part of a list of all nodes.
pub(super) async fn list_for_all(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let asked = match question(query) {
        Ok(asked) => asked,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    let order = asked.order;
    match backend.sessions(asked).await {
        Err(why) => not_viewed(&why),
        Ok(page) => {
            let node = backend.name();
            let rows = page.rows.into_iter().filter_map(|(position, mut row)| {
                let shown = of_node(row_json(&row), &node)?;
                // The clocks of two nodes' shards do not begin at one time.
                row.created_at = unix_ms_of(row.created_at);
                row.last_active = unix_ms_of(row.last_active);
                Some(NodeRow {
                    rank: order.rank(&row),
                    at: cursor(position),
                    row: shown,
                })
            });
            AdminResponse::of(&NodeRows {
                rows: rows.collect(),
                total: page.total,
                more: page.next.is_some(),
            })
        }
    }
}

fn of_node(mut row: Value, node: &str) -> Option<Box<RawValue>> {
    row["node"] = json!(node);
    to_raw_value(&row).ok()
}

pub(super) async fn show(
    name: Result<OperatorName, NotAName>,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let Ok(name) = name else { return no_name() };
    match backend.session(name).await {
        Ok(detail) => AdminResponse::json(200, &detail_json(&detail)),
        Err(why) => not_viewed_of(name, &why, backend),
    }
}

pub(super) async fn end(
    name: Result<OperatorName, NotAName>,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let Ok(name) = name else { return no_name() };
    match backend.end_session(name).await {
        Ok(()) => AdminResponse::json(200, &json!({"ended": 1})),
        Err(why) => not_viewed_of(name, &why, backend),
    }
}

/// All of a principal: never all there are.
pub(super) async fn end_all_of(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let Some(principal) = only_principal(query) else {
        return say_whose();
    };
    match backend.end_sessions_of(principal).await {
        Ok(count) => AdminResponse::json(200, &json!({"ended": count})),
        Err(why) => not_viewed(&why),
    }
}

/// The one principal that is named, and nothing else.
pub(super) fn only_principal(query: &str) -> Option<PrincipalId> {
    let mut said = pairs(query);
    let (name, value) = said.next()?;
    let is_all = name == "principal" && said.next().is_none();
    PrincipalId::parse(&value).filter(|_| is_all)
}

pub(super) fn say_whose() -> AdminResponse {
    let sentence = "Say whose: DELETE /sessions?principal= with the 32 hexadecimal digits of a principal ends all sessions \
                    and listen streams of theirs. DELETE /sessions/{name} ends one.";
    AdminResponse::error(400, sentence)
}

pub(super) async fn drain(
    name: Result<OperatorName, NotAName>,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let Ok(name) = name else { return no_name() };
    match backend.drain_session(name).await {
        Ok(()) => AdminResponse::json(202, &json!({"draining": true})),
        Err(why) => not_viewed_of(name, &why, backend),
    }
}

pub(super) async fn last_ended(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let limit = match ended_limit(query) {
        Ok(limit) => limit,
        Err(refusal) => return refusal,
    };
    match backend.ended_sessions(limit).await {
        Ok(rows) => {
            let rows: Vec<_> = rows.iter().map(ended_json).collect();
            AdminResponse::json(200, &json!({"ended": rows, "node": backend.name()}))
        }
        Err(why) => not_viewed(&why),
    }
}

/// A node's part of those of all nodes.
pub(super) async fn ended_for_all(query: &str, backend: &dyn OperatorBackend) -> AdminResponse {
    let limit = match ended_limit(query) {
        Ok(limit) => limit,
        Err(refusal) => return refusal,
    };
    match backend.ended_sessions(limit).await {
        Ok(rows) => {
            let (node, total) = (backend.name(), rows.len());
            let rows = rows.iter().filter_map(|row| {
                Some(NodeRow {
                    rank: u64::MAX - unix_ms_of(row.ended_at),
                    at: String::new(),
                    row: of_node(ended_json(row), &node)?,
                })
            });
            AdminResponse::of(&NodeRows {
                rows: rows.collect(),
                total,
                more: false,
            })
        }
        Err(why) => not_viewed(&why),
    }
}

/// # Errors
/// What may be asked.
pub(super) fn ended_limit(query: &str) -> Result<usize, AdminResponse> {
    let mut limit = ROWS_DEFAULT;
    for (name, value) in pairs(query) {
        match (&*name, count(&value, ENDED_KEPT)) {
            ("limit", Some(count)) => limit = count,
            _ => {
                let sentence = format!(
                    "GET /sessions/ended takes limit, from 1 to {ENDED_KEPT}, and cluster, and no more."
                );
                return Err(AdminResponse::error(400, sentence));
            }
        }
    }
    Ok(limit)
}

pub(super) fn no_name() -> AdminResponse {
    let sentence = "This is no session's name. A name is what GET /sessions has as \"name\": the id without its secret, which is the \
                    node, a dot and 24 characters; a listen stream has ~ behind the dot.";
    AdminResponse::error(404, sentence)
}

/// Of another node's name nothing is known here, whatever there is.
fn not_viewed_of(
    name: OperatorName,
    why: &NotViewed,
    backend: &dyn OperatorBackend,
) -> AdminResponse {
    let node = name.node;
    match why {
        NotViewed::Missing(None) if node.as_str() != backend.name() => AdminResponse::error(
            404,
            format!(
                "There is no such session or listen stream on this node: its name says that it is one of {node}. \
                 ?cluster asks the node that the name says."
            ),
        ),
        why => not_viewed(why),
    }
}

pub(super) fn not_viewed(why: &NotViewed) -> AdminResponse {
    match why {
        NotViewed::Missing(Some(row)) => {
            let reason = row.reason;
            let sentence = format!("It has ended: {}.", reason.sentence());
            AdminResponse::json(
                404,
                &json!({"error": sentence, "reason": reason.word(), "ended": ended_json(row)}),
            )
        }
        NotViewed::Missing(None) => AdminResponse::error(
            404,
            "There is no such session or listen stream on this node, and it is not among the last that ended here.",
        ),
        NotViewed::Busy => AdminResponse::error(
            503,
            "A core of this node did not answer in time, or the node ends: ask again in a moment.",
        ),
    }
}

/// Names and values of a query, as a form has them.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, String)> {
    let text = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(move |part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (text(name).into(), text(value))
    })
}

pub(super) fn count(text: &str, max: usize) -> Option<usize> {
    let count = text.parse().ok()?;
    (1..=max).contains(&count).then_some(count)
}

/// # Errors
/// A sentence on what is wrong.
pub(super) fn question(query: &str) -> Result<SessionsQuestion, String> {
    let mut asked = SessionsQuestion {
        filter: SessionFilter::default(),
        core: None,
        order: ViewOrder {
            by: SortBy::Age,
            is_descending: true,
        },
        limit: ROWS_DEFAULT,
        after: None,
    };
    for (name, value) in pairs(query) {
        take(&mut asked, &name, value)?;
    }
    Ok(asked)
}

fn take(asked: &mut SessionsQuestion, name: &str, value: String) -> Result<(), String> {
    let filter = &mut asked.filter;
    let allowed = match name {
        "principal" => {
            filter.principal = PrincipalId::parse(&value);
            (filter.principal.is_none()).then_some("the 32 hexadecimal digits of a principal")
        }
        "client" => {
            filter.client_name = Some(value.into());
            None
        }
        "clientVersion" => {
            filter.client_version = Some(value.into());
            None
        }
        "era" => {
            filter.era = word(&value, &[("legacy", Era::Legacy), ("modern", Era::Modern)]);
            filter.era.is_none().then_some("legacy or modern")
        }
        "state" => {
            filter.state = word(&value, &STATES);
            filter.state.is_none().then_some("open, idle or slow")
        }
        "core" => {
            asked.core = value.parse().ok();
            asked
                .core
                .is_none()
                .then_some("the number of a core, from 0 on")
        }
        "sort" => set(
            &mut asked.order.by,
            word(&value, &SORTS),
            "age, pending or activity",
        ),
        "order" => {
            let orders = [("asc", false), ("desc", true)];
            set(
                &mut asked.order.is_descending,
                word(&value, &orders),
                "asc or desc",
            )
        }
        "limit" => set(&mut asked.limit, count(&value, ROWS_MAX), "from 1 to 1000"),
        "after" => {
            asked.after = position(&value);
            asked
                .after
                .is_none()
                .then_some("what the page before has as \"next\"")
        }
        _ => {
            return Err(format!(
                "GET /sessions takes principal, client, clientVersion, era, core, state, sort, order, limit and after (with cluster node as well), and no {name}."
            ));
        }
    };
    allowed.map_or(Ok(()), |allowed| Err(format!("{name} must be {allowed}.")))
}

const STATES: [(&str, RowState); 3] = [
    ("open", RowState::Open),
    ("idle", RowState::Idle),
    ("slow", RowState::Slow),
];

const SORTS: [(&str, SortBy); 3] = [
    ("age", SortBy::Age),
    ("pending", SortBy::Pending),
    ("activity", SortBy::Activity),
];

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value)
}

/// Some: what is allowed.
fn set<T>(place: &mut T, value: Option<T>, allowed: &'static str) -> Option<&'static str> {
    match value {
        Some(value) => {
            *place = value;
            None
        }
        None => Some(allowed),
    }
}

/// Where a page ends, in one word. Nobody is to make anything of it.
fn cursor(position: RowPosition) -> String {
    let RowPosition {
        rank,
        core,
        part,
        slot,
        generation,
    } = position;
    let mut bytes = Vec::with_capacity(19);
    bytes.extend_from_slice(&rank.to_be_bytes());
    bytes.extend_from_slice(&core.to_be_bytes());
    bytes.push(u8::from(part == Part::ListenStreams));
    bytes.extend_from_slice(&slot.to_be_bytes());
    bytes.extend_from_slice(&generation.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn position(cursor: &str) -> Option<RowPosition> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (rank, rest) = bytes.split_first_chunk()?;
    let (core, rest) = rest.split_first_chunk()?;
    let ([part], rest) = rest.split_first_chunk()?;
    let (slot, rest) = rest.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let part = match part {
        0 => Part::Sessions,
        1 => Part::ListenStreams,
        _ => return None,
    };
    rest.is_empty().then(|| RowPosition {
        rank: u64::from_be_bytes(*rank),
        core: u16::from_be_bytes(*core),
        part,
        slot: u32::from_be_bytes(*slot),
        generation: u32::from_be_bytes(*generation),
    })
}

#[cfg(test)]
mod tests;
