//! Heads good and bad; each is also cut at every byte and compared with a naive reading of the grammar.

use super::*;
use crate::wire::properties;

const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 1024,
    target_bytes_max: 256,
};

fn parse(input: &str) -> Result<Head, Malformed> {
    properties::head(input.as_bytes());
    let parsed = parse_head(input.as_bytes(), 0, &LIMITS)?;
    let head = parsed.unwrap_or_else(|| panic!("unfinished: {input:?}"));
    assert_eq!(
        naive(input),
        Some((head.method, head.framing, pairs(&head, input)))
    );
    Ok(head)
}

fn fault(input: &str) -> Malformed {
    properties::head(input.as_bytes());
    assert_eq!(naive(input), None, "{input:?}");
    parse_head(input.as_bytes(), 0, &LIMITS).expect_err(input)
}

/// A GET of `/` with these lines after a Host.
fn with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn pairs(head: &Head, input: &str) -> Vec<(String, String)> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    head.view(input.as_bytes()).fields().map(owned).collect()
}

type Naive = (Method, Framing, Vec<(String, String)>);

/// The oracle: the grammar word for word, over the whole text, with no thought of speed or of the fault's name.
fn naive(input: &str) -> Option<Naive> {
    let mut text = input;
    for _ in 0..4 {
        text = text.strip_prefix("\r\n").unwrap_or(text);
    }
    let (text, _) = text.split_once("\r\n\r\n")?;
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    if text.len() + 4 > LIMITS.head_bytes_max || target.len() > LIMITS.target_bytes_max {
        return None;
    }
    let mut pairs = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name_valid = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let value_valid = |c: char| c == '\t' || (c >= ' ' && c != '\x7f');
        if name.is_empty() || !name.chars().all(name_valid) || !value.chars().all(value_valid) {
            return None;
        }
        let value = value.trim_matches([' ', '\t']);
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let all = |wanted: &str| -> Vec<&str> {
        let named = pairs
            .iter()
            .filter(|pair| pair.0.eq_ignore_ascii_case(wanted));
        named.map(|pair| pair.1.as_str()).collect()
    };
    let (hosts, lengths, codings) = (all("host"), all("content-length"), all("transfer-encoding"));
    let framing = match (&lengths[..], &codings[..]) {
        ([], []) => Framing::None,
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
            Framing::Length(length.parse().ok()?)
        }
        ([], [coding]) if coding.to_lowercase() == "chunked" => Framing::Chunked,
        _ => return None,
    };
    let version_valid = match version {
        "HTTP/1.1" => hosts.len() == 1,
        "HTTP/1.0" => hosts.len() <= 1 && framing != Framing::Chunked,
        _ => false,
    };
    let host_valid = |host: &&str| {
        let absolute = target.strip_prefix("http://");
        let same = absolute.is_none_or(|rest| rest.split(['/', '?']).next() == Some(host));
        same && !host.is_empty() && !host.contains([' ', ',', '/', '@'])
    };
    let target_valid = match method {
        "OPTIONS" if target == "*" => true,
        _ => target.starts_with('/') || target.starts_with("http://"),
    } && !target.contains('#')
        && target.bytes().all(|byte| byte.is_ascii_graphic());
    let expect_valid = all("expect").iter().all(|value| *value == "100-continue");
    let count_valid = pairs.len() <= HEADER_FIELDS_MAX;
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "OPTIONS" => Method::Options,
        "BREW" => Method::Other,
        _ => return None,
    };
    let valid = version_valid
        && hosts.iter().all(host_valid)
        && target_valid
        && expect_valid
        && count_valid;
    valid.then_some((method, framing, pairs))
}

#[test]
fn a_request_as_clients_send_it() {
    let input = "POST /mcp?x=1 HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 17\r\nAccept:\tapplication/json \r\nx-empty:\r\n\r\n{\"jsonrpc\"";
    let head = parse(input).unwrap();
    assert_eq!(
        (head.method, head.framing),
        (Method::Post, Framing::Length(17))
    );
    assert!(head.keep_alive && !head.http10 && !head.expect_continue);
    assert_eq!(&input[head.len as usize..], "{\"jsonrpc\"");
    let view = head.view(input.as_bytes());
    assert_eq!(
        (view.method(), view.target(), view.path()),
        ("POST", "/mcp?x=1", "/mcp")
    );
    assert_eq!(
        (view.query(), view.host()),
        (Some("x=1"), Some("localhost:8080"))
    );
    assert_eq!(view.field("ACCEPT"), Some("application/json"));
    assert_eq!(view.field("X-Empty"), Some(""));
    assert_eq!(view.field("X-Absent"), None);
    assert_eq!(view.field_count(), 4);
}

