//! Who sent a request, as far as the engine knows: the session, the address, the header fields.
//!
//! Made once for each call and never for what the engine answers itself (`ping`, `initialize`, subscriptions). It costs
//! one block of memory, for the request's head as it came, which is read when a handler looks at a header field: hardly
//! any does. The rest lies in the call.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::rc::Rc;

use crate::principal::{Action, Decision, Identity, Permits};
use crate::wire::session_id::SessionId;
use crate::wire::trace_context::TraceContext;

/// What the application sees of a request's sender.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Caller {
    /// The session that the request belongs to. Clients of 2026-07-28 have none.
    pub session: Option<SessionId>,
    /// The client's address: its connection's, or the one that a trusted proxy names. Limits go by it for whoever is not
    /// known by more, so of an IPv6 client it is the first address of its /64.
    pub address: Option<IpAddr>,
    /// The header fields of the request.
    pub headers: Headers,
    /// Who they are. None: the server asks nobody.
    pub identity: Option<Rc<Identity>>,
    /// The trace that the request belongs to, by its header `traceparent`.
    pub trace: Option<Box<TraceContext>>,
    /// What was in force when the call began. None: everybody may do everything.
    pub(crate) policy: Option<Rc<dyn Permits>>,
}

impl Caller {
    /// For tests of an application, and for engines other than ours.
    #[must_use]
    pub fn new(session: Option<SessionId>, address: Option<IpAddr>, headers: Headers) -> Self {
        Caller {
            session,
            address,
            headers,
            identity: None,
            trace: None,
            policy: None,
        }
    }

    /// The same, of somebody who was let in.
    #[must_use]
    pub fn with_identity(self, identity: Rc<Identity>) -> Self {
        Caller {
            identity: Some(identity),
            ..self
        }
    }

    /// What the server's policy says of an action of theirs, as it was when the call began: what
    /// [`Context::may`](super::Context::may) asks. Where there is none, they may do everything.
    #[must_use]
    pub fn decision(&self, action: Action<'_>) -> Decision<'_> {
        match (&self.policy, &self.identity) {
            (None, _) => Decision::Allow,
            (Some(policy), Some(identity)) => policy.decide(identity, action),
            (Some(_), None) => Decision::Unknown,
        }
    }
}

/// Fields that are for the server and its proxies to read: a handler sees them if the application
/// [asks for it](super::ServerInfo::sees_credentials).
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// What nodes of one cluster say to each other: nobody's business.
const BETWEEN_NODES: &str = "pinfold-";

/// Gives each name and value in a request's head, in their order.
pub(crate) type ReadFields = fn(&[u8], &mut dyn FnMut(&str, &str));

/// The header fields of a request: names in lower case, values as sent.
///
/// Without `Authorization`, `Cookie` and `Proxy-Authorization`, unless the application
/// [asks for them](super::ServerInfo::sees_credentials): what a handler does not see it can neither log nor pass on.
pub struct Headers {
    /// The head, until somebody looks: no more than one of both is there.
    head: Cell<Box<[u8]>>,
    read: ReadFields,
    with_credentials: bool,
    /// `name:value\n` for each: neither has a line end in it, and a name has no colon.
    text: OnceCell<String>,
}

impl Headers {
    /// Of the fields of a request's head. `bytes` is about what they take.
    #[must_use]
    pub fn of<'a>(
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        bytes: usize,
        with_credentials: bool,
    ) -> Self {
        let mut text = String::with_capacity(bytes);
        fields.for_each(|(name, value)| push(&mut text, name, value, with_credentials));
        Headers {
            text: text.into(),
            ..Headers::default()
        }
    }

    /// Of a head that is read when somebody looks.
    #[must_use]
    pub(crate) fn unread(head: Box<[u8]>, read: ReadFields, with_credentials: bool) -> Self {
        Headers {
            head: Cell::new(head),
            read,
            with_credentials,
            text: OnceCell::new(),
        }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let head = self.head.take();
            let mut text = String::with_capacity(head.len());
            (self.read)(&head, &mut |name, value| {
                push(&mut text, name, value, self.with_credentials);
            });
            text
        })
    }

    /// The first field of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named
            .next()
            .map(|(_, value)| value.trim_matches([' ', '\t']))
    }

    /// All of them, in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text().lines().filter_map(|line| line.split_once(':'))
    }
}

/// One more, unless it is not for handlers to see.
fn push(text: &mut String, name: &str, value: &str, with_credentials: bool) {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    let hidden = !with_credentials && CREDENTIALS.iter().any(is);
    let start = name.get(..BETWEEN_NODES.len()).unwrap_or("");
    if hidden || start.eq_ignore_ascii_case(BETWEEN_NODES) {
        return;
    }
    let from = text.len();
    text.push_str(name);
    text[from..].make_ascii_lowercase();
    text.push(':');
    text.push_str(value);
    text.push('\n');
}

/// None.
impl Default for Headers {
    fn default() -> Self {
        Headers::unread(Box::default(), |_, _| (), false)
    }
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        Headers {
            text: self.text().to_owned().into(),
            ..Headers::default()
        }
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Headers {}

/// Names alone: values may be anybody's secrets.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: [(&str, &str); 6] = [
        ("X-Request-Id", "7"),
        ("AUTHORIZATION", "Bearer secret"),
        ("Cookie", "a=b"),
        ("Pinfold-Forwarded", "n.proof"),
        ("x-request-id", "8"),
        ("X-Time", " 12:30 "),
    ];

    #[test]
    fn a_handler_sees_no_credentials() {
        let headers = Headers::of(SENT.into_iter(), 0, false);
        let seen: Vec<_> = headers.iter().collect();
        let expected = [
            ("x-request-id", "7"),
            ("x-request-id", "8"),
            ("x-time", " 12:30 "),
        ];
        assert_eq!(seen, expected);
        assert_eq!(headers.get("X-Request-ID"), Some("7"));
        assert_eq!(headers.get("x-time"), Some("12:30"));
        assert_eq!(headers.get("cookie"), None);
        assert!(!format!("{headers:?}").contains("12:30"));
    }

    #[test]
    fn a_head_that_is_read_before_anybody_looks_or_twice() {
        thread_local! {
            static READ: Cell<usize> = const { Cell::new(0) };
        }
        let read: ReadFields = |head, take| {
            READ.set(READ.get() + 1);
            assert_eq!(head, b"as it came");
            SENT.iter().for_each(|(name, value)| take(name, value));
        };
        let headers = Headers::unread((*b"as it came").into(), read, false);
        assert_eq!(READ.get(), 0);
        assert_eq!(headers.get("x-request-id"), Some("7"));
        assert_eq!(headers, Headers::of(SENT.into_iter(), 0, false));
        assert_eq!(headers.clone(), headers);
        assert_eq!(READ.get(), 1);
        assert!(headers.head.take().is_empty(), "held twice");
    }

    #[test]
    fn credentials_for_those_who_ask_and_what_nodes_say_for_nobody() {
        let headers = Headers::of(SENT.into_iter(), 0, true);
        assert_eq!(headers.get("authorization"), Some("Bearer secret"));
        assert_eq!(headers.get("cookie"), Some("a=b"));
        assert_eq!(headers.get("pinfold-forwarded"), None);
    }
}
