//! `METHOD SP target SP HTTP/1.x`, and what a target and a Host may look like.
//!
//! Absolute-form targets are taken (RFC 9112, 3.2.2). That section lets the target's host win over the `Host`
//! field; as 3.2 obliges clients to send the same in both, a difference is refused instead: a proxy in front may
//! have decided on the other one.

use std::ops::Range;

use super::Malformed;
use super::field::{is_token, letters_digits_and};
use super::head::Method;

/// Offsets within the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) method_len: usize,
    pub(super) target_start: usize,
    pub(super) target_end: usize,
    pub(super) http10: bool,
}

/// Parses a line without its CR LF.
pub(super) fn parse_request_line(
    line: &[u8],
    target_bytes_max: usize,
) -> Result<RequestLine, Malformed> {
    if line == b"PRI * HTTP/2.0" {
        return Err(Malformed::Http2);
    }
    let method_len = memchr::memchr(b' ', line).ok_or(Malformed::RequestLine)?;
    let method = parse_method(&line[..method_len])?;
    let target_start = method_len + 1;
    let target_len = memchr::memchr(b' ', &line[target_start..]);
    let target_end = target_len.map_or(line.len(), |len| target_start + len);
    let target = &line[target_start..target_end];
    // RFC 9112, 3: a target longer than the server wants to parse MUST be answered 414.
    if target.len() > target_bytes_max {
        return Err(Malformed::TargetTooLong);
    }
    if target.is_empty() {
        return Err(Malformed::RequestLine);
    }
    if target_len.is_none() {
        return Err(Malformed::VersionMissing);
    }
    let http10 = parse_version(&line[target_end + 1..])?;
    check_target(target, method)?;
    Ok(RequestLine {
        method,
        method_len,
        target_start,
        target_end,
        http10,
    })
}

fn parse_method(method: &[u8]) -> Result<Method, Malformed> {
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return Err(Malformed::Method);
    }
    Ok(match method {
        b"GET" => Method::Get,
        b"POST" => Method::Post,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        b"HEAD" => Method::Head,
        _ => Method::Other,
    })
}

/// Whether it is HTTP/1.0. A higher minor version is served as 1.1 (RFC 9110, 2.5).
fn parse_version(version: &[u8]) -> Result<bool, Malformed> {
    match version {
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Malformed::Version),
        _ => Err(Malformed::RequestLine),
    }
}

/// Visible ASCII without `#`: a target has no fragment. Characters such as `|` that a URI should have encoded pass,
/// because browsers send them in queries.
fn check_target(target: &[u8], method: Method) -> Result<(), Malformed> {
    let visible = |&byte: &u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    if !target.iter().all(visible) {
        return Err(Malformed::Target);
    }
    match target {
        [b'/', ..] => Ok(()),
        b"*" if method == Method::Options => Ok(()),
        _ => match authority_of(target) {
            Some(authority) if is_host(&target[authority.clone()]) => Ok(()),
            Some(_) | None => Err(Malformed::Target),
        },
    }
}

/// Where the authority of an absolute-form target is; `None` for the other forms. User information is not host, so
/// it fails the host's rules.
pub(super) fn authority_of(target: &[u8]) -> Option<Range<usize>> {
    let scheme_len = target.iter().take(6).position(|&byte| byte == b':')?;
    let scheme = &target[..scheme_len];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = target[scheme_len + 1..].strip_prefix(b"//")?;
    let len = rest
        .iter()
        .position(|&byte| byte == b'/' || byte == b'?')
        .unwrap_or(rest.len());
    let start = scheme_len + 3;
    Some(start..start + len)
}

/// `uri-host [ ":" port ]` of RFC 9110, 7.2, without the comma: it is what a joined second Host would look like.
pub(super) fn is_host(host: &[u8]) -> bool {
    let (name_valid, rest) = match host {
        [b'[', inner @ ..] => {
            let Some(len) = inner.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let address = &inner[..len];
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            (len > 0 && address.iter().all(is_address), &inner[len + 1..])
        }
        _ => {
            let len = host
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(host.len());
            (len > 0 && host[..len].iter().all(is_reg_name), &host[len..])
        }
    };
    let port_valid = match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_valid && port_valid
}

fn is_reg_name(byte: &u8) -> bool {
    REG_NAME[usize::from(*byte)]
}

const REG_NAME: [bool; 256] = letters_digits_and(b"-._~%!$&'()*+;=");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(Method, &str, bool), Malformed> {
        let parsed = parse_request_line(line.as_bytes(), 32)?;
        let target = &line[parsed.target_start..parsed.target_end];
        Ok((parsed.method, target, parsed.http10))
    }

    #[test]
    fn the_lines_that_clients_send() {
        assert_eq!(parse("GET / HTTP/1.1"), Ok((Method::Get, "/", false)));
        assert_eq!(
            parse("POST /mcp?a=|b HTTP/1.0"),
            Ok((Method::Post, "/mcp?a=|b", true))
        );
        assert_eq!(
            parse("OPTIONS * HTTP/1.1"),
            Ok((Method::Options, "*", false))
        );
        assert_eq!(parse("get / HTTP/1.2"), Ok((Method::Other, "/", false)));
        let absolute = "http://h:80/mcp";
        assert_eq!(
            parse("DELETE http://h:80/mcp HTTP/1.1"),
            Ok((Method::Delete, absolute, false))
        );
    }

    #[test]
    fn a_version_that_is_not_spoken() {
        assert_eq!(parse("GET /"), Err(Malformed::VersionMissing));
        assert_eq!(parse("GET / HTTP/2.0"), Err(Malformed::Version));
        assert_eq!(parse("GET / HTTP/0.9"), Err(Malformed::Version));
        assert_eq!(parse("PRI * HTTP/2.0"), Err(Malformed::Http2));
        for version in [
            "http/1.1",
            "HTTP/1.11",
            "HTTP/1",
            "HTTP/1.1 ",
            " HTTP/1.1",
            "HTTP/11",
            "",
            "x",
        ] {
            let line = format!("GET / {version}");
            assert_eq!(parse(&line), Err(Malformed::RequestLine), "{line:?}");
        }
    }

    #[test]
    fn a_line_with_the_wrong_spaces() {
        for line in [
            "",
            "GET",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / a HTTP/1.1",
        ] {
            assert_eq!(parse(line), Err(Malformed::RequestLine), "{line:?}");
        }
        assert_eq!(parse(" GET / HTTP/1.1"), Err(Malformed::Method));
        assert_eq!(parse("GET\t/ HTTP/1.1"), Err(Malformed::Method));
        assert_eq!(parse("G(T / HTTP/1.1"), Err(Malformed::Method));
    }

    #[test]
    fn a_target_that_is_none() {
        for target in [
            "mcp",
            "*",
            "h:443",
            "/a#b",
            "/\x01",
            "/ä",
            "ftp://h/",
            "http:/h",
            "http://",
            "http://u@h/",
        ] {
            let line = format!("GET {target} HTTP/1.1");
            assert_eq!(parse(&line), Err(Malformed::Target), "{line:?}");
        }
        let long = format!("GET /{} HTTP/1.1", "a".repeat(32));
        assert_eq!(parse(&long), Err(Malformed::TargetTooLong));
    }

    #[test]
    fn hosts() {
        for host in [
            "h",
            "h:1",
            "h:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "a_b.example",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a,b", "a/b", "u@h", "h:x", "h:123456", "[]", "[::1", "[::1]x",
            "[x]", "::1",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
