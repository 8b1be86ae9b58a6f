//! What a trace says of a message: read from its text, as far as that is short enough to be read once more on a core.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::call::{LISTS, RESOURCE};
use crate::limits::{LOOK_ON_CORE_BYTES_MAX, TRACE_CONTENTS_BYTES_MAX, TRACE_TEXT_BYTES_MAX};

/// One message that a client sent.
pub(in crate::shard) struct AskedMessage {
    pub(in crate::shard) method: Option<Box<str>>,
    /// As JSON.
    pub(in crate::shard) id: Option<Box<str>>,
    pub(in crate::shard) topic: Option<Box<str>>,
    pub(in crate::shard) bytes: Option<usize>,
    pub(in crate::shard) contents: Option<Box<str>>,
}

/// One message that a client is sent.
#[derive(Default)]
pub(super) struct SentMessage {
    pub(super) method: Option<Box<str>>,
    pub(super) id: Option<Box<str>>,
    pub(super) code: Option<i64>,
    pub(super) topic: Option<Box<str>>,
}

#[derive(Deserialize)]
struct SeenMembers<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Coded {
    code: i64,
}

#[derive(Deserialize)]
struct WithUri<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

/// Of one that is too long nothing is known.
pub(super) fn read(json: &[u8]) -> SentMessage {
    if json.len() > LOOK_ON_CORE_BYTES_MAX {
        return SentMessage::default();
    }
    let Ok(members) = serde_json::from_slice::<SeenMembers<'_>>(json) else {
        return SentMessage::default();
    };
    let coded = |error: &RawValue| serde_json::from_str::<Coded>(error.get()).ok();
    let id = members.id.filter(|id| id.get() != "null");
    let method = members.method.as_deref();
    SentMessage {
        method: method.map(shorten),
        id: id.map(|id| shorten(id.get())),
        code: members.error.and_then(coded).map(|it| it.code),
        topic: method.and_then(|method| topic_of(method, members.params)),
    }
}

/// What a message is about: a list, or a resource.
pub(in crate::shard) fn topic_of(method: &str, params: Option<&RawValue>) -> Option<Box<str>> {
    let is_of = |list: &&(_, crate::app::call::TopicKind)| list.1.notification.name() == method;
    if let Some((_, list)) = LISTS.iter().find(is_of) {
        return Some(list.name.into());
    }
    let may_have_uri = method == RESOURCE.notification.name() || method.starts_with("resources/");
    let params = params.filter(|it| may_have_uri && it.get().len() <= LOOK_ON_CORE_BYTES_MAX)?;
    let WithUri { uri } = serde_json::from_str(params.get()).ok()?;
    Some(shorten(&uri))
}

/// A text that a trace shows, cut if it is longer than any that is meant.
pub(in crate::shard) fn shorten(text: &str) -> Box<str> {
    cut(text, TRACE_TEXT_BYTES_MAX).into()
}

/// A message's contents, cut.
pub(super) fn contents(message: &[u8]) -> Box<str> {
    // A character that is cut in two shows as none.
    let message = &message[..message.len().min(TRACE_CONTENTS_BYTES_MAX)];
    match std::str::from_utf8(message) {
        Ok(text) => text.into(),
        Err(fault) => String::from_utf8_lossy(&message[..fault.valid_up_to()]).into(),
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The data of each event in a piece of a stream; comments, and events that only carry an id, have none.
pub(super) fn each_data(events: &[u8], mut each: impl FnMut(&[u8])) {
    let mut data: Cow<'_, [u8]> = Cow::Borrowed(b"");
    for line in events.split(|byte| *byte == b'\n') {
        if let Some(more) = line.strip_prefix(b"data:") {
            let more = more.strip_prefix(b" ").unwrap_or(more);
            if data.is_empty() {
                data = Cow::Borrowed(more);
            } else {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(more);
            }
        } else if line.is_empty() && !data.is_empty() {
            each(&data);
            data = Cow::Borrowed(b"");
        }
    }
}

impl AskedMessage {
    /// Something without a message: GET, DELETE.
    pub(in crate::shard) fn plain(method: &str) -> AskedMessage {
        AskedMessage {
            method: Some(method.into()),
            id: None,
            topic: None,
            bytes: None,
            contents: None,
        }
    }

    /// `text` is what its contents are shown by.
    pub(in crate::shard) fn new(
        (method, id): (Option<&str>, Option<&str>),
        params: Option<&RawValue>,
        bytes: usize,
        text: Option<&[u8]>,
    ) -> AskedMessage {
        AskedMessage {
            method: method.map(shorten),
            id: id.map(shorten),
            topic: method.and_then(|method| topic_of(method, params)),
            bytes: Some(bytes),
            contents: text.map(contents),
        }
    }
}
