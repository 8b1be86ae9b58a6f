//! One topic that has subscribers: what its event says, and who is to be notified.

use std::rc::Rc;

use crate::app::call::{RESOURCE, TopicKind};
use crate::wire::json_rpc::emit_notification;

pub(super) struct TopicListener {
    pub(super) listener: u32,
    /// Where the listener's `subscriptions` has this one.
    pub(super) slot: u32,
}

pub(super) struct TopicEntry {
    /// As its subscribers spell it. None: one of the lists, which are never removed.
    pub(super) uri: Option<Rc<str>>,
    /// As it is published, if that is another spelling.
    pub(super) own: Option<Rc<str>>,
    /// `data: {…` up to where the voices differ.
    pub(super) head: Box<[u8]>,
    pub(super) last_offset: u64,
    pub(super) subscribers: Vec<TopicListener>,
}

/// Of a resource's entry, but for its URI: its place in the slab and in the map by URI, the fixed part of its event,
/// and the first subscribers' places.
const ENTRY_BYTES: usize = size_of::<TopicEntry>() + 192;

/// Of one spelling among others: its list in the map by the URI that is published, and its place there.
const SPELLING_BYTES: usize = 128;

/// The params of a resource's notification, an object in JSON.
pub(in crate::shard) fn updated_params(uri: &str) -> String {
    let quoted = serde_json::to_string(uri).expect("a string is JSON");
    format!(r#"{{"uri":{quoted}}}"#)
}

/// An event with this notification, up to the end of what is the same for all.
fn head(kind: &TopicKind, params: Option<&str>) -> Box<[u8]> {
    let mut head = b"data: ".to_vec();
    emit_notification(&mut head, kind.notification.name(), params);
    // Those of the message and of the params.
    let braces = 1 + usize::from(params.is_some());
    head.truncate(head.len() - braces);
    head.into()
}

impl TopicEntry {
    pub(super) fn of_list(list: &TopicKind) -> Self {
        TopicEntry::new(None, None, head(list, None))
    }

    pub(super) fn of_resource(uri: Rc<str>, own: Option<Rc<str>>) -> Self {
        let head = head(&RESOURCE, Some(&updated_params(&uri)));
        TopicEntry::new(Some(uri), own, head)
    }

    /// `None`: it is a list.
    pub(super) fn published_uri(&self) -> Option<Rc<str>> {
        self.own.clone().or_else(|| self.uri.clone())
    }

    fn new(uri: Option<Rc<str>>, own: Option<Rc<str>>, head: Box<[u8]>) -> Self {
        TopicEntry {
            uri,
            own,
            head,
            last_offset: 0,
            subscribers: Vec::new(),
        }
    }

    /// User memory of a resource that somebody subscribed to, about. It has its URI twice, and a place among the spellings
    /// of another one if it is one.
    pub(super) fn bytes_of(uri: &str, own: Option<&str>) -> usize {
        ENTRY_BYTES + 2 * uri.len() + own.map_or(0, |own| SPELLING_BYTES + own.len())
    }

    pub(super) fn bytes(&self) -> usize {
        let own = self.own.as_deref();
        self.uri
            .as_deref()
            .map_or(0, |uri| TopicEntry::bytes_of(uri, own))
    }
}
