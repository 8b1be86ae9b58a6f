//! Who sent a request, as far as the engine knows: the session, the address, the header fields.
//!
//! Made once for each call and never for what the engine answers itself (`ping`, `initialize`, subscriptions). It costs
//! one block of memory, for the header fields; the rest lies in the call.

use std::net::IpAddr;

use crate::wire::session_id::SessionId;

/// What the application sees of a request's sender. What an admission finds out about it will stand here as well.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Caller {
    /// The session that the request belongs to. Clients of 2026-07-28 have none.
    pub session: Option<SessionId>,
    /// The client's address: its connection's, or the one that a trusted proxy names. Limits go by it, so of an IPv6
    /// client it is the first address of its /64.
    pub address: Option<IpAddr>,
    /// The header fields of the request.
    pub headers: Headers,
}

impl Caller {
    /// For tests of an application, and for engines other than ours.
    #[must_use]
    pub fn new(session: Option<SessionId>, address: Option<IpAddr>, headers: Headers) -> Self {
        Caller {
            session,
            address,
            headers,
        }
    }
}

/// Fields that are for the server and its proxies to read: a handler sees them if the application
/// [asks for it](super::ServerInfo::sees_credentials).
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// What nodes of one cluster say to each other: nobody's business.
const BETWEEN_NODES: &str = "pinfold-";

/// The header fields of a request: names in lower case, values as sent.
///
/// Without `Authorization`, `Cookie` and `Proxy-Authorization`, unless the application
/// [asks for them](super::ServerInfo::sees_credentials): what a handler does not see it can neither log nor pass on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `name:value\n` for each: neither has a line end in it, and a name has no colon.
    text: String,
}

impl Headers {
    /// Of the fields of a request's head. `bytes` is about what they take.
    #[must_use]
    pub fn of<'a>(
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        bytes: usize,
        with_credentials: bool,
    ) -> Self {
        let mut headers = Headers::with_capacity(bytes);
        fields.for_each(|(name, value)| headers.push(name, value, with_credentials));
        headers
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let text = String::with_capacity(bytes);
        Headers { text }
    }

    /// One more, unless it is not for handlers to see.
    pub(crate) fn push(&mut self, name: &str, value: &str, with_credentials: bool) {
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        let hidden = !with_credentials && CREDENTIALS.iter().any(is);
        let start = name.get(..BETWEEN_NODES.len()).unwrap_or("");
        if hidden || start.eq_ignore_ascii_case(BETWEEN_NODES) {
            return;
        }
        let from = self.text.len();
        self.text.push_str(name);
        self.text[from..].make_ascii_lowercase();
        self.text.push(':');
        self.text.push_str(value);
        self.text.push('\n');
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
        self.text.lines().filter_map(|line| line.split_once(':'))
    }
}

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
    fn credentials_for_those_who_ask_and_what_nodes_say_for_nobody() {
        let headers = Headers::of(SENT.into_iter(), 0, true);
        assert_eq!(headers.get("authorization"), Some("Bearer secret"));
        assert_eq!(headers.get("cookie"), Some("a=b"));
        assert_eq!(headers.get("pinfold-forwarded"), None);
    }
}
