//! One topic that has subscribers: what its event says, and who is to be notified.

use std::rc::Rc;

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

impl TopicEntry {
    pub(super) fn of_list(method: &str) -> Self {
        let head = format!(r#"data: {{"jsonrpc":"2.0","method":"{method}""#);
        TopicEntry::new(None, None, head)
    }

    pub(super) fn of_resource(uri: Rc<str>, own: Option<Rc<str>>) -> Self {
        let quoted = serde_json::to_string(&*uri).expect("a string is JSON");
        let head = format!(
            r#"data: {{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":{quoted}"#
        );
        TopicEntry::new(Some(uri), own, head)
    }

    /// `None`: it is a list.
    pub(super) fn published_uri(&self) -> Option<Rc<str>> {
        self.own.clone().or_else(|| self.uri.clone())
    }

    fn new(uri: Option<Rc<str>>, own: Option<Rc<str>>, head: String) -> Self {
        TopicEntry {
            uri,
            own,
            head: head.into_bytes().into(),
            last_offset: 0,
            subscribers: Vec::new(),
        }
    }

    /// User memory of a resource that somebody hears of, about. It has its URI twice, and a place among the spellings
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
