//! The bus: one capped Redis Stream as the notification log of all nodes, and their boards' contents in a hash beside
//! it.
//!
//! ```text
//! POST /publish, handlers ─▶ Outbox ─XADD─▶ stream ─XREAD─▶ Tail ─▶ the cores of this node
//!                               │                             ▲
//!                               └── out of reach, or late ────┘ at once
//! ```
//!
//! [`Bus`] is a plain value: what is posted, what Redis answers and the time go in; what Redis is to be asked
//! ([`Bus::poll_add`], [`Bus::poll_ask`]) comes out, and what happens on this node goes through [`Here`]. One
//! connection adds, the other one reads; either may be lost at any time. `run` moves both for real.
//!
//! **The promise.** Whoever stays subscribed on any node is told after the last change of a topic on any node. A node
//! that was away reads on from where it was; if what it missed is gone, it tells its subscribers that
//! anything may have changed.
//!
//! **Contents.** The stream says what changed, the hash what it is now. Of two writes the one that reached Redis last
//! stands, on all nodes; that of a node which was cut off is as new as its return. After Redis was emptied
//! each node puts back what is not there: of two nodes with different contents the first one wins.

mod apply;
mod commands;
mod contents;
mod door;
pub mod entry;
pub mod id;
pub mod outbox;
mod page;
mod run;
pub mod standing;
mod tail;
mod tally;

use std::collections::HashMap;
use std::sync::Arc;

use self::entry::{Author, News};
use self::outbox::{Carried, Item, Outbox, Ticket, Told};
use crate::app::call::{Notice, Topic};
use crate::app::contents::{Change, ContentStore, Contents};
use crate::wire::session_id::NodeName;

pub use self::door::{BusDoor, BusTold};
pub use self::run::{ENTRIES_MAX, Way, open};
use self::tail::Tail;
pub use self::tail::{Ask, Heard};
use self::tally::Tallies;

/// How long nothing is added after Redis refused something (`-OOM`, `-READONLY`).
const REFUSED_PAUSE_MS: u64 = 1_000;

/// What a bus is told once.
pub struct Setup {
    pub node: NodeName,
    /// Tells this process from earlier ones of the node.
    pub boot: u64,
    /// None: this application takes no contents.
    pub store: Option<Arc<dyn ContentStore>>,
    pub uri_bytes_max: usize,
}

/// This node's own log. Offsets are at least `floor`; what comes back is the newest one.
pub trait Here {
    fn publish(&self, floor: u64, topics: Vec<Topic>) -> u64;
    fn tell_all(&self, floor: u64, notice: Notice) -> u64;
    /// For a session of this node.
    fn tell(&self, session: &str, notice: Notice);
    fn gap(&self, floor: u64);
}

/// An entry to be added, and what goes into the hash with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    pub fields: Vec<(&'static str, Vec<u8>)>,
    pub contents: Option<Kept>,
}

/// What the hash is to have at a URI: [`record`](Kept::record) after the entry's id, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub uri: Box<str>,
    pub record: Option<String>,
}

/// Things that happened, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries of the stream that were read.
    pub heard: u64,
    /// Entries, or values of the hash, that nobody can make sense of.
    pub malformed: u64,
    /// Values of the hash among those.
    pub foreign: u64,
    /// Losses that subscribers were told of.
    pub gaps: u64,
    /// Items that were told here before they had their place in the stream.
    pub told_ahead: u64,
    /// Messages that other nodes will never hear of.
    pub dropped: u64,
    /// Items that Redis refused.
    pub refused: u64,
}

impl Counts {
    /// By kind, as the metrics name it.
    #[must_use]
    pub fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("heard", self.heard),
            ("malformed", self.malformed),
            ("gap", self.gaps),
            ("told_ahead", self.told_ahead),
            ("refused", self.refused),
            ("dropped", self.dropped),
        ]
    }
}

pub struct Bus {
    node: NodeName,
    /// `{node}.{boot}`: who adds what this process adds.
    process: Box<str>,
    store: Option<Arc<dyn ContentStore>>,
    uri_bytes_max: usize,
    outbox: Outbox,
    tail: Tail,
    /// Of each process that adds messages the newest number that was heard: an entry may have been added twice.
    authors: HashMap<Box<str>, u64>,
    paused_until_ms: u64,
    counts: Counts,
    tallies: Tallies,
}

