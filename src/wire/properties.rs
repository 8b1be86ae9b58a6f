//! What holds for every input, whatever it is: the body of the fuzz targets and of the corpus replay.
//!
//! Each function panics when its property does not hold. Inputs are cut at every byte, so keep them small.

use super::Malformed;
use super::http1::{Head, HeadLimits, parse_head};

/// A head parses to the same, or fails with the same fault, however it was cut into reads.
pub fn head(input: &[u8]) {
    let limits = HeadLimits {
        head_bytes_max: 1024,
        target_bytes_max: 256,
    };
    let whole = parse_head(input, 0, &limits);
    assert_eq!(head_byte_by_byte(input, &limits), whole, "byte by byte");
    for cut in 0..input.len() {
        let prefix = parse_head(&input[..cut], 0, &limits);
        match &prefix {
            Ok(None) => assert_eq!(parse_head(input, cut, &limits), whole, "cut at {cut}"),
            Ok(Some(_)) | Err(_) => assert_eq!(prefix, whole, "cut at {cut}"),
        }
    }
    if let Ok(Some(head)) = whole {
        let len = head.len as usize;
        assert!(len <= input.len() && len <= limits.head_bytes_max);
        assert!(input[..len].ends_with(b"\r\n\r\n"));
        let view = head.view(input);
        assert!(view.target().contains(view.path()) || view.path() == "/");
        assert!(head.http10 || view.host().is_some());
        for (name, value) in view.fields() {
            assert!(view.fields_named(name).any(|other| other == value));
            assert_eq!(value.trim_matches([' ', '\t']), value);
        }
    }
}

fn head_byte_by_byte(input: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Malformed> {
    for len in 0..input.len() {
        let parsed = parse_head(&input[..len], len.saturating_sub(1), limits);
        if parsed != Ok(None) {
            return parsed;
        }
    }
    parse_head(input, input.len().saturating_sub(1), limits)
}
