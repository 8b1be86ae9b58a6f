//! The owner's answer on its way to the client: passed on as it comes, watched only for its end.

use super::request::Rest;
use crate::wire::chunked::ChunkedDecoder;

/// How far an answer has come.
pub(super) enum Incoming {
    /// What has come of the head.
    Head(Vec<u8>),
    Body(Rest),
    UntilClose,
}

/// What the bytes that came mean.
pub(super) struct Taken {
    /// All of them are passed on, except the head, which may have changed.
    pub(super) complete: bool,
    /// The owner closes its connection after this answer, and so does this node.
    pub(super) closes: bool,
}

/// The owner's answer is no HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// Of a node like this one; its own heads are below 1 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 32;

/// What a head says.
struct Head {
    len: usize,
    status: u16,
    content_length: Option<u64>,
    chunked: bool,
    closes: bool,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Incoming::Head(Vec::new())
    }

    /// Nothing of the answer has been passed on.
    pub(super) fn is_unstarted(&self) -> bool {
        matches!(self, Incoming::Head(_))
    }

    /// Takes what came of the answer and appends to `out` what goes on to the client; `cookie` is a line to add to
    /// the head. `closes` is false until the head is complete.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        cookie: Option<&str>,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<Taken, NoAnswer> {
        match self {
            Incoming::Head(begun) => {
                begun.extend_from_slice(input);
                let Some(head) = parse(begun)? else {
                    return match begun.len() {
                        0..HEAD_BYTES_MAX => Ok(Taken::more(false)),
                        _ => Err(NoAnswer),
                    };
                };
                let bytes = std::mem::take(begun);
                out.extend_from_slice(&bytes[..head.len - 2]);
                if let Some(cookie) = cookie.filter(|_| head.status >= 200) {
                    out.extend_from_slice(cookie.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
                *self = head.body();
                let taken = self.take(&bytes[head.len..], cookie, out, scratch)?;
                Ok(Taken {
                    closes: head.closes || taken.closes || matches!(self, Incoming::UntilClose),
                    ..taken
                })
            }
            Incoming::Body(rest) => {
                let used = rest.take(input, scratch).ok_or(NoAnswer)?;
                out.extend_from_slice(&input[..used]);
                let complete = rest.is_nothing();
                match used == input.len() {
                    true => Ok(Taken {
                        complete,
                        closes: false,
                    }),
                    // More than was asked for.
                    false => Err(NoAnswer),
                }
            }
            Incoming::UntilClose => {
                out.extend_from_slice(input);
                Ok(Taken::more(true))
            }
        }
    }
}

impl Taken {
    fn more(closes: bool) -> Self {
        Taken {
            complete: false,
            closes,
        }
    }
}

impl Head {
    /// RFC 9112, 6.3.
    fn body(&self) -> Incoming {
        match self.status {
            // Another head follows: 100 Continue.
            100..200 => Incoming::Head(Vec::new()),
            204 | 304 => Incoming::Body(Rest::Nothing),
            _ if self.chunked => Incoming::Body(Rest::Chunked(ChunkedDecoder::default())),
            _ => match self.content_length {
                Some(0) => Incoming::Body(Rest::Nothing),
                Some(length) => Incoming::Body(Rest::Length(length)),
                None => Incoming::UntilClose,
            },
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>, NoAnswer> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(NoAnswer),
    };
    let field = |name: &str| {
        let field = response
            .headers
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let content_length = field("content-length").map(str::parse);
    Ok(Some(Head {
        len,
        status: response.code.ok_or(NoAnswer)?,
        content_length: content_length.transpose().map_err(|_| NoAnswer)?,
        chunked: field("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")),
        closes: field("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that came out, and whether the answer was complete and closes.
    fn pass(pieces: &[&str], cookie: Option<&str>) -> Result<(String, bool, bool), NoAnswer> {
        let (mut incoming, mut out, mut scratch) = (Incoming::new(), Vec::new(), Vec::new());
        let (mut complete, mut closes) = (false, false);
        for piece in pieces {
            let taken = incoming.take(piece.as_bytes(), cookie, &mut out, &mut scratch)?;
            complete = taken.complete;
            closes |= taken.closes;
        }
        Ok((String::from_utf8(out).expect("text"), complete, closes))
    }

    #[test]
    fn an_answer_passes_unchanged_however_it_is_cut() {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        ];
        for answer in answers {
            for cut in 0..answer.len() {
                let (head, tail) = answer.split_at(cut);
                let passed = pass(&[head, tail], None);
                assert_eq!(passed, Ok((answer.to_owned(), true, false)), "cut at {cut}");
            }
        }
    }

    #[test]
    fn the_cookie_goes_into_the_final_head() {
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        let (out, complete, _) = pass(&[answer], Some("Set-Cookie: a=b\r\n")).expect("an answer");
        assert_eq!(
            out,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n"
        );
        assert!(complete);
    }

    #[test]
    fn an_answer_that_ends_with_its_connection_says_so() {
        let (_, complete, closes) =
            pass(&["HTTP/1.1 200 OK\r\n\r\n", "some"], None).expect("an answer");
        assert!(!complete && closes);
        let (_, complete, closes) = pass(
            &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
            None,
        )
        .expect("an answer");
        assert!(complete && closes);
    }

    #[test]
    fn an_answer_that_closes_behind_an_interim_one() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        for pieces in [[interim, answer].as_slice(), &[&[interim, answer].concat()]] {
            let (_, complete, closes) = pass(pieces, None).expect("an answer");
            assert!(complete && closes, "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_not_passed_on() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        let cases = [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\nand more",
            &long,
        ];
        for case in cases {
            assert_eq!(pass(&[case], None), Err(NoAnswer), "{case:.40}");
        }
    }
}
