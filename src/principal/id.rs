//! Who somebody is, as far as this server is concerned: an issuer, and a subject of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A principal in sixteen bytes: what sessions, streams and calls are bound to. Two are equal if issuer and subject are.
///
/// It is half of a SHA-256: whoever wants to be somebody else has to find a second text for a given digest. Nodes agree
/// on it, and it tells nobody who is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PrincipalId([u8; 16]);

impl PrincipalId {
    /// Of an issuer and a subject of it.
    ///
    /// ```
    /// use pinfold::PrincipalId;
    ///
    /// let alice = PrincipalId::of("https://login.example", "alice");
    /// assert_eq!(alice, PrincipalId::of("https://login.example", "alice"));
    /// assert_ne!(alice, PrincipalId::of("https://login.example/a", "lice"));
    /// ```
    #[must_use]
    pub fn of(issuer: &str, subject: &str) -> PrincipalId {
        let mut digest = Sha256::new();
        // Where one ends and the other begins is part of it.
        digest.update((issuer.len() as u64).to_be_bytes());
        digest.update(issuer);
        digest.update(subject);
        PrincipalId(half_of(&digest.finalize()))
    }

    /// As it shows itself: 32 hexadecimal digits. `None`: it is not that.
    ///
    /// ```
    /// use pinfold::PrincipalId;
    ///
    /// let alice = PrincipalId::of("https://login.example", "alice");
    /// assert_eq!(PrincipalId::parse(&alice.to_string()), Some(alice));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<PrincipalId> {
        let is_id = text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit());
        let number = is_id.then(|| u128::from_str_radix(text, 16).ok())?;
        Some(PrincipalId(number?.to_be_bytes()))
    }

    /// As other nodes are told of it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// What another node told.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> PrincipalId {
        PrincipalId(bytes)
    }
}

/// As it is shown: 32 hexadecimal digits.
impl FromStr for PrincipalId {
    type Err = NoPrincipal;

    fn from_str(text: &str) -> Result<Self, NoPrincipal> {
        let digits = text.as_bytes();
        let (mut bytes, (pairs, rest)) = ([0; 16], digits.as_chunks::<2>());
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(NoPrincipal);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let value = |digit: &u8| char::from(*digit).to_digit(16).ok_or(NoPrincipal);
            *byte = (value(high)? << 4 | value(low)?) as u8;
        }
        Ok(PrincipalId(bytes))
    }
}

/// A text that is no principal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPrincipal;

impl fmt::Display for NoPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be the 32 hexadecimal digits of a principal")
    }
}

impl std::error::Error for NoPrincipal {}

fn half_of(digest: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(digest) {
        *to = *from;
    }
    half
}

impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// In hexadecimal digits: for logs, in place of a name.
impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other nodes, and those of the next version, have to make the same of it.
    #[test]
    fn a_principal_that_another_version_does_not_know() {
        let alice = PrincipalId::of("https://login.example", "alice");
        assert_eq!(alice.to_string(), "dc18d98ab34b2f83b5913fec82dc81e9");
        assert_eq!(PrincipalId::from_bytes(alice.to_bytes()), alice);
        assert_eq!(alice.to_string().parse(), Ok(alice));
    }

    #[test]
    fn a_text_that_is_taken_for_a_principal() {
        let short = "dc18d98ab34b2f83b5913fec82dc81e";
        for wrong in [
            "",
            short,
            &format!("{short}g"),
            &format!("{short}99"),
            "+c18d98ab34b2f83b5913fec82dc81e9",
        ] {
            assert_eq!(wrong.parse::<PrincipalId>(), Err(NoPrincipal), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_names_no_principal() {
        let alice = PrincipalId::of("https://login.example", "alice");
        let upper = alice.to_string().to_uppercase();
        assert_eq!(PrincipalId::parse(&upper), Some(alice));
        let none = PrincipalId::parse("00000000000000000000000000000000");
        assert_eq!(none, Some(PrincipalId::from_bytes([0; 16])));
        for wrong in [
            "",
            "alice",
            "dc18d98ab34b2f83b5913fec82dc81e",
            "dc18d98ab34b2f83b5913fec82dc81e9a",
            "+c18d98ab34b2f83b5913fec82dc81e9",
            "äc18d98ab34b2f83b5913fec82dc81e9",
            " c18d98ab34b2f83b5913fec82dc81e9",
        ] {
            assert_eq!(PrincipalId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_principal_that_takes_more_than_its_place() {
        assert_eq!(size_of::<PrincipalId>(), 16);
        assert_eq!(align_of::<PrincipalId>(), 1);
    }

    #[test]
    fn an_issuer_that_ends_where_a_subject_begins() {
        let pairs = [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc")];
        let mut ids = pairs.map(|(issuer, subject)| PrincipalId::of(issuer, subject));
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
