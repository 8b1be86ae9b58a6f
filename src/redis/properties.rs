//! What holds for whatever a Redis answers: the body of a fuzz target. Panics when it does not hold.

use super::frame::{FrameError, Scanner};
use super::reply::{Protocol, Reply};

/// A reply ends at the same place, or fails with the same fault, however it was cut into reads; one that is whole is read
/// or refused to its last byte in both protocols. True if the bytes are replies of either of them and nothing else.
pub fn replies(input: &[u8]) -> bool {
    let (mut rest, mut resp2, mut resp3) = (input, true, true);
    while !rest.is_empty() {
        let whole = Scanner::default().scan(rest);
        assert_eq!(scan_byte_by_byte(rest), whole, "byte by byte");
        let Ok(Some(len)) = whole else {
            return false;
        };
        let (reply, after) = rest.split_at(len);
        resp2 &= Reply::read(reply, Protocol::Resp2).is_ok();
        resp3 &= Reply::read(reply, Protocol::Resp3).is_ok();
        rest = after;
    }
    resp2 || resp3
}

/// One scanner that sees more each time, as a connection's does.
fn scan_byte_by_byte(input: &[u8]) -> Result<Option<usize>, FrameError> {
    let mut scanner = Scanner::default();
    for end in 0..input.len() {
        let scanned = scanner.scan(&input[..end]);
        if scanned != Ok(None) {
            return scanned;
        }
    }
    scanner.scan(input)
}
