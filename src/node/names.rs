//! Names that an operator chooses and that end up in headers and ids: node, endpoint, origins, hosts.
//!
//! Each function takes a name as typed and gives it back as it is compared later, or says what is allowed.

use crate::limits::NODE_NAME_BYTES_MAX;
use crate::wire::session_id::NodeName;

pub(crate) fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::new(text)
        .ok_or_else(|| format!("must be 1 to {NODE_NAME_BYTES_MAX} of a-z, 0-9 and -"))
}

/// The host's name up to its first dot, if it can name a node.
pub(crate) fn node_from_host(hostname: &str) -> Option<NodeName> {
    NodeName::new(&hostname.trim().split('.').next()?.to_ascii_lowercase())
}

pub(crate) fn endpoint(text: &str) -> Result<String, &'static str> {
    let sound = text.starts_with('/')
        && (text.len() == 1 || !text.ends_with('/'))
        && text.len() <= 256
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#%\"<>\\^`{|}".contains(&byte));
    sound.then(|| text.to_owned()).ok_or(
        "must be a path such as /mcp: it starts with /, does not end with one, and has no query",
    )
}

pub(crate) fn origin(text: &str) -> Result<String, &'static str> {
    let origin = text.to_ascii_lowercase();
    let sound = ["http://", "https://"]
        .iter()
        .any(|scheme| origin.strip_prefix(scheme).is_some_and(is_authority));
    sound
        .then_some(origin)
        .ok_or("must be http:// or https://, a host and perhaps a port, without a path, such as https://example.com")
}

pub(crate) fn host(text: &str) -> Result<String, &'static str> {
    let host = text.to_ascii_lowercase();
    is_authority(&host)
        .then_some(host)
        .ok_or("must be a host and perhaps a port, such as mcp.example.com or 10.0.0.7:8080")
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let port_sound = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    port_sound && (is_host_name(host) || is_v6(host))
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn is_v6(host: &str) -> bool {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_that_would_break_session_ids() {
        for wrong in ["", "Node", "a.b", "a b", "ä", "seventeen-letters"] {
            assert!(node_name(wrong).is_err(), "{wrong}");
        }
        assert!(node_name("pinfold-0").is_ok());
    }

    #[test]
    fn a_host_whose_name_cannot_be_a_node() {
        assert_eq!(
            node_from_host("Alpha.example.com\n"),
            NodeName::new("alpha")
        );
        assert_eq!(node_from_host("a-very-long-pod-name-7d9f8b6c4-x2x9z"), None);
        assert_eq!(node_from_host(""), None);
    }

    #[test]
    fn an_endpoint_with_more_than_a_path() {
        for wrong in ["", "mcp", "/mcp/", "/m cp", "/mcp?x=1", "/mcp#x", "/é"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
        assert!(endpoint("/").is_ok());
        assert!(endpoint("/v1/mcp").is_ok());
    }

    #[test]
    fn an_origin_that_no_browser_sends() {
        for wrong in [
            "example.com",
            "https://",
            "https://a/",
            "ftp://a",
            "*",
            "null",
            "https://a:0",
            "https://a b",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            origin("https://Example.com:8443").as_deref(),
            Ok("https://example.com:8443")
        );
        assert!(origin("http://[::1]:3000").is_ok());
    }

    #[test]
    fn a_host_with_a_scheme_or_a_path() {
        for wrong in ["", "http://a", "a/b", "a:b", "a:99999", "[::1", "::1"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
        assert!(host("[::1]").is_ok());
        assert!(host("mcp.example.com:443").is_ok());
    }
}
