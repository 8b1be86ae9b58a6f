//! What is a URI, and which spellings are of one: RFC 3986, with characters beyond ASCII as RFC 3987 maps them.
//!
//! Any spelling is taken wherever a URI comes in, and what is inside compares normal forms. So clients that encode what a
//! person wrote and clients that do not speak of the same resource.

use std::borrow::Cow;
use std::fmt;

use fluent_uri::Uri;
use fluent_uri::normalize::Normalizer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Why something is no URI, for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAUri {
    /// There is no scheme, or nothing behind it.
    NoScheme,
    /// This character may not be where it is.
    Character(char),
    /// It ends in the midst of something.
    Unfinished,
    /// RFC 3986 knows no bound, but whoever connects does, and so do clients that read a list.
    Port,
}

/// All that may be in no URI but as `%` and two digits.
const NOWHERE: &AsciiSet = &UNSEGMENTED
    .remove(b':')
    .remove(b'?')
    .remove(b'#')
    .remove(b'[')
    .remove(b']')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b'%');

/// All that means something in a URI, or may not be there, but for what parts segments.
const UNSEGMENTED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The one spelling that stands for all that are equal by RFC 3986, 6.2.2: scheme and host in small letters, no dot
/// segments, and encoded only what must be, in capital digits. Characters beyond ASCII are encoded as UTF-8.
///
/// # Errors
/// [`NotAUri`]: nothing is guessed of what its author meant.
pub fn normal(uri: &str) -> Result<Cow<'_, str>, NotAUri> {
    match uri.split_once(':') {
        Some((_, rest)) if !rest.is_empty() => {}
        _ => return Err(NotAUri::NoScheme),
    }
    let ascii: Cow<'_, str> = utf8_percent_encode(uri, &AsciiSet::EMPTY).into();
    let parsed = Uri::parse(&*ascii).map_err(|fault| {
        let found = ascii.get(fault.index()..).and_then(|it| it.chars().next());
        found.map_or(NotAUri::Unfinished, NotAUri::Character)
    })?;
    let port = parsed.authority().and_then(|it| it.port());
    if port.is_some_and(|it| !it.is_empty() && it.as_str().parse::<u16>().is_err()) {
        return Err(NotAUri::Port);
    }
    // Which port is the default is a matter of the scheme, and of 6.2.3.
    let normal = Normalizer::new().default_port_with(|_| None);
    let normal = normal.normalize(&parsed).map_err(|_| NotAUri::Unfinished)?;
    Ok(match normal.as_str() == uri {
        true => Cow::Borrowed(uri),
        false => Cow::Owned(normal.into_string()),
    })
}

/// The normal form of what was let in when doors were not as strict: what keeps it from being a URI is encoded.
///
/// # Errors
/// [`NotAUri`]: it has no scheme, and so nothing to encode would help.
pub fn mended(uri: &str) -> Result<Cow<'_, str>, NotAUri> {
    if let Ok(normal) = normal(uri) {
        return Ok(normal);
    }
    let owned = |uri: &str| normal(uri).map(|normal| Cow::Owned(normal.into_owned()));
    let text = with_whole_triplets(uri);
    owned(&utf8_percent_encode(&text, NOWHERE).to_string()).or_else(|_| {
        let (scheme, rest) = text.split_once(':').ok_or(NotAUri::NoScheme)?;
        owned(&format!(
            "{scheme}:{}",
            utf8_percent_encode(rest, UNSEGMENTED)
        ))
    })
}

/// Whether some segment of its path is one or two dots, encoded or not: what the normal form resolves, and somebody who reads it
/// as it stands does not.
pub(crate) fn has_dot_segments(uri: &str) -> bool {
    let (_, rest) = uri.split_once(':').unwrap_or(("", uri));
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    path.split('/').any(|segment| {
        let (mut left, mut dots) = (segment, 0);
        while !left.is_empty() {
            let encoded = left
                .get(..3)
                .is_some_and(|it| it.eq_ignore_ascii_case("%2e"));
            let length = if encoded { 3 } else { 1 };
            if !encoded && !left.starts_with('.') {
                return false;
            }
            (left, dots) = (left.get(length..).unwrap_or(""), dots + 1);
        }
        dots == 1 || dots == 2
    })
}

/// Each `%` begins a triplet, or is encoded itself.
fn with_whole_triplets(uri: &str) -> String {
    let mut parts = uri.split('%');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        let triplet = part.as_bytes().get(..2).is_some_and(is_hex);
        whole.push_str(if triplet { "%" } else { "%25" });
        whole.push_str(part);
    }
    whole
}

impl fmt::Display for NotAUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the uri is none (RFC 3986), such as board://lunch is one: ")?;
        match self {
            NotAUri::NoScheme => f.write_str("it lacks a scheme, the colon, or what follows it"),
            NotAUri::Character('%') => {
                f.write_str("% stands before two hex digits, and is %25 itself")
            }
            NotAUri::Character(found) => write!(
                f,
                "{found:?} may not be where it is; as a part of a name it is %{:02X}",
                u32::from(*found)
            ),
            NotAUri::Unfinished => f.write_str("it ends too soon"),
            NotAUri::Port => f.write_str("its port is above 65535"),
        }
    }
}

