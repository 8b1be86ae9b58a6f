//! Whether what clients of a convoy are told is true, and whether their connections end for a reason.

use super::asker::{Asked, Kind, SessionOf, check_result};
use super::convoy::Convoy;
use super::line::End;
use super::station::limits;
use crate::support::Answer;
use pinfold::internals::shard::Closed;

impl Convoy {
    pub(super) fn trouble_since(&self, asked: &Asked) -> bool {
        let trouble = &self.troubles[self.number_of(asked.session.owner)];
        let since = asked.at;
        let restarted = self.is_of_earlier(&asked.session);
        let any = [
            trouble.broken,
            trouble.down,
            trouble.unreachable,
            trouble.hung,
            trouble.blind,
        ];
        restarted || any.into_iter().any(|at| at >= since)
    }

    pub(super) fn is_of_earlier(&self, session: &SessionOf) -> bool {
        match session.owner {
            End::Station(number) => self.stations[number].incarnation != session.incarnation,
            End::Played => false,
        }
    }

    /// Whether an answer says what is true.
    pub(super) fn judge(&mut self, asked: &Asked, answer: &Answer) {
        let trouble = self.troubles[self.number_of(asked.session.owner)];
        let since = asked.at;
        let (status, reason) = match answer.status {
            200 | 202 | 204 => (answer.status, String::new()),
            status => (status, answer.reason()),
        };
        self.met.insert(format!("{status} {reason}"));
        let is_true = match (status, reason.as_str()) {
            (200, _) => {
                if asked.kind == Kind::Call {
                    check_result(asked.id, &answer.json());
                }
                assert_eq!(answer.json()["id"].as_u64(), Some(asked.id), "{answer:?}");
                true
            }
            (204, _) => asked.kind == Kind::Delete,
            (404, "owner_restarted") => self.is_of_earlier(&asked.session),
            (404, "owner_down") => trouble.down >= since,
            (404, "owner_unreachable") => trouble.unreachable >= since,
            (503, "owner_unreachable") => trouble.blind >= since,
            (404, "unknown" | "expired") => self.deleted.contains(&asked.session.id),
            (502, "owner_unreachable") => trouble.broken >= since,
            (413, "early") => asked.session.owner == End::Played,
            // Its body took too long on its way.
            (408, _) => self.now > asked.at + 5_000,
            _ => false,
        };
        assert!(is_true, "{asked:?} was told at {}: {answer:?}", self.now);
    }

    /// Clients see which of their connections have ended, once they have read all there is.
    pub(super) fn notice_ends(&mut self) {
        for index in (0..self.wires.len()).rev() {
            let wire = &self.wires[index];
            let socket = &mut self.stations[wire.station].node.sockets[wire.socket];
            if !socket.is_over() || !socket.arrived.is_empty() || !socket.unwritten.is_empty() {
                continue;
            }
            let whole = socket.reader.finish();
            let closed = socket.closed;
            let wire = self.wires.swap_remove(index);
            self.stations[wire.station].node.cut(wire.socket);
            let Some(first) = wire.first() else {
                assert!(whole, "an answer that nobody asked for was cut");
                continue;
            };
            // As chance has it a client of many may read nothing for that long.
            let is_slow = closed == Some(Closed::WriteStalled)
                && self.now >= wire.took_at + limits().write_stall_ms;
            let excused = wire.was_stalled || wire.closes || is_slow || self.now > first.at + 5_000;
            assert!(
                excused || self.trouble_since(first),
                "{first:?} has no answer, for no reason ({closed:?}) at {}",
                self.now
            );
            self.met
                .insert(if whole { "no answer" } else { "half an answer" }.into());
        }
    }
}
