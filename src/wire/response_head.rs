//! The head of an HTTP/1.1 response of another node, as strictly as that of a request: whoever passes an answer on must
//! not leave it to the client to guess where it ends.

use super::Malformed;
use super::control_fields::{parse_coding, parse_decimal};
use super::field::{is_value_byte, list_elements, parse_field_line};

/// Of a node like this one; its own heads are below 1 KiB.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 16 * 1024;
/// A node's answer has a dozen at most.
const FIELDS_MAX: usize = 32;

/// How the end of the body is known (RFC 9112, 6.3), to a request that is not `HEAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 599
    pub status: u16,
    /// Bytes of the head, with the empty line that ends it.
    pub len: usize,
    pub framing: ResponseFraming,
    /// The connection ends with this response.
    pub closes: bool,
}

#[derive(Default)]
struct BodyFields {
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

/// `Ok(None)`: more bytes are needed. Looks at all of them each time.
pub fn parse_response_head(input: &[u8]) -> Result<Option<ResponseHead>, Malformed> {
    const START: &[u8] = b"HTTP/1.";
    let shown = input.len().min(START.len());
    if input[..shown] != START[..shown] {
        return Err(Malformed::Version);
    }
    let window = &input[..input.len().min(RESPONSE_HEAD_BYTES_MAX)];
    let (mut at, mut status_line, mut said, mut fields) = (0, None, BodyFields::default(), 0);
    while let Some(line) = line_at(window, at)? {
        at += line.len() + 2;
        let Some((status, http10)) = status_line else {
            status_line = Some(parse_status_line(line)?);
            continue;
        };
        if line.is_empty() {
            return said.head(status, http10, at).map(Some);
        }
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(Malformed::TooManyFields);
        }
        said.take(line)?;
    }
    match input.len() {
        0..=RESPONSE_HEAD_BYTES_MAX => Ok(None),
        _ => Err(Malformed::HeadTooLarge),
    }
}

/// Without its CR LF, if that is there.
fn line_at(window: &[u8], at: usize) -> Result<Option<&[u8]>, Malformed> {
    let rest = &window[at..];
    let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
        return Ok(None);
    };
    match rest[end..] {
        [b'\r', b'\n', ..] => Ok(Some(&rest[..end])),
        [b'\r'] => Ok(None),
        [b'\r', ..] => Err(Malformed::BareCr),
        _ => Err(Malformed::BareLf),
    }
}

/// The status, and whether it is of HTTP/1.0 (RFC 9112, 4).
fn parse_status_line(line: &[u8]) -> Result<(u16, bool), Malformed> {
    let (http10, rest) = match line {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'1',
            b' ',
            rest @ ..,
        ] => (false, rest),
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0',
            b' ',
            rest @ ..,
        ] => (true, rest),
        _ => return Err(Malformed::Version),
    };
    let [hundreds @ b'1'..=b'5', tens, ones, b' ', reason @ ..] = rest else {
        return Err(Malformed::StatusLine);
    };
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    if !digits || !reason.iter().all(|&byte| is_value_byte(byte)) {
        return Err(Malformed::StatusLine);
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Ok((
        100 * digit(hundreds) + 10 * digit(tens) + digit(ones),
        http10,
    ))
}

