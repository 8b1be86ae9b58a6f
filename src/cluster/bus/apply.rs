//! An entry of the stream, taken over by this node: its board first, and then, when that may be, its clients.

use std::collections::HashMap;

use super::ask::FoundValue;
use super::entry::{Author, Entry, Payload};
use super::hold::Delivery;
use super::id::EntryId;
use super::outbox::{ContentSource, LocalDelivery, OutboxItem, ReceiptSender};
use super::{Bus, LocalLog, stored};
use crate::app::call::KeptBy;
use crate::app::contents::{Change, Contents};
use crate::wire::session_id::SessionId;

/// Processes that add messages; of so many that restarted the oldest numbers are of no use any more.
const AUTHORS_MAX: usize = 1_024;

/// What the board's hash had when an entry was read. `None`: Redis forgot it since.
pub(super) type Fetched = Option<HashMap<Box<str>, FoundValue>>;

/// What this node knows of an entry.
enum EntryOrigin {
    /// Another node's, or a program's.
    Others,
    /// Its own, and not delivered here yet.
    Own(LocalDelivery),
    /// Its own, and delivered here before, or long ago.
    Delivered,
    /// Its own, and it was never delivered under this number: another item took its place.
    Replaced,
}

impl Bus {
    /// `is_last`: no later entry that was fetched with it is about the same resource.
    pub(super) fn apply(
        &mut self,
        now_ms: u64,
        id: EntryId,
        entry: Entry,
        fetched: &Fetched,
        is_last: bool,
    ) {
        let known = self.recognise(now_ms, entry.author.as_ref());
        let quiet = id <= self.tail.quiet_until && matches!(known, EntryOrigin::Others);
        if quiet && !matches!(entry.news, Payload::ExternalPut(..)) {
            return;
        }
        let is_others = matches!(known, EntryOrigin::Others);
        let is_delivered = matches!(known, EntryOrigin::Delivered | EntryOrigin::Replaced);
        let is_message = matches!(entry.news, Payload::All(_) | Payload::Session(..));
        let is_heard = is_message && is_others && self.heard_before(entry.author);
        let delivery = match entry.news {
            Payload::Stored { uri, changed } => {
                let brought = (&*uri, None);
                return self.take_news(now_ms, id, brought, (changed, is_last), known, fetched);
            }
            Payload::ExternalPut(uri, contents) => {
                let brought = (&*uri, Some(contents));
                return self.take_news(now_ms, id, brought, (false, is_last), known, fetched);
            }
            Payload::Changed(_) | Payload::Directed(..)
                if matches!(known, EntryOrigin::Delivered) =>
            {
                Delivery::Nothing
            }
            Payload::Changed(topic) => Delivery::Publish(vec![topic]),
            Payload::Directed(principal, topic) => Delivery::PublishTo(principal, topic),
            Payload::All(_) | Payload::Session(..) if is_delivered || is_heard => Delivery::Nothing,
            Payload::All(notice) => Delivery::NotifyAll(notice),
            Payload::Session(session, notice) => {
                let own = SessionId::parse(&session).is_some_and(|id| id.node == self.node);
                match is_others && own {
                    true => Delivery::NotifySession(session, notice),
                    false => Delivery::Nothing,
                }
            }
            Payload::Reload => {
                self.tail.wants_reload |= is_others;
                Delivery::Nothing
            }
            Payload::Everything => {
                self.tail.wants_reload = true;
                self.counts.gaps += u64::from(is_others);
                match is_others {
                    true => Delivery::Gap,
                    false => Delivery::Nothing,
                }
            }
        };
        self.hold(now_ms, id, delivery, (known.tickets(), KeptBy::Cluster));
    }

    fn recognise(&mut self, now_ms: u64, author: Option<&Author>) -> EntryOrigin {
        let Some(author) = author.filter(|author| author.process == self.process) else {
            return EntryOrigin::Others;
        };
        match self.outbox.heard(now_ms, author.number) {
            Some(Some(delivery)) => EntryOrigin::Own(delivery),
            Some(None) => EntryOrigin::Delivered,
            None => EntryOrigin::Replaced,
        }
    }

    /// Whether this message was added twice, by a node that did not know that it was added.
    fn heard_before(&mut self, author: Option<Author>) -> bool {
        let Some(Author { process, number }) = author else {
            return false;
        };
        if self.authors.len() >= AUTHORS_MAX && !self.authors.contains_key(&process) {
            self.authors.clear();
        }
        let newest = self.authors.entry(process).or_insert(0);
        let before = number <= *newest;
        *newest = number.max(*newest);
        before
    }

