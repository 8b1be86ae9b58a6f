//! Tokens that an operator gives out: a file with a line for each, and nothing in it that lets anybody in.
//!
//! ```text
//! # name     hash of the token                    scopes, and until when
//! ci         sha256:5f70bf18a086007016e948b0…     board:read board:write until=2027-01-01
//! ```
//!
//! A token has 256 random bits: a plain SHA-256 cannot be tried out, whoever reads the file. Each name is a principal; two
//! lines with one name are two tokens of it, so that one can be replaced without a gap.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Identity, PrincipalId, Scopes, UnixSeconds};
use crate::limits::{STATIC_TOKENS_MAX, TOKEN_NAME_BYTES_MAX};
use crate::principal::is_scope;

/// The issuer of all that a token file lets in.
pub const TOKEN_FILE_ISSUER: &str = "pinfold:tokens";

/// What begins every token that is made here: programs that look for secrets in files know it by that.
const PREFIX: &str = "pinfold_";

const HASH: &str = "sha256:";

const DAY_S: u64 = 86_400;

/// The tokens of a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StaticTokens {
    entries: Vec<TokenLine>,
}

#[derive(Clone, PartialEq, Eq)]
struct TokenLine {
    name: Box<str>,
    hash: [u8; 32],
    scopes: Scopes,
    until: Option<UnixSeconds>,
}

/// What is wrong in a token file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTokenFile {
    pub line: usize,
    pub what: String,
}

/// A token that was made just now.
pub struct NewToken {
    /// For whoever is to have it. It is nowhere else.
    pub token: String,
    /// For the file.
    pub hash: String,
}

impl NewToken {
    /// The bytes are random, and used for nothing else.
    #[must_use]
    pub fn of(random: [u8; 32]) -> NewToken {
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let hash = hash_of(&token);
        let digits = hash.iter().map(|byte| format!("{byte:02x}"));
        NewToken {
            hash: format!("{HASH}{}", digits.collect::<String>()),
            token,
        }
    }

    /// A line for the file.
    #[must_use]
    pub fn line(&self, name: &str, scopes: &str) -> String {
        format!("{name} {} {scopes}", self.hash)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken(…)")
    }
}

impl StaticTokens {
    /// # Errors
    /// The first line that is wrong; then nothing of the file counts.
    pub fn parse(text: &str) -> Result<StaticTokens, BadTokenFile> {
        let mut entries: Vec<TokenLine> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |what: String| BadTokenFile {
                line: index + 1,
                what,
            };
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            let Some(name) = words.next() else { continue };
            let entry = TokenLine::parse(name, words).map_err(wrong)?;
            if entries.iter().any(|other| other.hash == entry.hash) {
                return Err(wrong("has the same token as a line before it".into()));
            }
            if entries.len() == STATIC_TOKENS_MAX {
                return Err(wrong(format!(
                    "is one more than the {STATIC_TOKENS_MAX} that are taken"
                )));
            }
            entries.push(entry);
        }
        Ok(StaticTokens { entries })
    }

    /// Whose token it is. Takes the same time whichever it is, and if it is none.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<Identity> {
        let hash = hash_of(token);
        let mut found = None;
        for entry in &self.entries {
            if entry.hash.ct_eq(&hash).into() {
                found = Some(entry);
            }
        }
        found.map(TokenLine::identity)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whoever had a token in the other one has the same here.
    #[must_use]
    pub fn has_all_of(&self, other: &StaticTokens) -> bool {
        other
            .entries
            .iter()
            .all(|entry| self.entries.contains(entry))
    }

    /// Whose tokens these are which the other ones are not.
    pub(super) fn owners_beside<'a>(
        &'a self,
        other: &'a StaticTokens,
    ) -> impl Iterator<Item = PrincipalId> + 'a {
        let beside = self.entries.iter();
        let beside = beside.filter(|entry| !other.entries.contains(entry));
        beside.map(|entry| entry.identity().id())
    }
}

impl TokenLine {
    fn parse<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<TokenLine, String> {
        if name.len() > TOKEN_NAME_BYTES_MAX {
            return Err(format!(
                "has a name of more than {TOKEN_NAME_BYTES_MAX} bytes"
            ));
        }
        let mut words = words.peekable();
        let hash = words.next().and_then(parse_hash).ok_or_else(|| {
            format!(
                "must have {HASH} and 64 hexadecimal digits after its name, the hash of a token"
            )
        })?;
        let (mut scopes, mut until) = (Vec::new(), None);
        for word in words {
            match word.strip_prefix("until=") {
                Some(day) => until = Some(start_of(day).ok_or_else(|| no_day(day))?),
                None if is_scope(word) => scopes.push(word),
                // It may be a token that somebody put here by mistake.
                None => return Err("has a scope with a character that none may have".into()),
            }
        }
        Ok(TokenLine {
            name: name.into(),
            hash,
            scopes: Scopes::of(scopes),
            until,
        })
    }

    fn identity(&self) -> Identity {
        let identity = Identity::new(TOKEN_FILE_ISSUER, &self.name)
            .with_name(&self.name)
            .with_scope_set(self.scopes.clone());
        match self.until {
            Some(until) => identity.with_valid_until(until),
            None => identity,
        }
    }
}

