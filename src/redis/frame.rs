//! Where a reply ends in bytes that arrive in pieces. Every byte is looked at once. All that is remembered is how
//! many elements are missing on each level. So a deep, endless or huge reply is refused before anything is made of it.

use self::FrameError::NotResp;

/// Arrays in arrays. The deepest answer that is asked for has four levels.
const DEPTH_MAX: usize = 16;
/// Elements in one reply, which bounds what a reply of many small ones takes in memory.
const ELEMENTS_MAX: u64 = 1 << 20;

/// Why bytes are no reply to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// No Redis sends such bytes, or nothing that was asked for.
    NotResp,
    /// More elements than anybody reads.
    TooLarge,
}

/// Finds the end of one reply.
#[derive(Debug)]
pub(super) struct Scanner {
    /// Where the next element begins. <= the length of what was scanned, but for a text that is on its way.
    at: usize,
    /// Before it there is no end of a line behind `at`.
    searched: usize,
    /// Elements that are missing, level by level.
    missing: Vec<u64>,
    elements: u64,
}

enum Element {
    Line,
    /// So many bytes and a line end follow.
    Text(usize),
    /// So many elements follow.
    List(u64),
    /// So many elements follow, and then the element that they are about.
    About(u64),
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner {
            at: 0,
            searched: 0,
            missing: vec![1],
            elements: 0,
        }
    }
}

impl Scanner {
    /// How long the reply is that `bytes` begin with, if it is whole. `bytes` are those of the last time and more.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        while let Some(missing) = self.missing.last_mut() {
            let Some(line) = line(bytes, self.at, &mut self.searched) else {
                return Ok(None);
            };
            let after_line = self.at + line.len() + 2;
            let element = Element::parse(line)?;
            match element {
                Element::About(_) => {}
                Element::Line | Element::Text(_) | Element::List(_) => *missing -= 1,
            }
            self.at = match element {
                Element::Text(len) => len
                    .checked_add(2)
                    .and_then(|len| after_line.checked_add(len))
                    .ok_or(NotResp)?,
                _ => after_line,
            };
            self.searched = self.at;
            if let Element::List(count) | Element::About(count) = element {
                self.open(count)?;
            }
            self.missing.truncate(
                self.missing
                    .iter()
                    .rposition(|&it| it > 0)
                    .map_or(0, |at| at + 1),
            );
        }
        Ok((self.at <= bytes.len()).then_some(self.at))
    }

    /// How long the reply is at least, by what has come of it: a text says its length before it comes.
    pub(super) fn len_min(&self) -> usize {
        self.at
    }

    fn open(&mut self, count: u64) -> Result<(), FrameError> {
        self.elements = self.elements.saturating_add(count);
        if self.missing.len() >= DEPTH_MAX {
            return Err(NotResp);
        }
        if self.elements > ELEMENTS_MAX {
            return Err(FrameError::TooLarge);
        }
        self.missing.push(count);
        Ok(())
    }
}

/// The line that begins at `at`, without its end. A text before it may not be there yet.
fn line<'a>(bytes: &'a [u8], at: usize, searched: &mut usize) -> Option<&'a [u8]> {
    let from = (*searched).max(at);
    let Some(end) = memchr::memchr(b'\n', bytes.get(from..)?) else {
        *searched = bytes.len();
        return None;
    };
    let end = from + end;
    // A bare LF is no line end of RESP: what follows the line's first byte cannot be parsed then.
    Some(&bytes[at..end.saturating_sub(1).max(at)])
}

impl Element {
    fn parse(line: &[u8]) -> Result<Element, FrameError> {
        let (kind, rest) = line.split_first().ok_or(NotResp)?;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(Element::Line),
            b'$' | b'!' | b'=' => Ok(number(rest)?.map_or(Element::Line, |len| {
                Element::Text(usize::try_from(len).unwrap_or(usize::MAX))
            })),
            b'*' | b'~' | b'>' => Ok(number(rest)?.map_or(Element::Line, Element::List)),
            b'%' => Ok(number(rest)?.map_or(Element::Line, |pairs| {
                Element::List(pairs.saturating_mul(2))
            })),
            b'|' => Ok(Element::About(
                number(rest)?.ok_or(NotResp)?.saturating_mul(2),
            )),
            _ => Err(NotResp),
        }
    }
}

/// None for the -1 of RESP2's null.
fn number(digits: &[u8]) -> Result<Option<u64>, FrameError> {
    if digits == b"-1" {
        return Ok(None);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| NotResp)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotResp);
    }
    digits.parse().map(Some).map_err(|_| NotResp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: [&[u8]; 10] = [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b"$5\r\na\r\nbc\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n_\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n%0\r\n",
        b"|1\r\n+ttl\r\n:9\r\n*1\r\n+x\r\n",
        b">2\r\n+message\r\n=7\r\ntxt:a\nb\r\n",
    ];

    #[test]
    fn a_reply_ends_where_it_ends_however_it_is_cut() {
        for reply in REPLIES {
            let mut followed = reply.to_vec();
            followed.extend_from_slice(b"+next\r\n");
            assert_eq!(
                Scanner::default().scan(&followed),
                Ok(Some(reply.len())),
                "{}",
                reply.escape_ascii()
            );
            let mut scanner = Scanner::default();
            for end in 0..reply.len() {
                assert_eq!(scanner.scan(&reply[..end]), Ok(None), "{end} {reply:?}");
            }
            assert_eq!(scanner.scan(reply), Ok(Some(reply.len())));
        }
    }

    #[test]
    fn what_no_redis_sends() {
        let deep = "*1\r\n".repeat(DEPTH_MAX);
        let bad: [&[u8]; 9] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\r\n",
            b"\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"*+1\r\n",
            b"$99999999999999999999\r\n",
            b"$18446744073709551615\r\n",
            deep.as_bytes(),
        ];
        for bytes in bad {
            assert_eq!(
                Scanner::default().scan(bytes),
                Err(NotResp),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn more_elements_than_anybody_reads() {
        let many = format!("*{}\r\n", ELEMENTS_MAX + 1);
        let nested = format!("*2\r\n*{ELEMENTS_MAX}\r\n");
        for bytes in [many, nested] {
            let scanned = Scanner::default().scan(bytes.as_bytes());
            assert_eq!(scanned, Err(FrameError::TooLarge), "{bytes}");
        }
    }
}
