//! The list, a page at a time, and those that are gone.

use serde_json::Value;

use super::{ListEnded, ListSessions, encoded, of_all, tell_unanswered};
use crate::cli::memory_estimate::human_bytes;
use crate::cli::publish::{AdminClient, AdminFault};
use crate::cli::table::{Table, cut, plain, short_time};
use crate::runtime::unix_ms;

/// Sessions of one answer, where all are wanted: as many as a node gives.
const PAGE: u32 = 1000;
/// Answers that are asked for at most: ten million sessions are more than a node has.
const PAGES_MAX: usize = 10_000;
/// Characters of a client's name and version in a table.
const CLIENT_CHARS: usize = 32;

/// # Errors
/// The exit code, and a sentence.
pub(super) fn list(admin: &AdminClient, options: &ListSessions) -> Result<String, AdminFault> {
    let limit = if options.all { PAGE } else { options.limit };
    let mut after = options.after.clone();
    let (mut rows, mut total) = (Vec::new(), 0);
    for _ in 0..PAGES_MAX {
        let mut path = options.filter.path(limit, after.as_deref());
        if let Some(node) = &options.node {
            path += &format!("&node={}", encoded(node));
        }
        let mut answer = admin.get(&of_all(path, options.cluster))?;
        tell_unanswered(&answer);
        total = answer["total"].as_u64().unwrap_or(0);
        if let Value::Array(page) = answer["sessions"].take() {
            rows.extend(page);
        }
        after = answer["next"].as_str().map(str::to_owned);
        if !options.all || after.is_none() {
            break;
        }
    }
    if options.json {
        return Ok(rows.iter().map(|row| format!("{row}\n")).collect());
    }
    Ok(render(&rows, total, after.as_deref(), unix_ms()))
}

fn render(rows: &[Value], total: u64, next: Option<&str>, now: u64) -> String {
    if rows.is_empty() {
        return "no sessions\n".to_owned();
    }
    let mut table = Table::new(&[
        "NAME",
        "ERA",
        "CLIENT",
        "PRINCIPAL",
        ">CORE",
        "STATE",
        ">AGE",
        ">IDLE",
        ">STREAMS",
        ">CALLS",
        ">PENDING",
        ">REQUESTS",
        ">EVENTS",
    ]);
    for row in rows {
        let number = |member: &str| row[member].as_u64().unwrap_or(0);
        let since = |member: &str| short_time(now.saturating_sub(number(member)));
        table.row([
            plain(row["name"].as_str().unwrap_or("?")),
            plain(row["era"].as_str().unwrap_or("?")),
            cut(&client(row), CLIENT_CHARS),
            cut(&principal(row), 9),
            number("core").to_string(),
            state(row),
            since("createdAt"),
            since("lastActive"),
            number("streams").to_string(),
            number("calls").to_string(),
            human_bytes(number("pendingBytes")),
            number("requests").to_string(),
            number("events").to_string(),
        ]);
    }
    let mut text = table.render();
    if let Some(next) = next {
        text += &format!(
            "{} of {total}: --all shows the others, --after {} goes on\n",
            rows.len(),
            plain(next)
        );
    }
    text
}

/// Name and version, as the client says.
pub(in crate::cli) fn client(row: &Value) -> String {
    let of = |member: &str| row["client"][member].as_str().map(plain);
    match (of("name"), of("version")) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name,
        _ => "-".to_owned(),
    }
}

pub(in crate::cli) fn principal(row: &Value) -> String {
    row["principal"].as_str().map_or("-".to_owned(), plain)
}

/// Slow is told with how long nothing was taken.
pub(in crate::cli) fn state(row: &Value) -> String {
    match row["blockedForMs"].as_u64() {
        Some(ms) => format!("slow {}", short_time(ms)),
        None if row["open"] == true => "open".to_owned(),
        None => "idle".to_owned(),
    }
}

/// # Errors
/// The exit code, and a sentence.
pub(super) fn ended(admin: &AdminClient, options: &ListEnded) -> Result<String, AdminFault> {
    let path = format!("/sessions/ended?limit={}", options.limit);
    let answer = admin.get(&of_all(path, options.cluster))?;
    tell_unanswered(&answer);
    let rows = answer["ended"].as_array().map_or(&[][..], Vec::as_slice);
    if options.json {
        return Ok(rows.iter().map(|row| format!("{row}\n")).collect());
    }
    Ok(render_ended(rows, unix_ms()))
}

fn render_ended(rows: &[Value], now: u64) -> String {
    if rows.is_empty() {
        return "no session has ended here\n".to_owned();
    }
    let mut table = Table::new(&[
        "NAME",
        "REASON",
        ">AGO",
        ">LASTED",
        "CLIENT",
        "PRINCIPAL",
        ">REQUESTS",
        ">EVENTS",
    ]);
    for row in rows {
        let number = |member: &str| row[member].as_u64().unwrap_or(0);
        let (began, ended) = (number("createdAt"), number("endedAt"));
        table.row([
            plain(row["name"].as_str().unwrap_or("?")),
            plain(row["reason"].as_str().unwrap_or("?")),
            short_time(now.saturating_sub(ended)),
            short_time(ended.saturating_sub(began)),
            cut(&client(row), CLIENT_CHARS),
            cut(&principal(row), 9),
            number("requests").to_string(),
            number("events").to_string(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Value {
        json!({
            "name": "n1.AAEAAAAAAAAAAAEAAAGa0A", "era": "legacy", "protocolVersion": "2025-11-25",
            "client": {"name": "eve\u{1b}]0;x\u{7}", "version": "1"},
            "principal": "dc18d98ab34b2f83b5913fec82dc81e9", "core": 1, "createdAt": 1_000, "lastActive": 60_000,
            "streams": 2, "open": true, "calls": 3, "subscriptions": 4, "pendingEvents": 5, "pendingBytes": 4096,
            "blockedForMs": 12_000, "requests": 6, "events": 7,
        })
    }

    #[test]
    fn a_slow_reader_that_nobody_sees() {
        let shown = render(&[row()], 2_345, Some("abc"), 61_000);
        for part in [
            "slow 12s",
            "4.0 KiB",
            "dc18d98a…",
            "1m 0s",
            "eve\u{fffd}]0;x\u{fffd} 1",
            "1 of 2345",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn nobody_at_all() {
        assert_eq!(render(&[], 0, None, 0), "no sessions\n");
        let idle = json!({"name": "n1.x", "open": false, "blockedForMs": null, "client": null});
        let shown = render(&[idle], 1, None, 0);
        assert!(
            shown.contains(" idle ") && !shown.contains("--all"),
            "{shown}"
        );
    }

    #[test]
    fn an_end_without_its_reason() {
        let ended =
            json!({"name": "n1.x", "reason": "slow_reader", "createdAt": 1_000, "endedAt": 61_000});
        let shown = render_ended(&[ended], 70_000);
        for part in ["slow_reader", "9s", "1m 0s"] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
    }
}
