//! The board's hash as a whole: read again when this node may have missed something, and given back what it has lost.
//!
//! The node concludes nothing from what the hash does not have. A resource is gone if somebody took it away. Redis
//! remembers that for a day ([`GONE_S`](super::scripts::GONE_S)), and nodes for as long as they live. What a node has and the
//! hash does not, without anybody having taken it away, Redis has forgotten: the node puts it back.

use super::ask::{CONTENTS_AT_ONCE, FieldList, FoundValue};
use super::id::EntryId;
use super::spelling::WantedValues;
use super::state::{HashScan, TailState};
use super::stream_info::StreamInfo;
use super::versions::WriteVersion;
use super::{Bus, LocalLog, StoredValue, stored};

/// By how much a moment may be another one by Redis's clock.
const CLOCKS_DIFFER_MS: u64 = 50;

impl Bus {
    /// What this node has at these URIs, for a hash that has lost it.
    pub(super) fn own(&self, uris: &[Box<str>]) -> Vec<StoredValue> {
        let Some(store) = &self.store else {
            return Vec::new();
        };
        // What is on its way gets there by itself.
        let settled = uris.iter().filter(|uri| !self.outbox.is_pending(uri));
        let kept = settled.filter_map(|uri| {
            let record = store.get(uri).as_ref().map(stored::emit);
            let version = self.versions.get(uri);
            let is_known = record.is_some() || version.is_some_and(|version| version.is_gone);
            is_known.then(|| StoredValue {
                uri: uri.clone(),
                record,
                stamp: version.map_or(EntryId::ZERO, |version| version.stamp),
                other_names: self.spellings.others(uri),
            })
        });
        kept.collect()
    }

    /// Redis may have nothing of what this node knows.
    pub(super) fn owe_everything(&mut self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let mut after: Option<Box<str>> = None;
        loop {
            let uris = store.uris_after(after.as_deref(), CONTENTS_AT_ONCE);
            let Some(last) = uris.last() else {
                break;
            };
            after = Some(last.clone());
            self.tail.owed.extend(uris);
        }
        let gone = self.versions.gone().map(Into::into);
        self.tail.owed.extend(gone);
    }

    /// Redis has nothing at this URI, or something older.
    pub(super) fn put_back(&mut self, uri: &str) {
        let Some(store) = &self.store else {
            return;
        };
        let is_known = self.versions.get(uri).is_some() || store.get(uri).is_some();
        if is_known && !self.outbox.is_pending(uri) {
            self.tail.owed.insert(uri.into());
        }
    }

    /// Somebody may have deleted some of the hash by hand, and no entry tells of that. So if it has fewer resources than
    /// this node, which has read all there is to read, the hash is read again.
    pub(super) fn look_for_loss(&mut self, standing: &StreamInfo) {
        let Some(stored) = standing.stream.and_then(|stream| stream.stored) else {
            return;
        };
        let known = self.versions.present_count();
        if stored >= known {
            self.tail.lacked = None;
            return;
        }
        let is_settled = standing.last() == self.tail.position
            && self.tail.owed.is_empty()
            && self.outbox.unsent().count == 0;
        // Once: what this node cannot put back it need not look for again and again.
        if is_settled && self.tail.lacked != Some((stored, known)) {
            self.tail.lacked = Some((stored, known));
            self.tail.wants_reload = true;
        }
    }

    pub(super) fn refilled(&mut self, now_ms: u64, uris: &[Box<str>]) {
        for uri in uris {
            self.tail.owed.remove(uri);
        }
        self.next_duty(now_ms);
    }

    pub(super) fn scanned(
        &mut self,
        now_ms: u64,
        mut seen: HashScan,
        cursor: u64,
        found: FieldList,
        here: &dyn LocalLog,
    ) {
        for (name, value) in found {
            let Ok(name) = String::from_utf8(name).map(String::into_boxed_str) else {
                self.counts.malformed += 1;
                continue;
            };
            let Some(uri) = self.own_uri_of_stored(&name) else {
                self.refuse_value(&name);
                continue;
            };
            if self.spellings.has(&uri) {
                seen.unsettled.insert(uri);
                continue;
            }
            let found = FoundValue {
                value: Some(value),
                gone: None,
            };
            self.take_value(&uri, &found, here);
            seen.uris.insert(uri);
        }
        match cursor {
            0 => self.compare(now_ms, seen),
            cursor => self.tail.state = TailState::Loading { cursor, seen },
        }
    }

    pub(super) fn compared(
        &mut self,
        now_ms: u64,
        seen: HashScan,
        values: &[(Box<str>, FoundValue)],
        here: &dyn LocalLog,
    ) {
        for (uri, found) in values {
            self.take_value(uri, found, here);
        }
        self.compare(now_ms, seen);
    }

    /// The next resources of which the hash has not said all, and the next ones of this node that it does not have; after
    /// the last one the board is as it should be.
    fn compare(&mut self, now_ms: u64, mut seen: HashScan) {
        let mut wanted = WantedValues::default();
        while wanted.has_room()
            && let Some(uri) = seen.unsettled.pop_first()
        {
            wanted.add(&uri, &self.spellings);
            seen.uris.insert(uri);
        }
        while wanted.has_room()
            && let Some(store) = &self.store
        {
            let uris = store.uris_after(seen.after.as_deref(), CONTENTS_AT_ONCE);
            let Some(last) = uris.last() else {
                break;
            };
            seen.after = Some(last.clone());
            for uri in uris.iter().filter(|uri| !seen.uris.contains(*uri)) {
                wanted.add(uri, &self.spellings);
            }
        }
        if !wanted.is_empty() {
            self.tail.state = TailState::Comparing { wanted, seen };
            return;
        }
        (self.tail.wants_reload, self.tail.loaded_ms) = (false, now_ms);
        self.tail.ahead_until_ms = self.clock.time_ms(now_ms) + CLOCKS_DIFFER_MS;
        if !std::mem::replace(&mut self.tail.was_loaded, true) && self.is_late {
            // Clients may have come before the board.
            self.again.add_everything();
        }
        self.go_on(now_ms);
    }

    /// The hash is being read: what came with it is not complete.
    pub(super) fn is_loading(&self) -> bool {
        matches!(
            self.tail.state,
            TailState::Loading { .. } | TailState::Comparing { .. }
        )
    }

    pub(super) fn set_version(&mut self, uri: &str, stamp: EntryId, is_gone: bool) {
        self.versions.set(uri, WriteVersion { stamp, is_gone });
    }
}
