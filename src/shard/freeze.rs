//! A whole core as one value: it stands still, all that it has is in [`FrozenShard`], and a shard that takes its place goes
//! on with that, in this process or in another one, as if nothing had been.
//!
//! Sessions and connections have the keys and names that they had: ids, event ids and what the driver knows of sockets stay
//! right. Either everything is frozen or nothing was changed, and [`HeldUp`] says what is in the way. The same shard may be
//! given back what it gave.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::stays::{Leaves, NotTaken, StaysBecause};
use super::travel::{PackedParts, PartsArriving, PartsLeaving};
use super::{ConnectionKey, CorePosition, Millis, Shard, TravellingConnection, TravellingSession};

/// All that a core had.
#[derive(Clone, Serialize, Deserialize)]
pub struct FrozenShard {
    position: CorePosition,
    /// What the following have in common.
    #[serde(default)]
    parts: PackedParts,
    sessions: Vec<TravellingSession>,
    connections: Vec<TravellingConnection>,
}

/// A frozen core, or what has one in it, as it is written down: bytes as what they are, and not as lists of numbers.
///
/// # Errors
/// It is something that has no such form.
pub fn write_frozen(state: &impl Serialize) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::new();
    let mut writer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_bytes(rmp_serde::config::BytesMode::ForceAll);
    state.serialize(&mut writer)?;
    Ok(bytes)
}

/// Why a core cannot stand still now: how many sessions and connections stay for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldUp {
    reasons: BTreeMap<StaysBecause, usize>,
}

impl HeldUp {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    #[must_use]
    pub fn by_reason(&self) -> &BTreeMap<StaysBecause, usize> {
        &self.reasons
    }

    /// What holds up several cores.
    pub fn add(&mut self, other: &HeldUp) {
        for (&why, count) in &other.reasons {
            self.add_of(why, *count);
        }
    }

    /// So many more stay for this reason.
    pub fn add_of(&mut self, why: StaysBecause, count: usize) {
        if count > 0 {
            *self.reasons.entry(why).or_default() += count;
        }
    }

    fn note(&mut self, why: StaysBecause) {
        self.add_of(why, 1);
    }
}

impl fmt::Display for HeldUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (why, count)) in self.reasons.iter().enumerate() {
            let before = if place == 0 { "" } else { "; " };
            write!(f, "{before}{count} × {why}")?;
        }
        Ok(())
    }
}

impl FrozenShard {
    /// As the core knew them, in the order in which they are in here.
    #[must_use]
    pub fn connection_keys(&self) -> Vec<ConnectionKey> {
        let of_sessions = self
            .sessions
            .iter()
            .flat_map(TravellingSession::connections);
        let others = self.connections.iter().map(TravellingConnection::key);
        of_sessions.chain(others).collect()
    }

    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }
}

impl Shard {
    /// What is in the way of standing still. Nothing changes.
    #[must_use]
    pub fn held_up(&self) -> HeldUp {
        let mut held_up = HeldUp::default();
        for key in self.sessions() {
            if let Err(why) = self.engine.may_leave(key) {
                held_up.note(why);
            }
        }
        for key in self.connections() {
            let owner = self.http.may_leave(key, Leaves::WithItsCore);
            let may = owner.and_then(|it| it.map_or(Ok(()), |it| self.engine.may_leave_with(it)));
            if let Err(why) = may
                && why != StaysBecause::OfSession
            {
                held_up.note(why);
            }
        }
        held_up
    }

    /// Takes out everything.
    ///
    /// # Errors
    /// What is in the way. Nothing has changed.
    pub fn handle_freeze(&mut self, now: Millis) -> Result<FrozenShard, HeldUp> {
        self.at(now);
        let held_up = self.held_up();
        if !held_up.is_empty() {
            return Err(held_up);
        }
        let mut frozen = FrozenShard {
            position: self.position(),
            parts: PackedParts::default(),
            sessions: Vec::new(),
            connections: Vec::new(),
        };
        let mut parts = PartsLeaving::default();
        let emptied = self.empty_into(&mut frozen, &mut parts);
        frozen.parts = parts.packed();
        match emptied {
            Ok(()) => Ok(frozen),
            Err(why) => {
                let back = self.handle_resume(now, frozen);
                debug_assert!(back.is_ok(), "what left a moment ago comes back");
                let mut held_up = HeldUp::default();
                held_up.note(why);
                Err(held_up)
            }
        }
    }

    fn empty_into(
        &mut self,
        frozen: &mut FrozenShard,
        parts: &mut PartsLeaving,
    ) -> Result<(), StaysBecause> {
        let sessions: Vec<_> = self.sessions().collect();
        frozen.sessions.reserve(sessions.len());
        for key in sessions {
            frozen
                .sessions
                .push(self.take_session_as(key, Leaves::WithItsCore, parts)?.0);
        }
        let connections: Vec<_> = self.connections().collect();
        frozen.connections.reserve(connections.len());
        for key in connections {
            frozen
                .connections
                .push(self.take_connection_as(key, Leaves::WithItsCore, parts)?);
        }
        Ok(())
    }

    /// Before the sessions, and in the order of the names that their streams have: the application knows those, and nobody has
    /// taken them yet.
    fn put_all_again(
        &mut self,
        mut connections: Vec<TravellingConnection>,
        parts: &mut PartsArriving,
    ) -> Result<(), NotTaken> {
        connections.sort_by_key(TravellingConnection::stream_name);
        for connection in connections {
            self.put_connection_again(connection, parts)
                .map_err(|it| it.why)?;
        }
        Ok(())
    }

    /// Goes on with what a core had whose place this one takes, before anything else is handled; or with what it gave itself.
    /// Connections come in the order of [`FrozenShard::connection_keys`], and have those keys.
    ///
    /// # Errors
    /// What is wrong with it. The shard is of no use then.
    pub fn handle_resume(
        &mut self,
        now: Millis,
        frozen: FrozenShard,
    ) -> Result<Vec<ConnectionKey>, NotTaken> {
        self.at(now);
        let FrozenShard {
            position,
            parts,
            sessions,
            connections,
        } = frozen;
        let mut parts = PartsArriving::of(parts);
        self.begin_at(position);
        let others: Vec<_> = connections.iter().map(TravellingConnection::key).collect();
        self.put_all_again(connections, &mut parts)?;
        let mut keys = Vec::new();
        for session in sessions {
            let put = self.put_session_again(session, &mut parts);
            keys.extend(put.map_err(|it| it.why)?);
        }
        keys.extend(others);
        self.engine.let_go_of_parts(parts);
        self.http.list_vacant();
        self.go_on();
        Ok(keys)
    }
}
