//! A bus as it is written down for the process that goes on in this one's place: with the same name, so that for other nodes
//! nothing has happened.
//!
//! | what | how it travels |
//! |---|---|
//! | the outbox: its number, what waits, what was added and has not come back | here. What is under way is added once more, under its number: others know it by that |
//! | who waits for an item | not: whoever published it on the admin listener was answered before |
//! | the place in the stream, what Redis is known to be, what is owed to it | here. What was read beyond that place is read again |
//! | versions, names, progress of other nodes, authors, Redis's clock | here |
//! | what is held for other nodes, what is to be delivered again | here |
//! | counts, lines of the log that wait | not: a process counts from its start |
//!
//! Every field is taken apart by name: a new one does not compile before somebody has decided. Times are by the bus's own clock,
//! which goes on.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::hold::{HeldState, Redeliveries};
use super::outbox::{OutboxItem, OutboxState};
use super::peers::NodesProgress;
use super::spelling::Spellings;
use super::tail::TailPlace;
use super::tally::Tallies;
use super::versions::VersionsState;
use super::{Bus, BusCounts, BusSetup, Loaded};
use crate::limits::HANDED_OVER_WITHIN_MS;

/// What a bus had.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BusState {
    outbox: OutboxState,
    tail: TailPlace,
    versions: VersionsState,
    clock: Option<Clock>,
    peers: NodesProgress,
    held: Vec<HeldState>,
    again: Redeliveries,
    is_late: bool,
    has_board: bool,
    authors: HashMap<Box<str>, u64>,
    spellings: Spellings,
    paused_until_ms: u64,
    /// When it was written down.
    at_ms: u64,
    /// Posted, and not taken in yet.
    pub(super) posted: Vec<OutboxItem>,
    /// By the node's clock, when this bus's began.
    pub(super) began: u64,
}

impl BusState {
    /// How far the node is with the board. One without a board is asked in vain, and says so.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        let awaits_board = self.has_board && !self.tail.was_loaded();
        Loaded::of(awaits_board, self.is_late)
    }
}

impl Bus {
    /// What it has; it may go on with that itself.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> BusState {
        let Bus {
            node: _,
            process: _,
            store,
            uri_bytes_max: _,
            outbox,
            // Of what is under way, which is added once more.
            sent_ms: _,
            sent: _,
            applied_ms: _,
            tail,
            versions,
            clock,
            peers,
            held,
            again,
            is_late,
            authors,
            spellings,
            paused_until_ms,
            resumed_until_ms: _,
            counts: _,
            tallies: _,
        } = self;
        BusState {
            outbox: outbox.state(),
            tail: tail.place(),
            versions: versions.state(),
            clock: Some(clock.clone()),
            peers: peers.clone(),
            held: held.iter().map(HeldState::of).collect(),
            again: again.clone(),
            is_late: *is_late,
            has_board: store.is_some(),
            authors: authors.clone(),
            spellings: spellings.clone(),
            paused_until_ms: *paused_until_ms,
            at_ms: now_ms,
            posted: Vec::new(),
            began: 0,
        }
    }

    /// Goes on with what another process had. Its connections are new.
    #[must_use]
    pub fn resumed(setup: BusSetup, unix_ms: u64, state: BusState) -> Bus {
        let BusState {
            outbox,
            tail,
            versions,
            clock,
            peers,
            held,
            again,
            is_late,
            has_board: _,
            authors,
            spellings,
            paused_until_ms,
            at_ms,
            posted: _,
            began: _,
        } = state;
        Bus {
            outbox: outbox.into(),
            tail: tail.into(),
            versions: versions.into(),
            clock: clock.unwrap_or_else(|| Clock::new(unix_ms)),
            peers: peers.resumed(),
            held: held.into_iter().map(Into::into).collect::<VecDeque<_>>(),
            again,
            is_late,
            authors,
            spellings,
            paused_until_ms,
            resumed_until_ms: at_ms + HANDED_OVER_WITHIN_MS,
            counts: BusCounts::default(),
            tallies: Tallies::default(),
            process: setup.process().into(),
            node: setup.node,
            store: setup.store,
            uri_bytes_max: setup.uri_bytes_max,
            // Nothing is under way.
            sent_ms: 0,
            sent: Vec::new(),
            applied_ms: 0,
        }
    }
}