    /// New contents: the hash says which, if there is a board to show them. What was delivered here ahead of the log is delivered
    /// once more: other nodes had it later.
    fn take_news(
        &mut self,
        now_ms: u64,
        id: EntryId,
        (uri, brought): (&str, Option<Option<Contents>>),
        (changed, is_last): (bool, bool),
        known: EntryOrigin,
        fetched: &Fetched,
    ) {
        let owed = match &known {
            EntryOrigin::Own(LocalDelivery {
                item: OutboxItem::Contents { owed, .. },
                ..
            }) => *owed,
            EntryOrigin::Own(LocalDelivery {
                item: OutboxItem::Look(_),
                ..
            }) => CHANGED,
            // It may have been new to the list then.
            EntryOrigin::Delivered => Change {
                list: true,
                ..CHANGED
            },
            EntryOrigin::Own(_) => Change::NONE,
            _ => CHANGED.unless(!changed),
        };
        let before = self.versions.stamp(uri);
        let found = fetched.as_ref().and_then(|fetched| fetched.get(uri));
        let found = found.filter(|found| !found.is_nothing());
        let (written, kept) = match (found, brought) {
            _ if self.store.is_none() => (CHANGED, KeptBy::Cluster),
            (Some(found), _) => (self.merge(uri, found), KeptBy::Cluster),
            // Redis has forgotten it: what the entry itself says is all there is.
            (None, Some(brought)) => (self.merge_one(uri, id, brought), KeptBy::Node),
            (None, None) => (self.keep_own(uri, &known), KeptBy::Node),
        };
        if kept == KeptBy::Node {
            self.put_back(uri);
        }
        let is_late = !self.is_timely(now_ms, id) || matches!(known, EntryOrigin::Delivered);
        if is_late && self.store.is_some() {
            self.again.add(written.topics(uri));
        }
        // This node may have had it earlier than others: the hash was ahead of the entry.
        let was_ahead = before != EntryId::ZERO && before == self.versions.stamp(uri);
        let was_ahead = was_ahead || id.ms <= self.tail.ahead_until_ms;
        let owed = owed.and(CHANGED.unless(!was_ahead || !is_last));
        let topics = owed.and(written).topics(uri);
        self.hold(
            now_ms,
            id,
            Delivery::Publish(topics),
            (known.tickets(), kept),
        );
    }

    /// Of an entry whose contents Redis has forgotten: this node has them if they are its own.
    fn keep_own(&mut self, uri: &str, known: &EntryOrigin) -> Change {
        match known {
            EntryOrigin::Own(LocalDelivery {
                item:
                    OutboxItem::Contents {
                        carried: ContentSource::Given(contents),
                        ..
                    },
                accepted,
                ..
            }) => self.merge_one(uri, accepted.at.max(accepted.after), contents.clone()),
            EntryOrigin::Own(_) => Change::NONE,
            // Whoever published it puts it back, and that is delivered again.
            _ => CHANGED,
        }
    }

    /// What the hash has at a URI, delivered if it is news: it may have been so for long.
    pub(super) fn take_value(&mut self, uri: &str, found: &FoundValue, here: &dyn LocalLog) {
        let topics = self.merge(uri, found).topics(uri);
        if !topics.is_empty() {
            here.publish(0, topics.clone());
            if self.tail.was_loaded {
                self.again.add(topics);
            }
        }
    }

    /// Of what Redis has and what this node has at a URI, the newer one is what both have afterwards. What is in neither
    /// place was taken away by nobody.
    fn merge(&mut self, uri: &str, found: &FoundValue) -> Change {
        let value = match &found.value {
            None => None,
            Some(value) => match stored::parse(value) {
                Some(value) => Some(value),
                None => return self.refuse_value(uri),
            },
        };
        match (value, found.gone) {
            (Some((stamp, contents)), gone) if gone.is_none_or(|gone| gone <= stamp) => {
                self.merge_one(uri, stamp, Some(contents))
            }
            (value, Some(gone)) => {
                let change = self.merge_one(uri, gone, None);
                if value.is_some() {
                    // A node that does not know of the deletion has put it back.
                    self.put_back(uri);
                }
                change
            }
            (_, None) => {
                self.put_back(uri);
                Change::NONE
            }
        }
    }

    /// Takes a write over unless a newer one is here.
    pub(super) fn merge_one(
        &mut self,
        uri: &str,
        stamp: EntryId,
        contents: Option<Contents>,
    ) -> Change {
        if self.versions.stamp(uri) > stamp {
            self.put_back(uri);
            return Change::NONE;
        }
        self.set_version(uri, stamp, contents.is_none());
        self.put(uri, contents)
    }

    /// A value of the hash that no node wrote.
    pub(super) fn refuse_value(&mut self, uri: &str) -> Change {
        self.counts.malformed += 1;
        self.counts.foreign += 1;
        self.tallies.foreign.note(uri);
        Change::NONE
    }
}

impl EntryOrigin {
    fn tickets(self) -> Vec<ReceiptSender> {
        match self {
            EntryOrigin::Own(delivery) => delivery.tickets,
            _ => Vec::new(),
        }
    }
}

const CHANGED: Change = Change {
    list: false,
    contents: true,
};
