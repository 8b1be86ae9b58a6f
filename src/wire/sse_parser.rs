//! Event streams, read as they arrive, exactly as the HTML standard says ("9.2.6 Interpreting an event stream"):
//! for `watch`, the loaders and the tests.
//!
//! An event that the stream's end cuts off is dropped, as the standard asks for. The size of what is kept between
//! two calls is bounded.

use std::borrow::Cow;

/// A dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// `message` if the stream did not say.
    pub event: String,
    pub data: String,
    /// The last id that the stream set, in this event or before it; empty if none.
    pub id: String,
}

/// The event, with its names and line ends, has more bytes than the reader wants to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLarge;

impl std::fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event of the stream is too large")
    }
}

impl std::error::Error for EventTooLarge {}

/// Reads one stream. After an error it is used up.
#[derive(Clone, Debug)]
pub struct EventParser {
    event_bytes_max: usize,
    /// What arrived of the current line; `line.len() + data.len() + name.len() <= event_bytes_max`
    line: Vec<u8>,
    /// Each `data` line and a LF.
    data: Vec<u8>,
    name: String,
    id: String,
    dispatched_id: String,
    retry_ms: Option<u64>,
    comment_count: u64,
    /// The last byte was a CR: a LF next belongs to it.
    after_cr: bool,
    /// No line has ended yet: a byte order mark may lead this one.
    first_line: bool,
}

