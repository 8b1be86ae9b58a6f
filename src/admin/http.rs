//! Requests out of bytes, responses into bytes, for the admin listener only.
//!
//! monoio-http decodes heads and chunks; the bounds and the strictness around them are ours, because its own
//! decoders read on for as long as a peer sends. After an error the connection is of no more use.
//!
//! ```text
//! ExpectHead ──head──▶ ExpectBody ──all of it──▶ ExpectHead
//!      └──────────── error: answer it, close ◀───────┘
//! ```

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Version};
use monoio_codec::{Decoded, Decoder};
use monoio_http::common::request::RequestHead;
use monoio_http::h1::codec::decoder::{ChunkedBodyDecoder, DecodeError, RequestHeadDecoder};
use serde_json::{Value, json};

use super::BODY_BYTES_MAX;

/// Bytes of a request line and its header fields. Far below the 64 KiB of a header name at which
/// monoio-http's head decoder would panic.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What chunked framing may add to a body; clients send chunks of kilobytes.
const CHUNKED_BYTES_MAX: usize = 64 * 1024;

pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) body: Bytes,
}

impl Request {
    /// Whether the peer will send another request on this connection.
    pub(super) fn keeps_alive(&self) -> bool {
        let asks_to_close = self
            .head
            .headers
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        self.head.version == Version::HTTP_11 && !asks_to_close
    }
}

/// What the decoder found.
pub(super) enum Found {
    Request(Box<Request>),
    /// The peer holds its body back until it reads `100 Continue`.
    WaitsForContinue,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Bad {
    /// The bytes are wrong or too many: answer, then close.
    Request(u16, &'static str),
    Io(std::io::Error),
}

impl From<std::io::Error> for Bad {
    fn from(error: std::io::Error) -> Self {
        Bad::Io(error)
    }
}

impl From<DecodeError> for Bad {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Io(error) => Bad::Io(error),
            _ => Bad::Request(400, "This is not HTTP/1.1 as RFC 9112 has it."),
        }
    }
}

#[derive(Default)]
pub(super) struct RequestDecoder {
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    ExpectHead,
    ExpectBody {
        head: Box<RequestHead>,
        rest: Rest,
        /// The peer asked for `100 Continue` and has not got it.
        holds_back: bool,
    },
}

enum Rest {
    /// Bytes of the whole body, at most [`BODY_BYTES_MAX`].
    Length(usize),
    Chunks {
        decoder: ChunkedBodyDecoder,
        body: BytesMut,
        framed_bytes: usize,
    },
}

impl RequestDecoder {
    /// Whether a request has begun, as far as its head has been read.
    pub(super) fn is_inside(&self) -> bool {
        matches!(self.state, State::ExpectBody { .. })
    }
}

impl Decoder for RequestDecoder {
    type Item = Found;
    type Error = Bad;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Decoded<Found>, Bad> {
        if matches!(self.state, State::ExpectHead) {
            let Some(head) = decode_head(src)? else {
                return Ok(Decoded::Insufficient);
            };
            let rest = framing(&head.headers)?;
            let holds_back = head.version == Version::HTTP_11 && head.headers.contains_key(EXPECT);
            self.state = State::ExpectBody {
                head: Box::new(head),
                rest,
                holds_back,
            };
        }
        let State::ExpectBody {
            rest, holds_back, ..
        } = &mut self.state
        else {
            unreachable!("the head was read above");
        };
        let Some(body) = rest.decode(src)? else {
            if std::mem::take(holds_back) {
                return Ok(Decoded::Some(Found::WaitsForContinue));
            }
            return Ok(Decoded::Insufficient);
        };
        let State::ExpectBody { head, .. } = std::mem::take(&mut self.state) else {
            unreachable!("a body belongs to a head");
        };
        Ok(Decoded::Some(Found::Request(Box::new(Request {
            head: *head,
            body,
        }))))
    }
}