impl Bus {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Bus {
            process: format!("{}.{:x}", setup.node.as_str(), setup.boot).into(),
            node: setup.node,
            store: setup.store,
            uri_bytes_max: setup.uri_bytes_max,
            outbox: Outbox::default(),
            tail: Tail::default(),
            authors: HashMap::new(),
            paused_until_ms: 0,
            counts: Counts::default(),
            tallies: Tallies::default(),
        }
    }

    /// Publishes to all nodes; the ticket is told when this one was told.
    pub fn post(&mut self, now_ms: u64, item: Item, ticket: Option<Ticket>, here: &dyn Here) {
        if let Some(told) = self.outbox.post(now_ms, item, ticket) {
            self.tell(told, here);
        }
    }

    /// The connection that adds is there.
    pub fn handle_writer_up(&mut self, now_ms: u64) {
        self.outbox.connected(now_ms);
    }

    /// The connection that adds is gone; what was under way may have arrived or not.
    pub fn handle_writer_lost(&mut self, here: &dyn Here) {
        let told = self.outbox.lost();
        self.tell_each(told, here);
    }

    /// The next entries to be added, in one round trip. Until [`handle_added`](Bus::handle_added) there are no more.
    pub fn poll_add(&mut self, now_ms: u64) -> Vec<Add> {
        if now_ms < self.paused_until_ms {
            return Vec::new();
        }
        let batch = self.outbox.take_batch();
        let adds = batch
            .into_iter()
            .map(|adding| self.add(adding.number, adding.item));
        adds.collect()
    }

    /// What became of the entries, in their order: true if the stream has them.
    pub fn handle_added(&mut self, now_ms: u64, taken: &[bool], here: &dyn Here) {
        let refused = taken.iter().filter(|&&taken| !taken).count();
        if refused > 0 {
            self.counts.refused += refused as u64;
            self.paused_until_ms = now_ms + REFUSED_PAUSE_MS;
        }
        let told = self.outbox.added(taken);
        self.tell_each(told, here);
    }

    /// When there was nothing else, several times in the time that an item may take.
    pub fn handle_timeout(&mut self, now_ms: u64, here: &dyn Here) {
        let told = self.outbox.overdue(now_ms);
        self.tell_each(told, here);
        self.counts.dropped += self.outbox.take_dropped();
        if !self.tail.is_loading() {
            self.tallies.log(now_ms);
        }
    }

    /// So much waits to be added that a publisher had better wait too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// What is published is told here at once, since Redis is out of reach or slow.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.outbox.is_alone()
    }

    #[must_use]
    pub fn queued_count(&self) -> usize {
        self.outbox.queued_count()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn add(&self, number: u64, item: Item) -> Add {
        let mut contents = None;
        let news = match item {
            Item::Changed(topic) => News::Changed(topic),
            Item::Contents {
                uri,
                carried,
                changed,
                ..
            } => {
                let now = match carried {
                    Carried::Given(given) => given,
                    Carried::Stored => self.store.as_ref().and_then(|store| store.get(&uri)),
                };
                contents = Some(Kept {
                    uri: uri.clone(),
                    record: now.as_ref().map(contents::emit),
                });
                News::Stored { uri, changed }
            }
            Item::Session(session, notice) => News::Session(session, notice),
            Item::All(notice) => News::All(notice),
            Item::Everything => News::Everything,
        };
        Add {
            fields: self.fields(number, &news),
            contents,
        }
    }

    /// Of an entry as this process adds it.
    fn fields(&self, number: u64, news: &News) -> Vec<(&'static str, Vec<u8>)> {
        let author = Author {
            process: self.process.clone(),
            number,
        };
        let fields = entry::emit(&author, news).into_iter();
        fields
            .map(|(name, value)| (name, value.into_owned()))
            .collect()
    }

    fn tell_each(&mut self, told: Vec<Told>, here: &dyn Here) {
        for told in told {
            self.tell(told, here);
        }
    }

    /// Tells this node of an item of its own, ahead of the stream.
    fn tell(&mut self, told: Told, here: &dyn Here) {
        self.counts.told_ahead += 1;
        let offset = match told.item {
            Item::Changed(topic) => Some(here.publish(0, vec![topic])),
            Item::Contents {
                uri, carried, owed, ..
            } => {
                let written = match carried {
                    Carried::Given(contents) => self.put(&uri, contents),
                    Carried::Stored => Change::NONE,
                };
                Some(here.publish(0, owed.and(written).topics(&uri)))
            }
            Item::All(notice) => Some(here.tell_all(0, notice)),
            Item::Session(..) | Item::Everything => None,
        };
        answer(told.tickets, offset);
    }

    /// Writes to this node's store.
    fn put(&mut self, uri: &str, contents: Option<Contents>) -> Change {
        let Some(store) = &self.store else {
            return Change::NONE;
        };
        store.put(uri, contents).unwrap_or_else(|refused| {
            self.tallies.unfit.note(&format!("{uri} ({refused:?})"));
            Change::NONE
        })
    }
}

fn answer(tickets: Vec<Ticket>, offset: Option<u64>) {
    for ticket in tickets {
        // Whoever asked may be gone.
        let _ = ticket.send(offset);
    }
}
