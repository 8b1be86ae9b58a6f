//! Whether one more session may open, and which one ends to make room for it: an idle one of whoever holds most.
//!
//! What a client holds is counted for the whole node, but a core sees only its own sessions. If the session to end is rather
//! on another core, the other cores are asked, and the client gets an answer that says to come back in a moment.

use super::session::Session;
use super::session_lifecycle::SessionEnding;
use super::{Engine, EngineOutput, ExchangeOwner, Millis, Refused, SessionKey, Wire};
use crate::app::call::SessionEnd;
use crate::clients::{Client, Excess};

/// A session that was active so recently is not ended to make room.
const MAKE_ROOM_IDLE_MS: Millis = 10_000;
/// How many sessions are looked at to find one that can make room, spread over all of them: who holds a fiftieth is
/// among them nearly always.
const MAKE_ROOM_LOOK_AT: usize = 256;
/// How long the other cores have to make room before this one ends the best of its own.
const ASK_FOR_ROOM_EVERY_MS: Millis = 1_000;

/// A session that could end, and how many its client holds on the whole node.
struct Candidate {
    key: SessionKey,
    holds: u32,
}

impl Engine {
    /// Takes the place of one more session of this client.
    pub(super) fn admit_session(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        client: Option<Client>,
    ) -> Result<(), Refused> {
        if self.rejects_new() {
            return Err(Refused::busy(
                "This node is shutting down and takes no new sessions.",
                1,
            ));
        }
        let mut opened = self.commons.clients.open_session(client, self.now);
        if opened == Err(Excess::Held) && self.end_idle_of(wire, client) {
            opened = self.commons.clients.open_session(client, self.now);
        }
        opened.map_err(refused)?;
        let taken = self.take_place(wire, client);
        if taken.is_err() {
            self.commons.clients.close_session(client);
        }
        taken
    }

    /// A place for a session of this client, which counts already; an idle one goes for it.
    pub(super) fn take_place(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        client: Option<Client>,
    ) -> Result<(), Refused> {
        if self.commons.sessions.take(1).is_ok() {
            return Ok(());
        }
        // Without the one that is about to open.
        let holds = self.commons.clients.sessions_of(client).saturating_sub(1);
        let best = self.idle_session(|holder, its| its > holds || holder == client);
        let clients = &self.commons.clients;
        let is_elsewhere = |best: &Candidate| clients.anyone_holds_more_than(best.holds);
        if self.core_count > 1 && best.as_ref().is_none_or(is_elsewhere) && self.may_ask_for_room()
        {
            self.outputs.push_back(EngineOutput::MakeRoom { holds });
            return Err(Refused::busy(
                "This node holds as many sessions as it can, and is making room: try again.",
                1,
            ));
        }
        let ended = best.is_some_and(|it| {
            self.end_session(wire, it.key, SessionEnding::Over(SessionEnd::MadeRoom))
        });
        // Another core may have been faster.
        if ended && self.commons.sessions.take(1).is_ok() {
            return Ok(());
        }
        Err(Refused::busy(
            "This node holds as many sessions as it can, and none of them is idle.",
            30,
        ))
    }

    /// Another core needs room for a session of somebody who holds so many.
    pub(in crate::shard) fn handle_make_room(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        holds: u32,
    ) {
        if self.commons.sessions.free() == 0
            && let Some(best) = self.idle_session(|_, its| its > holds)
        {
            self.end_session(wire, best.key, SessionEnding::Over(SessionEnd::MadeRoom));
        }
    }

    fn may_ask_for_room(&mut self) -> bool {
        let now = self.now;
        let just_now = |asked| now < asked + ASK_FOR_ROOM_EVERY_MS;
        let may = !self.asked_for_room.is_some_and(just_now);
        if may {
            self.asked_for_room = Some(now);
        }
        may
    }

    /// Who has all that it may have gives of its own.
    fn end_idle_of(&mut self, wire: &mut impl Wire<ExchangeOwner>, client: Option<Client>) -> bool {
        let own = self.idle_sessions().filter(|(_, it)| it.client == client);
        let oldest = own.min_by_key(|(_, session)| session.last_active);
        let key = oldest.map(|(key, _)| key);
        key.is_some_and(|key| {
            self.end_session(wire, key, SessionEnding::Over(SessionEnd::MadeRoom))
        })
    }

    /// Of the idle sessions that may end: one of whoever holds most, and of these the one idle longest.
    fn idle_session(&mut self, may_end: impl Fn(Option<Client>, u32) -> bool) -> Option<Candidate> {
        let commons = self.commons.clone();
        let candidates = self.idle_sessions().filter_map(|(key, session)| {
            let holds = commons.clients.sessions_of(session.client);
            let last_active = session.last_active;
            may_end(session.client, holds).then_some((Candidate { key, holds }, last_active))
        });
        let best = candidates.max_by_key(|(it, last_active)| (it.holds, u64::MAX - last_active));
        best.map(|(candidate, _)| candidate)
    }

    /// Among some sessions of this core, those that nobody would miss for now.
    fn idle_sessions(&mut self) -> impl Iterator<Item = (SessionKey, &Session)> {
        let idle_since = self.now.saturating_sub(MAKE_ROOM_IDLE_MS);
        let random = (self.secrets)();
        let random = usize::from(u16::from_le_bytes([random[0], random[1]]));
        let start = (random * self.sessions.slot_count()) >> 16;
        let shard = &*self;
        let sample = shard.sessions.sample(start, MAKE_ROOM_LOOK_AT);
        sample.filter(move |(_, it)| it.last_active <= idle_since && !shard.is_in_use(it))
    }
}

fn refused(why: Excess) -> Refused {
    match why {
        Excess::Held => Refused::too_many(
            "too_many_sessions",
            "This client has as many sessions as it may have (--sessions-per-client-max), and none of them is idle: end one with DELETE.",
            30,
        ),
        Excess::OwnRate(retry) => Refused::too_many(
            "too_many_sessions",
            "This client opens more sessions a second than it may (--initialize-per-second-per-client-max).",
            retry.seconds(),
        ),
        Excess::NodeRate(retry) => Refused::busy(
            "More sessions are being opened than this node allows per second (--initialize-per-second-max).",
            retry.seconds(),
        ),
    }
}