fn decode_head(src: &mut BytesMut) -> Result<Option<RequestHead>, Bad> {
    let end = memchr::memmem::find(src, b"\r\n\r\n");
    if end.unwrap_or(src.len()) > HEAD_BYTES_MAX {
        return Err(Bad::Request(
            431,
            "The request's head is longer than 16 KiB.",
        ));
    }
    let Some(end) = end else {
        return Ok(None);
    };
    let bare_line_feed =
        memchr::memchr_iter(b'\n', &src[..end]).any(|at| at == 0 || src[at - 1] != b'\r');
    if bare_line_feed {
        return Err(Bad::Request(
            400,
            "A line of the head ends without a carriage return.",
        ));
    }
    match RequestHeadDecoder.decode(src)? {
        Decoded::Some(head) => Ok(Some(head)),
        _ => Err(Bad::Request(400, "The request's head is incomplete.")),
    }
}

/// How the body is framed; never two readings of one message (RFC 9112 section 6.3).
fn framing(headers: &HeaderMap) -> Result<Rest, Bad> {
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(Bad::Request(400, "There is more than one Host."));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let single = (
        lengths.next(),
        lengths.next(),
        codings.next(),
        codings.next(),
    );
    match single {
        (None, None, None, None) => Ok(Rest::Length(0)),
        (Some(length), None, None, None) => {
            let bytes = content_length(length.as_bytes())
                .ok_or(Bad::Request(400, "Content-Length is not a number."))?;
            if bytes > BODY_BYTES_MAX {
                return Err(TOO_LARGE);
            }
            Ok(Rest::Length(bytes))
        }
        (None, None, Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Rest::Chunks {
                decoder: ChunkedBodyDecoder::default(),
                body: BytesMut::new(),
                framed_bytes: 0,
            })
        }
        _ => Err(Bad::Request(
            400,
            "The body must be framed by one Content-Length or by Transfer-Encoding: chunked.",
        )),
    }
}

const TOO_LARGE: Bad = Bad::Request(413, "The body is larger than 1 MiB; send it in parts.");

fn content_length(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .map(|digits| digits.parse().unwrap_or(usize::MAX))
}

impl Rest {
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, Bad> {
        match self {
            Rest::Length(bytes) => Ok((src.len() >= *bytes).then(|| src.split_to(*bytes).freeze())),
            Rest::Chunks {
                decoder,
                body,
                framed_bytes,
            } => loop {
                let before = src.len();
                match decoder.decode(src)? {
                    Decoded::Some(Some(chunk)) => body.extend_from_slice(&chunk),
                    Decoded::Some(None) => return Ok(Some(body.split().freeze())),
                    _ if body.len() + src.len() > BODY_BYTES_MAX => return Err(TOO_LARGE),
                    _ => return Ok(None),
                }
                *framed_bytes += before - src.len();
                if body.len() > BODY_BYTES_MAX || *framed_bytes > BODY_BYTES_MAX + CHUNKED_BYTES_MAX
                {
                    return Err(TOO_LARGE);
                }
            },
        }
    }
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// At most one header beyond those of the framing.
    pub(super) extra: Option<(&'static str, &'static str)>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            extra: None,
            body: body.to_owned(),
        }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        Response {
            status,
            content_type: "application/json",
            extra: None,
            body: format!("{value}\n"),
        }
    }

    /// A response that is not the answer asked for, with a sentence that says what to do.
    pub(super) fn error(status: u16, sentence: impl Into<String>) -> Self {
        Self::json(status, &json!({ "error": sentence.into() }))
    }

    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.extra = Some((name, value));
        self
    }

    /// The response's bytes; `HEAD` gets them without the body.
    pub(super) fn emit(&self, with_body: bool, keep_alive: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        let extra = self
            .extra
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .unwrap_or_default();
        let close = if keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        let body = if with_body { self.body.as_str() } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{extra}{close}\r\n{body}",
            self.status,
            self.content_type,
            self.body.len(),
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests;
