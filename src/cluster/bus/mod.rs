//! The bus: one capped Redis Stream as the notification log of all nodes, and their boards' contents in a hash beside
//! it.
//!
//! ```text
//! POST /publish, handlers ─▶ Outbox ─XADD─▶ stream ─XREAD─▶ Tail ─▶ board ─▶ hold ─▶ the cores of this node
//!                               │                                    │         ▲
//!                               │                      what this node has, what the others have (Peers)
//!                               └── out of reach, or late ────▶ at once
//! ```
//!
//! [`Bus`] is a plain value: what is posted, what Redis answers and the time go in; what Redis is to be asked
//! ([`Bus::poll_add`], [`Bus::poll_applied`], [`Bus::poll_ask`]) comes out, and what happens on this node goes through
//! [`LocalLog`]. One connection adds, the other one reads; either may be lost at any time. `run` moves both for real.
//!
//! **The promise.** A subscriber that stays, on any node, is notified after the last change of a topic on any node. It then
//! reads the change at any node that is not cut off. A node that was away reads on from where it was. If what it missed is
//! gone, it notifies its subscribers that anything may have changed.
//!
//! **Which state decides what.**
//!
//! | what | decides | kept in |
//! |---|---|---|
//! | that something changed | the stream: its order is the order in which clients are notified | `outbox` until it is there, `tail` |
//! | which of two writes to a resource stands | the greater stamp (below), on the hash, on each board and in a script alike | `versions`, the hash's values, `{prefix}gone:{uri}` |
//! | that a resource is gone | a write that took it away; never that it is not there | `{prefix}gone:{uri}`, `versions` |
//! | that Redis is what it was | its token, looked at in the round trip that brings contents, after them | `tail` |
//! | when clients are notified | every node that counts has it on its board, or they waited for `HOLD_MS` | `hold`, `peers` |
//! | when they are notified again | a board changed after others may have notified: its node says so in the log | `hold` |
//!
//! **Contents.** The stream says what changed, the hash what it is now. A write's *stamp* is the id of its entry if it
//! got there within [`PATIENCE_MS`](outbox::PATIENCE_MS), as the writes of other programs always do. Else it is the time at
//! which its node accepted it, by Redis's clock (`clock`), and not before what that node knew to be there. So of two writes
//! the one that was accepted last stands, also if its node was cut off then and the other one was not. And nobody can
//! write into the future.

mod apply;
mod ask;
mod clock;
mod commands;
mod counts;
pub mod entry;
mod handle;
mod hold;
pub mod id;
mod loaded;
pub mod outbox;
mod page;
mod peers;
#[cfg(any(test, feature = "internals"))]
pub mod properties;
mod reload;
mod run;
mod scripts;
mod spelling;
mod standing;
mod state;
mod stored;
pub mod stream_info;
mod tail;
mod tally;
mod travel;
mod versions;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use self::clock::Clock;
use self::entry::{Author, Payload};
use self::hold::{HeldDelivery, Redeliveries};
use self::id::EntryId;
use self::outbox::{
    Accepted, Adding, ContentSource, LocalDelivery, Outbox, OutboxItem, Receipt, ReceiptSender,
    UnsentItems,
};
use self::peers::NodesProgress;
use crate::app::call::{KeptBy, Notice, Topic};
use crate::app::contents::{Change, ContentStore, Contents};
use crate::principal::PrincipalId;
use crate::wire::session_id::NodeName;

pub use self::ask::{Add, BusRequest, BusResponse, FoundValue, Placed, StoredValue, Write};
pub use self::counts::{BusCounts, BusSeen};
pub use self::handle::{BusHandle, ReceiptReceiver};
pub use self::loaded::Loaded;
pub use self::peers::{Applied, ProgressRecord};
pub use self::run::{ENTRIES_MAX, RedisSettings, open};
pub(crate) use self::run::{RunningBus, share, start};
use self::spelling::Spellings;
use self::tail::Tail;
use self::tally::Tallies;
pub use self::travel::BusState;
use self::versions::Versions;

/// How long nothing is added after Redis refused something (`-OOM`, `-READONLY`).
const REFUSED_PAUSE_MS: u64 = 1_000;

/// How long clients are kept from a node whose board was not read yet. A cluster that starts while Redis is away shall
/// serve all the same.
pub const LOADED_WITHIN_MS: u64 = 15_000;

