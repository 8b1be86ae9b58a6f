//! One topic that somebody hears: what its event says and who is to be told.

use std::rc::Rc;

pub(super) struct Subscriber {
    pub(super) listener: u32,
    /// Where the listener's `subscriptions` has this one.
    pub(super) slot: u32,
}

pub(super) struct TopicEntry {
    /// None: one of the lists, which are never removed.
    pub(super) uri: Option<Rc<str>>,
    /// `data: {…` up to where the voices differ.
    pub(super) head: Box<[u8]>,
    pub(super) last_offset: u64,
    pub(super) subscribers: Vec<Subscriber>,
}

/// Of a resource's entry, but for its URI: its place in the slab and in the map by URI, the fixed part of its event,
/// and the first subscribers' places.
const ENTRY_BYTES: usize = size_of::<TopicEntry>() + 192;

impl TopicEntry {
    pub(super) fn of_list(method: &str) -> Self {
        let head = format!(r#"data: {{"jsonrpc":"2.0","method":"{method}""#);
        TopicEntry::new(None, head)
    }

    pub(super) fn of_resource(uri: Rc<str>) -> Self {
        let quoted = serde_json::to_string(&*uri).expect("a string is JSON");
        let head = format!(
            r#"data: {{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":{quoted}"#
        );
        TopicEntry::new(Some(uri), head)
    }

    fn new(uri: Option<Rc<str>>, head: String) -> Self {
        TopicEntry {
            uri,
            head: head.into_bytes().into(),
            last_offset: 0,
            subscribers: Vec::new(),
        }
    }

    /// User memory of a resource that somebody hears of, about. It has its URI twice.
    pub(super) fn bytes_of(uri: &str) -> usize {
        ENTRY_BYTES + 2 * uri.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.uri.as_deref().map_or(0, TopicEntry::bytes_of)
    }
}