impl EventParser {
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        EventParser {
            event_bytes_max,
            line: Vec::new(),
            data: Vec::new(),
            name: String::new(),
            id: String::new(),
            dispatched_id: String::new(),
            retry_ms: None,
            comment_count: 0,
            after_cr: false,
            first_line: true,
        }
    }

    /// Reads up to the end of the next event or of the input. Returns the bytes used, and the event if one was
    /// completed: call again with the rest of the input until all of it is used.
    pub fn parse(&mut self, input: &[u8]) -> Result<(usize, Option<ReceivedEvent>), EventTooLarge> {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                used += 1;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.keep(rest)?;
                return Ok((input.len(), None));
            };
            self.keep(&rest[..end])?;
            self.after_cr = rest[end] == b'\r';
            used += end + 1;
            if let Some(event) = self.end_line() {
                return Ok((used, Some(event)));
            }
        }
        Ok((used, None))
    }

    /// What `Last-Event-ID` is to say on a reconnect; empty: no such field.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.dispatched_id
    }

    /// The last valid `retry` of the stream.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Comment lines so far: keep-alives, mostly.
    #[must_use]
    pub fn comment_count(&self) -> u64 {
        self.comment_count
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        let kept = self.line.len() + self.data.len() + self.name.len();
        if bytes.len() > self.event_bytes_max.saturating_sub(kept) {
            return Err(EventTooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<ReceivedEvent> {
        let mut kept = std::mem::take(&mut self.line);
        let mut line = kept.as_slice();
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let event = if line.is_empty() {
            self.dispatch()
        } else {
            self.take_line(line);
            None
        };
        kept.clear();
        self.line = kept;
        event
    }

    /// A comment is a field without a name.
    fn take_line(&mut self, line: &[u8]) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, [].as_slice()),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.name = text(value).into_owned(),
            b"id" if !value.contains(&b'\0') => self.id = text(value).into_owned(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = Some(text(value).parse().unwrap_or(u64::MAX));
            }
            b"" => self.comment_count += 1,
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<ReceivedEvent> {
        self.dispatched_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let data = data.strip_suffix(b"\n")?;
        Some(ReceivedEvent {
            event: if name.is_empty() {
                "message".to_owned()
            } else {
                name
            },
            data: text(data).into_owned(),
            id: self.id.clone(),
        })
    }
}

/// The standard decodes the stream, not the line; as line ends are ASCII, the replacement characters are the same.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::properties;

    fn received(event: &str, data: &str, id: &str) -> ReceivedEvent {
        ReceivedEvent {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.to_owned(),
        }
    }

    fn read(input: &[u8]) -> (Vec<ReceivedEvent>, String, Option<u64>) {
        properties::sse(input);
        let mut parser = EventParser::new(1024);
        let mut events = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (used, event) = parser.parse(rest).unwrap();
            events.extend(event);
            rest = &rest[used..];
        }
        let naive = naive(input);
        let read = (events, parser.last_event_id().to_owned(), parser.retry_ms());
        assert_eq!(read, naive, "{:?}", String::from_utf8_lossy(input));
        read
    }

    fn events(input: &str) -> Vec<ReceivedEvent> {
        read(input.as_bytes()).0
    }

    /// The oracle: the standard's steps over the whole text.
    fn naive(input: &[u8]) -> (Vec<ReceivedEvent>, String, Option<u64>) {
        let decoded = String::from_utf8_lossy(input);
        let text = decoded.strip_prefix('\u{feff}').unwrap_or(&decoded);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut lines: Vec<&str> = text.split('\n').collect();
        lines.pop();
        let (mut events, mut last_id, mut retry) = (Vec::new(), String::new(), None);
        let (mut data, mut name, mut id) = (String::new(), String::new(), String::new());
        for line in lines {
            if line.is_empty() {
                last_id = id.clone();
                if !data.is_empty() {
                    data.pop();
                    let event = if name.is_empty() { "message" } else { &name };
                    events.push(received(event, &data, &id));
                }
                (data, name) = (String::new(), String::new());
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data = data + value + "\n",
                "event" => name = value.to_owned(),
                "id" if !value.contains('\0') => id = value.to_owned(),
                "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                    retry = Some(value.parse().unwrap_or(u64::MAX));
                }
                _ => {}
            }
        }
        (events, last_id, retry)
    }

    #[test]
    fn the_examples_of_the_standard() {
        let stocks = events("data: YHOO\ndata: +2\ndata: 10\n\n");
        assert_eq!(stocks, [received("message", "YHOO\n+2\n10", "")]);
        let ids = events(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        );
        let expected = [
            received("message", "first event", "1"),
            received("message", "second event", ""),
            received("message", " third event", ""),
        ];
        assert_eq!(ids, expected);
        let empty = events("data\n\ndata\ndata\n\ndata:");
        assert_eq!(
            empty,
            [received("message", "", ""), received("message", "\n", "")]
        );
        assert_eq!(events("data:test\n\ndata: test\n\n").len(), 2);
    }

    #[test]
    fn lines_end_in_three_ways() {
        for input in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\rdata: b\r\r",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\n\ndata: b\n\r",
        ] {
            assert_eq!(
                events(input),
                [received("message", "a", ""), received("message", "b", "")],
                "{input:?}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_leads_once() {
        assert_eq!(events("\u{feff}data: a\n\n").len(), 1);
        assert_eq!(events("\u{feff}\u{feff}data: a\n\n").len(), 0);
        assert_eq!(events("\n\u{feff}data: a\n\n").len(), 0);
        assert_eq!(events("\u{feff}\ndata: a\n\n").len(), 1);
    }

    #[test]
    fn an_event_without_data_still_sets_the_id() {
        let (events, id, _) = read(b"id: 7\nevent: x\n\n");
        assert_eq!((events.len(), id.as_str()), (0, "7"));
        let (_, id, _) = read(b"id: 7\n\nid: 8\ndata: x\n");
        assert_eq!(id, "7");
        let (events, _, _) = read(b"event: x\n\ndata: y\n\n");
        assert_eq!(events, [received("message", "y", "")]);
    }

    #[test]
    fn an_id_with_nul_is_ignored() {
        let (_, id, _) = read(b"id: 7\nid: 8\0\n\n");
        assert_eq!(id, "7");
    }

    #[test]
    fn a_retry_that_is_no_number_is_ignored() {
        assert_eq!(
            read(b"retry: 1500\nretry: +1\nretry: 1.5\nretry\nretry:  2\n\n").2,
            Some(1500)
        );
        assert_eq!(read(b"retry: 99999999999999999999\n").2, Some(u64::MAX));
    }

    #[test]
    fn fields_of_no_meaning_are_ignored() {
        assert_eq!(
            events(":\n: data: x\nDATA: x\ndata : x\n data: x\nx\n\n"),
            []
        );
        assert_eq!(
            events("data: \u{e4}:b\nevent: e\n\n"),
            [received("e", "\u{e4}:b", "")]
        );
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        let (events, _, _) = read(b"data: a\xffb\xc3\ndata: \xa4\n\n");
        assert_eq!(
            events,
            [received("message", "a\u{fffd}b\u{fffd}\n\u{fffd}", "")]
        );
    }

    #[test]
    fn an_event_beyond_the_limit() {
        let flood = "data: 0123456789\n".repeat(100);
        for input in ["data: 0123456789", &flood, ": 0123456789ab"] {
            let outcome = EventParser::new(12).parse(input.as_bytes());
            assert_eq!(outcome, Err(EventTooLarge), "{input}");
        }
        let mut parser = EventParser::new(12);
        for _ in 0..100 {
            let (_, event) = parser.parse(b"data: 012345\n\n").unwrap();
            assert!(event.is_some());
        }
    }
}
