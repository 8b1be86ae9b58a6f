//! Server-Sent Events: written, and (for our own clients) read.
//!
//! Whatever the text, an event stays one event: data is split over `data:` lines wherever a reader would see a
//! line end, and an id or a name with a line end in it cannot be written. Encoded events are what fan-out copies,
//! so writing is a few copies and no formatting.

pub use super::sse_parser::{EventParser, EventTooLarge, ReceivedEvent};

/// What one event carries; absent members have no line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// Without CR, LF and NUL.
    pub id: Option<&'a str>,
    /// Without CR and LF; readers take an absent one for `message`.
    pub event: Option<&'a str>,
    /// What the client shall wait before it reconnects.
    pub retry_ms: Option<u64>,
    /// Without it readers see no event, but keep id and retry.
    pub data: Option<&'a [u8]>,
}

pub fn emit_event(out: &mut Vec<u8>, event: &Event<'_>) {
    if let Some(name) = event.event {
        emit_line(out, b"event: ", name);
    }
    if let Some(id) = event.id {
        emit_line(out, b"id: ", id);
    }
    if let Some(retry_ms) = event.retry_ms {
        out.extend_from_slice(b"retry: ");
        out.extend_from_slice(itoa::Buffer::new().format(retry_ms).as_bytes());
        out.push(b'\n');
    }
    if let Some(data) = event.data {
        emit_data(out, data);
    }
    out.push(b'\n');
}

/// A line that readers ignore: keep-alive. Line ends in `text` start further comment lines.
pub fn emit_comment(out: &mut Vec<u8>, text: &str) {
    for line in EventLines(Some(text.as_bytes())) {
        out.extend_from_slice(b": ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn emit_data(out: &mut Vec<u8>, data: &[u8]) {
    for line in EventLines(Some(data)) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

/// Ids and names are ours: a line end in one is our mistake, and harmless all the same.
fn emit_line(out: &mut Vec<u8>, label: &[u8], text: &str) {
    let clean = memchr::memchr3(b'\r', b'\n', b'\0', text.as_bytes()).is_none();
    debug_assert!(clean, "a line end in an event's id or name: {text:?}");
    out.extend_from_slice(label);
    if clean {
        out.extend_from_slice(text.as_bytes());
    } else {
        let kept = |byte: &u8| !matches!(byte, b'\r' | b'\n' | b'\0');
        out.extend(text.bytes().filter(kept));
    }
    out.push(b'\n');
}

/// The lines of a text as a reader of event streams splits it: at LF, CR and CR LF. At least one, maybe empty.
struct EventLines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for EventLines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.take()?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
            return Some(rest);
        };
        let end_len = if rest[end..].starts_with(b"\r\n") {
            2
        } else {
            1
        };
        self.0 = Some(&rest[end + end_len..]);
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: Event<'_>) -> String {
        let mut out = Vec::new();
        emit_event(&mut out, &event);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events() {
        let full = Event {
            id: Some("1-a"),
            event: Some("message"),
            retry_ms: Some(1000),
            data: Some(b"{}"),
        };
        assert_eq!(
            event(full),
            "event: message\nid: 1-a\nretry: 1000\ndata: {}\n\n"
        );
        let priming = Event {
            id: Some("1"),
            data: Some(b""),
            ..Event::default()
        };
        assert_eq!(event(priming), "id: 1\ndata: \n\n");
        assert_eq!(event(Event::default()), "\n");
    }

    #[test]
    fn data_is_split_where_readers_see_a_line_end() {
        let data = Event {
            data: Some(b"a\nb\r\nc\rd\n\re\n"),
            ..Event::default()
        };
        let lines = "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \n\n";
        assert_eq!(event(data), lines);
    }

    #[test]
    fn comments() {
        let mut out = Vec::new();
        emit_comment(&mut out, "keep-alive");
        assert_eq!(out, b": keep-alive\n\n");
        out.clear();
        emit_comment(&mut out, "a\r\ndata: b");
        assert_eq!(out, b": a\n: data: b\n\n");
    }

    #[test]
    #[cfg_attr(
        debug_assertions,
        should_panic(expected = "a line end in an event's id")
    )]
    fn a_line_end_in_an_id_writes_no_second_line() {
        let bad = Event {
            id: Some("1\ndata: x"),
            ..Event::default()
        };
        assert_eq!(event(bad), "id: 1data: x\n\n");
    }
}
