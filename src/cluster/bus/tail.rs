//! The reading side: where this node is in the stream, and what it asks Redis next.
//!
//! ```text
//!            ┌──────────── nothing lost ────────────┐
//! up ─▶ Checking ── lost ──▶ Loading ──▶ Reading ◀──┤──▶ Fetching (contents of what was read)
//!            └── emptied ──▶ Refilling ─▲    │      │      (Skipping instead of Reading: an entry that nobody reads)
//!            ▲──────────────── now and then, after a full page, and when contents come with another token
//! ```
//!
//! The position moves on when what was read is on this node's board, and not before: whatever breaks in between is read
//! again. What a Redis has that was emptied since it was looked at last (its *token* is another one) is not believed:
//! least of all what it does not have.

mod place;

use std::collections::{BTreeSet, VecDeque};

pub(super) use self::place::TailPlace;
use super::apply::Fetched;
use super::ask::{BusRequest, BusResponse, CONTENTS_AT_ONCE, FieldList};
use super::entry::{self, Entry, Payload};
use super::id::EntryId;
use super::page::Page;
use super::spelling::WantedValues;
use super::state::{HashScan, TailState};
use super::stream_info::{StreamInfo, StreamLoss};
use super::{Bus, LocalLog, StoredValue, stored};
use crate::log_throttle::LogThrottle;

/// How often an undisturbed reader looks whether Redis is still what it was.
const CHECK_EVERY_MS: u64 = 2_000;
/// How often the hash is read at most because others put something back.
const LOAD_EVERY_MS: u64 = 1_000;

#[derive(Default)]
pub(super) struct Tail {
    pub(super) state: TailState,
    /// None before the first look.
    pub(super) token: Option<Box<str>>,
    /// Everything up to here was delivered.
    pub(super) position: EntryId,
    /// What others said up to here was said before this node was there: only what they brought is of interest.
    pub(super) quiet_until: EntryId,
    /// Read and not delivered yet; None: malformed.
    pub(super) unread: VecDeque<(EntryId, Option<Entry>)>,
    /// A full page was read: where it began.
    full_since: Option<EntryId>,
    /// The hash is to be read again.
    pub(super) wants_reload: bool,
    /// The hash was read once, from beginning to end.
    pub(super) was_loaded: bool,
    /// Entries up to this moment may be on this node's board already: it was read as a whole after them.
    pub(super) ahead_until_ms: u64,
    /// What this node has there is to be put back into the hash.
    pub(super) owed: BTreeSet<Box<str>>,
    /// So many resources the hash had, and this node, when it was read again for having too few.
    pub(super) lacked: Option<(u64, u64)>,
    /// The newest entry that is known to be there, and how many were ever added up to it, if Redis counts them.
    newest: (EntryId, Option<u64>),
    /// When everything that was known to be there was delivered.
    current_ms: u64,
    checked_ms: u64,
    pub(super) loaded_ms: u64,
    /// How many entries were ever added up to the position, if Redis counts them.
    counted: Option<u64>,
    /// Redis does.
    counts: bool,
    page: Page,
    malformed_log: LogThrottle,
    /// Not even a page of one entry could be answered.
    is_stuck: bool,
}

impl Tail {
    /// Part of the hash was read, and the rest will be.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.state, TailState::Loading { .. })
    }

    /// Whether the stream has had as many entries as were read. Somebody may have trimmed what nobody had read.
    fn agrees(&mut self, standing: &StreamInfo) -> bool {
        let Some(added) = standing.added_before(self.position) else {
            return true;
        };
        let counted = self.counted.replace(added);
        counted.is_none_or(|counted| counted == added)
    }
}

impl Tail {
    /// Whether everything that is known to be there was delivered.
    fn has_all(&self) -> bool {
        let is_up = !matches!(self.state, TailState::Down);
        is_up && self.token.is_some() && self.unread.is_empty() && self.position >= self.newest.0
    }

    /// How far it is behind: entries, if that can be told, and milliseconds since it was not.
    pub(super) fn lag(&self, now_ms: u64) -> (Option<u64>, u64) {
        if self.has_all() {
            return (Some(0), 0);
        }
        let is_up = !matches!(self.state, TailState::Down);
        let added = self.newest.1.zip(self.counted);
        let unread = self.unread.len() as u64;
        let entries = added.map(|(added, counted)| added.saturating_sub(counted).max(unread));
        (
            entries.filter(|_| is_up),
            now_ms.saturating_sub(self.current_ms),
        )
    }

    pub(super) fn new() -> Self {
        Tail {
            // Each line names an entry and what is wrong with it.
            malformed_log: LogThrottle::of_each(),
            ..Tail::default()
        }
    }
}

