//! As of which write this node has each resource, and what it knows to have been taken away.
//!
//! Invariant: a URI is in `present` or in `gone`, and `by_age` has what `gone` has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::id::EntryId;

/// Resources that were taken away and are remembered, the newest: to say so to a Redis that forgot it, and to a node
/// that was away. As many as a board has entries.
const GONE_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Versions {
    present: HashMap<Box<str>, EntryId>,
    gone: BTreeMap<Box<str>, EntryId>,
    by_age: BTreeSet<(EntryId, Box<str>)>,
}

/// As it is written down.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct VersionsState {
    present: Vec<(Box<str>, EntryId)>,
    gone: Vec<(Box<str>, EntryId)>,
}

impl From<VersionsState> for Versions {
    fn from(state: VersionsState) -> Versions {
        let mut versions = Versions::default();
        for (uri, stamp) in state.gone {
            let is_gone = true;
            versions.set(&uri, WriteVersion { stamp, is_gone });
        }
        versions.present = state.present.into_iter().collect();
        for uri in versions.present.keys() {
            if let Some((uri, stamp)) = versions.gone.remove_entry(uri) {
                versions.by_age.remove(&(stamp, uri));
            }
        }
        versions
    }
}

/// As of which write, and whether that took the resource away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteVersion {
    pub(super) stamp: EntryId,
    pub(super) is_gone: bool,
}

impl Versions {
    pub(super) fn get(&self, uri: &str) -> Option<WriteVersion> {
        let version = |is_gone| move |&stamp| WriteVersion { stamp, is_gone };
        let present = self.present.get(uri).map(version(false));
        present.or_else(|| self.gone.get(uri).map(version(true)))
    }

    /// Before every write if there is none.
    pub(super) fn stamp(&self, uri: &str) -> EntryId {
        self.get(uri).map_or(EntryId::ZERO, |it| it.stamp)
    }

    pub(super) fn set(&mut self, uri: &str, version: WriteVersion) {
        if let Some((uri, stamp)) = self.gone.remove_entry(uri) {
            self.by_age.remove(&(stamp, uri));
        }
        if !version.is_gone {
            self.present.insert(uri.into(), version.stamp);
            return;
        }
        self.present.remove(uri);
        self.gone.insert(uri.into(), version.stamp);
        self.by_age.insert((version.stamp, uri.into()));
        if self.gone.len() > GONE_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.gone.remove(&oldest);
        }
    }

    pub(super) fn state(&self) -> VersionsState {
        let Versions {
            present,
            gone,
            // Of those.
            by_age: _,
        } = self;
        let each = |(uri, stamp): (&str, &EntryId)| (uri.into(), *stamp);
        VersionsState {
            present: present.iter().map(|(uri, it)| each((uri, it))).collect(),
            gone: gone.iter().map(|(uri, it)| each((uri, it))).collect(),
        }
    }

    pub(super) fn present_count(&self) -> u64 {
        self.present.len() as u64
    }

    /// What was taken away.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.keys().map(|uri| &**uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(ms: u64, is_gone: bool) -> WriteVersion {
        WriteVersion {
            stamp: EntryId { ms, seq: 0 },
            is_gone,
        }
    }

    #[test]
    fn more_deletions_than_are_remembered() {
        let mut versions = Versions::default();
        versions.set("a:kept", version(1, false));
        for number in 0..=GONE_MAX as u64 {
            versions.set(&format!("a:{number}"), version(2 + number, true));
        }
        assert_eq!(versions.get("a:0"), None, "the oldest");
        assert_eq!(versions.get("a:1"), Some(version(3, true)));
        assert_eq!(versions.gone().count(), GONE_MAX);
        versions.set("a:1", version(7, false));
        assert_eq!(versions.gone().count(), GONE_MAX - 1);
        assert_eq!(versions.by_age.len(), GONE_MAX - 1);
        assert_eq!(versions.get("a:kept"), Some(version(1, false)));
    }
}
