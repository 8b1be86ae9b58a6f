//! `{node}.{locator}`: how operators call a session. It is the session's id without the secret, so whoever reads it can
//! point at the session and cannot speak for it. The listen stream of a client of 2026-07-28, which has no session, is called
//! the same way by its own place: `{node}.~{locator}`.

use std::fmt;
use std::str::FromStr;

use super::session_id::{Locator, NodeName};

/// The name of a session, or of a listen stream, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperatorName {
    /// The node whose it is.
    pub node: NodeName,
    pub place: Locator,
    /// It is a listen stream's, not a session's.
    pub is_stream: bool,
}

/// What leads the place of a listen stream: nothing that base64url has.
const STREAM: char = '~';

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.node)?;
        if self.is_stream {
            write!(f, "{STREAM}")?;
        }
        self.place.show(f)
    }
}

/// The name of a connection, for operators: `{node}.@{locator}`. It is another one once the connection has moved to another core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    pub node: NodeName,
    pub place: Locator,
}

/// What leads the place of a connection.
const CONNECTION: char = '@';

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{CONNECTION}", self.node)?;
        self.place.show(f)
    }
}

impl FromStr for ConnectionName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (node, place) = text.split_once('.').ok_or(NotAName)?;
        let place = place.strip_prefix(CONNECTION).ok_or(NotAName)?;
        Ok(ConnectionName {
            node: NodeName::new(node).ok_or(NotAName)?,
            place: Locator::parse(place).ok_or(NotAName)?,
        })
    }
}

/// A text that no session is called by, and no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAName;

impl FromStr for OperatorName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (node, place) = text.split_once('.').ok_or(NotAName)?;
        let stream = place.strip_prefix(STREAM);
        Ok(OperatorName {
            node: NodeName::new(node).ok_or(NotAName)?,
            place: Locator::parse(stream.unwrap_or(place)).ok_or(NotAName)?,
            is_stream: stream.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session_id::SessionId;

    #[test]
    fn a_name_that_is_as_good_as_the_id() {
        let node = NodeName::new("a").expect("a name");
        let place = Locator {
            core: 1,
            slot: 2,
            generation: 3,
            incarnation: 4,
        };
        let id = SessionId {
            node,
            locator: place,
            secret: [0xab; 16],
        };
        for is_stream in [false, true] {
            let name = OperatorName {
                node,
                place,
                is_stream,
            };
            let text = name.to_string();
            assert_eq!(text.parse(), Ok(name));
            assert_eq!(SessionId::parse(&text).map(|_| ()), None);
            assert_eq!(id.text().starts_with(&text), !is_stream);
        }
        for wrong in [
            "",
            "a",
            "a.",
            "a.~",
            "A.AAEAAAACAAAAAwAAAAAAAAAE",
            &id.text(),
        ] {
            assert_eq!(wrong.parse::<OperatorName>(), Err(NotAName), "{wrong}");
        }
    }
}
