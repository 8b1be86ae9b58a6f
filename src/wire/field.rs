//! One header line: its name, its colon, its value. Heads and trailers share it.
//!
//! Bytes above ASCII are opaque (RFC 9110, 5.5): a value of them may be in any coding, or none. Values are handed out as
//! `&str`, so of what is understood here one that is not UTF-8 is refused, and what is not is passed over.

use super::Malformed;

/// Offsets of a name and a value within their line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldLine {
    pub(super) name_len: usize,
    pub(super) value_start: usize,
    pub(super) value_end: usize,
    /// The value is UTF-8.
    pub(super) is_text: bool,
}

/// Parses a line without its CR LF; the caller has made sure that neither byte is in it.
pub(super) fn parse_field_line(line: &[u8]) -> Result<FieldLine, Malformed> {
    let name_len = line
        .iter()
        .position(|&byte| !is_token(byte))
        .unwrap_or(line.len());
    match line.get(name_len) {
        Some(b':') if name_len > 0 => {}
        // RFC 9112, 5.2: a server MUST reject obs-fold; 2.2: so is white space before the first field.
        Some(b' ' | b'\t') if name_len == 0 => return Err(Malformed::ObsFold),
        // RFC 9112, 5.1: a server MUST reject white space between a name and its colon.
        Some(b' ' | b'\t') if trim_start(&line[name_len..]).first() == Some(&b':') => {
            return Err(Malformed::SpaceBeforeColon);
        }
        Some(_) | None => return Err(Malformed::FieldName),
    }
    let after_colon = &line[name_len + 1..];
    let value = trim_start(after_colon);
    let value_start = line.len() - value.len();
    let value = trim_end(value);
    // RFC 9110, 5.5: CR, LF and NUL in a value MUST be refused or replaced; so are the other controls here.
    // To the end in any case, so that many bytes are looked at together.
    let (mut faults, mut bits) = (0, 0);
    for &byte in value {
        faults |= u8::from(!is_value_byte(byte));
        bits |= byte;
    }
    if faults != 0 {
        return Err(Malformed::FieldValue);
    }
    Ok(FieldLine {
        name_len,
        value_start,
        value_end: value_start + value.len(),
        is_text: bits.is_ascii() || std::str::from_utf8(value).is_ok(),
    })
}

/// Whether anything here depends on what the field of this name says.
pub(super) fn is_understood(name: &[u8]) -> bool {
    let begins = |prefix: &[u8]| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    UNDERSTOOD
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
        || UNDERSTOOD_PREFIXES.iter().any(|prefix| begins(prefix))
}

const UNDERSTOOD: [&[u8]; 10] = [
    b"accept",
    b"authorization",
    b"connection",
    b"expect",
    b"forwarded",
    b"host",
    b"last-event-id",
    b"origin",
    b"transfer-encoding",
    b"via",
];

const UNDERSTOOD_PREFIXES: [&[u8]; 5] = [
    b"access-control-",
    b"content-",
    b"mcp-",
    b"pinfold-",
    b"x-forwarded-",
];

/// The elements of a comma-separated value, trimmed; empty ones are left out (RFC 9110, 5.6.1.2).
pub(super) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(|element| trim_end(trim_start(element)))
        .filter(|element| !element.is_empty())
}

/// Whether this is the name of a field: a token.
#[must_use]
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token)
}

/// `tchar` of RFC 9110, 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Visible, space, tab, or above ASCII.
pub(super) fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

const TOKEN: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");

/// A table of the bytes that a class has: letters, digits and these.
pub(super) const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(&str, &str), Malformed> {
        let field = parse_field_line(line.as_bytes())?;
        Ok((
            &line[..field.name_len],
            &line[field.value_start..field.value_end],
        ))
    }

    #[test]
    fn white_space_around_a_value_is_not_part_of_it() {
        assert_eq!(parse("A:b"), Ok(("A", "b")));
        assert_eq!(parse("A: \t b c \t"), Ok(("A", "b c")));
        assert_eq!(parse("A:"), Ok(("A", "")));
        assert_eq!(parse("A: \t "), Ok(("A", "")));
        assert_eq!(parse("A::b:"), Ok(("A", ":b:")));
    }

    #[test]
    fn a_name_that_is_no_token() {
        for line in [
            "", ":", ": b", "A", "A b: c", "A\0: b", "(A): b", "Ä: b", "A@b: c", "A\x7f: b",
        ] {
            assert_eq!(parse(line), Err(Malformed::FieldName), "{line:?}");
        }
    }

    #[test]
    fn white_space_where_it_must_not_be() {
        assert_eq!(parse("A : b"), Err(Malformed::SpaceBeforeColon));
        assert_eq!(parse("A\t: b"), Err(Malformed::SpaceBeforeColon));
        assert_eq!(parse(" A: b"), Err(Malformed::ObsFold));
        assert_eq!(parse("\tA: b"), Err(Malformed::ObsFold));
    }

    #[test]
    fn a_control_character_in_a_value() {
        for byte in (0u8..0x20).chain([0x7f]).filter(|&byte| byte != b'\t') {
            let line = [b"A: b".as_slice(), &[byte], b"c"].concat();
            assert_eq!(
                parse_field_line(&line),
                Err(Malformed::FieldValue),
                "{byte}"
            );
        }
    }

    #[test]
    fn a_value_that_is_no_text() {
        assert_eq!(parse("A: grün"), Ok(("A", "grün")));
        let line = parse_field_line(b"A: gr\xfcn").expect("opaque bytes");
        assert_eq!(
            (line.value_start, line.value_end, line.is_text),
            (3, 7, false)
        );
        for name in [
            "Origin",
            "mcp-param-x",
            "X-Forwarded-For",
            "Content-Encoding",
        ] {
            assert!(is_understood(name.as_bytes()), "{name}");
        }
        for name in ["A", "User-Agent", "Cookie", "mcp", "X-Forwarded"] {
            assert!(!is_understood(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn lists_leave_empty_elements_out() {
        let elements: Vec<&[u8]> = list_elements(b" a ,,\tb,").collect();
        assert_eq!(elements, [b"a".as_slice(), b"b"]);
    }
}