impl Bus {
    /// The connection that reads is there.
    pub fn handle_reader_up(&mut self, now_ms: u64) {
        // For the moment of a hand-over nobody can have come or gone unnoticed: the records are read on from where they were.
        if now_ms >= std::mem::take(&mut self.resumed_until_ms) {
            self.peers.interrupted(now_ms);
        }
        self.tail.state = TailState::Checking {
            since: self.tail.position,
        };
    }

    /// The connection that reads is gone, or an answer was an error.
    pub fn handle_reader_lost(&mut self, here: &dyn LocalLog) {
        self.tail.state = TailState::Down;
        self.tail.unread.clear();
        self.tail.full_since = None;
        let deliveries = self.outbox.unfollowed();
        self.deliver_each(deliveries, here);
    }

    /// An answer was more than anybody reads; the connection ended with it.
    pub fn handle_too_large(&mut self) {
        if matches!(self.tail.state, TailState::Reading) && !self.tail.page.halve() {
            self.tail.is_stuck = true;
        }
    }

    /// What to ask next; `None` while there is no connection.
    #[must_use]
    pub fn poll_ask(&self) -> Option<BusRequest> {
        Some(match &self.tail.state {
            TailState::Down => return None,
            TailState::Checking { .. } => BusRequest::Check {
                kept: self.tail.token.is_some().then_some(self.tail.position),
            },
            TailState::Refilling { uris } => BusRequest::Refill {
                kept: self.own(uris),
                marker: self.fields(0, &Payload::Reload),
            },
            TailState::Loading { cursor, .. } => BusRequest::Scan { cursor: *cursor },
            TailState::Comparing { wanted, .. } => BusRequest::Fetch {
                keep: Vec::new(),
                token: self.token(),
                names: wanted.names(),
            },
            TailState::Reading => BusRequest::Read {
                after: self.tail.position,
                applied_after: self.peers.read(),
                count: self.tail.page.count(),
            },
            TailState::Skipping => BusRequest::Next {
                after: self.tail.position,
            },
            TailState::Fetching { entries, wanted } => BusRequest::Fetch {
                keep: self.brought(*entries),
                token: self.token(),
                names: wanted.names(),
            },
        })
    }

    /// The answer to what was asked. One that does not fit is dropped: it is asked again.
    pub fn handle_heard(&mut self, now_ms: u64, heard: BusResponse, here: &dyn LocalLog) {
        match (std::mem::take(&mut self.tail.state), heard) {
            (TailState::Checking { since }, BusResponse::StreamInfo(standing)) => {
                self.tail.checked_ms = now_ms;
                self.check(now_ms, since, standing, here);
            }
            (TailState::Refilling { uris }, BusResponse::Refilled(put_back)) => {
                self.counts.put_back += put_back;
                self.refilled(now_ms, &uris);
            }
            (TailState::Loading { seen, .. }, BusResponse::Scanned(cursor, found, token)) => {
                match self.is_same(token) {
                    true => self.scanned(now_ms, seen, cursor, found, here),
                    false => self.look_again(),
                }
            }
            (TailState::Comparing { wanted, seen }, BusResponse::Fetched(values, token)) => {
                match self.is_same(token) {
                    true => {
                        let found = self.spellings.settle(wanted, values);
                        self.compared(now_ms, seen, &found, here);
                    }
                    false => self.look_again(),
                }
            }
            (TailState::Reading, BusResponse::Entries { entries, applied }) => {
                for (id, record) in applied {
                    let record = record
                        .as_ref()
                        .map(|(by, applied)| (&**by, applied.clone()));
                    self.peers.hear(id, &self.process, record);
                }
                self.read(now_ms, entries);
            }
            (TailState::Skipping, BusResponse::Next(id)) => self.skip(now_ms, id),
            (TailState::Fetching { entries, wanted }, BusResponse::Fetched(values, token)) => {
                let is_same = self.is_same(token);
                let found = is_same.then(|| self.spellings.settle(wanted, values));
                let fetched = found.map(|found| found.into_iter().collect());
                self.deliver_read(now_ms, entries, &fetched);
                match is_same {
                    true => self.go_on(now_ms),
                    false => {
                        let all = self.tail.unread.len();
                        self.deliver_read(now_ms, all, &None);
                        self.look_again();
                    }
                }
            }
            (state, _) => self.tail.state = state,
        }
        self.release(now_ms, here);
        self.deliver_again(now_ms, here);
        if self.tail.has_all() {
            self.tail.current_ms = now_ms;
        }
    }

