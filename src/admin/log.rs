//! `GET /log`, `PUT /log` and `POST /log/access`: how much is logged, and of whom everything, for a while.
//!
//! ```json
//! {"filter": "info,pinfold::cluster=debug"}
//! {"session": "n1.AAEA…", "on": true, "forS": 600}
//! {"principal": "dc18d98ab34b2f83b5913fec82dc81e9", "on": false}
//! ```

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::idempotent::IdempotentPublisher;
use super::response::AdminResponse;
use super::trace::{named, principal, refusal};
use crate::shard::TraceTarget;

/// Of an access log, unless its request says otherwise; and at most. Whoever needs more asks again.
const ACCESS_LOG_S: u64 = 600;
const ACCESS_LOG_MAX_S: u64 = 86_400;

/// Of a filter that may be none: a line is no place for a whole body.
const FILTER_CHARS_LOGGED: usize = 256;

/// The log of the program, or whatever has the log.
pub trait LogControl: Send + Sync {
    /// How much is logged now.
    fn filter(&self) -> String;

    /// Text for people, or JSON for programs.
    fn format(&self) -> &'static str;

    /// So much is logged from now on.
    ///
    /// # Errors
    /// A sentence on what is wrong with it, and nothing has changed.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFilter {
    filter: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessLog {
    session: Option<String>,
    principal: Option<String>,
    #[serde(default = "yes")]
    on: bool,
    #[serde(rename = "forS")]
    for_s: Option<u64>,
}

const fn yes() -> bool {
    true
}

const FORM: &str = "The body is {\"filter\": \"info,pinfold::cluster=debug\"}.";
const ACCESS_FORM: &str = "The body is {\"session\": NAME, \"on\": true, \"forS\": 600}, or the same with \"principal\": HEX.";

pub(super) fn get(publisher: &IdempotentPublisher) -> AdminResponse {
    match publisher.backend().log() {
        Some(log) => shown(&*log),
        None => no_log(),
    }
}

pub(super) fn put(body: &[u8], publisher: &IdempotentPublisher) -> AdminResponse {
    let Some(log) = publisher.backend().log() else {
        return no_log();
    };
    let new: NewFilter = match serde_json::from_slice(body) {
        Ok(new) => new,
        Err(fault) => return AdminResponse::error(400, format!("{fault}. {FORM}")),
    };
    let before = log.filter();
    // Of two lines one is there, whether the old filter lets nothing through or the new one: somebody who silences the log has
    // said so before.
    let asked: String = new.filter.chars().take(FILTER_CHARS_LOGGED).collect();
    tracing::warn!(
        before,
        asked,
        "an operator asks for another filter of what is logged"
    );
    match log.set_filter(&new.filter) {
        Ok(()) => {
            tracing::info!(
                before,
                now = log.filter(),
                "an operator has changed how much is logged"
            );
            shown(&*log)
        }
        Err(sentence) => AdminResponse::error(400, format!("A filter {sentence}.")),
    }
}

/// Everything that one does is logged from now on, for a while; or no longer.
pub(super) async fn access(body: &[u8], publisher: &IdempotentPublisher) -> AdminResponse {
    let (asked, target) = match parse(body) {
        Ok(parsed) => parsed,
        Err(sentence) => return AdminResponse::error(400, sentence),
    };
    let for_s = asked.for_s.unwrap_or(ACCESS_LOG_S);
    let until = asked.on.then(|| Duration::from_secs(for_s));
    match publisher.backend().log_access(target, until).await {
        Ok(()) if asked.on => AdminResponse::json(200, &json!({"on": true, "forS": for_s})),
        Ok(()) => AdminResponse::json(200, &json!({"on": false})),
        Err(why) => refusal(why, target),
    }
}

fn parse(body: &[u8]) -> Result<(AccessLog, TraceTarget), String> {
    let asked: AccessLog =
        serde_json::from_slice(body).map_err(|fault| format!("{fault}. {ACCESS_FORM}"))?;
    if !(1..=ACCESS_LOG_MAX_S).contains(&asked.for_s.unwrap_or(ACCESS_LOG_S)) {
        return Err(format!(
            "\"forS\" is 1 to {ACCESS_LOG_MAX_S} seconds. {ACCESS_FORM}"
        ));
    }
    let target = match (&asked.session, &asked.principal) {
        (Some(name), None) => named(name)?,
        (None, Some(digits)) => principal(digits)?,
        _ => return Err(ACCESS_FORM.to_owned()),
    };
    Ok((asked, target))
}

fn shown(log: &dyn LogControl) -> AdminResponse {
    AdminResponse::json(
        200,
        &json!({"filter": log.filter(), "format": log.format()}),
    )
}

fn no_log() -> AdminResponse {
    let sentence = "The log is that of the program around this node, which says by itself how much there is of it.";
    AdminResponse::error(409, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_names_nobody_or_two() {
        let hex = "dc18d98ab34b2f83b5913fec82dc81e9";
        let name = "n1.AAEAAAACAAAAAwAAAAAAAAAE";
        let accepted = |body: &str| parse(body.as_bytes()).map(|(asked, _)| asked.on);
        assert_eq!(accepted(&json!({"principal": hex}).to_string()), Ok(true));
        assert_eq!(
            accepted(&json!({"session": name, "on": false}).to_string()),
            Ok(false)
        );
        for wrong in [
            json!({}),
            json!({"principal": hex, "session": name}),
            json!({"principal": "alice"}),
            json!({"session": "x"}),
            json!({"session": name, "forS": 0}),
            json!({"session": name, "forS": 86_401}),
            json!({"session": name, "minutes": 1}),
        ] {
            assert!(accepted(&wrong.to_string()).is_err(), "{wrong}");
        }
    }
}
