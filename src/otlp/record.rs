//! A call that is over, as plain values: what a core knows of it, and nothing that is a secret.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::limits::SPAN_TEXT_BYTES_MAX;
use crate::principal::PrincipalId;
use crate::wire::operator_name::OperatorName;

/// One span.
#[derive(Clone, Debug)]
pub(crate) struct SpanRecord {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    /// Of the sender. None: the trace begins here.
    pub(crate) parent_id: Option<u64>,
    /// Nanoseconds of Unix time.
    pub(crate) started_ns: u64,
    pub(crate) ended_ns: u64,
    pub(crate) call: SpanCall,
    pub(crate) end: SpanEnd,
}

/// What was asked, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct SpanCall {
    pub(crate) method: Cow<'static, str>,
    pub(crate) version: &'static str,
    pub(crate) target: Option<SpanTarget>,
    pub(crate) request_id: Option<Box<str>>,
    /// The session without its secret.
    pub(crate) session: Option<OperatorName>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) principal: Option<PrincipalId>,
}

/// What a call is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpanTarget {
    Tool(Box<str>),
    Prompt(Box<str>),
    Resource(Box<str>),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanEnd {
    Fine,
    /// A result that says `isError`.
    ToolFailed,
    /// Nobody waited for its answer any more.
    Cancelled,
    /// The code of a JSON-RPC error. What it says in words is not told: that may repeat anything of the request.
    Error(i32),
}

/// A text of a client's, as long as anybody reads it.
pub(crate) fn shown(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(SPAN_TEXT_BYTES_MAX)].into()
}

impl SpanTarget {
    /// A resource by its URI; who somebody is at the place that it names, perhaps with a password, is left out.
    pub(crate) fn resource(uri: &str) -> SpanTarget {
        let authority = uri.find("://").map_or(uri.len(), |at| at + 3);
        let rest = &uri[authority..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        SpanTarget::Resource(match rest[..end].rfind('@') {
            Some(at) => shown(&format!("{}{}", &uri[..authority], &rest[at + 1..])),
            None => shown(uri),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_uri_of_a_resource() {
        for (uri, told) in [
            ("board://lunch", "board://lunch"),
            ("db://eve:secret@host:1/t?a=b@c", "db://host:1/t?a=b@c"),
            ("db://a@b@host", "db://host"),
            ("mailto:eve@example.com", "mailto:eve@example.com"),
            ("x://host/@name", "x://host/@name"),
        ] {
            assert_eq!(SpanTarget::resource(uri), SpanTarget::Resource(told.into()));
        }
    }

    #[test]
    fn a_text_that_is_cut_in_the_middle_of_a_character() {
        let long = format!("a{}", "ü".repeat(SPAN_TEXT_BYTES_MAX));
        let shown = shown(&long);
        assert_eq!(shown.len(), SPAN_TEXT_BYTES_MAX - 1);
    }
}