    /// Whether this node's board has all up to its position.
    pub(super) fn is_current(&self) -> bool {
        let follows = matches!(
            self.tail.state,
            TailState::Reading | TailState::Skipping | TailState::Fetching { .. }
        );
        follows && !self.tail.wants_reload && self.tail.owed.is_empty()
    }

    /// Of Redis, when it was looked at last.
    fn token(&self) -> Box<str> {
        self.tail.token.clone().unwrap_or_default()
    }

    /// Whether Redis is what it was when it was looked at last.
    fn is_same(&self, token: Option<Box<str>>) -> bool {
        token.is_some() && token == self.tail.token
    }

    /// It was emptied since: nothing of what it says now is about what it had.
    fn look_again(&mut self) {
        self.tail.state = TailState::Checking {
            since: self.tail.position,
        };
    }

    fn check(&mut self, now_ms: u64, since: EntryId, standing: StreamInfo, here: &dyn LocalLog) {
        let added = standing.stream.map_or(Some(0), |stream| stream.added);
        self.tail.newest = (standing.last(), added);
        self.tail.counts = standing.stream.is_some_and(|stream| stream.added.is_some());
        let known = self.tail.token.replace(standing.token.clone());
        let Some(known) = known else {
            // Subscribers may have come before Redis did: what they missed since is as good as lost. And other
            // programs may have brought something while no node was there.
            self.tail.quiet_until = standing.last();
            self.tail.position = standing.kept.unwrap_or_default().min(standing.last());
            self.tail.counted = standing.added_before(self.tail.position);
            self.lose(here);
            return self.next_duty(now_ms);
        };
        let mut verdict = standing.judge(&known, since);
        self.tail.position = standing.position(&known, self.tail.position);
        if verdict != StreamLoss::Whole {
            self.tail.counted = None;
        }
        if !self.tail.agrees(&standing) && verdict == StreamLoss::Whole {
            verdict = StreamLoss::Trimmed;
        }
        match verdict {
            StreamLoss::Whole => self.look_for_loss(&standing),
            StreamLoss::Trimmed => {
                self.tallies.trimmed.note(&since.to_string());
                self.counts.gaps += 1;
                if standing.stream.is_some_and(|stream| stream.first.is_none()) {
                    // Nothing is left to move on with, and the next look would find the same.
                    self.tail.position = standing.last();
                    self.tail.counted = standing.added_before(self.tail.position);
                }
                self.lose(here);
            }
            StreamLoss::Emptied => {
                self.tallies.emptied.note("");
                self.counts.gaps += 1;
                self.peers.forgotten(now_ms);
                self.lose(here);
                self.owe_everything();
            }
        }
        self.next_duty(now_ms);
    }

    /// Nobody knows what was missed.
    fn lose(&mut self, here: &dyn LocalLog) {
        self.tail.full_since = None;
        (self.tail.wants_reload, self.tail.loaded_ms) = (true, 0);
        let deliveries = self.outbox.gap();
        self.deliver_each(deliveries, here);
        here.gap(0);
    }

    /// What is owed to the hash and to this node's board comes first, however often it was interrupted.
    pub(super) fn next_duty(&mut self, now_ms: u64) {
        let may_load = now_ms >= self.tail.loaded_ms + LOAD_EVERY_MS || self.tail.loaded_ms == 0;
        if self.store.is_none() {
            self.follow(now_ms);
        } else if !self.tail.owed.is_empty() {
            let uris = self.tail.owed.iter().take(CONTENTS_AT_ONCE);
            self.tail.state = TailState::Refilling {
                uris: uris.cloned().collect(),
            };
        } else if self.tail.wants_reload && may_load {
            self.tail.state = TailState::Loading {
                cursor: 0,
                seen: HashScan::default(),
            };
        } else {
            self.follow(now_ms);
        }
    }

    fn follow(&mut self, now_ms: u64) {
        self.tail.state = match self.tail.is_stuck {
            true => TailState::Skipping,
            false => TailState::Reading,
        };
        self.outbox.followed(now_ms);
    }

    fn read(&mut self, now_ms: u64, entries: Vec<(EntryId, FieldList)>) {
        // As many may have been added meanwhile that the oldest were trimmed before they were read.
        let is_full = entries.len() >= self.tail.page.count();
        // Nor is it certain where the count was not known: somebody may have trimmed all but these.
        let is_uncounted = self.tail.counts && self.tail.counted.is_none() && !entries.is_empty();
        self.tail.full_since = (is_full || is_uncounted).then_some(self.tail.position);
        let bytes = entries.iter().flat_map(|(_, fields)| fields);
        let bytes = bytes.map(|(name, value)| name.len() + value.len()).sum();
        self.tail.page.grow(entries.len(), bytes);
        self.counts.heard += entries.len() as u64;
        for (id, fields) in entries {
            let entry = self.understand(now_ms, id, &fields);
            self.tail.unread.push_back((id, entry));
        }
        self.go_on(now_ms);
    }

