//! What goes wrong in a convoy, and when it last did; and how all is well again.

use super::convoy::Convoy;
use super::line::{End, LineId};
use super::station::READ_BYTES_MAX;

/// What happened to a node last, and when: for the reasons that clients are told.
#[derive(Clone, Copy, Default)]
pub(super) struct Troubles {
    /// It was dead, or hung for so long that it counts as dead.
    pub(super) down: u64,
    /// It took no connections.
    pub(super) unreachable: u64,
    /// A connection to it, or what came of it, broke.
    pub(super) broken: u64,
    pub(super) hung: u64,
    /// Nobody could be asked where it is.
    pub(super) blind: u64,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Health {
    pub(super) dead_since: Option<u64>,
    pub(super) hangs_since: Option<u64>,
    pub(super) refuses: bool,
}

impl Convoy {
    pub(super) fn note_troubles(&mut self, number: usize) {
        let (health, trouble) = (self.health[number], &mut self.troubles[number]);
        if health.hangs_since.is_some() {
            trouble.hung = self.now;
        }
        if health.dead_since.is_some() {
            (trouble.hung, trouble.broken) = (self.now, self.now);
        }
    }

    /// What goes wrong.
    pub(super) fn disturb(&mut self, number: usize) {
        match self.random.below(16) {
            0..=2 => self.cut_line(),
            3..=4 => {
                if let Some(line) = self.some_line() {
                    let room = *self.random.pick(&[usize::MAX, 0, 40, 600]);
                    self.network.lines[line].room = room;
                }
            }
            5..=6 => self.cut_client(),
            7..=8 => self.stall_client(),
            9 => {
                let health = &mut self.health[number];
                if health.dead_since.is_none() {
                    health.hangs_since = match health.hangs_since {
                        Some(_) => None,
                        None => Some(self.now),
                    };
                    self.catch_up(number);
                }
            }
            10 => self.kill(number),
            11..=12 => self.revive(number),
            13 => self.blind = !self.blind,
            14 => self.health[number].refuses = !self.health[number].refuses,
            _ => self.played_is_down = !self.played_is_down,
        }
        self.note_troubles(number);
    }

    pub(super) fn some_line(&mut self) -> Option<LineId> {
        let is_open = |line: &LineId| !self.network.lines[*line].closed_at_both();
        let lines: Vec<LineId> = (0..self.network.lines.len()).filter(is_open).collect();
        (!lines.is_empty()).then(|| *self.random.pick(&lines))
    }

    pub(super) fn cut_line(&mut self) {
        if let Some(line) = self.some_line() {
            self.break_line(line);
        }
    }

    pub(super) fn break_line(&mut self, line: LineId) {
        let number = self.number_of(self.network.lines[line].to);
        self.troubles[number].broken = self.now;
        self.network.lines[line].cut();
    }

    pub(super) fn cut_client(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = self.random.below(self.wires.len());
        let wire = self.wires.swap_remove(wire);
        self.stations[wire.station].node.cut(wire.socket);
    }

    pub(super) fn stall_client(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let wire = self.random.below(self.wires.len());
        let wire = &mut self.wires[wire];
        wire.stalled = !wire.stalled;
        wire.was_stalled = true;
        let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
        if wire.stalled {
            socket.room = socket.room.min(100);
        }
    }

    pub(super) fn kill(&mut self, number: usize) {
        if self.health[number].dead_since.is_some() {
            return;
        }
        self.health[number].dead_since = Some(self.now);
        self.health[number].hangs_since = None;
        self.met.insert("killed".into());
        for line in 0..self.network.lines.len() {
            let it = &self.network.lines[line];
            if it.to == End::Station(number) && !it.closed {
                self.break_line(line);
            } else if it.from == number {
                self.network.lines[line].close();
            }
        }
        // Its clients' connections go with it.
        self.wires.retain(|wire| wire.station != number);
    }

    pub(super) fn revive(&mut self, number: usize) {
        if self.health[number].dead_since.take().is_none() {
            return;
        }
        self.stations[number] = self.station(number);
        self.met.insert("restarted".into());
        (0..2).for_each(|_| self.open_session(number));
    }

    pub(super) fn catch_up(&mut self, number: usize) {
        if self.is_running(number) {
            let station = &mut self.stations[number];
            let behind = self.now - station.node.now;
            station.node.pass(behind);
            station.timeout(&mut self.network);
        }
    }

    /// Everything is well again. Some clients have less room than one read from an owner brings, and that is no fault.
    pub(super) fn heal(&mut self) {
        for number in 0..self.stations.len() {
            self.health[number].refuses = false;
            if self.health[number].hangs_since.take().is_some() {
                self.catch_up(number);
            }
            self.revive(number);
        }
        self.blind = false;
        // Else those who wait for it wait as long as it hangs.
        self.played_is_down = true;
        for line in &mut self.network.lines {
            line.room = usize::MAX;
        }
        for wire in &mut self.wires {
            wire.stalled = false;
            let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
            socket.room = *self
                .random
                .pick(&[usize::MAX, usize::MAX, READ_BYTES_MAX / 2]);
        }
    }
}
