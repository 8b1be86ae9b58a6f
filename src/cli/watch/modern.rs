//! The modern era (2026-07-28): every request stands alone, and notifications come as the answer to
//! `subscriptions/listen`.

use serde_json::{Value, json};

use super::backoff::WatchBackoff;
use super::era::MODERN;
use super::http::HttpReply;
use super::message;
use super::watcher::{WatchEnded, Watcher};
use crate::app::call::{LISTS, RESOURCE};
use crate::mcp::RpcMethod;
use crate::wire::header_value;

/// Sends one request that is answered soon; `name` is what `Mcp-Name` repeats.
pub(super) fn ask(
    watcher: &Watcher,
    method: RpcMethod,
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
    let method = RpcMethod::SubscriptionsListen;
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
    let known = message["method"].as_str().map(RpcMethod::of);
    match known {
        Some(Some(RpcMethod::SubscriptionAcknowledged)) => {
            let sentence = acknowledged(&watcher.uris, &params["notifications"]);
            watcher.printer.status(&sentence);
        }
        Some(method) => {
            watcher.printer.event(message);
            if let (Some(RpcMethod::ResourceUpdated), true, Some(uri)) =
                (method, watcher.reads, params["uri"].as_str())
            {
                let answer = ask(
                    watcher,
                    RpcMethod::ResourcesRead,
                    json!({ "uri": uri }),
                    Some(uri),
                );
                watcher.show_read(uri, answer);
            }
        }
        None => {}
    }
    None
}

fn filter(uris: &[String]) -> Value {
    let mut filter = json!({});
    for (_, list) in &LISTS {
        filter[list.listen] = true.into();
    }
    if !uris.is_empty() {
        filter[RESOURCE.listen] = uris.into();
    }
    filter
}

/// What the server agreed to tell, and what of the asked it did not.
fn acknowledged(uris: &[String], agreed: &Value) -> String {
    let lists = LISTS
        .iter()
        .filter(|(_, list)| agreed[list.listen] == true)
        .map(|(_, list)| list.name);
    let is_agreed = |uri: &&String| {
        let agreed = agreed[RESOURCE.listen].as_array();
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

fn request(id: u64, method: RpcMethod, mut params: Value) -> Vec<u8> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN.as_str(),
        "io.modelcontextprotocol/clientInfo": super::client_info(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    message::request(id, method, &params)
}

fn headers_of(method: RpcMethod) -> [(&'static str, &'static str); 2] {
    [
        ("MCP-Protocol-Version", MODERN.as_str()),
        ("Mcp-Method", method.name()),
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
