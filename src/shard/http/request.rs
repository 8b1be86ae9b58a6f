//! One whole HTTP request: is it let in, and which part of the endpoint is it for.

use super::answer::{METHODS, Refused};
use super::look::Body;
use super::{ConnectionKey, Gate, Shard};
use crate::app::call::Availability;
use crate::mcp::ProtocolVersion;
use crate::wire::authority::{
    is_loopback_host, is_loopback_origin, is_origin_of, is_same_origin, without_port,
};
use crate::wire::http1::Method;
use crate::wire::{HeadView, Malformed, is_field_name};

/// Fields whose doubling would let two parties read one message in two ways.
const SINGLE_FIELDS: [&str; 7] = [
    "origin",
    "content-type",
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];

/// What a page may send, told to whoever does not say what it wants to.
const FIELDS_ALLOWED: &str = "Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Last-Event-ID, traceparent, tracestate, baggage";

impl Shard {
    pub(super) fn serve(&mut self, key: ConnectionKey, request: &HeadView<'_>, body: Body<'_>) {
        if request.any_twice(&SINGLE_FIELDS) {
            return self.refuse_malformed(key, Malformed::DuplicateField);
        }
        if let Some(availability) = self.probed(request) {
            return self.answer_probe(key, availability);
        }
        if let Err(refused) = self.admit(key, request) {
            return self.refuse(key, None, &refused);
        }
        if let Some(origin) = request.field("origin")
            && let Some(connection) = self.connections.get_mut(key)
        {
            connection.origin = Some(origin.into());
        }
        match request.head().method {
            Method::Post => {
                self.note_proxy(key, request);
                self.serve_post(key, request, body);
            }
            Method::Get => self.serve_get(key, request),
            Method::Delete => self.serve_delete(key, request),
            Method::Options => self.serve_options(key, request),
            Method::Head | Method::Other => {
                let sentence = "This endpoint takes POST (messages), GET (a session's event stream) and DELETE (its end).";
                self.refuse(key, None, &Refused::method_not_allowed(sentence));
            }
        }
    }

    /// Whether this request may be looked at any further: its path, `Host` and `Origin`, and who passed it on.
    pub(super) fn admit(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
    ) -> Result<(), Refused> {
        self.identify(key, request);
        self.gate.admit(request)?;
        self.check_forwarded(key, request)
    }

    /// Whether this asks for the node's health, and what that is. Proxies ask by address, so any `Host` will do.
    fn probed(&self, request: &HeadView<'_>) -> Option<Availability> {
        let reads = matches!(request.head().method, Method::Get | Method::Head);
        match request.path() {
            "/healthz" if reads => Some(Availability::Ready),
            "/readyz" if reads && self.is_draining() => Some(Availability::Leaving),
            "/readyz" if reads && self.impaired => Some(Availability::Impaired),
            "/readyz" if reads => Some(self.availability),
            _ => None,
        }
    }

    fn answer_probe(&mut self, key: ConnectionKey, availability: Availability) {
        let status = if availability.takes_clients() {
            200
        } else {
            503
        };
        let body = match availability {
            Availability::Ready => "ok\n".to_owned(),
            Availability::Leaving => "shutting down\n".to_owned(),
            other => format!("{}\n", other.sentence()),
        };
        let fields = [
            ("Content-Type", "text/plain"),
            ("Cache-Control", "no-store"),
        ];
        self.answer(key, status, &fields, body.as_bytes());
    }

    /// CORS preflight. Origins that are not allowed were refused before, and those that are may send any field: which
    /// ones there are the page knows (`Mcp-Param-*`, `traceparent`), and a wildcard would not name `Authorization`.
    fn serve_options(&mut self, key: ConnectionKey, request: &HeadView<'_>) {
        let asked: Vec<&str> = request
            .fields_named("access-control-request-headers")
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .filter(|name| is_field_name(name))
            .collect();
        let allowed = match asked.is_empty() {
            true => FIELDS_ALLOWED.to_owned(),
            false => asked.join(", "),
        };
        let fields = [
            ("Allow", METHODS),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", &allowed),
            ("Access-Control-Max-Age", "86400"),
            ("Vary", "Access-Control-Request-Headers"),
        ];
        self.answer(key, 204, &fields, b"");
    }
}

impl Gate {
    pub(super) fn admit(&self, request: &HeadView<'_>) -> Result<(), Refused> {
        if !self.path_matches(request.path()) {
            let sentence = format!(
                "There is nothing at this path; the MCP endpoint is {}.",
                self.path
            );
            return Err(Refused::new(404, sentence));
        }
        let host = request.field("host").unwrap_or("");
        if !self.host_allowed(host) {
            return Err(Refused::new(
                403,
                "The Host of this request is not one this server answers to (--allow-host).",
            ));
        }
        match request.field("origin") {
            // MUST, streamable HTTP, "Security & Endpoint": an invalid Origin gets 403.
            Some(origin) if !self.origin_allowed(origin, host) => Err(Refused::new(
                403,
                "The Origin of this request is not allowed here (--allow-origin).",
            )),
            _ => Ok(()),
        }
    }

