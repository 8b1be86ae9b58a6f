//! What is under way in a convoy arrives: bytes at a node's sockets, at owners', and answers to what nodes ask.

use std::net::SocketAddr;

use pinfold::internals::forward::{SessionOwner, Side};
use pinfold::internals::shard::MissReason;
use pinfold::internals::wire::session_id::SessionId;

use super::convoy::{Convoy, PLAYED_INCARNATION};
use super::line::{End, LineId};
use super::played;
use super::station::{READ_BYTES_MAX, name_of};
use crate::support::Random;

/// A heartbeat outlives its node by so much.
const BELIEVED_MS: u64 = 3_000;

fn address_of(number: usize) -> SocketAddr {
    ([10, 0, 0, number as u8], 1).into()
}

impl Convoy {
    /// Any passage of a node, at any side.
    pub(super) fn ready(&mut self, number: usize) {
        let keys = self.stations[number].passage_keys();
        if keys.is_empty() || !self.is_running(number) {
            return;
        }
        let key = *self.random.pick(&keys);
        let side = *self.random.pick(&[Side::Client, Side::Owner]);
        let count = *self.random.pick(&[1, 20, 300, usize::MAX]);
        self.stations[number].ready(&mut self.network, key, side, count);
    }

    pub(super) fn land(&mut self) {
        let open = |line: &LineId| !self.network.lines[*line].closed_at_both();
        let lines: Vec<LineId> = (0..self.network.lines.len()).filter(open).collect();
        if lines.is_empty() {
            return;
        }
        let line = *self.random.pick(&lines);
        let count = *self.random.pick(&[1, 50, 700, usize::MAX]);
        self.land_one(line, count);
    }

    /// What is under way on a line arrives, in both directions.
    pub(super) fn land_one(&mut self, id: LineId, count: usize) {
        let line = &mut self.network.lines[id];
        match line.to {
            End::Played => {
                if played::answer(line, &mut self.random) {
                    self.troubles.last_mut().expect("the played one's").broken = self.now;
                }
                line.is_over = line.closed;
            }
            End::Station(number) => {
                if self.is_running(number) {
                    self.land_at(id, number, count);
                }
            }
        }
    }

    pub(super) fn land_at(&mut self, id: LineId, number: usize, count: usize) {
        let line = &mut self.network.lines[id];
        let station = &mut self.stations[number];
        if line.incarnation != station.incarnation {
            (line.broken, line.is_over) = (true, true);
            return;
        }
        let from = [10, 0, 0, line.from as u8];
        let Some(socket) = line
            .landed
            .or_else(|| station.node.connect(0, Some(from.into())))
        else {
            line.broken = true;
            return;
        };
        line.landed = Some(socket);
        let arrives = count.min(line.up.len());
        let it = &mut station.node.sockets[socket];
        it.sent.extend(line.up.drain(..arrives));
        if it.arrived.len() < 4_000 {
            it.room = 4_000;
        }
        let leaves = count.min(it.arrived.len());
        line.say(it.arrived.drain(..leaves));
        let at_end = it.is_over() && it.arrived.is_empty();
        line.down_ended |= at_end;
        it.ended |= line.up_ended && line.up.is_empty();
        let gone = (line.closed && line.up.is_empty()) || line.broken;
        if gone || at_end {
            station.node.cut(socket);
            station.node.sockets[socket].arrived.clear();
            line.is_over = true;
        } else {
            station.node.take(socket, 0);
            while station.node.receive(socket, READ_BYTES_MAX) {}
        }
        while self.stations[number].node.fan_out(0) {}
    }

    /// The others, or Redis, answer what a node wants to know. `all`: also what has time.
    pub(super) fn settle_questions(&mut self, number: usize, all: bool) {
        if !self.is_running(number) {
            return;
        }
        let now = self.now;
        let due = |due: u64, random: &mut Random| all || due <= now || random.one_in(2);
        let random = &mut self.random;
        let station = &mut self.stations[number];
        let asks: Vec<_> = station
            .asks
            .extract_if(.., |it| due(it.0, random))
            .collect();
        let dials: Vec<_> = station
            .dials
            .extract_if(.., |it| due(it.0, random))
            .collect();
        let probes: Vec<_> = station
            .probes
            .extract_if(.., |it| due(it.0, random))
            .collect();
        for (_, question, session) in asks {
            let owner = self.owner_of(&session);
            self.stations[number].handle_owner(&mut self.network, question, owner);
        }
        for (_, key, address) in dials {
            let end = self.reach(address);
            self.stations[number].dialed(&mut self.network, key, end);
        }
        for (_, key, address) in probes {
            let is_there = self.reach(address).is_some();
            self.stations[number].probed(&mut self.network, key, is_there);
        }
    }

    /// Who takes connections there.
    pub(super) fn reach(&mut self, address: SocketAddr) -> Option<(End, u64)> {
        let number = (0..=self.stations.len()).find(|it| address_of(*it) == address)?;
        let is_played = number == self.stations.len();
        let takes = match is_played {
            true => !self.played_is_down,
            false => self.health[number].dead_since.is_none(),
        };
        if !takes || self.health[number].refuses {
            self.troubles[number].unreachable = self.now;
            return None;
        }
        match is_played {
            true => Some((End::Played, PLAYED_INCARNATION)),
            false => Some((End::Station(number), self.stations[number].incarnation)),
        }
    }

    /// As the cluster would say it.
    pub(super) fn owner_of(&mut self, session: &SessionId) -> SessionOwner {
        let number = (0..self.stations.len()).find(|it| name_of(*it) == session.node);
        let number = number.unwrap_or(self.stations.len());
        let (health, trouble) = (self.health[number], &mut self.troubles[number]);
        if self.blind {
            trouble.blind = self.now;
            return SessionOwner::Gone(MissReason::CannotTell);
        }
        let for_long = |since: Option<u64>| since.is_some_and(|it| self.now > it + BELIEVED_MS);
        let is_played = number == self.stations.len();
        let is_down = match is_played {
            true => self.played_is_down,
            false => for_long(health.dead_since) || for_long(health.hangs_since),
        };
        if is_down {
            trouble.down = self.now;
            return SessionOwner::Gone(MissReason::OwnerDown);
        }
        if !is_played && self.stations[number].incarnation != session.locator.incarnation {
            return SessionOwner::Gone(MissReason::OwnerRestarted);
        }
        SessionOwner::Alive {
            process: session.process(),
            address: address_of(number),
            cookie: format!("cookie{number}").into(),
            lives_ms: 1_000,
        }
    }

    pub(super) fn settle_due(&mut self, number: usize) {
        let station = &self.stations[number];
        let dues = station.asks.iter().map(|it| it.0);
        let dues = dues.chain(station.dials.iter().map(|it| it.0));
        let mut dues = dues.chain(station.probes.iter().map(|it| it.0));
        if dues.any(|due| due <= self.now) {
            self.settle_questions(number, false);
        }
    }
}
