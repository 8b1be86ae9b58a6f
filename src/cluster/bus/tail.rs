//! The reading side: where this node is in the stream, and what it asks Redis next.
//!
//! ```text
//!            ┌──────────── nothing lost ────────────┐
//! up ─▶ Checking ── lost ──▶ Loading ──▶ Reading ◀──┤──▶ Fetching (contents of what was read)
//!            └── emptied ──▶ Refilling ─▲    │      │      (Skipping instead of Reading: an entry that nobody reads)
//!            ▲──────────────── now and then, and after a full page
//! ```
//!
//! The position moves on when what was read is told, and not before: whatever breaks in between is read again.

use std::collections::{HashMap, HashSet, VecDeque};

use super::entry::{self, Entry, News};
use super::id::EntryId;
use super::page::Page;
use super::standing::{Standing, Verdict};
use super::{Bus, Here, Kept, contents};
use crate::app::contents::Contents;
use crate::line_limit::LineLimit;

/// Resources whose contents are asked for at once: up to a megabyte each, and a little more on the wire.
const CONTENTS_AT_ONCE: usize = 16;
/// How often an undisturbed reader looks whether Redis is still what it was.
const CHECK_EVERY_MS: u64 = 2_000;
/// How often the hash is read at most because others put something back.
const LOAD_EVERY_MS: u64 = 1_000;

/// What Redis is to be asked on the connection that reads; one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Where everything stands; everything up to `kept` is told and kept.
    Check { kept: Option<EntryId> },
    /// Up to `count` entries; waits for the first one.
    Read { after: EntryId, count: usize },
    /// Which entry is the next one, whose fields are more than anybody reads.
    Next { after: EntryId },
    /// Put these in the hash, unless it has newer ones, and then say what it has at these URIs.
    Fetch {
        keep: Vec<(EntryId, Kept)>,
        uris: Vec<Box<str>>,
    },
    /// The hash, a page of it.
    Scan { cursor: u64 },
    /// Put these in the hash where it has nothing, and add the marker if any was put, in one step: other nodes may have
    /// read the hash already.
    Refill {
        kept: Vec<Kept>,
        marker: Vec<(&'static str, Vec<u8>)>,
    },
}

/// Names and values, as an entry of the stream or a hash has them.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What Redis answered.
#[derive(Clone, Debug)]
pub enum Heard {
    Standing(Standing),
    Entries(Vec<(EntryId, Fields)>),
    /// None: there is none any more.
    Next(Option<EntryId>),
    /// One value for each URI that was asked for.
    Fetched(Vec<Option<Vec<u8>>>),
    /// The next cursor, 0 after the last page; URIs and values.
    Scanned(u64, Fields),
    Refilled,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Down,
    /// Nothing after this entry may be missing.
    Checking {
        since: EntryId,
    },
    Refilling {
        after: Option<Box<str>>,
    },
    Loading {
        cursor: u64,
        seen: HashSet<Box<str>>,
    },
    Reading,
    /// The next entry alone is more than one answer may hold.
    Skipping,
    /// The contents of so many of the unread entries are asked for.
    Fetching {
        entries: usize,
        uris: Vec<Box<str>>,
    },
}

#[derive(Default)]
pub(super) struct Tail {
    state: State,
    /// None before the first look.
    token: Option<Box<str>>,
    /// Everything up to here was told.
    pub(super) position: EntryId,
    /// What others said up to here was said before this node was there: only what they brought is of interest.
    pub(super) quiet_until: EntryId,
    /// Read and not told yet; None: malformed.
    pub(super) unread: VecDeque<(EntryId, Option<Entry>)>,
    /// A full page was read: where it began.
    full_since: Option<EntryId>,
    /// The hash is to be read again.
    pub(super) wants_reload: bool,
    /// This node's contents are to be put back into the hash.
    wants_refill: bool,
    checked_ms: u64,
    loaded_ms: u64,
    /// How many entries were ever added up to the position, if Redis counts them.
    counted: Option<u64>,
    page: Page,
    malformed_lines: LineLimit,
    /// Not even a page of one entry could be answered.
    is_stuck: bool,
}

