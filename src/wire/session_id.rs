//! `{node}.{locator}{secret}`: the name of a session on the wire.
//!
//! The node leads, so that a proxy can route on it; the locator leads straight to the session's slot; the secret
//! makes the rest worthless to guess. Parsing is canonical: an id that parses is exactly the text that
//! [`SessionId::emit`] writes, so two texts never name one session.

use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::limits::{NODE_NAME_BYTES_MAX, SESSION_ID_BYTES_MAX};

const LOCATOR_BYTES: usize = 18;
const SECRET_BYTES: usize = 16;
const LOCATOR_CHARS: usize = 24;
const SECRET_CHARS: usize = 22;

const _: () =
    assert!(NODE_NAME_BYTES_MAX + 1 + LOCATOR_CHARS + SECRET_CHARS <= SESSION_ID_BYTES_MAX);

/// Whose session it is, where it is there, and the proof that the bearer was told so.
#[derive(Clone, Copy)]
pub struct SessionId {
    /// The node whose session it is.
    pub node: NodeName,
    #[doc(hidden)]
    pub locator: Locator,
    #[doc(hidden)]
    pub secret: [u8; SECRET_BYTES],
}

/// The place of a session within the cluster's node of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    unnameable_types,
    reason = "a hidden field of a session id has it, for the inner layers"
)]
pub struct Locator {
    pub core: u16,
    pub slot: u32,
    /// Of the entry in the slot: no session that had it before had the same.
    pub generation: u32,
    /// Differs between two processes of one node.
    pub incarnation: u64,
}

/// A node's name and incarnation: sessions of one process live and end together.
pub type Process = (NodeName, u64);

/// `[a-z0-9-]{1,16}`
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// The name, then zeros.
    bytes: [u8; NODE_NAME_BYTES_MAX],
}

impl SessionId {
    /// What it lives and ends with.
    #[doc(hidden)]
    #[must_use]
    pub fn process(&self) -> Process {
        (self.node, self.locator.incarnation)
    }

    /// The id that this is the text of. None: it is the text of none.
    #[must_use]
    pub fn parse(text: &str) -> Option<SessionId> {
        let dot = text.bytes().position(|byte| byte == b'.')?;
        let (node, rest) = (NodeName::new(&text[..dot])?, &text[dot + 1..]);
        if rest.len() != LOCATOR_CHARS + SECRET_CHARS {
            return None;
        }
        let (locator, secret) = rest.as_bytes().split_at(LOCATOR_CHARS);
        let locator = Locator::from_bytes(decode::<LOCATOR_BYTES>(locator)?);
        let secret = decode::<SECRET_BYTES>(secret)?;
        Some(SessionId {
            node,
            locator,
            secret,
        })
    }

    /// Appends at most [`SESSION_ID_BYTES_MAX`] bytes.
    #[doc(hidden)]
    pub fn emit(&self, out: &mut String) {
        out.push_str(self.node.as_str());
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(self.locator.to_bytes(), out);
        URL_SAFE_NO_PAD.encode_string(self.secret, out);
    }

    /// As it stands in `Mcp-Session-Id`. Whoever has it can speak for the session: keep it out of logs, where
    /// [`redacted`](SessionId::redacted) belongs.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(SESSION_ID_BYTES_MAX);
        self.emit(&mut text);
        text
    }

    /// On which of so many cores it lives at a node that has taken it over: spread by what is drawn at random.
    #[doc(hidden)]
    #[must_use]
    pub fn adopting_core(&self, core_count: u16) -> u16 {
        let [low, high, ..] = self.secret;
        u16::from_le_bytes([low, high]) % core_count.max(1)
    }

    /// Takes the same time wherever the two differ.
    #[doc(hidden)]
    #[must_use]
    pub fn secret_eq(&self, secret: &[u8; SECRET_BYTES]) -> bool {
        let pairs = self.secret.iter().zip(secret);
        let difference = pairs.fold(0u8, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        difference == 0
    }

    /// For logs and metrics: all but the secret.
    #[must_use]
    pub fn redacted(&self) -> impl fmt::Display + use<> {
        Redacted {
            node: self.node,
            locator: self.locator,
        }
    }
}

/// Of all but the secret: two sessions of one place have different generations.
impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.node, self.locator).hash(state);
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node && self.locator == other.locator && self.secret_eq(&other.secret)
    }
}

impl Eq for SessionId {}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.redacted())
    }
}

/// A session id without its secret.
struct Redacted {
    node: NodeName,
    locator: Locator,
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.node)?;
        self.locator.show(f)?;
        f.write_str("…")
    }
}

impl NodeName {
    /// The name, if it is 1 to 16 of a-z, 0-9 and `-`.
    #[must_use]
    pub fn new(name: &str) -> Option<NodeName> {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NODE_NAME_BYTES_MAX || !name.bytes().all(valid) {
            return None;
        }
        let mut bytes = [0; NODE_NAME_BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(NodeName { bytes })
    }

    /// As it leads session ids.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|&byte| byte == 0);
        let name = &self.bytes[..len.unwrap_or(NODE_NAME_BYTES_MAX)];
        std::str::from_utf8(name).expect("a node name is ASCII")
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeName({self})")
    }
}

