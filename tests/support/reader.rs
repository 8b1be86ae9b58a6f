//! Reads what a server sends, as it arrives and as strictly as can be: a framing fault fails the test.
//!
//! An oracle of its own: it shares no code with what it reads.

use std::collections::VecDeque;

use serde_json::Value;

/// One part of what arrived, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A whole answer; of a stream, its head.
    Answer(Answer),
    Frame(Frame),
    /// The stream of the last `Answer` ended as it should.
    StreamEnd,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// Empty for a stream: its frames follow.
    pub body: String,
}

/// What stands between two blank lines of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    pub id: Option<String>,
    /// What the event is called.
    pub event: Option<String>,
    pub retry: Option<u64>,
    pub data: Option<String>,
    pub comment: bool,
}

enum State {
    Head,
    Body(usize),
    Chunks,
    UntilClose,
    /// `Connection: close` was said and kept.
    Over,
}

pub struct Reader {
    state: State,
    bytes: Vec<u8>,
    answer: Option<Answer>,
    streaming: bool,
    /// Text of the current stream that is not a whole frame yet.
    text: Vec<u8>,
    /// Whether each request that was sent and not answered yet was a HEAD.
    pub expected: VecDeque<bool>,
    pub items: VecDeque<Item>,
    pub bytes_read: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            state: State::Head,
            bytes: Vec::new(),
            answer: None,
            streaming: false,
            text: Vec::new(),
            expected: VecDeque::new(),
            items: VecDeque::new(),
            bytes_read: 0,
        }
    }
}

impl Reader {
    pub fn read(&mut self, bytes: &[u8]) {
        self.bytes_read += bytes.len();
        self.bytes.extend_from_slice(bytes);
        while self.step() {}
    }

    /// The server half-closed. Whether that was an end, and not a cut.
    pub fn finish(&mut self) -> bool {
        if matches!(self.state, State::UntilClose) {
            let rest = std::mem::take(&mut self.bytes);
            self.take_content(&rest);
            self.end_message();
        }
        self.bytes.is_empty() && matches!(self.state, State::Head | State::Over)
    }

    pub fn is_streaming(&self) -> bool {
        self.streaming
    }

    fn step(&mut self) -> bool {
        match self.state {
            State::Head => self.read_head(),
            State::Body(length) => {
                if self.bytes.len() < length {
                    return false;
                }
                let body: Vec<u8> = self.bytes.drain(..length).collect();
                self.take_content(&body);
                self.end_message();
                true
            }
            State::Chunks => self.read_chunk(),
            State::UntilClose => {
                let bytes = std::mem::take(&mut self.bytes);
                self.take_content(&bytes);
                false
            }
            State::Over => {
                assert!(
                    self.bytes.is_empty(),
                    "bytes after Connection: close: {:?}",
                    self.show()
                );
                false
            }
        }
    }

    fn read_head(&mut self) -> bool {
        let Some(end) = find(&self.bytes, b"\r\n\r\n") else {
            let start = &self.bytes[..self.bytes.len().min(9)];
            assert!(
                b"HTTP/1.1 ".starts_with(start),
                "no status line: {}",
                self.show()
            );
            return false;
        };
        let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("heads are text");
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let status_line = lines.next().expect("a status line");
        let status = status_of(status_line);
        let fields: Vec<_> = lines.map(field_of).collect();
        let answer = Answer {
            status,
            fields,
            body: String::new(),
        };
        if status == 100 {
            assert!(answer.fields.is_empty());
            self.items.push_back(Item::Answer(answer));
            return true;
        }
        let to_head = self
            .expected
            .pop_front()
            .expect("an answer without a request");
        self.state = content_of(&answer, to_head);
        self.streaming = answer.field("content-type") == Some("text/event-stream");
        if self.streaming {
            assert_eq!(answer.field("x-accel-buffering"), Some("no"));
            assert_eq!(answer.field("cache-control"), Some("no-cache"));
            self.items.push_back(Item::Answer(answer.clone()));
        }
        self.answer = Some(answer);
        true
    }

