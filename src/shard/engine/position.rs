//! What a core has beside its sessions and connections, for another one that goes on in its place.
//!
//! [`Engine::position`] takes the whole engine apart, and has a line for each part of it: by that it travels, or why it does not.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::arena::Key;
use super::takeover::NO_LEASE;
use super::view::PackedRecords;
use super::{Client, Commons, Engine, Millis};

/// Where a core stands, for another one to begin with that goes on in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorePosition {
    /// The last place in the log that it has heard of.
    offset: u64,
    /// The generation of its next session: ids of those that ended never name another one.
    next_session: u32,
    /// The generation of its next connection: what is still to come for one that ended never finds another one.
    #[serde(default)]
    pub(in crate::shard) next_connection: u32,
    /// How many slots it has for connections and for listeners: keys may be beyond what there may be now.
    #[serde(default)]
    pub(in crate::shard) slots: CoreSlots,
    /// Its sessions that are on other cores: slot, generation, and the core.
    away: Vec<(u32, u32, u16)>,
    /// Who has used of the rate at which one client may call, and when that is whole again, in nanoseconds of the node's clock.
    #[serde(default)]
    rates: Vec<(Client, u64)>,
    /// Who ended, and why.
    #[serde(default)]
    records: PackedRecords,
    /// How many of its sessions left for other nodes, and until when none of the rest is taken over.
    #[serde(default)]
    let_go: u64,
    #[serde(default)]
    lease_until: Option<Millis>,
}

/// The limit of connections may be a lower one in the next process, and what there is keeps its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard) struct CoreSlots {
    connections: u32,
    listeners: u32,
}

/// Slots that are believed in. No process has more open files on a kernel whose bound nobody has raised (`fs.nr_open`).
const SLOTS_MAX: u32 = 1 << 20;

impl CoreSlots {
    fn of(connections: usize, listeners: usize) -> CoreSlots {
        let slots = |count| u32::try_from(count).unwrap_or(u32::MAX);
        CoreSlots {
            connections: slots(connections),
            listeners: slots(listeners),
        }
    }

    pub(in crate::shard) fn connections(self) -> usize {
        self.connections.min(SLOTS_MAX) as usize
    }

    fn listeners(self) -> usize {
        self.listeners.min(2 * SLOTS_MAX) as usize
    }
}

impl Engine {
    pub(in crate::shard) fn commons(&self) -> &Arc<Commons> {
        &self.commons
    }

    pub(in crate::shard) fn position(
        &self,
        next_connection: u32,
        connections: usize,
    ) -> CorePosition {
        let Engine {
            // Who the core is, its settings, and what it has of the whole node: whoever goes on in its place is given the same.
            node: _,
            core: _,
            core_count: _,
            incarnation: _,
            limits: _,
            memory: _,
            commons: _,
            is_clustered: _,
            http_sse: _,
            server_info: _,
            description: _,
            accepts: _,
            spelling: _,
            secrets: _,
            rights: _,
            // Whoever drives a shard tells it.
            now: _,
            offset,
            // One after the other, in `travel`.
            sessions,
            moved,
            // With the sessions, but for this.
            takeover,
            lease_until,
            // With their sessions, as that says there.
            streams: _,
            silent: _,
            // None is under way: a session with one stays.
            calls: _,
            calls_of_client: _,
            // Listeners travel with their sessions or connections, and topics are made of what they hear.
            fanout,
            // Armed anew.
            wheel: _,
            records,
            // By their words, with those who say so.
            profiles: _,
            call_rates,
            // Asked again when there is no room again.
            asked_for_room: _,
            // A node that drains stands still for nobody.
            drain: _,
            // Told by whoever reads the board there.
            is_loading: _,
            // Those that were not announced yet are so where they arrive: each says it of itself.
            announced: _,
            // Their records are verified from the first one again.
            verified: _,
            // There are none: `NotDrained`.
            outputs: _,
            // Room for the next delivery.
            due: _,
            events: _,
            id_text: _,
            // Counted since the process began, as all that is read by `/metrics`.
            stats: _,
        } = self;
        CorePosition {
            offset: *offset,
            next_session: sessions.next_generation(),
            next_connection,
            slots: CoreSlots::of(connections, fanout.names()),
            away: moved.away().collect(),
            rates: call_rates.used(self.now),
            records: records.pack(),
            let_go: takeover.as_ref().map_or(0, |it| it.let_go_count()),
            lease_until: Some(*lease_until).filter(|&it| it != NO_LEASE),
        }
    }

    /// Goes on where another core stood. What was published before is over for all who are not here yet.
    pub(in crate::shard) fn begin_at(&mut self, position: CorePosition) {
        let CorePosition {
            offset,
            next_session,
            // The wire's.
            next_connection: _,
            slots,
            away,
            rates,
            records,
            let_go,
            lease_until,
        } = position;
        self.offset = self.offset.max(offset);
        self.sessions.count_from(next_session);
        self.fanout.give_names_again(slots.listeners());
        for (slot, generation, core) in away {
            self.moved
                .is_on(Key::from_parts(slot, generation), Some(core));
        }
        self.call_rates.take_in(&rates, self.now);
        self.records.take_in(records);
        if let Some(takeover) = &mut self.takeover {
            takeover.count_let_go_from(let_go);
            self.lease_until = lease_until.unwrap_or(NO_LEASE);
        }
    }
}
