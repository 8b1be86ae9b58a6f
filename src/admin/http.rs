//! Requests out of bytes, for the admin listener only.
//!
//! monoio-http decodes heads and chunks; the bounds and the strictness around them are ours, because its own
//! decoders read on for as long as a peer sends. After an error the connection is of no more use. A body of lines
//! is not gathered: its head is handed over, and [`LongBody`] decodes what follows.
//!
//! ```text
//! ExpectHead ──head──▶ ExpectBody ──all of it──▶ ExpectHead
//!    │  └──────────── error: answer it, close ◀───────┘
//!    └──head, lines follow──▶ ExpectHead (after LongBody's end)
//! ```

use super::BODY_BYTES_MAX;
use super::framing::{AdminFraming, RequestError};
use super::long_body::LongBody;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Version};
use monoio_codec::{Decoded, Decoder};
use monoio_http::common::request::RequestHead;
use monoio_http::h1::codec::decoder::{ChunkedBodyDecoder, RequestHeadDecoder};

/// Bytes of a request line and its header fields. Far below the 64 KiB of a header name at which
/// monoio-http's head decoder would panic.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What chunked framing may add to a body; clients send chunks of kilobytes.
const CHUNKED_BYTES_MAX: usize = 64 * 1024;

pub(super) struct AdminRequest {
    pub(super) head: RequestHead,
    pub(super) body: Bytes,
}

impl AdminRequest {
    /// Whether the peer will send another request on this connection.
    pub(super) fn keeps_alive(&self) -> bool {
        keeps_alive(&self.head)
    }
}

pub(super) fn keeps_alive(head: &RequestHead) -> bool {
    let asks_to_close = head
        .headers
        .get(CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    head.version == Version::HTTP_11 && !asks_to_close
}

/// Whether the peer holds its body back until it reads `100 Continue`.
pub(super) fn holds_back(head: &RequestHead) -> bool {
    head.version == Version::HTTP_11 && head.headers.contains_key(EXPECT)
}

/// What the decoder found.
pub(super) enum AdminInput {
    Request(Box<AdminRequest>),
    /// A head whose body is lines, of any number: the bytes that follow are the body's.
    Lines(Box<RequestHead>, LongBody),
    /// A head whose body is still to come.
    Begun {
        /// The peer holds it back until it reads `100 Continue`.
        holds_back: bool,
    },
}

#[derive(Default)]
pub(super) struct RequestDecoder {
    state: DecoderState,
}

#[derive(Default)]
enum DecoderState {
    #[default]
    ExpectHead,
    ExpectBody {
        head: Box<RequestHead>,
        rest: PartialBody,
        /// It was not said yet that the head is here.
        is_news: bool,
    },
}

enum PartialBody {
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
        matches!(self.state, DecoderState::ExpectBody { .. })
    }
}

impl Decoder for RequestDecoder {
    type Item = AdminInput;
    type Error = RequestError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Decoded<AdminInput>, RequestError> {
        if matches!(self.state, DecoderState::ExpectHead) {
            let Some(head) = decode_head(src)? else {
                return Ok(Decoded::Insufficient);
            };
            let framing = framing(&head)?;
            if is_lines(&head.headers) {
                let body = LongBody::new(framing);
                return Ok(Decoded::Some(AdminInput::Lines(Box::new(head), body)));
            }
            let rest = PartialBody::new(framing)?;
            self.state = DecoderState::ExpectBody {
                head: Box::new(head),
                rest,
                is_news: true,
            };
        }
        let DecoderState::ExpectBody {
            head,
            rest,
            is_news,
        } = &mut self.state
        else {
            unreachable!("the head was read above");
        };
        let Some(body) = rest.decode(src)? else {
            if std::mem::take(is_news) {
                let holds_back = holds_back(head);
                return Ok(Decoded::Some(AdminInput::Begun { holds_back }));
            }
            return Ok(Decoded::Insufficient);
        };
        let DecoderState::ExpectBody { head, .. } = std::mem::take(&mut self.state) else {
            unreachable!("a body belongs to a head");
        };
        Ok(Decoded::Some(AdminInput::Request(Box::new(AdminRequest {
            head: *head,
            body,
        }))))
    }
}

fn decode_head(src: &mut BytesMut) -> Result<Option<RequestHead>, RequestError> {
    let end = memchr::memmem::find(src, b"\r\n\r\n");
    if end.unwrap_or(src.len()) > HEAD_BYTES_MAX {
        return Err(RequestError::Request(
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
        return Err(RequestError::Request(
            400,
            "A line of the head ends without a carriage return.",
        ));
    }
    match RequestHeadDecoder.decode(src)? {
        Decoded::Some(head) => Ok(Some(head)),
        _ => Err(RequestError::Request(
            400,
            "The request's head is incomplete.",
        )),
    }
}

fn is_lines(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    ["application/x-ndjson", "application/ndjson"]
        .iter()
        .any(|lines| media_type.eq_ignore_ascii_case(lines))
}

/// How the body is framed; never two readings of one message (RFC 9112 section 6.3).
fn framing(head: &RequestHead) -> Result<AdminFraming, RequestError> {
    let headers = &head.headers;
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(RequestError::Request(400, "There is more than one Host."));
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
        (None, None, None, None) => Ok(AdminFraming::Length(0)),
        (Some(length), None, None, None) => content_length(length.as_bytes())
            .map(AdminFraming::Length)
            .ok_or(RequestError::Request(
                400,
                "Content-Length is not a number.",
            )),
        // HTTP/1.0 knows no codings: to it the same bytes are another message (RFC 9112 section 6.1).
        (None, None, Some(coding), None)
            if head.version == Version::HTTP_11
                && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(AdminFraming::Chunked)
        }
        _ => Err(RequestError::Request(
            400,
            "The body must be framed by one Content-Length or by Transfer-Encoding: chunked.",
        )),
    }
}

const TOO_LARGE: RequestError = RequestError::Request(
    413,
    "The body is larger than 1 MiB. Send it in parts, or as lines (NDJSON), one item each, of any number: Content-Type: application/x-ndjson.",
);

fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
}

impl PartialBody {
    fn new(framing: AdminFraming) -> Result<Self, RequestError> {
        match framing {
            AdminFraming::Length(bytes) => usize::try_from(bytes)
                .ok()
                .filter(|bytes| *bytes <= BODY_BYTES_MAX)
                .map(PartialBody::Length)
                .ok_or(TOO_LARGE),
            AdminFraming::Chunked => Ok(PartialBody::Chunks {
                decoder: ChunkedBodyDecoder::default(),
                body: BytesMut::new(),
                framed_bytes: 0,
            }),
        }
    }

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, RequestError> {
        match self {
            PartialBody::Length(bytes) => {
                Ok((src.len() >= *bytes).then(|| src.split_to(*bytes).freeze()))
            }
            PartialBody::Chunks {
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

#[cfg(test)]
mod tests;
