//! An entry of the stream, told on this node.

use std::collections::HashMap;

use super::entry::{Author, Entry, News};
use super::id::EntryId;
use super::outbox::{Item, Told};
use super::tail::understood;
use super::{Bus, Here, answer};
use crate::app::call::Topic;
use crate::app::contents::Change;
use crate::wire::session_id::SessionId;

/// Processes that add messages; of so many that restarted the oldest numbers are of no use any more.
const AUTHORS_MAX: usize = 1_024;

/// What this node knows of an entry.
enum Known {
    /// Another node's, or a program's.
    Others,
    /// Its own, and not told here yet.
    Own(Told),
    /// Its own, and told here before, or long ago.
    Told,
    /// Its own, and it was never told under this number: another item took its place.
    Replaced,
}

impl Bus {
    pub(super) fn apply(
        &mut self,
        now_ms: u64,
        id: EntryId,
        entry: Entry,
        fetched: &HashMap<Box<str>, Option<Vec<u8>>>,
        here: &dyn Here,
    ) {
        let floor = id.offset();
        let known = self.recognise(now_ms, entry.author.as_ref());
        let quiet = id <= self.tail.quiet_until && matches!(known, Known::Others);
        if quiet && !matches!(entry.news, News::Brought(..)) {
            return;
        }
        match entry.news {
            News::Changed(topic) => {
                if !matches!(known, Known::Told) {
                    answer_own(known, here.publish(floor, vec![topic]));
                }
            }
            News::Stored { uri, changed } => {
                let value = fetched.get(&uri).map(Option::as_deref);
                self.take_news(floor, &uri, value, changed, known, here);
            }
            News::Brought(uri, _) => {
                let value = fetched.get(&uri).map(Option::as_deref);
                self.take_news(floor, &uri, value, false, known, here);
            }
            News::All(notice) => match known {
                Known::Others if self.heard_before(entry.author) => {}
                Known::Told | Known::Replaced => {}
                Known::Others | Known::Own(_) => answer_own(known, here.tell_all(floor, notice)),
            },
            News::Session(session, notice) => match known {
                Known::Others if self.heard_before(entry.author) => {}
                Known::Others => {
                    if SessionId::parse(&session).is_some_and(|id| id.node == self.node) {
                        here.tell(&session, notice);
                    }
                }
                own => answer_own(own, floor),
            },
            News::Reload => self.tail.wants_reload |= matches!(known, Known::Others),
            News::Everything => {
                self.tail.wants_reload = true;
                if matches!(known, Known::Others) {
                    self.counts.gaps += 1;
                    here.gap(floor);
                }
            }
        }
    }

    fn recognise(&mut self, now_ms: u64, author: Option<&Author>) -> Known {
        let Some(author) = author.filter(|author| author.process == self.process) else {
            return Known::Others;
        };
        match self.outbox.heard(now_ms, author.number) {
            Some(Some(told)) => Known::Own(told),
            Some(None) => Known::Told,
            None => Known::Replaced,
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

    /// New contents; `value` is what the hash has now, if there is a board to show it.
    fn take_news(
        &mut self,
        floor: u64,
        uri: &str,
        value: Option<Option<&[u8]>>,
        changed: bool,
        known: Known,
        here: &dyn Here,
    ) {
        let owed = match &known {
            Known::Own(Told {
                item: Item::Contents { owed, .. },
                ..
            }) => *owed,
            Known::Told => Change::NONE,
            _ => Change {
                list: false,
                contents: changed,
            },
        };
        let Some(value) = value else {
            answer_own(
                known,
                here.publish(floor, vec![Topic::Resource(uri.into())]),
            );
            return;
        };
        let change = owed.and(self.write(uri, value));
        answer_own(known, here.publish(floor, change.topics(uri)));
    }

    /// What the hash has at a URI, told if it is news.
    pub(super) fn take_value(
        &mut self,
        floor: u64,
        uri: &str,
        value: Option<&[u8]>,
        here: &dyn Here,
    ) {
        let topics = self.write(uri, value).topics(uri);
        if !topics.is_empty() {
            here.publish(floor, topics);
        }
    }

    /// Writes to this node's store what the hash has, unless what this node has is on its way there.
    fn write(&mut self, uri: &str, value: Option<&[u8]>) -> Change {
        if self.outbox.is_ahead(uri) {
            return Change::NONE;
        }
        let Some(contents) = understood(value) else {
            self.found_foreign(uri);
            return Change::NONE;
        };
        self.put(uri, contents)
    }
}

impl Bus {
    /// A value of the hash that no node wrote.
    pub(super) fn found_foreign(&mut self, uri: &str) {
        self.counts.malformed += 1;
        self.counts.foreign += 1;
        self.tallies.foreign.note(uri);
    }
}

fn answer_own(known: Known, offset: u64) {
    if let Known::Own(told) = known {
        answer(told.tickets, Some(offset));
    }
}