    /// Past an entry that nobody can read.
    fn skip(&mut self, now_ms: u64, id: Option<EntryId>) {
        self.tail.is_stuck = false;
        if let Some(id) = id {
            self.counts.malformed += 1;
            self.tallies.unread.note(&id.to_string());
            self.tail.full_since = Some(self.tail.position);
            self.tail.unread.push_back((id, None));
        }
        self.go_on(now_ms);
    }

    fn understand(
        &mut self,
        now_ms: u64,
        id: EntryId,
        fields: &[(Vec<u8>, Vec<u8>)],
    ) -> Option<Entry> {
        let parsed = entry::parse(fields, self.uri_bytes_max);
        let entry = parsed.and_then(|entry| {
            let name: Option<Box<str>> = entry.news.uri().map(Into::into);
            let entry = self.in_own_words(entry)?;
            if let (Payload::ExternalPut(uri, contents), Some(store)) = (&entry.news, &self.store) {
                let checked = store.check(uri, contents.as_ref());
                checked.map_err(|_| {
                    entry::MalformedEntry(
                        "contents of that size, or at that uri, are not taken here",
                    )
                })?;
            }
            if let (Some(uri), Some(name)) = (entry.news.uri(), name) {
                self.note_name(uri, &name);
            }
            Ok(entry)
        });
        entry
            .map_err(|entry::MalformedEntry(why)| {
                self.counts.malformed += 1;
                if let Some(unlogged) = self.tail.malformed_log.admit(now_ms) {
                    tracing::warn!(entry = %id, why, unlogged, "an entry of the bus was skipped: see README.md for \
                        what its fields may be");
                }
            })
            .ok()
    }

    /// Takes over what was read, up to contents that have to be asked for; and then what to do next.
    pub(super) fn go_on(&mut self, now_ms: u64) {
        while !self.tail.unread.is_empty() {
            let (entries, wanted) = self.next_portion();
            if !wanted.is_empty() {
                self.tail.state = TailState::Fetching { entries, wanted };
                return;
            }
            self.deliver_read(now_ms, entries, &None);
        }
        if let Some(since) = self.tail.full_since.take() {
            self.tail.state = TailState::Checking { since };
        } else if now_ms >= self.tail.checked_ms + CHECK_EVERY_MS {
            self.tail.state = TailState::Checking {
                since: self.tail.position,
            };
        } else {
            self.next_duty(now_ms);
        }
    }

    /// How many of the unread entries are delivered next, and whose contents that takes.
    fn next_portion(&self) -> (usize, WantedValues) {
        let mut wanted = WantedValues::default();
        for (index, (_, entry)) in self.tail.unread.iter().enumerate() {
            let uri = match entry.as_ref().map(|entry| &entry.news) {
                Some(Payload::Stored { uri, .. } | Payload::ExternalPut(uri, _))
                    if self.store.is_some() =>
                {
                    uri
                }
                _ => continue,
            };
            if wanted.contains(uri) {
                continue;
            }
            if !wanted.has_room() {
                return (index, wanted);
            }
            wanted.add(uri, &self.spellings);
        }
        (self.tail.unread.len(), wanted)
    }

    /// What other programs brought, for the hash.
    fn brought(&self, entries: usize) -> Vec<StoredValue> {
        let unread = self.tail.unread.iter().take(entries);
        let kept = unread.filter_map(|(id, entry)| match &entry.as_ref()?.news {
            Payload::ExternalPut(uri, contents) => Some(StoredValue {
                uri: uri.clone(),
                record: contents.as_ref().map(stored::emit),
                stamp: *id,
                other_names: self.spellings.others(uri),
            }),
            _ => None,
        });
        kept.collect()
    }

    fn deliver_read(&mut self, now_ms: u64, entries: usize, fetched: &Fetched) {
        for left in (0..entries).rev() {
            let Some((id, entry)) = self.tail.unread.pop_front() else {
                return;
            };
            if let Some(entry) = entry {
                let mut later = self.tail.unread.iter().take(left);
                let is_last = !later.any(|(_, later)| same_resource(&entry, later.as_ref()));
                self.apply(now_ms, id, entry, fetched, is_last);
            }
            self.tail.position = id;
            self.tail.counted = self.tail.counted.map(|counted| counted + 1);
        }
    }
}

/// Whether both bring contents of one resource.
fn same_resource(one: &Entry, other: Option<&Entry>) -> bool {
    let own = one.news.uri();
    own.is_some() && own == other.and_then(|other| other.news.uri())
}
