//! The head of an HTTP/1.1 request, strictly by RFC 9112: found, checked once, and kept as offsets.
//!
//! [`parse_head`] looks once at a head that comes whole and is right, as almost all are. Of others it looks at every
//! byte that arrives once for line ends and, when the empty line is there, once more for the fields. Only the first
//! read and the request line, until it is complete, are looked at again. A [`Head`] borrows
//! nothing and owns no heap, so it stays beside its bytes while a body arrives or a connection moves to another
//! core. [`HeadView`](super::HeadView) reads the two together.
//!
//! Faults are reported in the order in which their bytes come, however the bytes were cut into reads: bad line ends
//! and the request line first, then, when the head is complete, its fields.
//!
//! Out of scope: responses, upgrades, and `CONNECT`.

use crate::limits::{EMPTY_LINES_MAX, HEADER_FIELDS_MAX, Limits};

use super::Malformed;
use super::control_fields::ControlFields;
use super::field::{is_token, is_understood, parse_field_line};
use super::head::{Field, HEAD_BYTES_CEILING, Span};
pub use super::head::{Framing, Head, Method};
use super::line_ends::LineEnds;
use super::request_line::{RequestLine, authority_of, parse_request_line};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    pub head_bytes_max: usize,
    pub target_bytes_max: usize,
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        HeadLimits {
            head_bytes_max: limits.head_bytes_max,
            target_bytes_max: limits.target_bytes_max,
        }
    }
}

/// `Ok(None)`: more bytes are needed. `scanned` is how many bytes of `input` the previous call for this head was
/// given (0 at first): call again with the same bytes and more behind them.
pub fn parse_head(
    input: &[u8],
    scanned: usize,
    limits: &HeadLimits,
) -> Result<Option<Head>, Malformed> {
    if scanned == 0
        && let Some(head) = parse_at_once(input, limits)
    {
        return Ok(Some(head));
    }
    let Some(start) = skip_empty_lines(input)? else {
        return Ok(None);
    };
    // Whatever cannot start a method (a TLS hello, say) will not get better with more bytes.
    if !is_token(input[start]) {
        return Err(Malformed::Method);
    }
    let head_bytes_max = limits.head_bytes_max.min(HEAD_BYTES_CEILING);
    let window = &input[..input.len().min(head_bytes_max)];
    let mut lines = LineEnds::resume(window, start, scanned);
    let mut request_line = None;
    while let Some(line_end) = lines.next_end()? {
        if line_end.first {
            let line = &window[start..line_end.at];
            request_line = Some(parse_request_line(line, limits.target_bytes_max)?);
        }
        if line_end.empty {
            let first_len =
                memchr::memchr(b'\r', &window[start..]).ok_or(Malformed::RequestLine)?;
            let line = match request_line {
                Some(line) => line,
                None => {
                    parse_request_line(&window[start..start + first_len], limits.target_bytes_max)?
                }
            };
            let fields_start = start + first_len + 2;
            return parse_fields(&window[..line_end.at + 2], start, &line, fields_start);
        }
    }
    if input.len() <= head_bytes_max {
        return Ok(None);
    }
    // RFC 9112, 3: the request line alone is too long, so the target is.
    match memchr::memchr(b'\n', &window[start..]) {
        Some(_) => Err(Malformed::HeadTooLarge),
        None => Err(Malformed::TargetTooLong),
    }
}

/// The fields of a head that was parsed before, where it is there no more but its bytes are: those that are text, in
/// their order.
pub fn each_field_of(head: &[u8], take: &mut dyn FnMut(&str, &str)) {
    let limits = HeadLimits {
        head_bytes_max: head.len(),
        target_bytes_max: head.len(),
    };
    if let Ok(Some(parsed)) = parse_head(head, 0, &limits) {
        let fields = parsed.view(head).fields();
        fields.for_each(|(name, value)| take(name, value));
    }
}

/// Where the request line starts.
fn skip_empty_lines(input: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut start = 0;
    loop {
        match input[start..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if start == 2 * EMPTY_LINES_MAX => {
                return Err(Malformed::RequestLine);
            }
            [b'\r', b'\n', ..] => start += 2,
            [b'\r', ..] => return Err(Malformed::BareCr),
            [b'\n', ..] => return Err(Malformed::BareLf),
            _ => return Ok(Some(start)),
        }
    }
}

/// What almost every request is: all of its head has come, and nothing is wrong with it. `None`: it is not, and the
/// careful way, which looks at line ends first, finds out what to say.
fn parse_at_once(input: &[u8], limits: &HeadLimits) -> Option<Head> {
    let head_bytes_max = limits.head_bytes_max.min(HEAD_BYTES_CEILING);
    let window = &input[..input.len().min(head_bytes_max)];
    let line_len = memchr::memchr(b'\r', window)?;
    if window.get(line_len + 1) != Some(&b'\n') {
        return None;
    }
    let line = parse_request_line(&window[..line_len], limits.target_bytes_max).ok()?;
    parse_fields(window, 0, &line, line_len + 2).ok().flatten()
}

/// The request line, which is checked, and the fields up to the empty line. `None` if that is not among `bytes`, or
/// there is a bare CR before it; a bare LF is a fault of its field.
fn parse_fields(
    bytes: &[u8],
    start: usize,
    line: &RequestLine,
    fields_start: usize,
) -> Result<Option<Head>, Malformed> {
    let target = Span::new(start + line.target_start, start + line.target_end);
    let mut head = Head {
        method: line.method,
        framing: Framing::None,
        keep_alive: false,
        http10: line.http10,
        expect_continue: false,
        len: 0,
        method_text: Span::new(start, start + line.method_len),
        target,
        path: path_of(target, bytes),
        host: None,
        field_count: 0,
        fields: [Field::default(); HEADER_FIELDS_MAX + 1],
    };
    let mut control = ControlFields::default();
    let mut at = fields_start;
    loop {
        let Some(line_len) = memchr::memchr(b'\r', &bytes[at..]) else {
            return Ok(None);
        };
        if bytes.get(at + line_len + 1) != Some(&b'\n') {
            return Ok(None);
        }
        if line_len == 0 {
            break;
        }
        let line = parse_field_line(&bytes[at..at + line_len])?;
        if !line.is_text && is_understood(&bytes[at..at + line.name_len]) {
            return Err(Malformed::FieldValue);
        }
        let field = Field {
            name: Span::new(at, at + line.name_len),
            value: Span::new(at + line.value_start, at + line.value_end),
        };
        head.push(field, bytes)?;
        control.take(field, bytes)?;
        at += line_len + 2;
    }
    head.len = (at + 2) as u32;
    control.settle(&mut head, &bytes[..at + 2])?;
    Ok(Some(head))
}

/// The target without scheme, authority and query.
fn path_of(target: Span, bytes: &[u8]) -> Span {
    let text = target.of(bytes);
    let start = authority_of(text).map_or(0, |authority| authority.end);
    let len = memchr::memchr(b'?', &text[start..]).unwrap_or(text.len() - start);
    target.part(start..start + len)
}

#[cfg(test)]
mod tests;
