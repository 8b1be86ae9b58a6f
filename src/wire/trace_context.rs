//! `traceparent` of W3C Trace Context (level 1, section 3.2): which trace a request belongs to, and what it was sent for.

use std::fmt;

const TRACE_DIGITS: usize = 32;
const PARENT_DIGITS: usize = 16;
/// `00-{trace id}-{parent id}-{flags}`, as long as every later version is at least.
const TEXT_BYTES: usize = 3 + TRACE_DIGITS + 1 + PARENT_DIGITS + 3;

/// The trace that a request belongs to, and the span of its sender that it was sent in: `traceparent`.
///
/// It is what whoever sent the request says, so a name for what belongs together in logs, and proof of nothing.
///
/// ```
/// use pinfold::TraceContext;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let trace = TraceContext::parse(text).expect("it is one");
/// assert_eq!(trace.to_string(), text);
/// assert!(trace.is_sampled());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

impl TraceContext {
    /// Of this span of this trace; neither is 0.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub(crate) fn of(trace_id: u128, parent_id: u64, is_sampled: bool) -> TraceContext {
        TraceContext {
            trace_id,
            parent_id,
            flags: u8::from(is_sampled),
        }
    }

    /// What a `traceparent` says. `None`: it is none, and is to be ignored. Of a later version than 00 the parts that
    /// version 00 has are read.
    #[must_use]
    pub fn parse(text: &str) -> Option<TraceContext> {
        let version = u8::try_from(number(text, 0, 2)?).ok()?;
        let (bytes, later) = (text.as_bytes(), text.as_bytes().get(TEXT_BYTES));
        let ends_well = match version {
            0 => later.is_none(),
            u8::MAX => false,
            1.. => later.is_none_or(|&byte| byte == b'-'),
        };
        let parent_at = 3 + TRACE_DIGITS + 1;
        let flags_at = parent_at + PARENT_DIGITS + 1;
        let is_divided = [2, parent_at - 1, flags_at - 1]
            .iter()
            .all(|&at| bytes.get(at) == Some(&b'-'));
        let trace_id = number(text, 3, TRACE_DIGITS)?;
        let parent_id = u64::try_from(number(text, parent_at, PARENT_DIGITS)?).ok()?;
        let flags = u8::try_from(number(text, flags_at, 2)?).ok()?;
        let is_one = ends_well && is_divided && trace_id != 0 && parent_id != 0;
        is_one.then_some(TraceContext {
            trace_id,
            parent_id,
            flags,
        })
    }

    /// What all spans of the trace have in common; never 0.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span in which the request was sent; never 0.
    #[must_use]
    pub fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// The sender may have recorded its part.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// As a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceContext {
            trace_id,
            parent_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// So many hexadecimal digits, in lower case.
fn number(text: &str, at: usize, count: usize) -> Option<u128> {
    let digits = text.get(at..at + count)?;
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let value = u128::from_str_radix(digits, 16).ok();
    value.filter(|_| digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_that_is_none() {
        for wrong in [
            "",
            "00",
            "00-1-2-03",
            &TEXT[..54],
            &format!("{TEXT}-00"),
            &format!("{TEXT} "),
            &TEXT.to_uppercase(),
            &TEXT.replace("00-", "ff-"),
            &TEXT.replace("00-", "0g-"),
            &TEXT.replace("00-0", "00-+"),
            &TEXT.replace('-', "_"),
            &TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333ü-1",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_traceparent_of_a_version_to_come() {
        let own = TraceContext::parse(TEXT);
        for later in ["cc-", "01-"] {
            let text = TEXT.replacen("00-", later, 1);
            assert_eq!(TraceContext::parse(&text), own);
            assert_eq!(TraceContext::parse(&format!("{text}-what-ever")), own);
            assert_eq!(TraceContext::parse(&format!("{text}.")), None);
        }
    }

    #[test]
    fn the_parts_of_a_traceparent() {
        let trace = TraceContext::parse(TEXT).expect("it is one");
        assert_eq!(trace.trace_id(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(trace.parent_id(), 0xb7ad_6b71_6920_3331);
        assert!(trace.is_sampled());
        let unsampled = TraceContext::parse(&TEXT.replace("-01", "-02"));
        assert!(!unsampled.expect("it is one").is_sampled());
    }
}