impl Tail {
    /// Part of the hash was read, and the rest will be.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.state, State::Loading { .. })
    }

    /// Whether the stream has had as many entries as were read. Somebody may have trimmed what nobody had read.
    fn agrees(&mut self, standing: &Standing) -> bool {
        let Some(added) = standing.added_before(self.position) else {
            return true;
        };
        let counted = self.counted.replace(added);
        counted.is_none_or(|counted| counted == added)
    }
}

impl Bus {
    /// The connection that reads is there.
    pub fn handle_reader_up(&mut self) {
        self.tail.state = State::Checking {
            since: self.tail.position,
        };
    }

    /// The connection that reads is gone, or an answer was an error.
    pub fn handle_reader_lost(&mut self, here: &dyn Here) {
        self.tail.state = State::Down;
        self.tail.unread.clear();
        self.tail.full_since = None;
        let told = self.outbox.unfollowed();
        self.tell_each(told, here);
    }

    /// An answer was more than anybody reads; the connection ended with it.
    pub fn handle_too_large(&mut self) {
        if matches!(self.tail.state, State::Reading) && !self.tail.page.halve() {
            self.tail.is_stuck = true;
        }
    }

    /// What to ask next; `None` while there is no connection.
    #[must_use]
    pub fn poll_ask(&self) -> Option<Ask> {
        Some(match &self.tail.state {
            State::Down => return None,
            State::Checking { .. } => Ask::Check {
                kept: self.tail.token.is_some().then_some(self.tail.position),
            },
            State::Refilling { after } => Ask::Refill {
                kept: self.own_after(after.as_deref()),
                marker: self.fields(0, &News::Reload),
            },
            State::Loading { cursor, .. } => Ask::Scan { cursor: *cursor },
            State::Reading => Ask::Read {
                after: self.tail.position,
                count: self.tail.page.count(),
            },
            State::Skipping => Ask::Next {
                after: self.tail.position,
            },
            State::Fetching { entries, uris } => Ask::Fetch {
                keep: self.brought(*entries),
                uris: uris.clone(),
            },
        })
    }

    /// The answer to what was asked. One that does not fit is dropped: it is asked again.
    pub fn handle_heard(&mut self, now_ms: u64, heard: Heard, here: &dyn Here) {
        match (std::mem::take(&mut self.tail.state), heard) {
            (State::Checking { since }, Heard::Standing(standing)) => {
                self.tail.checked_ms = now_ms;
                self.check(now_ms, since, standing, here);
            }
            (State::Refilling { after }, Heard::Refilled) => self.refilled(now_ms, after),
            (State::Loading { seen, .. }, Heard::Scanned(cursor, found)) => {
                self.loaded(now_ms, seen, cursor, found, here);
            }
            (State::Reading, Heard::Entries(entries)) => self.read(now_ms, entries, here),
            (State::Skipping, Heard::Next(id)) => self.skip(now_ms, id, here),
            (State::Fetching { entries, uris }, Heard::Fetched(values)) => {
                let fetched = uris.into_iter().zip(values).collect();
                self.tell_read(now_ms, entries, &fetched, here);
                self.go_on(now_ms, here);
            }
            (state, _) => self.tail.state = state,
        }
    }

    fn check(&mut self, now_ms: u64, since: EntryId, standing: Standing, here: &dyn Here) {
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
        if verdict != Verdict::Whole {
            self.tail.counted = None;
        }
        if !self.tail.agrees(&standing) && verdict == Verdict::Whole {
            verdict = Verdict::Trimmed;
        }
        match verdict {
            Verdict::Whole => {}
            Verdict::Trimmed => {
                self.tallies.trimmed.note(&since.to_string());
                self.counts.gaps += 1;
                self.lose(here);
            }
            Verdict::Emptied => {
                self.tallies.emptied.note("");
                self.tail.wants_refill = true;
                self.counts.gaps += 1;
                self.lose(here);
            }
        }
        self.next_duty(now_ms);
    }

    /// Nobody knows what was missed.
    fn lose(&mut self, here: &dyn Here) {
        self.tail.full_since = None;
        (self.tail.wants_reload, self.tail.loaded_ms) = (true, 0);
        let told = self.outbox.gap();
        self.tell_each(told, here);
        here.gap(0);
    }

