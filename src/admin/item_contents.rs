//! `contents` of an item: a string, an object with a text or a blob, or `null`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PublishOutcome, refused};
use crate::app::contents::{Body, Contents};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContentsBody {
    text: Option<String>,
    blob: Option<String>,
    mime_type: Option<String>,
    name: Option<String>,
    description: Option<String>,
}

/// `None`: the resource is to be taken away.
pub(super) fn parse(raw: &RawValue) -> Result<Option<Contents>, PublishOutcome> {
    let bad = |error: serde_json::Error| {
        refused("bad_item", format!("The contents cannot be read: {error}"))
    };
    match raw.get().as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => Ok(Some(Contents {
            mime_type: None,
            name: None,
            description: None,
            body: Body::Text(serde_json::from_str(raw.get()).map_err(bad)?),
        })),
        b'{' => serde_json::from_str(raw.get())
            .map_err(bad)
            .and_then(described)
            .map(Some),
        _ => Err(refused(
            "bad_item",
            "Contents must be an object, a string (text) or null (delete)",
        )),
    }
}

fn described(contents: ContentsBody) -> Result<Contents, PublishOutcome> {
    let body =
        match (contents.text, contents.blob) {
            (Some(text), None) => Body::Text(text),
            (None, Some(blob)) => Body::Blob(BASE64.decode(blob).map_err(|error| {
                refused("bad_item", format!("The blob is not base64: {error}"))
            })?),
            (Some(_), Some(_)) => {
                return Err(refused(
                    "bad_item",
                    "The contents have a text and a blob; give one of them",
                ));
            }
            (None, None) => {
                return Err(refused(
                    "bad_item",
                    "The contents have neither a text nor a blob",
                ));
            }
        };
    Ok(Contents {
        mime_type: contents.mime_type,
        name: contents.name,
        description: contents.description,
        body,
    })
}