fn no_day(day: &str) -> String {
    format!("has until={day}, which is no day: write it as 2027-01-31")
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn parse_hash(word: &str) -> Option<[u8; 32]> {
    let digits = word.strip_prefix(HASH)?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (index, byte) in hash.iter_mut().enumerate() {
        let pair = digits.get(2 * index..2 * index + 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

/// The first second of a day, in UTC: `2027-01-31`.
fn start_of(day: &str) -> Option<UnixSeconds> {
    let is_shaped = day.len() == 10
        && day.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_shaped {
        return None;
    }
    let part = |from: usize, to: usize| day.get(from..to)?.parse::<u64>().ok();
    let (year, month, date) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_index = usize::try_from(month).ok()?.checked_sub(1)?;
    let length = *lengths.get(month_index)?;
    if year < 1970 || !(1..=length).contains(&date) {
        return None;
    }
    let before = year - 1;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let days = 365 * (year - 1970) + leap_days(before) - leap_days(1969);
    let in_year: u64 = lengths.iter().take(month_index).sum();
    Some((days + in_year + date - 1) * DAY_S)
}

/// Names and scopes are an operator's, hashes nobody's.
impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticTokens({} tokens)", self.entries.len())
    }
}

impl fmt::Display for BadTokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}", self.line, self.what)
    }
}

impl std::error::Error for BadTokenFile {}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u8) -> NewToken {
        NewToken::of([number; 32])
    }

    #[test]
    fn a_token_that_is_nearly_right() {
        let (right, file) = (token(1), token(1).line("ci", "board:read board:write"));
        let tokens =
            StaticTokens::parse(&format!("# a comment\n\n{file} # and another\n")).unwrap();
        let ci = tokens.find(&right.token).expect("it is known");
        assert_eq!((ci.subject(), ci.issuer()), ("ci", TOKEN_FILE_ISSUER));
        assert_eq!(ci.scopes().to_string(), "board:read board:write");
        let shorter = right.token.trim_end_matches(|_: char| true);
        let wrong = [
            shorter.to_owned(),
            right.hash.clone(),
            token(2).token,
            right.token.to_lowercase(),
        ];
        for wrong in wrong {
            assert!(tokens.find(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_token_file_with_a_fault_in_it() {
        let line = token(1).line("ci", "read");
        let hash = token(1).hash;
        let long = format!("{} {hash}", "n".repeat(TOKEN_NAME_BYTES_MAX + 1));
        for (wrong, at) in [
            ("ci".to_owned(), 2),
            (format!("ci {}", token(1).token), 2),
            (format!("ci {}", &hash[..hash.len() - 1]), 2),
            (format!("ci {}g", &hash[..hash.len() - 1]), 2),
            (format!("ci {hash} \"read\""), 2),
            (format!("ci {hash} until=2027-02-29"), 2),
            (format!("ci {hash} until=tomorrow"), 2),
            (long, 2),
            (format!("{line}\nother {hash}"), 3),
        ] {
            let fault = StaticTokens::parse(&format!("# tokens\n{wrong}")).unwrap_err();
            assert_eq!(fault.line, at, "{wrong}: {fault}");
            assert!(!fault.what.contains(PREFIX), "a token in an error: {fault}");
        }
    }

    #[test]
    fn a_token_whose_last_day_is_over() {
        let file = format!("{} until=2027-01-01", token(1).line("ci", ""));
        let tokens = StaticTokens::parse(&file).unwrap();
        let ci = tokens.find(&token(1).token).unwrap();
        assert_eq!(ci.valid_until(), Some(1_798_761_600));
        for (day, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2024-12-31", 1_735_603_200),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(start_of(day), Some(seconds), "{day}");
        }
        for none in [
            "2026-13-01",
            "2026-00-01",
            "2026-04-31",
            "1969-12-31",
            "2026-1-01",
            "+026-01-01",
        ] {
            assert_eq!(start_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_file_of_more_tokens_than_are_compared_in_a_moment() {
        let lines = (0..=STATIC_TOKENS_MAX).map(|number| {
            let mut random = [0; 32];
            random[..8].copy_from_slice(&number.to_be_bytes());
            NewToken::of(random).line("ci", "read")
        });
        let lines: Vec<String> = lines.collect();
        let fault = StaticTokens::parse(&lines.join("\n")).unwrap_err();
        assert_eq!(fault.line, STATIC_TOKENS_MAX + 1);
        let fewer = StaticTokens::parse(&lines[1..].join("\n")).unwrap();
        assert_eq!(fewer.len(), STATIC_TOKENS_MAX);
        assert!(fewer.has_all_of(&StaticTokens::default()));
        assert!(!StaticTokens::default().has_all_of(&fewer));
    }

    #[test]
    fn a_token_that_is_shown() {
        let new = token(1);
        let tokens = StaticTokens::parse(&new.line("ci", "read")).unwrap();
        let shown = format!("{new:?} {tokens:?}");
        assert!(
            !shown.contains(&new.token) && !shown.contains(&new.hash),
            "{shown}"
        );
    }
}