#[test]
fn a_few_empty_lines_before_the_request_are_forgiven() {
    let input = format!("\r\n\r\n{}", with("A: b\r\n"));
    let head = parse(&input).unwrap();
    assert_eq!(head.len as usize, input.len());
    assert_eq!(head.view(input.as_bytes()).field("a"), Some("b"));
    let flood = format!("{}{}", "\r\n".repeat(5), with(""));
    assert_eq!(fault(&flood), Malformed::RequestLine);
}

#[test]
fn an_absolute_target_names_the_host() {
    let input = "GET http://H:80?q HTTP/1.1\r\nHost: H:80\r\n\r\n";
    let head = parse(input).unwrap();
    let view = head.view(input.as_bytes());
    assert_eq!(
        (view.path(), view.query(), view.host()),
        ("/", Some("q"), Some("H:80"))
    );
    let input = "GET http://h/mcp?q HTTP/1.0\r\n\r\n";
    let head = parse(input).unwrap();
    let view = head.view(input.as_bytes());
    assert_eq!((view.path(), view.host()), ("/mcp", Some("h")));
    let input = "GET http://h/ HTTP/1.1\r\nHost: evil\r\n\r\n";
    assert_eq!(fault(input), Malformed::HostDisagrees);
}

#[test]
fn what_keeps_a_connection_alive() {
    let alive = |input: &str| parse(input).unwrap().keep_alive;
    assert!(alive(&with("")));
    assert!(alive(&with("Connection: upgrade\r\n")));
    assert!(!alive(&with("Connection: close\r\n")));
    assert!(!alive(&with("Connection: x, CLOSE ,\r\n")));
    assert!(!alive(&with(
        "Connection: keep-alive\r\nconnection: close\r\n"
    )));
    assert!(!alive("GET / HTTP/1.0\r\n\r\n"));
    assert!(alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

#[test]
fn expectations() {
    assert!(
        parse(&with("Expect: 100-continue\r\n"))
            .unwrap()
            .expect_continue
    );
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
    assert!(!parse(old).unwrap().expect_continue);
    assert_eq!(fault(&with("Expect: 200-ok\r\n")), Malformed::Expectation);
}

#[test]
fn a_bare_lf_ends_the_conversation() {
    for input in [
        "\nGET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nA: b\nHost: h\r\n\r\n",
    ] {
        assert_eq!(fault(input), Malformed::BareLf, "{input:?}");
    }
    assert_eq!(fault("GET / HTTP/1.1\r\nHost: h\r\n\n"), Malformed::BareLf);
}

#[test]
fn a_bare_cr_ends_the_conversation() {
    for input in [
        "\rGET / HTTP/1.1\r\n",
        "GET /\rHTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\nHost: h\r\n\r\n",
    ] {
        assert_eq!(fault(input), Malformed::BareCr, "{input:?}");
    }
    assert_eq!(
        fault("GET / HTTP/1.1\r\nHost: h\r\n\r\r\n"),
        Malformed::BareCr
    );
}

#[test]
fn a_length_with_two_readings() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\ncontent-length: 2\r\n",
        "Content-Length: 1, 1\r\n",
    ] {
        assert_eq!(
            fault(&with(fields)),
            Malformed::DuplicateContentLength,
            "{fields:?}"
        );
    }
    for length in ["", "+1", "-1", "0x1", "1 1", "1.0", "18446744073709551616"] {
        let fields = format!("Content-Length: {length}\r\n");
        assert_eq!(
            fault(&with(&fields)),
            Malformed::BadContentLength,
            "{length:?}"
        );
    }
    let both = "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(fault(&with(both)), Malformed::LengthAndCoding);
}