/// What a bus is given once.
pub struct BusSetup {
    pub node: NodeName,
    /// Tells this process from earlier ones of the node.
    pub incarnation: u64,
    /// None: this application takes no contents.
    pub store: Option<Arc<dyn ContentStore>>,
    pub uri_bytes_max: usize,
}

impl BusSetup {
    /// `{node}.{incarnation}`: as whom this process adds.
    fn process(&self) -> String {
        format!("{}.{:x}", self.node.as_str(), self.incarnation)
    }
}

/// This node's own log. Offsets are at least `floor`; what comes back is the newest one.
pub trait LocalLog {
    fn publish(&self, floor: u64, topics: Vec<Topic>) -> u64;
    /// For one principal's subscribers alone.
    fn publish_to(&self, floor: u64, principal: PrincipalId, topic: Topic) -> u64;
    fn notify_all(&self, floor: u64, notice: Notice) -> u64;
    /// For a session of this node.
    fn notify_session(&self, session: &str, notice: Notice);
    fn gap(&self, floor: u64);
}

pub struct Bus {
    node: NodeName,
    /// `{node}.{incarnation}`: who adds what this process adds.
    process: Box<str>,
    store: Option<Arc<dyn ContentStore>>,
    uri_bytes_max: usize,
    outbox: Outbox,
    /// When the batch under way was sent, and the resources in it whose news this node's board has already: gone from
    /// there, or overtaken?
    sent_ms: u64,
    sent: Vec<Option<(Box<str>, Option<bool>)>>,
    /// When the record under way was sent.
    applied_ms: u64,
    tail: Tail,
    versions: Versions,
    clock: Clock,
    peers: NodesProgress,
    held: VecDeque<HeldDelivery>,
    again: Redeliveries,
    /// Clients came before the board was loaded.
    is_late: bool,
    /// Of each process that adds messages the newest number that was heard: an entry may have been added twice.
    authors: HashMap<Box<str>, u64>,
    spellings: Spellings,
    paused_until_ms: u64,
    /// The first connection that reads goes on with another process's until then.
    resumed_until_ms: u64,
    counts: BusCounts,
    tallies: Tallies,
}

impl Bus {
    /// `unix_ms` is the machine's time at 0 of the clock that everything else here is given.
    #[must_use]
    pub fn new(setup: BusSetup, unix_ms: u64) -> Self {
        Bus {
            process: setup.process().into(),
            node: setup.node,
            store: setup.store,
            uri_bytes_max: setup.uri_bytes_max,
            outbox: Outbox::default(),
            sent_ms: 0,
            sent: Vec::new(),
            applied_ms: 0,
            tail: Tail::new(),
            versions: Versions::default(),
            clock: Clock::new(unix_ms),
            peers: NodesProgress::default(),
            held: VecDeque::new(),
            again: Redeliveries::default(),
            is_late: false,
            authors: HashMap::new(),
            spellings: Spellings::default(),
            paused_until_ms: 0,
            resumed_until_ms: 0,
            counts: BusCounts::default(),
            tallies: Tallies::default(),
        }
    }

    /// Publishes to all nodes; the ticket is answered when it was delivered on this one.
    pub fn post(
        &mut self,
        now_ms: u64,
        item: OutboxItem,
        ticket: Option<ReceiptSender>,
        here: &dyn LocalLog,
    ) {
        let accepted = self.accept(now_ms, &item);
        if let Some(delivery) = self.outbox.post(now_ms, item, accepted, ticket) {
            self.deliver(delivery, here);
        }
    }

    fn accept(&mut self, now_ms: u64, item: &OutboxItem) -> Accepted {
        let OutboxItem::Contents { uri, .. } = item else {
            return Accepted::default();
        };
        Accepted {
            at: self.clock.stamp(now_ms),
            after: self.versions.stamp(uri).next(),
        }
    }

    fn stored(&self, uri: &str) -> Option<Contents> {
        self.store.as_ref().and_then(|store| store.get(uri))
    }

    /// The connection that adds is there.
    pub fn handle_writer_up(&mut self, now_ms: u64) {
        self.outbox.connected(now_ms);
    }

    /// The connection that adds is gone; what was under way may have arrived or not.
    pub fn handle_writer_lost(&mut self, here: &dyn LocalLog) {
        let deliveries = self.outbox.lost();
        self.deliver_each(deliveries, here);
    }

