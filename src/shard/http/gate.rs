//! Who is let in: by path, `Host` and `Origin`.

use super::http_sse::HttpSsePaths;
use super::{Refused, RequestFields};
use crate::wire::authority::{
    is_loopback_host, is_loopback_origin, is_origin_of, is_same_origin, without_port,
};

/// Who is let in: path, `Host` and `Origin`.
#[derive(Clone, Debug)]
pub struct RequestPolicy {
    /// The MCP endpoint, `/mcp`.
    pub path: Box<str>,
    /// The transport of 2024-11-05 is there as well.
    pub http_sse: Option<HttpSsePaths>,
    /// Listening on loopback: only requests that were meant for it are served (DNS rebinding).
    pub loopback: bool,
    /// `Host` values besides loopback names that are let in; without any, every host is if not `loopback`.
    pub hosts: Vec<Box<str>>,
    /// `Origin` values besides loopback ones (those only if `loopback`) that are let in.
    pub origins: Vec<Box<str>>,
}

impl RequestPolicy {
    pub(super) fn admit(&self, path: &str, fields: &RequestFields<'_>) -> Result<(), Refused> {
        if fields.http_sse.is_none() && !self.path_matches(path) {
            return Err(self.nothing_here());
        }
        self.admit_host(fields)?;
        self.admit_origin(fields)
    }

    pub(super) fn nothing_here(&self) -> Refused {
        let sentence = format!(
            "There is nothing at this path; the MCP endpoint is {}.",
            self.path
        );
        Refused::new(404, sentence)
    }

    pub(super) fn admit_host(&self, fields: &RequestFields<'_>) -> Result<(), Refused> {
        match self.host_allowed(fields.host.unwrap_or("")) {
            true => Ok(()),
            false => Err(Refused::new(
                403,
                "The Host of this request is not one this server answers to (--allow-host).",
            )),
        }
    }

    pub(super) fn admit_origin(&self, fields: &RequestFields<'_>) -> Result<(), Refused> {
        let host = fields.host.unwrap_or("");
        match fields.origin {
            // MUST, streamable HTTP, "Security & Endpoint": an invalid Origin gets 403.
            Some(origin) if !self.origin_allowed(origin, host) => Err(Refused::new(
                403,
                "The Origin of this request is not allowed here (--allow-origin).",
            )),
            _ => Ok(()),
        }
    }

    /// With or without a `/` at its end it is one path to people, and there is nothing else at the other.
    pub(super) fn path_matches(&self, path: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(loopback: bool) -> RequestPolicy {
        RequestPolicy {
            path: "/mcp".into(),
            http_sse: None,
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
}