#[test]
fn a_coding_that_is_not_understood() {
    assert_eq!(
        parse(&with("Transfer-Encoding: Chunked\r\n"))
            .unwrap()
            .framing,
        Framing::Chunked
    );
    for coding in ["gzip, chunked", "chunked, chunked", ",chunked"] {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        assert_eq!(
            fault(&with(&fields)),
            Malformed::UnknownCoding,
            "{coding:?}"
        );
    }
    for coding in [
        "",
        "gzip",
        "chunked, gzip",
        "chunked;q=1",
        "\"chunked\"",
        "xchunked",
    ] {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        assert_eq!(
            fault(&with(&fields)),
            Malformed::LastCodingNotChunked,
            "{coding:?}"
        );
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(fault(&with(twice)), Malformed::UnknownCoding);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(old), Malformed::CodingInHttp10);
}

#[test]
fn a_host_that_is_missing_doubled_or_none() {
    assert_eq!(fault("GET / HTTP/1.1\r\n\r\n"), Malformed::MissingHost);
    assert_eq!(fault(&with("host: h\r\n")), Malformed::DuplicateHost);
    for host in ["", "a b", "a,b", "a/b", "u@h"] {
        let input = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(fault(&input), Malformed::BadHost, "{host:?}");
    }
}

#[test]
fn white_space_where_none_belongs() {
    assert_eq!(fault(&with("A : b\r\n")), Malformed::SpaceBeforeColon);
    assert_eq!(fault(&with("A: b\r\n c\r\n")), Malformed::ObsFold);
    assert_eq!(
        fault("GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
        Malformed::ObsFold
    );
}

#[test]
fn a_field_that_is_none() {
    assert_eq!(fault(&with("A\r\n")), Malformed::FieldName);
    assert_eq!(fault(&with(": a\r\n")), Malformed::FieldName);
    assert_eq!(fault(&with("A: \0\r\n")), Malformed::FieldValue);
}

#[test]
fn a_request_line_is_refused_before_the_fields_arrive() {
    assert_eq!(fault("GET /\r\n"), Malformed::VersionMissing);
    assert_eq!(fault("GET / HTTP/3.0\r\n"), Malformed::Version);
    assert_eq!(fault("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Malformed::Http2);
    assert_eq!(fault("\x16\x03\x01\x02"), Malformed::Method);
}

#[test]
fn heads_beyond_the_limits() {
    assert_eq!(
        fault(&with(&format!("A: {}\r\n", "a".repeat(1024)))),
        Malformed::HeadTooLarge
    );
    assert_eq!(
        fault(&format!("GET /{}", "a".repeat(1024))),
        Malformed::TargetTooLong
    );
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(256));
    assert_eq!(fault(&target), Malformed::TargetTooLong);
    assert!(parse(&with(&"a:\r\n".repeat(HEADER_FIELDS_MAX - 1))).is_ok());
    assert_eq!(
        fault(&with(&"a:\r\n".repeat(HEADER_FIELDS_MAX))),
        Malformed::TooManyFields
    );
}

#[test]
fn a_head_of_exactly_the_limit_is_taken() {
    let fit = with(&format!(
        "A: {}\r\n",
        "a".repeat(1024 - with("A: \r\n").len())
    ));
    assert_eq!(parse(&fit).unwrap().len, 1024);
    let over = fit.replace("A: a", "A: aa");
    assert_eq!(fault(&over), Malformed::HeadTooLarge);
}

#[test]
fn a_doubled_field_is_not_single() {
    let input = with("Origin: a\r\norigin: a\r\nX: y\r\n");
    let head = parse(&input).unwrap();
    let view = head.view(input.as_bytes());
    assert_eq!(view.single("Origin"), Err(Malformed::DuplicateField));
    assert_eq!(view.single("x"), Ok(Some("y")));
    assert_eq!(view.single("z"), Ok(None));
    assert_eq!(view.fields_named("ORIGIN").count(), 2);
}

#[test]
fn the_next_request_is_left_alone() {
    let input = format!("{}{}", with(""), with("A: b\r\n"));
    assert_eq!(parse(&input).unwrap().len as usize, with("").len());
}

#[test]
fn a_head_stays_small() {
    assert!(size_of::<Head>() <= 8 * (HEADER_FIELDS_MAX + 1) + 48);
}
