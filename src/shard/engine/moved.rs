//! Sessions that are not where their ids say: those of other cores that are here, and those of this core that left.
//!
//! An id names a core, a slot and a generation, and a client keeps it as long as it lives. A session that travels to the
//! same place of the same core (of another process, as a rule) needs nothing of this. One that travels to another core,
//! or finds its slot taken when it comes back, is listed: where it is by its place, so that requests find it
//! ([`Engine::locate`]), and its place by its key, so that it is still called what it was ([`Engine::session_id`]). Its
//! home core is told where it went ([`Engine::handle_moved`]) and sends requests after it; a core that has it not, or not
//! yet, or not any more, sends them home.
//!
//! Sessions of other nodes that this one has taken over (`takeover`) are listed the same way, by their node and place.
//!
//! Both tables are empty on nearly every core, and then a request costs a look at that.

use std::collections::{BTreeMap, HashMap};

use super::{Destination, Engine, SessionKey};
use crate::wire::session_id::{Locator, NodeName, SessionId};

/// Where a session was opened, which its id says as long as it lives.
pub(super) type BirthPlace = (NodeName, Locator);

#[derive(Default)]
pub(super) struct Moved {
    /// By the places in their ids.
    here: HashMap<BirthPlace, SessionKey>,
    /// The same the other way.
    places: HashMap<SessionKey, BirthPlace>,
    /// Sessions of this core, and on which core each of them is.
    away: BTreeMap<SessionKey, u16>,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.away.is_empty()
    }

    /// The session of this place, if it is here under another key than that says.
    pub(super) fn find(&self, place: &BirthPlace) -> Option<SessionKey> {
        self.here.get(place).copied()
    }

    /// What the id of this session says, if that is not its key.
    pub(super) fn place_of(&self, key: SessionKey) -> Option<BirthPlace> {
        self.places.get(&key).copied()
    }

    pub(super) fn arrives(&mut self, place: BirthPlace, key: SessionKey) {
        self.here.insert(place, key);
        self.places.insert(key, place);
    }

    /// It ended, or left.
    pub(super) fn leaves(&mut self, key: SessionKey) {
        if let Some(place) = self.places.remove(&key) {
            self.here.remove(&place);
        }
    }

    /// To another core, or to none.
    pub(super) fn is_on(&mut self, home: SessionKey, core: Option<u16>) {
        match core {
            Some(core) => drop(self.away.insert(home, core)),
            None => drop(self.away.remove(&home)),
        }
    }

    fn core_of(&self, home: SessionKey) -> Option<u16> {
        self.away.get(&home).copied()
    }

    /// The sessions of this core that are elsewhere: slot, generation, and the core.
    pub(super) fn away(&self) -> impl Iterator<Item = (u32, u32, u16)> {
        let away = self.away.iter();
        away.map(|(home, &core)| (home.index, home.generation, core))
    }

    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.here.len(), self.places.len());
        self.here.len()
    }
}

impl Engine {
    /// A session of this core is on another one now. None: it is over, or nowhere.
    pub(in crate::shard) fn handle_moved(&mut self, session: &SessionId, core: Option<u16>) {
        let place = &session.locator;
        if session.node == self.node
            && place.incarnation == self.incarnation
            && place.core == self.core
        {
            let elsewhere = core.filter(|&core| core != self.core);
            self.moved.is_on(key_of(place), elsewhere);
        }
    }

    /// On which core a session of this process is, as far as this core knows.
    pub(in crate::shard) fn core_of(&self, session: &SessionId) -> u16 {
        match self.core_for(&session.locator) {
            Destination::Core(core) => core,
            Destination::Here | Destination::Elsewhere => self.core,
        }
    }

    /// On which core to look for a session of this process.
    pub(super) fn core_for(&self, place: &Locator) -> Destination {
        let core = place.core;
        if self.moved.is_empty() {
            return match core != self.core {
                true => Destination::Core(core),
                false => Destination::Here,
            };
        }
        if self.moved.find(&(self.node, *place)).is_some() {
            return Destination::Here;
        }
        if core != self.core {
            return Destination::Core(core);
        }
        let elsewhere = self.moved.core_of(key_of(place));
        elsewhere.map_or(Destination::Here, Destination::Core)
    }

    /// Panics if a session is said to be here that is not. For tests.
    pub(super) fn moved_invariants(&self) {
        let names_itself = |place: BirthPlace| self.moved.find(&place).is_some();
        let moved = self.sessions.iter();
        let moved = moved.filter_map(|(key, _)| self.moved.place_of(key));
        assert_eq!(
            moved.filter(|&place| names_itself(place)).count(),
            self.moved.len()
        );
    }
}

/// What names the session on its own core.
pub(super) fn key_of(place: &Locator) -> SessionKey {
    SessionKey::from_parts(place.slot, place.generation)
}

/// Where it was opened.
pub(super) fn place_of(id: &SessionId) -> BirthPlace {
    (id.node, id.locator)
}
