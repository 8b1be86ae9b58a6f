//! What is known of a request's head: offsets into its bytes, which are kept beside it.

use std::ops::Range;

use super::forwarded::FORWARDED;
use super::{HeadView, Malformed};
use crate::limits::HEADER_FIELDS_MAX;

/// Offsets are kept in 16 bits; a larger limit than this has no effect.
pub(super) const HEAD_BYTES_CEILING: usize = u16::MAX as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Delete,
    Options,
    Head,
    Other,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    Length(u64),
    Chunked,
}

/// `start + len <= head.len`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    len: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Span,
    /// Without control characters but tab. UTF-8 if anything here depends on it.
    pub(super) value: Span,
}

/// Offsets into the bytes that [`parse_head`](super::http1::parse_head) was given, from their first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub method: Method,
    pub framing: Framing,
    pub keep_alive: bool,
    pub http10: bool,
    pub expect_continue: bool,
    /// Bytes of the head: forgiven empty lines before it and the empty line that ends it included.
    pub len: u32,
    pub(super) method_text: Span,
    pub(super) target: Span,
    /// Part of `target`, or empty: an absolute-form target without a path.
    pub(super) path: Span,
    pub(super) host: Option<Span>,
    pub(super) field_count: u8,
    /// One more than a client may send: another node's word.
    pub(super) fields: [Field; HEADER_FIELDS_MAX + 1],
}

const _: () = assert!(HEADER_FIELDS_MAX < u8::MAX as usize);

impl Head {
    /// Reads the fields out of the bytes that this head was parsed from.
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> HeadView<'a> {
        HeadView::new(self, bytes)
    }

    /// The target's path and what follows its `?`, out of the bytes that this head was parsed from; not decoded.
    #[must_use]
    pub fn path_and_query<'a>(&self, bytes: &'a [u8]) -> (&'a str, Option<&'a str>) {
        let text = |span: Span| std::str::from_utf8(span.of(bytes)).unwrap_or_default();
        let query = text(self.target).split_once('?').map(|(_, query)| query);
        (text(self.path), query)
    }

    /// Names and values as they were sent, in their order, out of the bytes that this head was parsed from. A name is a
    /// token; a value may be no text.
    pub fn each_field<'a>(&self, bytes: &'a [u8], mut take: impl FnMut(&'a [u8], &'a [u8])) {
        for field in self.fields() {
            take(field.name.of(bytes), field.value.of(bytes));
        }
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields[..usize::from(self.field_count)]
    }

    pub(super) fn push(&mut self, field: Field, bytes: &[u8]) -> Result<(), Malformed> {
        let is_last = usize::from(self.field_count) == HEADER_FIELDS_MAX;
        if is_last
            && !field
                .name
                .of(bytes)
                .eq_ignore_ascii_case(FORWARDED.as_bytes())
        {
            return Err(Malformed::TooManyFields);
        }
        let slot = self
            .fields
            .get_mut(usize::from(self.field_count))
            .ok_or(Malformed::TooManyFields)?;
        *slot = field;
        self.field_count += 1;
        Ok(())
    }
}

impl Span {
    /// Offsets are below [`HEAD_BYTES_CEILING`].
    pub(super) fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= HEAD_BYTES_CEILING);
        Span {
            start: start as u16,
            len: (end - start) as u16,
        }
    }

    /// `range` counts from the span's own start.
    pub(super) fn part(self, range: Range<usize>) -> Span {
        debug_assert!(range.end <= usize::from(self.len));
        let start = usize::from(self.start);
        Span::new(start + range.start, start + range.end)
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        &bytes[start..start + usize::from(self.len)]
    }
}
