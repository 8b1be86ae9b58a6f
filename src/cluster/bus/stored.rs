//! A board's entry as the hash in Redis holds it: the stamp of the write that brought it, a space, and JSON with the
//! names of `POST /publish`.
//!
//! A stamp looks like the id of an entry of the stream, and mostly is one: see what the bus says of order. Old contents
//! never replace newer ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::id::EntryId;
use crate::app::contents::{Body, Contents};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// The JSON without the stamp: who adds an entry does not know its id yet.
pub(super) fn emit(contents: &Contents) -> String {
    let (text, blob) = match &contents.body {
        Body::Text(text) => (Some(text.clone()), None),
        Body::Blob(bytes) => (None, Some(BASE64.encode(bytes))),
    };
    let record = StoredRecord {
        text,
        blob,
        mime_type: contents.mime_type.clone(),
        name: contents.name.clone(),
        description: contents.description.clone(),
    };
    serde_json::to_string(&record).expect("strings are JSON")
}

/// `None`: nothing that a node wrote.
pub(super) fn parse(value: &[u8]) -> Option<(EntryId, Contents)> {
    let stamp = stamp(value)?;
    let space = memchr::memchr(b' ', value)?;
    let record: StoredRecord = serde_json::from_slice(&value[space + 1..]).ok()?;
    let body = match (record.text, record.blob) {
        (Some(text), None) => Body::Text(text),
        (None, Some(blob)) => Body::Blob(BASE64.decode(blob).ok()?),
        _ => return None,
    };
    let contents = Contents {
        mime_type: record.mime_type,
        name: record.name,
        description: record.description,
        body,
    };
    Some((stamp, contents))
}

/// As of which write that is, if a node wrote it.
pub(super) fn stamp(value: &[u8]) -> Option<EntryId> {
    let space = memchr::memchr(b' ', value)?;
    EntryId::parse(&value[..space])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_read_back_as_others() {
        let bodies = [
            Body::Text("so\nup \"\u{1f372}\"".into()),
            Body::Blob(vec![0, 255, 10]),
            Body::Text(String::new()),
        ];
        for body in bodies {
            let contents = Contents {
                mime_type: Some("a/b".into()),
                name: None,
                description: Some("d".into()),
                body,
            };
            let value = format!("17-3 {}", emit(&contents));
            assert_eq!(
                parse(value.as_bytes()),
                Some((EntryId { ms: 17, seq: 3 }, contents))
            );
        }
    }

    #[test]
    fn what_no_node_wrote() {
        for wrong in [
            "",
            "soup",
            "17-3",
            "x {\"text\":\"a\"}",
            "1-1 {}",
            "1-1 []",
            "1-1 {\"text\":\"a\",\"blob\":\"\"}",
            "1-1 {\"blob\":\"?\"}",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
