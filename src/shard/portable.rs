//! What a session needs to go on in another process that never saw it: on another node after its own is gone, or drains.
//!
//! It is part of a session's record, which other nodes read, of the version before or the next one too: as JSON with names,
//! where each member that is not there has a default, and what is not known is passed over. It says who the session is and
//! what it wants. Calls under way, messages for it alone and how far its client has read are not in it: they end with
//! the process.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stays::is_default;

/// In JSON. One that is longer cannot be taken over: every change of it would be written as a whole. A thousand
/// subscriptions of sixty characters are as long.
pub const PORTABLE_BYTES_MAX: usize = 64 * 1024;

/// A session as its record has it, for whoever takes it over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortableSession {
    /// The revision of the protocol that `initialize` settled on.
    pub revision: String,
    /// `logging/setLevel`, 0 debug … 7 emergency. None: its client has not asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<u8>,
    /// What its client says of itself, as far as that is kept. Null: nothing.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub capabilities: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub client_info: Value,
    /// Whose it is, as the id shows itself. None: nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The resources that it is subscribed to, as its client spells them. Lists are not among them: whoever takes it over knows which it announces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Box<str>>,
    /// When it was opened, wherever that was, in Unix milliseconds. 0: in the process that writes this.
    #[serde(skip_serializing_if = "is_default")]
    pub created_at: u64,
}

impl PortableSession {
    /// Bytes, about: what a client says of itself is short.
    pub(crate) fn weight(&self) -> usize {
        let uris = self.subscriptions.iter();
        512 + uris.map(|uri| 64 + uri.len()).sum::<usize>()
    }

    /// Whether a record may have it.
    pub(super) fn fits(&self) -> bool {
        struct Room(usize);

        impl std::io::Write for Room {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(std::io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        serde_json::to_writer(Room(PORTABLE_BYTES_MAX), self).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> PortableSession {
        PortableSession {
            revision: "2025-11-25".into(),
            log_level: Some(3),
            capabilities: serde_json::json!({"roots": {"listChanged": true}}),
            client_info: serde_json::json!({"name": "a \"client\""}),
            principal: Some("0".repeat(32)),
            subscriptions: vec!["board://a".into()],
            created_at: 1_790_000_000_000,
        }
    }

    #[test]
    fn a_record_of_another_version_that_is_not_read() {
        let mut later = serde_json::to_value(session()).expect("plain values");
        later["ofTheNextRelease"] = serde_json::json!([{"a": null}]);
        assert_eq!(serde_json::from_value(later).ok(), Some(session()));
        let least = r#"{"revision":"2025-06-18"}"#;
        let read: PortableSession = serde_json::from_str(least).expect("all has a default");
        assert_eq!(serde_json::to_string(&read).expect("plain values"), least);
        assert_eq!(
            serde_json::from_str("{}").ok(),
            Some(PortableSession::default())
        );
    }

    #[test]
    fn a_record_that_grows_without_end() {
        let mut session = session();
        assert!(session.fits());
        while session.fits() {
            session.subscriptions.push("x".repeat(1_000).into());
        }
        let json = serde_json::to_string(&session).expect("plain values");
        assert!(json.len() > PORTABLE_BYTES_MAX);
        assert!(json.len() < PORTABLE_BYTES_MAX + 2_000);
    }

    /// A record is what anybody wrote who reaches the Redis.
    #[test]
    fn a_record_that_was_changed_in_one_place_and_brings_a_node_down() {
        let json = serde_json::to_vec(&session()).expect("plain values");
        for at in 0..json.len() {
            for byte in [0, b'"', b'{', b'}', b'[', b'9', b'-', b'\\', 0xff] {
                let mut changed = json.clone();
                changed[at] = byte;
                let _ = serde_json::from_slice::<PortableSession>(&changed);
                let _ = serde_json::from_slice::<PortableSession>(&json[..at]);
            }
        }
    }
}
