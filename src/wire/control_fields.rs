//! The fields of a request that say where it ends, whom it is for and what becomes of the connection: `Host`,
//! `Content-Length`, `Transfer-Encoding`, `Connection`, `Expect`.
//!
//! All that makes request smuggling possible is refused here.

use super::Malformed;
use super::field::list_elements;
use super::head::{Field, Framing, Head, Span};
use super::request_line::{authority_of, is_host};

/// What the fields say about the message itself.
#[derive(Default)]
pub(super) struct ControlFields {
    host: Option<Span>,
    content_length: Option<u64>,
    coding: Option<Result<(), Malformed>>,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
}

impl ControlFields {
    pub(super) fn take(&mut self, field: Field, bytes: &[u8]) -> Result<(), Malformed> {
        let name = field.name.of(bytes);
        let value = field.value.of(bytes);
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => self.take_host(field.value, value),
            6 if is(b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Malformed::Expectation);
                }
                self.expect_continue = true;
                Ok(())
            }
            10 if is(b"connection") => {
                for option in list_elements(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
                Ok(())
            }
            14 if is(b"content-length") => self.take_content_length(value),
            17 if is(b"transfer-encoding") => {
                let again = self.coding.is_some();
                let coding = if again {
                    Err(Malformed::UnknownCoding)
                } else {
                    parse_coding(value)
                };
                self.coding = Some(coding);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_host(&mut self, span: Span, value: &[u8]) -> Result<(), Malformed> {
        // RFC 9112, 3.2: more than one Host, or an invalid one, MUST be answered 400.
        if self.host.replace(span).is_some() {
            return Err(Malformed::DuplicateHost);
        }
        if is_host(value) {
            Ok(())
        } else {
            Err(Malformed::BadHost)
        }
    }

    /// RFC 9112, 6.3: an invalid Content-Length, or one that does not agree with another, is unrecoverable.
    fn take_content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.content_length.is_some() || value.contains(&b',') {
            return Err(Malformed::DuplicateContentLength);
        }
        let length = parse_decimal(value).ok_or(Malformed::BadContentLength)?;
        self.content_length = Some(length);
        Ok(())
    }

    /// Writes what the fields said into the head, once all of them were taken.
    pub(super) fn settle(self, head: &mut Head, bytes: &[u8]) -> Result<(), Malformed> {
        head.framing = self.framing(head.http10)?;
        head.keep_alive = !self.close && (!head.http10 || self.keep_alive);
        // RFC 9110, 10.1.1: in an HTTP/1.0 request 100-continue MUST be ignored.
        head.expect_continue = self.expect_continue && !head.http10;
        head.host = self.host;
        // RFC 9112, 3.2: an HTTP/1.1 request without Host MUST be answered 400.
        if self.host.is_none() && !head.http10 {
            return Err(Malformed::MissingHost);
        }
        let target = head.target.of(bytes);
        if let Some(range) = authority_of(target) {
            let authority = &target[range.clone()];
            let agrees = |host: Span| host.of(bytes).eq_ignore_ascii_case(authority);
            if !self.host.is_none_or(agrees) {
                return Err(Malformed::HostDisagrees);
            }
            head.host = Some(head.target.part(range));
        }
        Ok(())
    }

    /// RFC 9112, 6.1 and 6.3.
    fn framing(&self, http10: bool) -> Result<Framing, Malformed> {
        match (self.coding, self.content_length) {
            (Some(_), _) if http10 => Err(Malformed::CodingInHttp10),
            (Some(_), Some(_)) => Err(Malformed::LengthAndCoding),
            (Some(coding), None) => coding.map(|()| Framing::Chunked),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::None),
        }
    }
}

/// RFC 9112, 6.1: 501 for a coding that is not understood; 6.3: 400 if the last one is not chunked.
pub(super) fn parse_coding(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    match list_elements(value).last() {
        Some(last) if last.eq_ignore_ascii_case(b"chunked") => Err(Malformed::UnknownCoding),
        Some(_) | None => Err(Malformed::LastCodingNotChunked),
    }
}

/// `1*DIGIT`, without sign or space.
pub(super) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
