//! What holds for every input, whatever it is: the body of the fuzz targets and of the corpus replay.
//!
//! Each function panics when its property does not hold. Inputs are cut at every byte, so keep them small.

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::limits::SESSION_ID_BYTES_MAX;

use super::chunked::{ChunkedDecoder, Decoded};
use super::http1::{Head, HeadLimits, parse_head};
use super::json_rpc::{self, Message, Parsed};
use super::json_scan::JsonScan;
use super::session_id::SessionId;
use super::sse::{self, Event, EventParser, EventTooLarge, ReceivedEvent};
use super::{Malformed, header_value, response};

/// A head parses to the same, or fails with the same fault, however it was cut into reads.
pub fn head(input: &[u8]) {
    let limits = HeadLimits {
        head_bytes_max: 1024,
        target_bytes_max: 256,
    };
    let whole = parse_head(input, 0, &limits);
    assert_eq!(head_byte_by_byte(input, &limits), whole, "byte by byte");
    for cut in 0..input.len() {
        let prefix = parse_head(&input[..cut], 0, &limits);
        match &prefix {
            Ok(None) => assert_eq!(parse_head(input, cut, &limits), whole, "cut at {cut}"),
            Ok(Some(_)) | Err(_) => assert_eq!(prefix, whole, "cut at {cut}"),
        }
    }
    if let Ok(Some(head)) = whole {
        let len = head.len as usize;
        assert!(len <= input.len() && len <= limits.head_bytes_max);
        assert!(input[..len].ends_with(b"\r\n\r\n"));
        let view = head.view(input);
        assert!(view.target().contains(view.path()) || view.path() == "/");
        assert!(head.http10 || view.host().is_some());
        for (name, value) in view.fields() {
            assert!(view.fields_named(name).any(|other| other == value));
            assert_eq!(value.trim_matches([' ', '\t']), value);
        }
    }
}

fn head_byte_by_byte(input: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Malformed> {
    for len in 0..input.len() {
        let parsed = parse_head(&input[..len], len.saturating_sub(1), limits);
        if parsed != Ok(None) {
            return parsed;
        }
    }
    parse_head(input, input.len().saturating_sub(1), limits)
}

/// A body parses without a panic, and what was read of it, written again, is read the same. A cut message is never
/// taken for a whole one.
pub fn json_rpc(input: &[u8]) {
    json_scan(input);
    let parsed = json_rpc::parse(input);
    let trimmed_len = input.trim_ascii_end().len();
    for cut in 0..trimmed_len {
        let refused = json_rpc::parse(&input[..cut]).is_err();
        assert!(refused || parsed.is_err(), "cut at {cut}");
    }
    match parsed {
        Ok(Parsed::One(message)) => message_is_stable(&message),
        Ok(Parsed::Batch(messages)) => {
            assert!(!messages.is_empty());
            messages.iter().flatten().for_each(message_is_stable);
        }
        Err(invalid) => assert!(invalid.code == -32700 || invalid.code == -32600),
    }
}

/// A text weighs the same however it was cut, no less than its tree, and as much as one who looks at every byte says.
pub fn json_scan(input: &[u8]) {
    let whole = JsonScan::of(input);
    for cut in 0..input.len() {
        let (head, tail) = input.split_at(cut);
        assert_eq!(scan_of([head, tail]), whole, "cut at {cut}");
    }
    assert_eq!(scan_of(input.chunks(1)), whole, "byte by byte");
    assert_eq!(whole.tree_bytes(), weigh_byte_by_byte(input));
    if let Ok(tree) = serde_json::from_slice::<Value>(input) {
        assert!(whole.tree_bytes() >= tree_bytes(&tree));
    }
}

fn scan_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> JsonScan {
    let mut scan = JsonScan::default();
    pieces.into_iter().for_each(|piece| scan.take(piece));
    scan
}

fn weigh_byte_by_byte(input: &[u8]) -> usize {
    let (mut bytes, mut quoted, mut escaped) = (0, false, false);
    for &byte in input {
        bytes += match (quoted, byte) {
            (true, _) => 1,
            (false, b'"') => 32,
            (false, b'{') => 640,
            (false, b'[') => 128,
            (false, b',' | b':') => 64,
            (false, _) => 0,
        };
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
    }
    bytes
}

/// Of what hangs from a value: full nodes and exact lists, so less than it really takes.
fn tree_bytes(value: &Value) -> usize {
    let slot = size_of::<Value>();
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| slot + tree_bytes(item)).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| size_of::<String>() + name.len() + slot + tree_bytes(member))
            .sum(),
        _ => 0,
    }
}

fn message_is_stable(message: &Message<'_>) {
    let mut out = Vec::new();
    emit_message(&mut out, message);
    let Ok(Parsed::One(again)) = json_rpc::parse(&out) else {
        panic!("not read again: {}", String::from_utf8_lossy(&out));
    };
    let mut second = Vec::new();
    emit_message(&mut second, &again);
    assert_eq!(out, second);
}

fn emit_message(out: &mut Vec<u8>, message: &Message<'_>) {
    match message {
        Message::Request { id, method, params } => {
            json_rpc::emit_request(out, id.raw(), method, params.map(RawValue::get));
        }
        Message::Notification { method, params } => {
            json_rpc::emit_notification(out, method, params.map(RawValue::get));
        }
        Message::Response { id, outcome } => match outcome {
            Ok(result) => json_rpc::emit_result(out, id.raw(), result.get()),
            Err(error) => json_rpc::emit_error(out, Some(id.raw()), error.get()),
        },
    }
}

