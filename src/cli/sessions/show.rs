//! One session in detail.

use serde_json::Value;

use super::list::{client, principal, state};
use super::{ShowSession, encoded, of_all};
use crate::cli::memory_estimate::human_bytes;
use crate::cli::publish::{AdminClient, AdminFault};
use crate::cli::table::{plain, short_time};
use crate::runtime::unix_ms;

/// # Errors
/// The exit code, and a sentence.
pub(super) fn show(admin: &AdminClient, options: &ShowSession) -> Result<String, AdminFault> {
    let path = format!("/sessions/{}", encoded(&options.name.to_string()));
    let answer = admin.get(&of_all(path, options.cluster))?;
    if options.json {
        return Ok(format!("{answer}\n"));
    }
    Ok(detail(&answer, unix_ms())
        .iter()
        .map(|line| format!("{line}\n"))
        .collect())
}

/// A line for each thing that there is to be said.
pub(in crate::cli) fn detail(answer: &Value, now: u64) -> Vec<String> {
    let text = |member: &str| plain(answer[member].as_str().unwrap_or("-"));
    let number = |member: &str| answer[member].as_u64().unwrap_or(0);
    let ago = |value: &Value| short_time(now.saturating_sub(value.as_u64().unwrap_or(0)));
    let mut lines = vec![
        format!("session    {}", text("name")),
        format!(
            "client     {}, {} ({})",
            client(answer),
            text("era"),
            text("protocolVersion")
        ),
        format!("principal  {}", principal(answer)),
        format!("state      {} on core {}", state(answer), number("core")),
        format!(
            "since      {}, last request {} ago",
            ago(&answer["createdAt"]),
            ago(&answer["lastActive"])
        ),
        format!(
            "so far     {} requests, {} events; {} calls under way",
            number("requests"),
            number("events"),
            number("calls")
        ),
        format!(
            "pending    {} events, {}",
            number("pendingEvents"),
            human_bytes(number("pendingBytes"))
        ),
    ];
    if let Some(level) = answer["logLevel"].as_str() {
        lines.push(format!("log level  {}", plain(level)));
    }
    for stream in answer["streamDetails"].as_array().into_iter().flatten() {
        let of = |member: &str| stream[member].as_u64().unwrap_or(0);
        lines.push(format!(
            "stream     {} {}, {} events and {} queued, since {}",
            plain(stream["kind"].as_str().unwrap_or("?")),
            if stream["open"] == true {
                "open"
            } else {
                "closed"
            },
            of("queuedEvents"),
            human_bytes(of("queuedBytes")),
            ago(&stream["since"])
        ));
    }
    let subscriptions = answer["subscriptions"].as_array();
    let listed = subscriptions.map_or(0, Vec::len) as u64;
    for uri in subscriptions.into_iter().flatten() {
        lines.push(format!("subscribed {}", plain(uri.as_str().unwrap_or("?"))));
    }
    let others = number("subscriptionsTotal").saturating_sub(listed);
    if others > 0 {
        lines.push(format!("subscribed to {others} more"));
    }
    for error in answer["lastErrors"].as_array().into_iter().flatten() {
        lines.push(format!(
            "error      {} ago: {} {} {}",
            ago(&error["at"]),
            plain(error["method"].as_str().unwrap_or("-")),
            error["code"],
            plain(error["message"].as_str().unwrap_or(""))
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_session_is_shown() {
        let answer = json!({
            "name": "n1.x", "era": "legacy", "protocolVersion": "2025-11-25", "client": {"name": "c", "version": "1"},
            "core": 1, "createdAt": 0, "lastActive": 1_000, "open": true, "blockedForMs": 5_000, "pendingEvents": 9,
            "subscriptions": ["board://a", "tools"], "subscriptionsTotal": 12, "logLevel": "warning",
            "streamDetails": [{"kind": "get", "open": true, "queuedEvents": 9, "queuedBytes": 2048, "since": 500}],
            "lastErrors": [{"at": 2_000, "method": "tools/call", "code": -32602, "message": "no\u{7} such tool"}],
        });
        let shown = detail(&answer, 61_000).join("\n");
        for part in [
            "slow 5s on core 1",
            "stream     get open, 9 events and 2.0 KiB queued",
            "subscribed board://a",
            "subscribed to 10 more",
            "error      59s ago: tools/call -32602 no\u{fffd} such tool",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
    }
}