    /// What is owed to the hash and to this node's board comes first, however often it was interrupted.
    fn next_duty(&mut self, now_ms: u64) {
        let may_load = now_ms >= self.tail.loaded_ms + LOAD_EVERY_MS || self.tail.loaded_ms == 0;
        if self.store.is_none() {
            self.follow(now_ms);
        } else if self.tail.wants_refill {
            self.tail.state = State::Refilling { after: None };
        } else if self.tail.wants_reload && may_load {
            self.tail.state = State::Loading {
                cursor: 0,
                seen: HashSet::new(),
            };
        } else {
            self.follow(now_ms);
        }
    }

    fn follow(&mut self, now_ms: u64) {
        self.tail.state = match self.tail.is_stuck {
            true => State::Skipping,
            false => State::Reading,
        };
        self.outbox.followed(now_ms);
    }

    /// A page of what this node has, for a hash that has lost it.
    fn own_after(&self, after: Option<&str>) -> Vec<Kept> {
        let Some(store) = &self.store else {
            return Vec::new();
        };
        let uris = store.uris_after(after, CONTENTS_AT_ONCE);
        let kept = uris.into_iter().filter_map(|uri| {
            let record = contents::emit(&store.get(&uri)?);
            Some(Kept {
                uri,
                record: Some(record),
            })
        });
        kept.collect()
    }

    fn refilled(&mut self, now_ms: u64, after: Option<Box<str>>) {
        let store = self.store.as_ref();
        let uris = store.map(|store| store.uris_after(after.as_deref(), CONTENTS_AT_ONCE));
        match uris.unwrap_or_default().pop() {
            Some(last) => self.tail.state = State::Refilling { after: Some(last) },
            None => {
                self.tail.wants_refill = false;
                self.next_duty(now_ms);
            }
        }
    }

    fn loaded(
        &mut self,
        now_ms: u64,
        mut seen: HashSet<Box<str>>,
        cursor: u64,
        found: Fields,
        here: &dyn Here,
    ) {
        for (uri, value) in found {
            let uri = match String::from_utf8(uri) {
                Ok(uri) => uri.into_boxed_str(),
                Err(bytes) => {
                    self.found_foreign(&String::from_utf8_lossy(bytes.as_bytes()));
                    continue;
                }
            };
            self.take_value(0, &uri, Some(&value), here);
            seen.insert(uri);
        }
        if cursor != 0 {
            self.tail.state = State::Loading { cursor, seen };
            return;
        }
        self.take_away_unseen(&seen, here);
        (self.tail.wants_reload, self.tail.loaded_ms) = (false, now_ms);
        self.go_on(now_ms, here);
    }

