//! `Host` and `Origin`: which of them name this machine, and which say the same.

use std::net::{IpAddr, Ipv6Addr};

/// Whether a `Host` value, with or without a port, names this machine and nothing else.
#[must_use]
pub fn is_loopback_host(authority: &str) -> bool {
    let host = without_port(authority);
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest
            .strip_suffix(']')
            .and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.is_some_and(|address| address.is_loopback());
    }
    // With the dot at its end it is the same name, written out.
    host.strip_suffix('.')
        .unwrap_or(host)
        .eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv4() && address.is_loopback())
}

/// Whether an `Origin` names a page of this machine; `null` does not.
#[must_use]
pub fn is_loopback_origin(origin: &str) -> bool {
    split_origin(origin).is_some_and(|(_, authority)| is_loopback_host(authority))
}

/// Whether two origins are one: a default port may be written out.
#[must_use]
pub fn is_same_origin(one: &str, other: &str) -> bool {
    match (split_origin(one), split_origin(other)) {
        (Some((scheme, one)), Some((other_scheme, other))) => {
            scheme == other_scheme && one.eq_ignore_ascii_case(other)
        }
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// Whether a page of this origin comes from the server at `authority`. A proxy may speak TLS for it, so the scheme
/// does not matter.
#[must_use]
pub fn is_origin_of(origin: &str, authority: &str) -> bool {
    split_origin(origin).is_some_and(|(scheme, own)| {
        own.eq_ignore_ascii_case(without_default_port(scheme, authority))
    })
}

/// A `Host` value's name or address.
#[must_use]
pub fn without_port(authority: &str) -> &str {
    // A loop finds it sooner than what is made for long texts.
    let Some(colon) = authority.bytes().rposition(|byte| byte == b':') else {
        return authority;
    };
    match is_port(&authority[colon + 1..]) {
        true => &authority[..colon],
        false => authority,
    }
}

/// Scheme, and authority without the scheme's default port.
fn split_origin(origin: &str) -> Option<(&'static str, &str)> {
    let split = |scheme: &'static str| {
        let (start, rest) = origin.split_at_checked(scheme.len())?;
        let rest = rest.strip_prefix("://")?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| (scheme, without_default_port(scheme, rest)))
    };
    split("http").or_else(|| split("https"))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default = match scheme {
        "https" => ":443",
        _ => ":80",
    };
    authority.strip_suffix(default).unwrap_or(authority)
}

/// Nothing, or a number below 65536.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_only_looks_like_this_machine() {
        for wrong in [
            "",
            ".",
            ":1",
            "evil.example",
            "localhost.evil.example",
            "localhost..",
            "127.0.0.1.evil.example",
            "evil.example:9464",
            "localhost:evil",
            "localhost:+1",
            "localhost:1:1",
            "localhost:65536",
            "localhost@evil.example",
            "[::1",
            "::1",
            "[::2]:9464",
            "[::1]evil",
            "[127.0.0.1]",
            "0.0.0.0",
            "2130706433",
            "127.1",
        ] {
            assert!(!is_loopback_host(wrong), "{wrong}");
        }
        for right in [
            "localhost",
            "LocalHost:1",
            "localhost.",
            "localhost.:8080",
            "localhost:",
            "127.0.0.1:9464",
            "127.9.9.9",
            "[::1]:9464",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert!(is_loopback_host(right), "{right}");
        }
    }

    #[test]
    fn an_origin_from_elsewhere() {
        for wrong in [
            "null",
            "",
            "https://evil.example",
            "https://localhost.evil.example",
            "localhost",
            "file://localhost",
            "http://localhost/x",
            "http://localhost:80@evil.example",
        ] {
            assert!(!is_loopback_origin(wrong), "{wrong}");
        }
        for right in ["http://localhost:3000", "https://127.0.0.2", "http://[::1]"] {
            assert!(is_loopback_origin(right), "{right}");
        }
    }

    #[test]
    fn one_origin_in_two_spellings() {
        for (one, other) in [
            ("https://a.example", "https://a.example:443"),
            ("http://a.example:80", "http://A.example"),
            ("HTTP://a.example", "http://a.example"),
            ("https://a.example:8443", "https://a.example:8443"),
        ] {
            assert!(
                is_same_origin(one, other) && is_same_origin(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [
            ("https://a.example", "http://a.example"),
            ("https://a.example", "https://a.example:80"),
            ("https://a.example", "https://a.example:8443"),
            ("https://a.example", "https://b.example"),
            ("null", "https://a.example"),
        ] {
            assert!(
                !is_same_origin(one, other) && !is_same_origin(other, one),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_page_of_another_server() {
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example", "a.example:443"),
            ("https://a.example:443", "A.example"),
            ("http://a.example:8080", "a.example:8080"),
        ] {
            assert!(is_origin_of(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://a.example:8080", "a.example"),
            ("https://a.example", "a.example:8080"),
            ("https://a.example.evil.example", "a.example"),
            ("null", "null"),
        ] {
            assert!(!is_origin_of(origin, host), "{origin} {host}");
        }
    }
}
