//! An owner that does what no node should: garbage, halves, silence, ends.

use super::asker::pad_of;
use super::line::Line;
use crate::support::Random;

const OPENED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
                      X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Takes the first request that is whole on this line, if there is one, and answers it as it likes. True if there was.
pub(super) fn answer(line: &mut Line, random: &mut Random) -> bool {
    if line.broken || line.down_ended || line.refused {
        return false;
    }
    let Some((method, id)) = take_request(line) else {
        return answer_early(line, random);
    };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"pad":"{}"}}}}"#,
        pad_of(id)
    );
    let whole = match method.as_str() {
        "DELETE" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "GET" => format!("{OPENED}{}", chunk(": here\n\n")),
        _ => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    let half = &whole[..1 + random.below(whole.len() - 1)];
    match random.below(12) {
        // It hangs.
        0 => {}
        1 => line.down_ended = true,
        2 => line.broken = true,
        3 => line.down.extend(b"no HTTP at all\r\n\r\n"),
        4 => line.down.extend(format!("{whole}and more").bytes()),
        5 => {
            line.down.extend(half.bytes());
            line.down_ended = true;
        }
        6 => {
            line.down.extend(half.bytes());
            line.broken = true;
        }
        7 => {
            // Interim answers without end.
            let hint = "HTTP/1.1 100 Continue\r\n\r\n".repeat(20);
            line.down.extend(hint.bytes());
        }
        8 if method == "POST" => {
            let last = whole.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            line.down.extend(last.bytes());
            line.down_ended = true;
        }
        9 if method == "GET" => line.down.extend(format!("{whole}0\r\n\r\n").bytes()),
        10 => line
            .down
            .extend("HTTP/1.1 100 Continue\r\n\r\n".bytes().chain(whole.bytes())),
        _ => line.down.extend(whole.bytes()),
    }
    true
}

/// Refuses a request whose body is still coming.
fn answer_early(line: &mut Line, random: &mut Random) -> bool {
    let bytes: Vec<u8> = line.up.iter().copied().collect();
    let has_head = bytes.windows(4).any(|it| it == b"\r\n\r\n");
    if !has_head || line.refused || !random.one_in(2) {
        return false;
    }
    line.refused = true;
    let body = r#"{"error":{"data":{"reason":"early"}}}"#;
    let answer = format!(
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.down.extend(answer.bytes());
    true
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Its method and the id of its message.
fn take_request(line: &mut Line) -> Option<(String, u64)> {
    let bytes: Vec<u8> = line.up.iter().copied().collect();
    let text = String::from_utf8(bytes).expect("requests are text");
    let (head, rest) = text.split_once("\r\n\r\n")?;
    assert_eq!(head.matches("pinfold-forwarded: ").count(), 1, "{head}");
    let length = head
        .split("\r\n")
        .find_map(|field| field.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let body = rest.get(..length)?;
    let method = head.split(' ').next().expect("a method").to_owned();
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    line.up.drain(..head.len() + 4 + length);
    Some((method, json["id"].as_u64().unwrap_or(0)))
}
