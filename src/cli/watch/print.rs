//! What is printed: events to standard output, everything about the connection to standard error.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use serde_json::Value;

use crate::app::call::LISTS;
use crate::mcp::RpcMethod;

/// Characters printed of a resource's text.
const TEXT_CHARS_MAX: usize = 4000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// Raw notifications, one per line.
    pub(super) json: bool,
    /// Keep-alive comments, too.
    pub(super) verbose: bool,
}

impl Printer {
    /// A notification as it came.
    pub(super) fn event(self, message: &Value) {
        if self.json {
            print_line(&message.to_string());
        } else {
            print_line(&format!("{} {}", now(), line_of(message)));
        }
    }

    /// The contents of a resource after it changed: the result of `resources/read`.
    pub(super) fn contents(self, result: &Value) {
        if self.json {
            print_line(&result.to_string());
            return;
        }
        for contents in result["contents"].as_array().into_iter().flatten() {
            for line in lines_of(contents) {
                print_line(&format!("             | {line}"));
            }
        }
    }

    /// Something about the connection.
    pub(super) fn status(self, sentence: &str) {
        eprintln!("{} {sentence}", now());
    }

    pub(super) fn comment(self) {
        if self.verbose {
            self.status("keep-alive");
        }
    }
}

/// Nobody reads our lines any more: there is nothing left to do.
fn print_line(line: &str) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

fn now() -> String {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    time_of_day(since_epoch.as_millis())
}

/// UTC, `12:00:01.250Z`.
fn time_of_day(unix_ms: u128) -> String {
    let ms = unix_ms % 86_400_000;
    format!(
        "{:02}:{:02}:{:02}.{:03}Z",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1000 % 60,
        ms % 1000
    )
}

fn line_of(message: &Value) -> String {
    let params = &message["params"];
    let method = message["method"].as_str().unwrap_or_default();
    let known = RpcMethod::of(method);
    let list = LISTS
        .iter()
        .find(|(_, list)| Some(list.notification) == known);
    if let Some((_, list)) = list {
        return format!("changed  the list of {}", list.name);
    }
    match known {
        Some(RpcMethod::ResourceUpdated) => {
            format!(
                "updated  {}",
                params["uri"].as_str().unwrap_or("a resource without a uri")
            )
        }
        Some(RpcMethod::LogMessage) => format!(
            "message  {}: {}",
            params["level"].as_str().unwrap_or("?"),
            params["data"]
                .as_str()
                .map_or_else(|| params["data"].to_string(), ToOwned::to_owned)
        ),
        _ => format!("{method}  {params}"),
    }
}

fn lines_of(contents: &Value) -> Vec<String> {
    if let Some(text) = contents["text"].as_str() {
        let mut shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
        if shown.len() < text.len() {
            shown.push_str(" …");
        }
        return shown.lines().map(printable).collect();
    }
    let mime = contents["mimeType"].as_str().unwrap_or("of unknown type");
    let bytes = contents["blob"]
        .as_str()
        .and_then(|blob| base64::engine::general_purpose::STANDARD.decode(blob).ok())
        .map_or(0, |blob| blob.len());
    vec![format!("({bytes} bytes, {mime})")]
}

/// A terminal obeys control characters; a server has no say in that.
fn printable(line: &str) -> String {
    line.chars()
        .map(|char| {
            if char.is_control() && char != '\t' {
                '\u{fffd}'
            } else {
                char
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_said_in_words() {
        let updated =
            json!({"method": "notifications/resources/updated", "params": {"uri": "board://a"}});
        assert_eq!(line_of(&updated), "updated  board://a");
        let list = json!({"method": "notifications/tools/list_changed"});
        assert_eq!(line_of(&list), "changed  the list of tools");
        let log = json!({"method": "notifications/message", "params": {"level": "info", "data": {"a": 1}}});
        assert_eq!(line_of(&log), "message  info: {\"a\":1}");
        let other = json!({"method": "notifications/x", "params": {"a": 1}});
        assert_eq!(line_of(&other), "notifications/x  {\"a\":1}");
    }

    #[test]
    fn contents_that_would_move_the_cursor() {
        assert_eq!(
            lines_of(&json!({"text": "a\u{1b}[2J\nb"})),
            ["a\u{fffd}[2J", "b"]
        );
    }

    #[test]
    fn contents_that_are_not_text_or_too_long() {
        assert_eq!(
            lines_of(&json!({"blob": "AAH/", "mimeType": "image/png"})),
            ["(3 bytes, image/png)"]
        );
        let long = lines_of(&json!({"text": "x".repeat(5000)}));
        assert!(long[0].ends_with("x …"));
    }

    #[test]
    fn the_time_of_day_is_utc() {
        assert_eq!(time_of_day(1_700_000_000_007), "22:13:20.007Z");
    }
}