impl BodyFields {
    fn take(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let field = parse_field_line(line)?;
        let name = &line[..field.name_len];
        let value = &line[field.value_start..field.value_end];
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = parse_decimal(value).ok_or(Malformed::BadContentLength)?;
            if self.content_length.replace(length).is_some() {
                return Err(Malformed::DuplicateContentLength);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err(Malformed::UnknownCoding);
            }
            parse_coding(value)?;
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in list_elements(value) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    fn head(&self, status: u16, http10: bool, len: usize) -> Result<ResponseHead, Malformed> {
        // RFC 9110, 15.2.2: nobody asked for another protocol.
        if status == 101 {
            return Err(Malformed::StatusLine);
        }
        let framing = match (status, self.chunked, self.content_length) {
            (_, true, Some(_)) => return Err(Malformed::LengthAndCoding),
            (_, true, None) if http10 => return Err(Malformed::CodingInHttp10),
            // RFC 9112, 6.1, and RFC 9110, 8.6: such a response MUST NOT have either.
            (100..200 | 204, true, None) => return Err(Malformed::UnknownCoding),
            (100..200 | 204, false, Some(1..)) => return Err(Malformed::BadContentLength),
            (100..200 | 204 | 304, ..) => ResponseFraming::None,
            (_, true, None) => ResponseFraming::Chunked,
            (_, false, Some(length)) => ResponseFraming::Length(length),
            (_, false, None) => ResponseFraming::UntilClose,
        };
        let until_close = framing == ResponseFraming::UntilClose;
        Ok(ResponseHead {
            status,
            len,
            framing,
            closes: self.close || (http10 && !self.keep_alive) || until_close,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_answer_ends() {
        use ResponseFraming::{Chunked, Length, None, UntilClose};
        for (head, status, framing, closes) in [
            ("HTTP/1.1 200 OK\r\n\r\n", 200, UntilClose, true),
            (
                "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
                200,
                Length(0),
                false,
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length:7 \r\n\r\n",
                404,
                Length(7),
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                200,
                Chunked,
                false,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", 100, None, false),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                204,
                None,
                false,
            ),
            (
                "HTTP/1.1 204 x\r\nConnection: keep-alive, close\r\n\r\n",
                204,
                None,
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                304,
                None,
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
                200,
                Length(1),
                true,
            ),
        ] {
            let expected = ResponseHead {
                status,
                len: head.len(),
                framing,
                closes,
            };
            for cut in 0..head.len() {
                assert_eq!(
                    parse_response_head(&head.as_bytes()[..cut]),
                    Ok(Option::None)
                );
            }
            let more = format!("{head}\nHTTP");
            assert_eq!(parse_response_head(more.as_bytes()), Ok(Some(expected)));
        }
    }

    /// Each is found however the bytes were cut, and by the same byte.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn a_head_with_two_readings() {
        use Malformed::*;
        let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let many = "A: b\r\n".repeat(FIELDS_MAX);
        let long = "b".repeat(RESPONSE_HEAD_BYTES_MAX);
        for (head, fault) in [
            (
                ok("Content-Length: 1\r\nContent-Length: 1"),
                DuplicateContentLength,
            ),
            (
                ok("Content-Length: 1\r\ncontent-length: 2"),
                DuplicateContentLength,
            ),
            (ok("Content-Length: 1, 1"), BadContentLength),
            (ok("Content-Length: +2"), BadContentLength),
            (ok("Content-Length: -0"), BadContentLength),
            (ok("Content-Length: 0x2"), BadContentLength),
            (ok("Content-Length:"), BadContentLength),
            (ok("Content-Length: 18446744073709551616"), BadContentLength),
            (
                ok("Content-Length: 1\r\nTransfer-Encoding: chunked"),
                LengthAndCoding,
            ),
            (
                ok("Transfer-Encoding: chunked\r\nContent-Length: 0"),
                LengthAndCoding,
            ),
            (ok("Transfer-Encoding: gzip, chunked"), UnknownCoding),
            (
                ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                UnknownCoding,
            ),
            (
                ok("Transfer-Encoding: chunked, identity"),
                LastCodingNotChunked,
            ),
            (ok("Transfer-Encoding:"), LastCodingNotChunked),
            (ok("A: b\r\n c"), ObsFold),
            (ok(" A: b"), ObsFold),
            (ok("Content-Length : 1"), SpaceBeforeColon),
            (ok("Content-Length\r\nA: b"), FieldName),
            (ok("A: b\0"), FieldValue),
            (ok("A: b\nContent-Length: 1"), BareLf),
            (ok("A: b\rContent-Length: 1"), BareCr),
            (ok(&format!("{many}C: d")), TooManyFields),
            (ok(&format!("A: {long}")), HeadTooLarge),
            ("HTTP/1.1 200 OK\n\n".to_owned(), BareLf),
            ("HTTP/1.1 999 Odd\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 600 Odd\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 099 Odd\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 2e2 OK\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1 200\r\n\r\n".to_owned(), StatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n".to_owned(), StatusLine),
            (
                "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
                StatusLine,
            ),
            ("HTTP/1.2 200 OK\r\n\r\n".to_owned(), Version),
            ("HTTP/2 200 OK\r\n\r\n".to_owned(), Version),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(), Version),
            ("http/1.1 200 OK\r\n\r\n".to_owned(), Version),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                CodingInHttp10,
            ),
            (
                "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                UnknownCoding,
            ),
            (
                "HTTP/1.1 100 x\r\nContent-Length: 3\r\n\r\n".to_owned(),
                BadContentLength,
            ),
        ] {
            let found = (0..=head.len()).map(|cut| parse_response_head(&head.as_bytes()[..cut]));
            let found: Vec<_> = found.skip_while(|it| *it == Ok(None)).collect();
            assert!(!found.is_empty(), "{head:.60}");
            assert!(
                found.iter().all(|it| *it == Err(fault)),
                "{head:.60}: {:?}",
                found[0]
            );
        }
    }
}
