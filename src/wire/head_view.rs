//! A head together with its bytes: the target and the fields as text.

use std::str::from_utf8;

use super::Malformed;
use super::head::{Field, Head, Span};

/// Made by [`Head::view`]. `bytes` are those that the head was parsed from: tokens among them, so there is no `Debug`.
#[derive(Clone, Copy)]
pub struct HeadView<'a> {
    head: &'a Head,
    bytes: &'a [u8],
}

impl<'a> HeadView<'a> {
    pub(super) fn new(head: &'a Head, bytes: &'a [u8]) -> Self {
        assert!(bytes.len() >= head.len as usize);
        HeadView { head, bytes }
    }

    #[must_use]
    pub fn head(&self) -> &'a Head {
        self.head
    }

    /// As it was sent; methods are case-sensitive.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.text(self.head.method_text)
    }

    /// As it was sent.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.text(self.head.target)
    }

    /// The target's path, without the query; not decoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        match self.text(self.head.path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// Host and port as the client named them: of an absolute-form target, else of `Host`. `None` only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.head.host.map(|host| self.text(host))
    }

    /// The first field of this name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields_named(name).next()
    }

    /// The field of this name, refused if there are several: for fields whose second reading could differ.
    pub fn single(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        let mut values = self.fields_named(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Malformed::DuplicateField),
        }
    }

    pub fn fields_named<'n>(
        &self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'a str> + use<'a, 'n> {
        let view = *self;
        self.head
            .fields()
            .iter()
            .filter(move |field| {
                let own = field.name.of(view.bytes);
                own.eq_ignore_ascii_case(name.as_bytes())
            })
            .filter_map(move |field| view.value(field))
    }

    /// Those that are text: names and values in the order in which they were sent, names in the sender's case.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let view = *self;
        let pair = move |field: &Field| Some((view.text(field.name), view.value(field)?));
        self.head.fields().iter().filter_map(pair)
    }

    #[must_use]
    pub fn field_count(&self) -> usize {
        self.head.fields().len()
    }

    /// None: it is no text, and nothing here understands a field of this name.
    fn value(&self, field: &Field) -> Option<&'a str> {
        from_utf8(field.value.of(self.bytes)).ok()
    }

    fn text(&self, span: Span) -> &'a str {
        from_utf8(span.of(self.bytes)).expect("parse_head has checked that it is text")
    }
}
