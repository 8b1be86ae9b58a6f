//! The modern era (2026-07-28): every request stands alone, and notifications come as the answer to
//! `subscriptions/listen`.

use serde_json::{Value, json};

use super::backoff::WatchBackoff;
use super::era::MODERN;
use super::http::HttpReply;
use super::watcher::{WatchEnded, Watcher};
use crate::wire::header_value;

/// Keys of a listen filter beside the resources, and what they are called.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "tools"),
    ("promptsListChanged", "prompts"),
    ("resourcesListChanged", "resources"),
];

/// Sends one request that is answered soon; `name` is what `Mcp-Name` repeats.
pub(super) fn ask(
    watcher: &Watcher,
    method: &str,
    params: Value,
    name: Option<&str>,
) -> Result<(u64, HttpReply), String> {
    let id = watcher.next_id();
    let message = request(id, method, params);
    let name = name.map(header_value::encode);
    let mut headers = headers_of(method).to_vec();
    if let Some(name) = &name {
        headers.push(("Mcp-Name", name));
    }
    watcher
        .endpoint
        .ask(&message, &headers)
        .map(|reply| (id, reply))
}

/// Listens until the stream ends.
pub(super) fn listen(watcher: &Watcher, backoff: &mut WatchBackoff) -> WatchEnded {
    let method = "subscriptions/listen";
    let id = watcher.next_id();
    let message = request(
        id,
        method,
        json!({ "notifications": filter(&watcher.uris) }),
    );
    let reply = match watcher.endpoint.listen(&message, &headers_of(method)) {
        Ok(reply) => reply,
        Err(sentence) => return WatchEnded::lost(sentence),
    };
    if reply.status != 200 || !reply.is_event_stream() {
        return refusal(reply, id);
    }
    backoff.reset();
    let take = |message: Value| take(watcher, id, &message);
    match watcher.listen_on(reply.into_stream(), |_| {}, take) {
        // Nothing resumes a modern stream (2026-07-28, streamable HTTP, "Receiving Messages").
        WatchEnded::Lost { sentence, retry } => WatchEnded::Lost {
            sentence: format!("{sentence}; what changes until the next one is not told"),
            retry,
        },
        ended => ended,
    }
}

fn refusal(reply: HttpReply, id: u64) -> WatchEnded {
    let status = reply.status;
    let body = reply.into_json(id).unwrap_or_default();
    let sentence = format!(
        "the server does not open a subscription: {}",
        super::http::complaint(status, &body)
    );
    match status {
        429 | 500..=599 => WatchEnded::lost(sentence),
        _ => WatchEnded::Hopeless(sentence),
    }
}

fn take(watcher: &Watcher, id: u64, message: &Value) -> Option<WatchEnded> {
    if message["id"] == id && message.get("result").is_some() {
        return Some(WatchEnded::lost("the server ended the subscription"));
    }
    if message["id"] == id && message.get("error").is_some() {
        let sentence = super::http::complaint(200, message);
        return Some(WatchEnded::Hopeless(format!(
            "the server refuses the subscription: {sentence}"
        )));
    }
    let params = &message["params"];
    match message["method"].as_str() {
        Some("notifications/subscriptions/acknowledged") => {
            let sentence = acknowledged(&watcher.uris, &params["notifications"]);
            watcher.printer.status(&sentence);
        }
        Some(method) => {
            watcher.printer.event(message);
            if let ("notifications/resources/updated", true, Some(uri)) =
                (method, watcher.reads, params["uri"].as_str())
            {
                let answer = ask(watcher, "resources/read", json!({ "uri": uri }), Some(uri));
                watcher.show_read(uri, answer);
            }
        }
        None => {}
    }
    None
}

fn filter(uris: &[String]) -> Value {
    let mut filter = json!({});
    for (key, _) in LISTS {
        filter[key] = true.into();
    }
    if !uris.is_empty() {
        filter["resourceSubscriptions"] = uris.into();
    }
    filter
}

/// What the server agreed to tell, and what of the asked it did not.
fn acknowledged(uris: &[String], agreed: &Value) -> String {
    let lists = LISTS
        .iter()
        .filter(|(key, _)| agreed[*key] == true)
        .map(|(_, list)| *list);
    let is_agreed = |uri: &&String| {
        let agreed = agreed["resourceSubscriptions"].as_array();
        agreed.is_some_and(|agreed| agreed.iter().any(|agreed| agreed == uri.as_str()))
    };
    let heard: Vec<&str> = lists
        .chain(uris.iter().filter(is_agreed).map(String::as_str))
        .collect();
    let missing: Vec<&str> = uris
        .iter()
        .filter(|uri| !is_agreed(uri))
        .map(String::as_str)
        .collect();
    let mut sentence = match heard.is_empty() {
        true => format!(
            "listening ({}), but the server will tell nothing",
            MODERN.as_str()
        ),
        false => format!("listening ({}) to {}", MODERN.as_str(), heard.join(", ")),
    };
    if !missing.is_empty() {
        sentence.push_str(&format!(
            "; the server will not tell of {}",
            missing.join(", ")
        ));
    }
    sentence
}

fn request(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN.as_str(),
        "io.modelcontextprotocol/clientInfo": super::client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn headers_of(method: &str) -> [(&'static str, &str); 2] {
    [
        ("MCP-Protocol-Version", MODERN.as_str()),
        ("Mcp-Method", method),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_agrees_to_less_than_asked() {
        let uris = ["board://a".to_owned(), "board://b".to_owned()];
        let agreed = json!({"toolsListChanged": true, "resourceSubscriptions": ["board://b"]});
        assert_eq!(
            acknowledged(&uris, &agreed),
            "listening (2026-07-28) to tools, board://b; the server will not tell of board://a"
        );
        assert!(acknowledged(&[], &json!({})).contains("will tell nothing"));
    }
}
