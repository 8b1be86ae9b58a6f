//! Where a tail is, as it is written down for the next process. Its connection is new: what was read beyond the position is read
//! again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Tail;
use crate::cluster::bus::id::EntryId;

/// A tail as it is written down.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster::bus) struct TailPlace {
    token: Option<Box<str>>,
    position: EntryId,
    quiet_until: EntryId,
    wants_reload: bool,
    was_loaded: bool,
    ahead_until_ms: u64,
    owed: BTreeSet<Box<str>>,
    lacked: Option<(u64, u64)>,
    newest: (EntryId, Option<u64>),
    current_ms: u64,
    loaded_ms: u64,
    counted: Option<u64>,
    counts: bool,
    is_stuck: bool,
}

impl TailPlace {
    pub(in crate::cluster::bus) fn was_loaded(&self) -> bool {
        self.was_loaded
    }
}

impl From<TailPlace> for Tail {
    fn from(place: TailPlace) -> Tail {
        Tail {
            token: place.token,
            position: place.position,
            quiet_until: place.quiet_until,
            wants_reload: place.wants_reload,
            was_loaded: place.was_loaded,
            ahead_until_ms: place.ahead_until_ms,
            owed: place.owed,
            lacked: place.lacked,
            newest: place.newest,
            current_ms: place.current_ms,
            loaded_ms: place.loaded_ms,
            counted: place.counted,
            counts: place.counts,
            is_stuck: place.is_stuck,
            ..Tail::new()
        }
    }
}

impl Tail {
    pub(in crate::cluster::bus) fn place(&self) -> TailPlace {
        let Tail {
            // As after a lost connection: what was read beyond the position is read again.
            state: _,
            unread: _,
            full_since: _,
            token,
            position,
            quiet_until,
            wants_reload,
            was_loaded,
            ahead_until_ms,
            owed,
            lacked,
            newest,
            current_ms,
            // It is checked when the connection is there.
            checked_ms: _,
            loaded_ms,
            counted,
            counts,
            // Found out anew.
            page: _,
            malformed_log: _,
            is_stuck,
        } = self;
        TailPlace {
            token: token.clone(),
            position: *position,
            quiet_until: *quiet_until,
            wants_reload: *wants_reload,
            was_loaded: *was_loaded,
            ahead_until_ms: *ahead_until_ms,
            owed: owed.clone(),
            lacked: *lacked,
            newest: *newest,
            current_ms: *current_ms,
            loaded_ms: *loaded_ms,
            counted: *counted,
            counts: *counts,
            is_stuck: *is_stuck,
        }
    }
}