    /// The next entries to be added, in one round trip. Until [`handle_added`](Bus::handle_added) there are no more.
    pub fn poll_add(&mut self, now_ms: u64) -> Vec<Add> {
        if now_ms < self.paused_until_ms {
            return Vec::new();
        }
        let batch = self.outbox.take_batch();
        self.sent_ms = now_ms;
        self.sent.clear();
        let adds = batch.into_iter().map(|adding| self.add(adding));
        adds.collect()
    }

    /// What became of the entries, in their order: `None` if the stream did not take it.
    pub fn handle_added(&mut self, now_ms: u64, placed: &[Option<Placed>], here: &dyn LocalLog) {
        let taken: Vec<bool> = placed.iter().map(Option::is_some).collect();
        let refused = taken.iter().filter(|&&taken| !taken).count();
        if refused > 0 {
            self.counts.refused += refused as u64;
            self.paused_until_ms = now_ms + REFUSED_PAUSE_MS;
        }
        let sent = std::mem::take(&mut self.sent);
        let mut overtaken = Vec::new();
        for (placed, own) in placed.iter().zip(sent) {
            let Some(placed) = placed else {
                continue;
            };
            self.clock.learn(self.sent_ms, now_ms, placed.id);
            self.counts.overtaken += u64::from(placed.is_overtaken);
            match own {
                Some((uri, Some(is_gone))) if !placed.is_overtaken => {
                    self.note_placed(&uri, placed.stamp, is_gone);
                }
                Some((uri, None)) => overtaken.push(uri),
                _ => {}
            }
        }
        let deliveries = self.outbox.added(&taken);
        self.deliver_each(deliveries, here);
        // Redis may have forgotten what came in its place.
        overtaken.iter().for_each(|uri| self.put_back(uri));
    }

    /// What this node's board has at a URI is in the hash, with this stamp.
    fn note_placed(&mut self, uri: &str, stamp: EntryId, is_gone: bool) {
        // A write of this node's since then is on its board already, and later than this one.
        let is_last = !self.outbox.succeeds(uri, stamp);
        if is_last && self.versions.stamp(uri) < stamp {
            self.set_version(uri, stamp, is_gone);
        }
    }

    /// What other nodes are to know of this one's progress. Until [`handle_applied`](Bus::handle_applied) there is no
    /// more. `None`: nothing new, or this node is not where it should be.
    pub fn poll_applied(&mut self, now_ms: u64) -> Option<Applied> {
        if self.store.is_none() || !self.is_current() {
            return None;
        }
        let applied = self.peers.poll(now_ms, self.tail.position)?;
        self.applied_ms = now_ms;
        Some(applied)
    }

    /// The record's id; `None`: nobody knows whether it is there.
    pub fn handle_applied(&mut self, now_ms: u64, id: Option<EntryId>) {
        if let Some(id) = id {
            self.clock.learn(self.applied_ms, now_ms, id);
        }
        self.peers.added(id);
    }

    /// The others need not wait for this process any more.
    pub fn leave(&mut self) {
        self.peers.leave();
    }

    /// When there was nothing else, several times in the time that an item may take.
    pub fn handle_timeout(&mut self, now_ms: u64, here: &dyn LocalLog) {
        let deliveries = self.outbox.overdue(now_ms);
        self.deliver_each(deliveries, here);
        self.counts.dropped += self.outbox.take_dropped();
        if !self.tail.is_loading() {
            self.tallies.log(now_ms);
        }
        for (uri, at) in self.outbox.take_left_out() {
            let stamp = self.versions.stamp(&uri).max(at);
            let is_gone = self.stored(&uri).is_none();
            self.set_version(&uri, stamp, is_gone);
            self.put_back(&uri);
        }
        self.is_late |= now_ms >= LOADED_WITHIN_MS && self.loaded() == Loaded::NotYet;
        self.release(now_ms, here);
    }

    #[must_use]
    pub fn loaded(&self) -> Loaded {
        let awaits_board = self.store.is_some() && !self.tail.was_loaded;
        Loaded::of(awaits_board, self.is_late)
    }

    /// Whether it is not known yet of some items if they are in the log.
    #[must_use]
    pub fn is_adding(&self) -> bool {
        self.outbox.is_adding()
    }