impl std::str::FromStr for NodeName {
    type Err = BadNodeName;

    fn from_str(name: &str) -> Result<Self, BadNodeName> {
        NodeName::new(name).ok_or(BadNodeName)
    }
}

/// A text that cannot be a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNodeName;

impl fmt::Display for BadNodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node name is 1 to 16 of a-z, 0-9 and -")
    }
}

impl std::error::Error for BadNodeName {}

impl Locator {
    /// As it stands in an id, if it is that.
    pub(super) fn parse(text: &str) -> Option<Locator> {
        let is_whole = text.len() == LOCATOR_CHARS;
        let bytes = is_whole.then(|| decode::<LOCATOR_BYTES>(text.as_bytes()))?;
        Some(Locator::from_bytes(bytes?))
    }

    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = [0; LOCATOR_CHARS];
        let len = URL_SAFE_NO_PAD
            .encode_slice(self.to_bytes(), &mut chars)
            .map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&chars[..len]).map_err(|_| fmt::Error)?)
    }

    /// Big-endian, in the order of the fields.
    fn to_bytes(self) -> [u8; LOCATOR_BYTES] {
        let mut bytes = [0; LOCATOR_BYTES];
        bytes[..2].copy_from_slice(&self.core.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.slot.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.generation.to_be_bytes());
        bytes[10..].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; LOCATOR_BYTES]) -> Locator {
        let [c0, c1, s0, s1, s2, s3, g0, g1, g2, g3, incarnation @ ..] = bytes;
        Locator {
            core: u16::from_be_bytes([c0, c1]),
            slot: u32::from_be_bytes([s0, s1, s2, s3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            incarnation: u64::from_be_bytes(incarnation),
        }
    }
}

/// `None` for padding, another alphabet, and for bits after the last byte that are not zero.
fn decode<const N: usize>(chars: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let len = URL_SAFE_NO_PAD.decode_slice(chars, &mut bytes).ok()?;
    (len == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::properties;

    const ID: SessionId = SessionId {
        node: NodeName {
            bytes: *b"node-a\0\0\0\0\0\0\0\0\0\0",
        },
        locator: Locator {
            core: 1,
            slot: 0x0203_0405,
            generation: 0x0607_0809,
            incarnation: 0x0a0b_0c0d_0e0f_1011,
        },
        secret: *b"sixteen secrets!",
    };
    const TEXT: &str = "node-a.AAECAwQFBgcICQoLDA0ODxARc2l4dGVlbiBzZWNyZXRzIQ";

    fn emitted(id: &SessionId) -> String {
        let mut out = String::new();
        id.emit(&mut out);
        out
    }

    #[test]
    fn emit_and_parse() {
        assert_eq!(emitted(&ID), TEXT);
        assert_eq!(SessionId::parse(TEXT), Some(ID));
        properties::session_id(TEXT.as_bytes());
        let longest = TEXT.replace("node-a", "abcdefgh-1234567");
        assert_eq!(
            SessionId::parse(&longest).map(|id| emitted(&id)),
            Some(longest)
        );
    }

    #[test]
    fn a_text_that_was_changed_in_one_place_is_another_id_or_none() {
        for at in 0..TEXT.len() {
            for byte in (0u8..128).filter(|&byte| byte != TEXT.as_bytes()[at]) {
                let mut changed = TEXT.as_bytes().to_vec();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                properties::session_id(changed.as_bytes());
                assert_ne!(SessionId::parse(&changed), Some(ID), "{changed}");
            }
        }
    }

    #[test]
    fn an_id_that_is_none() {
        let shorter = &TEXT[..TEXT.len() - 1];
        let padded = format!("{TEXT}==");
        let unused_bits = TEXT.replace("IQ", "IR");
        let other_alphabet = TEXT.replace("IQ", "+Q");
        let no_node = &TEXT["node-a".len()..];
        let upper = TEXT.replace("node-a", "Node-a");
        let long = TEXT.replace("node-a", "abcdefgh-12345678");
        let cases = [
            "",
            ".",
            shorter,
            &padded,
            &unused_bits,
            &other_alphabet,
            no_node,
            &upper,
            &long,
        ];
        for text in cases {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_never_shows_the_secret() {
        let redacted = "node-a.AAECAwQFBgcICQoLDA0ODxAR…";
        assert_eq!(ID.redacted().to_string(), redacted);
        assert_eq!(format!("{ID:?}"), format!("SessionId({redacted})"));
    }

    #[test]
    fn a_secret_that_differs_anywhere_is_another() {
        for at in 0..SECRET_BYTES {
            let mut other = ID.secret;
            other[at] ^= 1;
            assert!(!ID.secret_eq(&other));
        }
        assert!(ID.secret_eq(&ID.secret));
    }
}
