//! The owner's answer on its way to the client: passed on as it comes, watched only for its end.

use super::request::BodyRest;
use crate::wire::chunked::ChunkedDecoder;
use crate::wire::response_head::{ResponseFraming, ResponseHead, parse_response_head};

/// How far an answer has come.
pub(super) enum ResponseProgress {
    /// What has come of the head, and how many interim answers came before it.
    Head {
        begun: Vec<u8>,
        interim: usize,
    },
    Body(BodyRest),
    UntilClose,
}

/// What this node adds to the head of an answer.
#[derive(Clone, Copy, Default)]
pub(super) struct Added<'a> {
    /// A line that steers its client.
    pub(super) cookie: Option<&'a str>,
    /// This node takes no other request on the connection.
    pub(super) closes: bool,
}

/// What the bytes that came mean.
pub(super) struct Taken {
    /// All of them are passed on, except the head, which may have changed.
    pub(super) complete: bool,
    /// The owner closes its connection after this answer, and so does this node.
    pub(super) closes: bool,
}

/// The owner's answer is no HTTP, or could be read in two ways.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// Interim answers (1xx) to one request; a node gives one at most.
const INTERIM_MAX: usize = 8;

impl ResponseProgress {
    pub(super) fn new() -> Self {
        ResponseProgress::Head {
            begun: Vec::new(),
            interim: 0,
        }
    }

    /// Nothing of the answer has been passed on.
    pub(super) fn is_unstarted(&self) -> bool {
        matches!(self, ResponseProgress::Head { .. })
    }

    /// Of a head that is not complete.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            ResponseProgress::Head { begun, .. } => begun.len(),
            _ => 0,
        }
    }

    /// Takes what came of the answer and appends to `out` what goes on to the client. `closes` is false until the head is
    /// complete.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        added: Added,
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<Taken, NoAnswer> {
        let ResponseProgress::Head { begun, interim } = self else {
            return self.take_body(input, out, scratch);
        };
        begun.extend_from_slice(input);
        let (bytes, mut at) = (std::mem::take(begun), 0);
        let head = loop {
            let head = parse_response_head(&bytes[at..]).map_err(|_| NoAnswer)?;
            let Some(head) = head else {
                *begun = bytes[at..].to_vec();
                return Ok(Taken::more(false));
            };
            let whole = &bytes[at..at + head.len];
            at += head.len;
            if head.status >= 200 {
                out.extend_from_slice(&whole[..head.len - 2]);
                break head;
            }
            *interim += 1;
            if *interim > INTERIM_MAX {
                return Err(NoAnswer);
            }
            out.extend_from_slice(whole);
        };
        out.extend_from_slice(added.cookie.unwrap_or_default().as_bytes());
        if added.closes && !head.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        *self = body_of(&head);
        let taken = self.take_body(&bytes[at..], out, scratch)?;
        Ok(Taken {
            closes: head.closes || added.closes,
            ..taken
        })
    }

    fn take_body(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<Taken, NoAnswer> {
        let ResponseProgress::Body(rest) = self else {
            out.extend_from_slice(input);
            return Ok(Taken::more(true));
        };
        let used = rest.take(input, scratch).map_err(|_| NoAnswer)?;
        out.extend_from_slice(&input[..used]);
        if used < input.len() {
            // More than was asked for.
            return Err(NoAnswer);
        }
        Ok(Taken {
            complete: rest.is_nothing(),
            closes: false,
        })
    }
}

fn body_of(head: &ResponseHead) -> ResponseProgress {
    match head.framing {
        ResponseFraming::None | ResponseFraming::Length(0) => {
            ResponseProgress::Body(BodyRest::Nothing)
        }
        ResponseFraming::Length(length) => ResponseProgress::Body(BodyRest::Length(length)),
        ResponseFraming::Chunked => {
            ResponseProgress::Body(BodyRest::Chunked(ChunkedDecoder::default()))
        }
        ResponseFraming::UntilClose => ResponseProgress::UntilClose,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::response_head::RESPONSE_HEAD_BYTES_MAX;

    /// Everything that came out, and whether the answer was complete and closes.
    fn pass(pieces: &[&str], cookie: Option<&str>) -> Result<(String, bool, bool), NoAnswer> {
        let closes = false;
        pass_with(pieces, Added { cookie, closes })
    }

    fn pass_with(pieces: &[&str], added: Added) -> Result<(String, bool, bool), NoAnswer> {
        let (mut incoming, mut out, mut scratch) =
            (ResponseProgress::new(), Vec::new(), Vec::new());
        let (mut complete, mut closes) = (false, false);
        for piece in pieces {
            let taken = incoming.take(piece.as_bytes(), added, &mut out, &mut scratch)?;
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
    fn an_answer_behind_which_this_node_closes_and_does_not_say_so() {
        let added = Added {
            cookie: None,
            closes: true,
        };
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n";
        let close = "Connection: close\r\n";
        let wanted = Ok((format!("{answer}{close}\r\n"), true, true));
        // Said once.
        for said in ["", close] {
            let passed = pass_with(&[&format!("{answer}{said}\r\n")], added);
            assert_eq!(passed, wanted);
        }
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
        let long = format!(
            "HTTP/1.1 200 OK\r\nX: {}",
            "x".repeat(RESPONSE_HEAD_BYTES_MAX)
        );
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INTERIM_MAX + 1);
        let cases = [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\nand more",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
            "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 999 Odd\r\n\r\n",
            &long,
            &interim,
        ];
        for case in cases {
            for cut in 0..case.len() {
                let (head, tail) = case.split_at(cut);
                let passed = pass(&[head, tail], None);
                assert_eq!(passed, Err(NoAnswer), "{case:.60} cut at {cut}");
            }
        }
    }

    /// A peer that says nothing else: no deeper and no larger, however many there are.
    #[test]
    fn interim_answers_without_end() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000_000);
        assert_eq!(pass(&[&interim], None), Err(NoAnswer));
    }
}