    /// What the hash does not have was taken away meanwhile.
    fn take_away_unseen(&mut self, seen: &HashSet<Box<str>>, here: &dyn Here) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let mut after: Option<Box<str>> = None;
        loop {
            let uris = store.uris_after(after.as_deref(), CONTENTS_AT_ONCE);
            for uri in uris.iter().filter(|uri| !seen.contains(*uri)) {
                self.take_value(0, uri, None, here);
            }
            match uris.into_iter().last() {
                Some(last) => after = Some(last),
                None => return,
            }
        }
    }

    fn read(&mut self, now_ms: u64, entries: Vec<(EntryId, Fields)>, here: &dyn Here) {
        // As many may have been added meanwhile that the oldest were trimmed before they were read.
        let is_full = entries.len() >= self.tail.page.count();
        self.tail.full_since = is_full.then_some(self.tail.position);
        let bytes = entries.iter().flat_map(|(_, fields)| fields);
        let bytes = bytes.map(|(name, value)| name.len() + value.len()).sum();
        self.tail.page.grow(entries.len(), bytes);
        self.counts.heard += entries.len() as u64;
        for (id, fields) in entries {
            let entry = self.understand(now_ms, id, &fields);
            self.tail.unread.push_back((id, entry));
        }
        self.go_on(now_ms, here);
    }

    /// Past an entry that nobody can read.
    fn skip(&mut self, now_ms: u64, id: Option<EntryId>, here: &dyn Here) {
        self.tail.is_stuck = false;
        if let Some(id) = id {
            self.counts.malformed += 1;
            self.tallies.unread.note(&id.to_string());
            self.tail.full_since = Some(self.tail.position);
            self.tail.unread.push_back((id, None));
        }
        self.go_on(now_ms, here);
    }

    fn understand(
        &mut self,
        now_ms: u64,
        id: EntryId,
        fields: &[(Vec<u8>, Vec<u8>)],
    ) -> Option<Entry> {
        let entry = entry::parse(fields, self.uri_bytes_max).and_then(|entry| {
            if let (News::Brought(uri, contents), Some(store)) = (&entry.news, &self.store) {
                let checked = store.check(uri, contents.as_ref());
                checked.map_err(|_| {
                    entry::Malformed("contents of that size, or at that uri, are not taken here")
                })?;
            }
            Ok(entry)
        });
        entry
            .map_err(|entry::Malformed(why)| {
                self.counts.malformed += 1;
                if let Some(unlogged) = self.tail.malformed_lines.admit(now_ms) {
                    tracing::warn!(entry = %id, why, unlogged, "an entry of the bus was skipped: see README.md for \
                        what its fields may be");
                }
            })
            .ok()
    }

    /// Tells what was read, up to contents that have to be asked for; and then what to do next.
    fn go_on(&mut self, now_ms: u64, here: &dyn Here) {
        while !self.tail.unread.is_empty() {
            let (entries, uris) = self.next_portion();
            if !uris.is_empty() {
                self.tail.state = State::Fetching { entries, uris };
                return;
            }
            self.tell_read(now_ms, entries, &HashMap::new(), here);
        }
        if let Some(since) = self.tail.full_since.take() {
            self.tail.state = State::Checking { since };
        } else if now_ms >= self.tail.checked_ms + CHECK_EVERY_MS {
            self.tail.state = State::Checking {
                since: self.tail.position,
            };
        } else {
            self.next_duty(now_ms);
        }
    }

    /// How many of the unread entries are told next, and whose contents that takes.
    fn next_portion(&self) -> (usize, Vec<Box<str>>) {
        let mut uris: Vec<Box<str>> = Vec::new();
        for (index, (_, entry)) in self.tail.unread.iter().enumerate() {
            let uri = match entry.as_ref().map(|entry| &entry.news) {
                Some(News::Stored { uri, .. } | News::Brought(uri, _)) if self.store.is_some() => {
                    uri
                }
                _ => continue,
            };
            if uris.contains(uri) {
                continue;
            }
            if uris.len() == CONTENTS_AT_ONCE {
                return (index, uris);
            }
            uris.push(uri.clone());
        }
        (self.tail.unread.len(), uris)
    }

    /// What other programs brought, for the hash.
    fn brought(&self, entries: usize) -> Vec<(EntryId, Kept)> {
        let unread = self.tail.unread.iter().take(entries);
        let kept = unread.filter_map(|(id, entry)| match &entry.as_ref()?.news {
            News::Brought(uri, contents) => {
                let kept = Kept {
                    uri: uri.clone(),
                    record: contents.as_ref().map(contents::emit),
                };
                Some((*id, kept))
            }
            _ => None,
        });
        kept.collect()
    }

    fn tell_read(
        &mut self,
        now_ms: u64,
        entries: usize,
        fetched: &HashMap<Box<str>, Option<Vec<u8>>>,
        here: &dyn Here,
    ) {
        for _ in 0..entries {
            let Some((id, entry)) = self.tail.unread.pop_front() else {
                return;
            };
            if let Some(entry) = entry {
                self.apply(now_ms, id, entry, fetched, here);
            }
            self.tail.position = id;
            self.tail.counted = self.tail.counted.map(|counted| counted + 1);
        }
    }
}

/// What a value of the hash says: `None` if it is there and no node wrote it.
pub(super) fn understood(value: Option<&[u8]>) -> Option<Option<Contents>> {
    match value {
        None => Some(None),
        Some(value) => contents::parse(value).map(Some),
    }
}