    /// What other nodes do not have of what this one published.
    #[must_use]
    pub fn unsent(&self) -> UnsentItems {
        self.outbox.unsent()
    }

    /// So much waits to be added that a publisher had better wait too.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// What is published is delivered here at once, since Redis is out of reach or slow.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.outbox.is_alone()
    }

    #[must_use]
    pub fn queued_count(&self) -> usize {
        self.outbox.queued_count()
    }

    #[must_use]
    pub fn counts(&self) -> BusCounts {
        self.counts
    }

    fn add(&mut self, adding: Adding) -> Add {
        let Adding {
            number,
            item,
            accepted,
            is_delivered,
        } = adding;
        let mut contents = None;
        let mut own = None;
        let news = match item {
            OutboxItem::Changed(topic) => Payload::Changed(topic),
            OutboxItem::Directed(principal, topic) => Payload::Directed(principal, topic),
            OutboxItem::Look(uri) => Payload::Stored { uri, changed: true },
            OutboxItem::Contents {
                uri,
                carried,
                changed,
                owed,
            } => {
                let stamp = accepted.at.max(accepted.after);
                let is_stored = carried == ContentSource::Stored;
                if is_stored && self.versions.stamp(&uri) > stamp {
                    // What is on this board now is somebody else's, and newer.
                    self.counts.overtaken += 1;
                    own = Some((uri.clone(), None));
                    Payload::Changed(Topic::Resource(uri))
                } else {
                    let now = match carried {
                        ContentSource::Given(given) => given,
                        ContentSource::Stored => self.stored(&uri),
                    };
                    own = is_stored.then(|| (uri.clone(), Some(now.is_none())));
                    contents = Some(Write {
                        kept: StoredValue {
                            uri: uri.clone(),
                            record: now.as_ref().map(stored::emit),
                            stamp,
                            other_names: self.spellings.others(&uri),
                        },
                        after: accepted.after,
                    });
                    // Clients of other nodes may have read here what came before it, and they had not.
                    let was_read = is_delivered || owed != Change::NONE;
                    let changed = changed || was_read;
                    Payload::Stored { uri, changed }
                }
            }
            OutboxItem::Session(session, notice) => Payload::Session(session, notice),
            OutboxItem::All(notice) => Payload::All(notice),
            OutboxItem::Everything => Payload::Everything,
        };
        self.sent.push(own);
        Add {
            fields: self.fields(number, &news),
            contents,
        }
    }

    /// Of an entry as this process adds it.
    fn fields(&self, number: u64, news: &Payload) -> Vec<(&'static str, Vec<u8>)> {
        let author = Author {
            process: self.process.clone(),
            number,
        };
        let fields = entry::emit(&author, news).into_iter();
        fields
            .map(|(name, value)| (name, value.into_owned()))
            .collect()
    }

    fn deliver_each(&mut self, deliveries: Vec<LocalDelivery>, here: &dyn LocalLog) {
        for delivery in deliveries {
            self.deliver(delivery, here);
        }
    }

    /// Tells this node of an item of its own, ahead of the stream.
    fn deliver(&mut self, delivery: LocalDelivery, here: &dyn LocalLog) {
        self.counts.delivered_ahead += 1;
        let accepted = delivery.accepted;
        let offset = match delivery.item {
            OutboxItem::Changed(topic) => Some(here.publish(0, vec![topic])),
            OutboxItem::Directed(principal, topic) => Some(here.publish_to(0, principal, topic)),
            OutboxItem::Look(uri) => Some(here.publish(0, vec![Topic::Resource(uri)])),
            OutboxItem::Contents {
                uri, carried, owed, ..
            } => {
                let written = match carried {
                    ContentSource::Given(contents) => {
                        self.merge_one(&uri, accepted.at.max(accepted.after), contents)
                    }
                    ContentSource::Stored => Change::NONE,
                };
                Some(here.publish(0, owed.and(written).topics(&uri)))
            }
            OutboxItem::All(notice) => Some(here.notify_all(0, notice)),
            OutboxItem::Session(..) | OutboxItem::Everything => None,
        };
        let kept = KeptBy::Node;
        answer(delivery.tickets, Receipt { offset, kept });
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

fn answer(tickets: Vec<ReceiptSender>, receipt: Receipt) {
    for ticket in tickets {
        // Whoever asked may be gone.
        let _ = ticket.send(receipt);
    }
}