    /// With or without a `/` at its end it is one path to people, and there is nothing else at the other.
    fn path_matches(&self, path: &str) -> bool {
        let bare = |path: &str| path.len() - usize::from(path.ends_with('/'));
        path == &*self.path || path[..bare(path)] == self.path[..bare(&self.path)]
    }

    fn host_allowed(&self, host: &str) -> bool {
        let open = !self.loopback && self.hosts.is_empty();
        open || self.host_listed(host) || is_loopback_host(host)
    }

    /// Whether it is a name that this server was given (`--allow-host`), with or without its port.
    fn host_listed(&self, host: &str) -> bool {
        let name = without_port(host);
        self.hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(name))
    }

    fn origin_allowed(&self, origin: &str, host: &str) -> bool {
        let listed = self
            .origins
            .iter()
            .any(|allowed| &**allowed == "*" || is_same_origin(allowed, origin));
        // A page of this very server. `Host` alone proves nothing: whoever has a name can point it here.
        let own = || {
            let at_name = self.hosts.iter().any(|name| is_origin_of(origin, name));
            at_name || (self.host_listed(host) && is_origin_of(origin, host))
        };
        listed || (self.loopback && is_loopback_origin(origin)) || own()
    }
}

/// What `MCP-Protocol-Version` says, if it is there.
///
/// # Errors
/// MUST, 2025-06-18 transports, "Protocol Version Header": 400 for one that is not spoken here.
pub(super) fn version_of(field: Option<&str>) -> Result<Option<ProtocolVersion>, Refused> {
    let Some(stated) = field else { return Ok(None) };
    let version = ProtocolVersion::parse(stated).ok_or_else(|| {
        let known = ProtocolVersion::newest_first().join(", ");
        let sentence = format!("MCP-Protocol-Version {stated} is not spoken here; {known} are.");
        Refused::new(400, sentence)
    })?;
    Ok(Some(version))
}

/// Whether a request takes `kind/subtype`. No field accepts everything (RFC 9110, 12.5.1), several are one list.
pub(super) fn accepts(request: &HeadView<'_>, media_type: &str) -> bool {
    let mut fields = request.fields_named("accept").peekable();
    fields.peek().is_none() || fields.any(|accept| lists(accept, media_type))
}

fn lists(accept: &str, media_type: &str) -> bool {
    let mut ranges = accept.as_bytes().split(|&byte| byte == b',');
    ranges.any(|range| {
        let range = range.trim_ascii();
        // As most clients write it: nothing further to understand.
        range.eq_ignore_ascii_case(media_type.as_bytes()) || range_takes(range, media_type)
    })
}

fn range_takes(range: &[u8], media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or(media_type);
    let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or(b"");
    let refused =
        parts.any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
    let matches = name == b"*/*"
        || name.eq_ignore_ascii_case(media_type.as_bytes())
        || name
            .strip_suffix(b"/*")
            .is_some_and(|range_kind| range_kind.eq_ignore_ascii_case(kind.as_bytes()));
    matches && !refused
}

/// `application/json`, whatever its parameters.
pub(super) fn is_json(content_type: &str) -> bool {
    content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(loopback: bool) -> Gate {
        Gate {
            path: "/mcp".into(),
            loopback,
            hosts: Vec::new(),
            origins: vec!["https://app.example".into()],
        }
    }

    #[test]
    fn a_page_that_rebinds_its_name_to_loopback_is_not_served() {
        assert!(!gate(true).host_allowed("evil.example.com"));
        assert!(!gate(true).host_allowed("localhost.evil.example.com"));
        assert!(!gate(true).origin_allowed("http://evil.example.com", "localhost"));
        assert!(!gate(true).origin_allowed("http://localhost.evil.example.com", "localhost"));
        assert!(!gate(true).origin_allowed("null", "localhost"));
    }

    #[test]
    fn loopback_names_are_served_on_any_port() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(gate(true).host_allowed(host), "{host}");
        }
        assert!(gate(true).origin_allowed("http://localhost:6274", "localhost"));
        assert!(gate(false).origin_allowed("https://app.example", "localhost"));
        assert!(
            !gate(false).origin_allowed("http://localhost:6274", "localhost"),
            "only a local server trusts local pages"
        );
    }

    #[test]
    fn accept_is_understood_with_ranges_and_qualities() {
        assert!(lists("*/*", "text/event-stream"));
        assert!(lists("application/json, Text/*;q=0.5", "text/event-stream"));
        assert!(!lists("application/json", "text/event-stream"));
        assert!(!lists(
            "text/event-stream;q=0, application/json",
            "text/event-stream"
        ));
        assert!(is_json("application/json; charset=utf-8") && !is_json("text/json"));
    }
}