/// A text that parses as a session id is what the id emits, and no part of it is one.
pub fn session_id(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Some(id) = SessionId::parse(text) else {
        return;
    };
    let mut emitted = String::new();
    id.emit(&mut emitted);
    assert_eq!(emitted, text);
    assert!(text.len() <= SESSION_ID_BYTES_MAX);
    for cut in 0..text.len() {
        assert_eq!(SessionId::parse(&text[..cut]), None, "cut at {cut}");
    }
    let public = &text[..text.len() - 22];
    assert_eq!(id.redacted().to_string(), format!("{public}…"));
}

/// A header value decodes without a panic; what it decodes to can be encoded again, and mirrors itself.
pub fn header_value(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let encoded = header_value::encode(text);
    assert!(encoded.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    assert_eq!(header_value::decode(&encoded).as_deref(), Ok(text));
    let ends = (0..=text.len()).filter(|&end| text.is_char_boundary(end));
    for header in ends.map(|end| &text[..end]) {
        let Ok(decoded) = header_value::decode(header) else {
            continue;
        };
        let body = Value::String(decoded.into_owned());
        assert_eq!(header_value::matches_body(header, &body), Ok(true));
        if let Ok(number) = serde_json::from_str::<Number>(header) {
            let matched = header_value::matches_body(header, &Value::Number(number));
            assert_eq!(matched, Ok(header.trim_ascii() == header));
        }
    }
}

/// A body decodes to the same, with the same end or fault, however it was cut; never to more than the limit; and
/// what was decoded, written as chunks, decodes to itself.
pub fn chunked(input: &[u8]) {
    let whole = decode_in_two(input, input.len());
    for cut in 0..input.len() {
        assert_eq!(decode_in_two(input, cut), whole, "cut at {cut}");
    }
    let mut decoder = ChunkedDecoder::new();
    let mut body = Vec::new();
    for piece in input.chunks(1) {
        match decoder.decode(piece, &mut body, BODY_BYTES_MAX) {
            Ok(decoded) if decoded.finished => break,
            Ok(decoded) => assert_eq!(decoded.used, 1),
            Err(_) => break,
        }
    }
    assert_eq!(body, whole.0, "byte by byte");
    assert!(body.len() <= BODY_BYTES_MAX);
    let mut emitted = Vec::new();
    response::emit_chunk(&mut emitted, &body);
    emitted.extend_from_slice(response::LAST_CHUNK);
    let (again, outcome) = decode_in_two(&emitted, emitted.len());
    assert_eq!(again, body);
    let finished = Decoded {
        used: emitted.len(),
        finished: true,
    };
    assert_eq!(outcome, Ok(finished));
}

/// A few chunks of what a fuzzer makes.
const BODY_BYTES_MAX: usize = 64;

fn decode_in_two(input: &[u8], cut: usize) -> (Vec<u8>, Result<Decoded, Malformed>) {
    let mut decoder = ChunkedDecoder::new();
    let mut body = Vec::new();
    let mut outcome = decoder.decode(&input[..cut], &mut body, BODY_BYTES_MAX);
    if let Ok(first) = outcome
        && !first.finished
    {
        assert_eq!(first.used, cut);
        outcome = decoder
            .decode(&input[cut..], &mut body, BODY_BYTES_MAX)
            .map(|second| Decoded {
                used: cut + second.used,
                ..second
            });
    }
    (body, outcome)
}

/// A stream gives the same events, or fails at the same place, however it was cut; and an event that was received,
/// written again, is received again.
pub fn sse(input: &[u8]) {
    let whole = receive([input]);
    for cut in 0..input.len() {
        let (head, tail) = input.split_at(cut);
        assert_eq!(receive([head, tail]), whole, "cut at {cut}");
    }
    assert_eq!(receive(input.chunks(1)), whole, "byte by byte");
    for event in &whole.events {
        assert!(event.data.len() <= 3 * EVENT_BYTES_MAX);
        let emitted = Event {
            id: Some(&event.id),
            event: Some(&event.event)
                .filter(|name| !name.contains('\0'))
                .map(String::as_str),
            retry_ms: None,
            data: Some(event.data.as_bytes()),
        };
        let mut out = Vec::new();
        sse::emit_event(&mut out, &emitted);
        let again = EventParser::new(usize::MAX).parse(&out);
        let mut expected = event.clone();
        if emitted.event.is_none() {
            "message".clone_into(&mut expected.event);
        }
        assert_eq!(again, Ok((out.len(), Some(expected))));
    }
}

/// An input can be longer than that.
const EVENT_BYTES_MAX: usize = 512;

#[derive(Debug, PartialEq)]
struct Received {
    events: Vec<ReceivedEvent>,
    last_event_id: String,
    retry_ms: Option<u64>,
    failed: bool,
}

fn receive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let mut parser = EventParser::new(EVENT_BYTES_MAX);
    let mut events = Vec::new();
    let mut failed = false;
    for mut piece in pieces {
        while !piece.is_empty() && !failed {
            match parser.parse(piece) {
                Ok((used, event)) => {
                    assert!(used > 0 && (event.is_some() || used == piece.len()));
                    events.extend(event);
                    piece = &piece[used..];
                }
                Err(EventTooLarge) => failed = true,
            }
        }
    }
    Received {
        events,
        last_event_id: parser.last_event_id().to_owned(),
        retry_ms: parser.retry_ms(),
        failed,
    }
}