    fn read_chunk(&mut self) -> bool {
        let Some(line_end) = find(&self.bytes, b"\r\n") else {
            assert!(self.bytes.len() < 16, "no chunk size: {}", self.show());
            return false;
        };
        let line = std::str::from_utf8(&self.bytes[..line_end]).expect("a size is text");
        assert!(
            !line.starts_with('+') && (line == "0" || !line.starts_with('0')),
            "size {line:?}"
        );
        let size = usize::from_str_radix(line, 16).expect("a size is hexadecimal");
        let start = line_end + 2;
        if self.bytes.len() < start + size + 2 {
            return false;
        }
        assert_eq!(
            &self.bytes[start + size..start + size + 2],
            b"\r\n",
            "the end of a chunk"
        );
        let content = self.bytes[start..start + size].to_vec();
        self.bytes.drain(..start + size + 2);
        if size == 0 {
            self.end_message();
        } else {
            self.take_content(&content);
        }
        true
    }

    fn take_content(&mut self, content: &[u8]) {
        if !self.streaming {
            let answer = self.answer.as_mut().expect("a head came before");
            answer
                .body
                .push_str(std::str::from_utf8(content).expect("bodies are UTF-8"));
            return;
        }
        self.text.extend_from_slice(content);
        while let Some(end) = find(&self.text, b"\n\n") {
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("events are UTF-8");
            self.items
                .push_back(Item::Frame(frame_of(block.trim_end_matches('\n'))));
        }
    }

    fn end_message(&mut self) {
        let answer = self.answer.take().expect("a head came before");
        let close = answer.field("connection") == Some("close");
        if self.streaming {
            assert!(
                self.text.is_empty(),
                "a stream ends in the middle of an event"
            );
            self.items.push_back(Item::StreamEnd);
        } else {
            self.items.push_back(Item::Answer(answer));
        }
        self.streaming = false;
        self.state = if close { State::Over } else { State::Head };
    }

    fn show(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The JSON-RPC error code; 0 if there is no error.
    pub fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or(0)
    }

    pub fn reason(&self) -> String {
        self.json()["error"]["data"]["reason"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }

    /// What went wrong, for people: every refusal has a sentence.
    pub fn sentence(&self) -> String {
        let json = self.json();
        let sentence = json["error"]["message"]
            .as_str()
            .expect("an error has a message");
        assert!(sentence.len() > 10, "{sentence}");
        sentence.to_owned()
    }
}

impl Frame {
    pub fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().expect("an event")).expect("events carry JSON")
    }

    /// Has a message: is no comment, and no priming.
    pub fn is_message(&self) -> bool {
        self.data.as_deref().is_some_and(|data| !data.is_empty())
    }

    pub fn method(&self) -> String {
        self.json()["method"].as_str().unwrap_or("").to_owned()
    }
}

fn content_of(answer: &Answer, to_head: bool) -> State {
    let length = answer.field("content-length");
    let coding = answer.field("transfer-encoding");
    assert!(
        length.is_none() || coding.is_none(),
        "two lengths: {answer:?}"
    );
    let has_none = matches!(answer.status, 204 | 304);
    if to_head || has_none {
        assert!(
            to_head || (length.is_none() && coding.is_none()),
            "{} has no content: {answer:?}",
            answer.status
        );
        return State::Body(0);
    }
    match (length, coding) {
        (Some(length), None) => State::Body(length.parse().expect("a length is a number")),
        (None, Some("chunked")) => State::Chunks,
        (None, None) if answer.field("connection") == Some("close") => State::UntilClose,
        _ => panic!("an answer without an end: {answer:?}"),
    }
}

fn status_of(line: &str) -> u16 {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .unwrap_or_else(|| panic!("status line {line:?}"));
    let (status, reason) = rest.split_once(' ').expect("a reason");
    assert!(
        status.len() == 3 && !reason.is_empty() && reason != "Unknown",
        "{line}"
    );
    status.parse().expect("a status is a number")
}

fn field_of(line: &str) -> (String, String) {
    let (name, value) = line
        .split_once(": ")
        .unwrap_or_else(|| panic!("field {line:?}"));
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    assert!(
        !name.is_empty() && name.bytes().all(token),
        "field {line:?}"
    );
    assert!(!value.contains(['\r', '\n']) && value.trim() == value);
    (name.to_ascii_lowercase(), value.to_owned())
}

fn frame_of(block: &str) -> Frame {
    let mut frame = Frame::default();
    for line in block.split('\n') {
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("line {line:?}"));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => frame.comment = true,
            "id" => assert!(frame.id.replace(value.to_owned()).is_none()),
            "event" => assert!(frame.event.replace(value.to_owned()).is_none()),
            "retry" => frame.retry = Some(value.parse().expect("milliseconds")),
            "data" => assert!(frame.data.replace(value.to_owned()).is_none()),
            _ => panic!("line {line:?}"),
        }
    }
    frame
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
