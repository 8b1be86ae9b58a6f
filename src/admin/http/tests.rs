use super::*;
use crate::admin::response::AdminResponse;

/// All requests in `input`, which arrives `step` bytes at a time, or the status it is refused with.
fn feed(input: &[u8], step: usize) -> Result<Vec<(String, Vec<u8>)>, u16> {
    let mut decoder = RequestDecoder::default();
    let mut buffer = BytesMut::new();
    let mut found = Vec::new();
    for piece in input.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Some(AdminInput::Request(request))) => {
                    found.push((request.head.uri.path().to_owned(), request.body.to_vec()));
                }
                Ok(Decoded::Some(AdminInput::Lines(..))) => panic!("nobody sends lines here"),
                Ok(Decoded::Some(AdminInput::Begun { holds_back: true })) => {
                    found.push(("100".into(), vec![]));
                }
                Ok(Decoded::Some(AdminInput::Begun { holds_back: false })) => {}
                Ok(_) => break,
                Err(RequestError::Request(status, _)) => return Err(status),
                Err(RequestError::Io(error)) => panic!("{error}"),
            }
            if buffer.is_empty() {
                break;
            }
        }
    }
    Ok(found)
}

fn refused(input: &str) -> u16 {
    feed(input.as_bytes(), input.len()).expect_err(input)
}

#[test]
fn requests_cut_at_every_byte_read_the_same() {
    let input = b"POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
        GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let expected = vec![
        ("/publish".to_owned(), b"hello".to_vec()),
        ("/chunks".to_owned(), b"abc0123456789".to_vec()),
        ("/healthz".to_owned(), vec![]),
    ];
    for step in 1..=input.len() {
        assert_eq!(feed(input, step).as_ref(), Ok(&expected), "step {step}");
    }
}

#[test]
fn a_body_framed_in_two_ways() {
    for headers in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length:\r\n",
        "Host: b\r\n",
    ] {
        let input = format!("POST /publish HTTP/1.1\r\nHost: a\r\n{headers}\r\nx");
        assert_eq!(refused(&input), 400, "{headers}");
    }
    let old = "POST /publish HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(refused(old), 400);
}

#[test]
fn a_head_that_is_not_http() {
    for wrong in [
        "GET /healthz HTTP/1.1\nHost: a\n\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET /healthz HTTP/9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert_eq!(refused(wrong), 400, "{wrong:?}");
    }
}

#[test]
fn a_head_without_an_end() {
    assert_eq!(refused(&"x".repeat(HEAD_BYTES_MAX + 1)), 431);
    let long_name = format!("GET / HTTP/1.1\r\n{}: x\r\n\r\n", "n".repeat(70_000));
    assert_eq!(refused(&long_name), 431);
}

#[test]
fn a_body_larger_than_allowed() {
    let head = "POST /publish HTTP/1.1\r\nHost: a\r\n";
    for length in ["1048577", "99999999999999999999999999"] {
        assert_eq!(
            refused(&format!("{head}Content-Length: {length}\r\n\r\n")),
            413
        );
    }
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let one_chunk = format!("{chunked}fffffff\r\n{}", "x".repeat(BODY_BYTES_MAX + 20));
    assert_eq!(refused(&one_chunk), 413);
    let many_chunks = format!(
        "{chunked}{}",
        format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(17)
    );
    assert_eq!(refused(&many_chunks), 413);
    let tiny_chunks = format!("{chunked}{}", "1\r\nx\r\n".repeat(250_000));
    assert_eq!(refused(&tiny_chunks), 413);
    let endless_size = format!("{chunked}{}", "0".repeat(BODY_BYTES_MAX + 1));
    assert_eq!(refused(&endless_size), 413);
    assert_eq!(refused(&format!("{chunked}ffffffffffffffffffff\r\n")), 400);
}

#[test]
fn a_peer_that_waits_for_100_continue() {
    let head =
        "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let found = feed(format!("{head}hi").as_bytes(), head.len()).unwrap();
    assert_eq!(
        found,
        [("100".into(), vec![]), ("/publish".into(), b"hi".to_vec())]
    );
}

#[test]
fn a_response_to_head_has_no_body() {
    let response = AdminResponse::text(200, "ok\n");
    let text = String::from_utf8(response.emit(false, false)).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("Content-Length: 3\r\n"), "{text}");
    assert!(text.ends_with("Connection: close\r\n\r\n"), "{text}");
}