impl std::error::Error for NotAUri {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every spelling of the first.
    const SPELLINGS: [&[&str]; 8] = [
        &[
            "board://lunch",
            "BOARD://lunch",
            "board://Lunch",
            "board://%6Cunch",
            "board://%4Cunch",
        ],
        &[
            "board://gr%C3%BCn",
            "board://Grün",
            "board://gr%c3%bcn",
            "board://Gr%C3%BCn",
            "board://GR%C3%BCN",
        ],
        &[
            "board://a/b%20c",
            "board://a/./b%20c",
            "board://a/x/../b%20c",
            "board://a/%62%20c",
            "board://a/%2E/b%20c",
        ],
        &["board://a/B?c=%7Cd#E", "board://A/B?c=%7cd#%45"],
        &["board://a%2Fb", "board://a%2fb", "board://A%2fb"],
        &["urn:Grün-%C3%BC:x", "URN:Grün-ü:x"],
        &["http://[2001:db8::1]:80/", "http://[2001:DB8::1]:80/"],
        &["a:b", "A:b", "a:%62"],
    ];

    #[test]
    fn spellings_of_one_uri_have_one_normal_form() {
        for spellings in SPELLINGS {
            let expected = normal(spellings[0]).expect("a URI").into_owned();
            for spelling in spellings {
                assert_eq!(normal(spelling).expect("a URI"), expected, "{spelling}");
                assert_eq!(mended(spelling).expect("a URI"), expected, "{spelling}");
            }
            assert!(
                matches!(normal(&expected), Ok(Cow::Borrowed(_))),
                "{expected}"
            );
        }
        assert_eq!(normal("board://Grün").expect("a URI"), "board://gr%C3%BCn");
    }

    #[test]
    fn what_is_equal_by_no_rule_stays_apart() {
        for (one, other) in [
            ("board://a/b", "board://a%2Fb"),
            ("board://a/b", "board://a/B"),
            ("board://a/b", "board://a/b/"),
            ("board://a?b", "board://a%3Fb"),
            ("board://a:80", "board://a"),
        ] {
            assert_ne!(normal(one), normal(other));
        }
    }

    #[test]
    fn what_a_resource_is_not_called() {
        for (wrong, found) in [
            ("", NotAUri::NoScheme),
            (":", NotAUri::NoScheme),
            ("a:", NotAUri::NoScheme),
            ("lunch", NotAUri::NoScheme),
            ("1a:b", NotAUri::Character('1')),
            ("a b:c", NotAUri::Character(' ')),
            ("a:b c", NotAUri::Character(' ')),
            ("a:b\n", NotAUri::Character('\n')),
            ("board://a|b", NotAUri::Character('|')),
            ("board://a/b\"", NotAUri::Character('"')),
            ("board://a/{path}", NotAUri::Character('{')),
            ("board://a/100%", NotAUri::Character('%')),
            ("board://a/%zz", NotAUri::Character('%')),
            ("board://to-do:monday", NotAUri::Character('m')),
            ("board://[::1", NotAUri::Unfinished),
            ("board://room:65536", NotAUri::Port),
        ] {
            assert_eq!(normal(wrong), Err(found), "{wrong}");
        }
        assert_eq!(
            NotAUri::Character('|').to_string(),
            "the uri is none (RFC 3986), such as board://lunch is one: '|' may not be where it is; \
             as a part of a name it is %7C"
        );
    }

    #[test]
    fn what_older_doors_let_in_can_be_named() {
        for (older, expected) in [
            ("board://a|b", "board://a%7Cb"),
            ("board://100%/x y", "board://100%25/x%20y"),
            ("board://to-do:monday", "board://to-do%3Amonday"),
            ("board://a/%zz%7c", "board://a/%25zz%7C"),
            ("board://%", "board://%25"),
        ] {
            assert_eq!(mended(older).expect("it was let in"), expected);
        }
        assert_eq!(mended("lunch"), Err(NotAUri::NoScheme));
    }

    #[test]
    fn dots_that_lead_elsewhere_unnoticed() {
        for uri in [
            "a://b/../c",
            "a://b/..",
            "a://b/./c",
            "a://b/%2E%2e/c",
            "a://b/.%2e?x",
            "a:/b/%2e#x",
            "a:..",
        ] {
            assert!(has_dot_segments(uri), "{uri}");
        }
        for uri in [
            "a://b/c",
            "a://b/.../c",
            "a://b//c/",
            "a://b?/../c",
            "a://b.c/.d",
            "a",
        ] {
            assert!(!has_dot_segments(uri), "{uri}");
        }
    }

    /// Of whatever is read, the normal form is a URI, its own normal form, and ASCII.
    #[test]
    fn a_normal_form_is_its_own() {
        let pieces = [
            "a", "B", ":", "/", "//", ".", "..", "%41", "%2f", "%", "ü", "|", "?", "#", "@", "[",
            "]", " ",
        ];
        let mut random = 1_u64;
        for _ in 0..20_000 {
            let mut uri = "Board:".to_owned();
            for _ in 0..8 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                uri.push_str(pieces[(random >> 33) as usize % pieces.len()]);
            }
            for read in [normal(&uri), mended(&uri)] {
                let Ok(read) = read else { continue };
                assert!(
                    read.is_ascii() && Uri::parse(&*read).is_ok(),
                    "{uri}: {read}"
                );
                assert_eq!(normal(&read).as_deref(), Ok(&*read), "{uri}");
            }
        }
    }
}
