//! The line ends of a head, each looked at once: CR LF is one, everything near it is a fault.
//!
//! A walk can be taken up again when more bytes have arrived. It then goes back one byte, never further, except
//! that it has to learn whether the first line is behind it.

use super::Malformed;

pub(super) struct LineEnd {
    /// The offset of CR.
    pub(super) at: usize,
    pub(super) first: bool,
    pub(super) empty: bool,
}

/// Walks the line ends that the previous call did not see.
pub(super) struct LineEnds<'a> {
    bytes: &'a [u8],
    /// `bytes[..from]` has no line end that was not told and no CR whose next byte is unknown.
    from: usize,
    first: bool,
}

impl<'a> LineEnds<'a> {
    /// `bytes[start]` is neither CR nor LF: the request line starts there.
    pub(super) fn resume(bytes: &'a [u8], start: usize, scanned: usize) -> Self {
        // One byte back: it may be a CR whose LF is new.
        let from = scanned.min(bytes.len()).saturating_sub(1).max(start);
        let first = memchr::memchr(b'\n', &bytes[start..from]).is_none();
        LineEnds { bytes, from, first }
    }

    pub(super) fn next_end(&mut self) -> Result<Option<LineEnd>, Malformed> {
        loop {
            let Some(hit) = memchr::memchr2(b'\r', b'\n', &self.bytes[self.from..]) else {
                return Ok(None);
            };
            let at = self.from + hit;
            if self.bytes[at] == b'\n' {
                // RFC 9112, 2.2 lets a server take a lone LF; the next hop may not, so it is refused.
                if self.bytes[at - 1] != b'\r' {
                    return Err(Malformed::BareLf);
                }
                // The LF of a CR LF that was told in the previous call.
                self.from = at + 1;
                self.first = false;
                continue;
            }
            match self.bytes.get(at + 1) {
                None => return Ok(None),
                Some(b'\n') => {}
                // RFC 9112, 2.2: a bare CR MUST be refused or replaced.
                Some(_) => return Err(Malformed::BareCr),
            }
            let end = LineEnd {
                at,
                first: self.first,
                empty: self.bytes[at - 1] == b'\n',
            };
            self.from = at + 2;
            self.first = false;
            return Ok(Some(end));
        }
    }
}
