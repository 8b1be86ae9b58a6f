//! Responses as they arrive, cut anywhere: head, then body bytes without their framing.
//!
//! Lenient where it costs nothing: this reads what servers under test write, and a wrong byte shows up as a missing
//! event. It keeps nothing of a body, and of a head only until the head is whole.

use crate::Outcome;

/// What a client wants to know of a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) event_stream: bool,
    pub(crate) session_id: Option<Box<str>>,
}

/// Takes what a response consists of.
pub(crate) trait Sink {
    fn head(&mut self, head: Head);
    fn body(&mut self, bytes: &[u8]);
}

#[derive(Default)]
pub(crate) struct ResponseReader {
    expect: Expect,
}

#[derive(Debug, PartialEq, Eq)]
enum Expect {
    /// What there is of a head.
    Head(Vec<u8>),
    Length(u64),
    /// The size so far, and whether its digits are over.
    ChunkSize(u64, bool),
    Chunk(u64),
    ChunkEnd,
    /// Bytes of the current trailer line, line end not counted.
    Trailer(usize),
    Close,
}

const HEAD_BYTES_MAX: usize = 64 * 1024;

impl Default for Expect {
    fn default() -> Self {
        Expect::Head(Vec::new())
    }
}

impl ResponseReader {
    /// Understands `input` up to the end of this response: how much that was, and whether the end was reached. The
    /// reader is ready for the next response then.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        sink: &mut impl Sink,
    ) -> Outcome<(usize, bool)> {
        let length = input.len();
        while !input.is_empty() {
            let (used, end) = self.step(input, sink)?;
            input = &input[used..];
            if end {
                self.expect = Expect::default();
                return Ok((length - input.len(), true));
            }
        }
        Ok((length, false))
    }

    fn step(&mut self, input: &[u8], sink: &mut impl Sink) -> Outcome<(usize, bool)> {
        match &mut self.expect {
            Expect::Head(head) => {
                let before = head.len();
                head.extend_from_slice(input);
                let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
                    if head.len() > HEAD_BYTES_MAX {
                        return Err("a response head without an end".into());
                    }
                    return Ok((input.len(), false));
                };
                let (head, body) = parse_head(&head[..end])?;
                sink.head(head);
                self.expect = body;
                let empty = self.expect == Expect::Length(0);
                return Ok((end + 4 - before, empty));
            }
            Expect::Length(left) => {
                let (used, over) = take(left, input, sink);
                return Ok((used, over));
            }
            Expect::Chunk(left) => {
                let (used, over) = take(left, input, sink);
                if over {
                    self.expect = Expect::ChunkEnd;
                }
                return Ok((used, false));
            }
            Expect::Close => {
                sink.body(input);
                return Ok((input.len(), false));
            }
            Expect::ChunkSize(..) | Expect::ChunkEnd | Expect::Trailer(_) => {}
        }
        self.step_between_chunks(input[0])
    }

    fn step_between_chunks(&mut self, byte: u8) -> Outcome<(usize, bool)> {
        match &mut self.expect {
            Expect::ChunkSize(0, _) if byte == b'\n' => self.expect = Expect::Trailer(0),
            Expect::ChunkSize(size, _) if byte == b'\n' => {
                self.expect = Expect::Chunk(*size);
            }
            Expect::ChunkSize(size, over) => match char::from(byte).to_digit(16) {
                Some(digit) if !*over => *size = *size * 16 + u64::from(digit),
                _ => *over = true,
            },
            Expect::ChunkEnd if byte == b'\n' => {
                self.expect = Expect::ChunkSize(0, false);
            }
            Expect::Trailer(0) if byte == b'\n' => return Ok((1, true)),
            Expect::Trailer(length) => match byte {
                b'\n' => *length = 0,
                b'\r' => {}
                _ => *length += 1,
            },
            _ => {}
        }
        Ok((1, false))
    }
}

fn take(left: &mut u64, input: &[u8], sink: &mut impl Sink) -> (usize, bool) {
    let used = input
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    sink.body(&input[..used]);
    *left -= used as u64;
    (used, *left == 0)
}

fn parse_head(head: &[u8]) -> Outcome<(Head, Expect)> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or("");
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut head = Head {
        status: status.ok_or_else(|| format!("not a status line: {status_line}"))?,
        ..Head::default()
    };
    let mut body = match head.status {
        204 | 304 => Expect::Length(0),
        _ => Expect::Close,
    };
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("content-length") {
            body = Expect::Length(value.parse()?);
        } else if is("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            body = Expect::ChunkSize(0, false);
        } else if is("content-type") {
            head.event_stream = value.starts_with("text/event-stream");
        } else if is("mcp-session-id") {
            head.session_id = Some(value.into());
        }
    }
    Ok((head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, PartialEq, Eq, Debug)]
    struct Kept(Vec<Head>, Vec<u8>);

    impl Sink for Kept {
        fn head(&mut self, head: Head) {
            self.0.push(head);
        }
        fn body(&mut self, bytes: &[u8]) {
            self.1.extend_from_slice(bytes);
        }
    }

    /// Bodies of all responses in `input`, fed in pieces of `piece` bytes.
    fn read(input: &[u8], piece: usize) -> (Kept, usize) {
        let (mut reader, mut kept, mut ends) = (ResponseReader::default(), Kept::default(), 0);
        for mut bytes in input.chunks(piece) {
            while !bytes.is_empty() {
                let (used, end) = reader.feed(bytes, &mut kept).unwrap();
                ends += usize::from(end);
                bytes = &bytes[used..];
            }
        }
        (kept, ends)
    }

    #[test]
    fn pipelined_responses_cut_anywhere() {
        let input = b"HTTP/1.1 200 OK\r\nMcp-Session-Id: a.b\r\nContent-Length: 2\r\n\r\n{}\
            HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
            4\r\nabcd\r\n1A;x=1\r\n0123456789abcdefghijklmnop\r\n0\r\nT: x\r\n\r\n";
        let whole = read(input, input.len());
        assert_eq!(whole.1, 4);
        assert_eq!(whole.0.1, b"{}abcd0123456789abcdefghijklmnop");
        assert_eq!(whole.0.0[0].session_id.as_deref(), Some("a.b"));
        assert!(whole.0.0[3].event_stream);
        for piece in 1..input.len() {
            assert_eq!(read(input, piece), whole, "in pieces of {piece}");
        }
    }
}
