//! Response heads and chunks, appended to what is about to be sent.
//!
//! No formatting machinery: an answer is a few copies into a buffer that exists.

use super::hex::emit_hex;

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No body and no length: for 204, 304 and 1xx.
    None,
    Length(u64),
    Chunked,
    /// Until the connection closes; the head says so, whatever `keep_alive` is.
    UntilClose,
}

/// The end of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends a status line, the fields, and what `content` and `keep_alive` say. HTTP/1.0 clients that asked for
/// keep-alive want to hear `Connection: keep-alive` in addition: give it among the fields.
pub fn emit_head(
    out: &mut Vec<u8>,
    status: u16,
    fields: &[(&str, &str)],
    content: BodyLength,
    keep_alive: bool,
) {
    debug_assert!((100..=599).contains(&status));
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        emit_field(out, name, value);
    }
    match content {
        // RFC 9110, 8.6: a server MUST NOT send Content-Length with 1xx or 204.
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    // RFC 9112, 9.6: a server that will close MUST say so.
    if !keep_alive || content == BodyLength::UntilClose {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `bytes` as one chunk; nothing if there are none, since an empty chunk is the last one.
pub fn emit_chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.reserve(bytes.len() + 20);
    emit_chunk_size(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a chunk whose `len` bytes, and a CR LF, the caller sends itself.
pub fn emit_chunk_size(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0);
    emit_hex(out, len as u64);
    out.extend_from_slice(b"\r\n");
}

fn emit_field(out: &mut Vec<u8>, name: &str, value: &str) {
    emit_text(out, name);
    out.extend_from_slice(b": ");
    emit_text(out, value);
    out.extend_from_slice(b"\r\n");
}

/// A line end in a name or value would let whoever chose it write the rest of the response: it is our mistake if
/// one gets here, and harmless all the same.
fn emit_text(out: &mut Vec<u8>, text: &str) {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'\0');
    let clean = memchr::memchr3(b'\r', b'\n', b'\0', text.as_bytes()).is_none();
    debug_assert!(clean, "a line end in a header: {text:?}");
    if clean {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend(text.bytes().filter(|byte| !is_line_end(byte)));
    }
}

/// RFC 9110, 15, and 6585. Clients ignore it; people read it.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)], content: BodyLength, keep_alive: bool) -> String {
        let mut out = Vec::new();
        emit_head(&mut out, status, fields, content, keep_alive);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads() {
        assert_eq!(
            head(
                200,
                &[("Content-Type", "application/json"), ("X", "")],
                BodyLength::Length(120),
                true
            ),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: \r\nContent-Length: 120\r\n\r\n"
        );
        assert_eq!(
            head(204, &[], BodyLength::None, true),
            "HTTP/1.1 204 No Content\r\n\r\n"
        );
        assert_eq!(
            head(200, &[], BodyLength::Chunked, false),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            head(299, &[], BodyLength::UntilClose, true),
            "HTTP/1.1 299 Unknown\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "a line end in a header"))]
    fn a_line_end_in_a_value_writes_no_second_header() {
        let head = head(200, &[("A", "b\r\nSet-Cookie: c")], BodyLength::None, true);
        assert_eq!(head, "HTTP/1.1 200 OK\r\nA: bSet-Cookie: c\r\n\r\n");
    }

    #[test]
    fn every_fault_has_a_reason_phrase() {
        use crate::wire::Malformed;
        for fault in [
            Malformed::BareLf,
            Malformed::BodyTooLarge,
            Malformed::TargetTooLong,
            Malformed::Expectation,
            Malformed::HeadTooLarge,
            Malformed::UnknownCoding,
            Malformed::Http2,
        ] {
            assert_ne!(reason(fault.status()), "Unknown");
            assert!(fault.sentence().ends_with('.'));
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for len in (1..600).chain([0xfff, 0x1000, 0xffff, 0x10000]) {
            let mut out = Vec::new();
            emit_chunk_size(&mut out, len);
            assert_eq!(out, format!("{len:x}\r\n").into_bytes());
        }
        let mut out = Vec::new();
        emit_chunk(&mut out, b"");
        emit_chunk(&mut out, b"hello");
        assert_eq!(out, b"5\r\nhello\r\n");
    }
}
