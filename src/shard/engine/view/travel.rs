//! What is remembered of sessions that are over, on its way to the process that goes on in this one's place.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Records;
use crate::limits::ENDED_KEPT;
use crate::mcp::ProtocolVersion;
use crate::principal::PrincipalId;
use crate::shard::Millis;
use crate::shard::view::{ClientName, EndReason, EndedRow};

/// Who ended, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard::engine) struct PackedRecords {
    ended: Vec<PackedEnded>,
    /// So many of the newest the log was not told of.
    untold: usize,
}

/// In words, so that one that another version does not know is no more than one that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PackedEnded {
    name: Box<str>,
    version: Box<str>,
    /// Its name and version.
    #[serde(default)]
    client: Option<(Box<str>, Box<str>)>,
    #[serde(default)]
    principal: Option<[u8; 16]>,
    created_at: Millis,
    ended_at: Millis,
    reason: Box<str>,
    #[serde(default)]
    requests: u32,
    #[serde(default)]
    events: u32,
}

impl Records {
    pub(in crate::shard::engine) fn pack(&self) -> PackedRecords {
        let Records {
            ended,
            untold,
            // Counts of a thousand that ended within a turn: the log goes without.
            overtaken: _,
            // What was answered to sessions that live on. They may ask again.
            errors: _,
        } = self;
        PackedRecords {
            ended: ended.iter().map(PackedEnded::of).collect(),
            untold: *untold,
        }
    }

    /// Of whoever remembers nothing yet. A core that goes on by itself has kept what it had.
    pub(in crate::shard::engine) fn take_in(&mut self, packed: PackedRecords) {
        if !self.ended.is_empty() {
            return;
        }
        let PackedRecords { ended, untold } = packed;
        let beyond = ended.len().saturating_sub(ENDED_KEPT);
        let ended = ended.into_iter().skip(beyond);
        self.ended = ended
            .filter_map(PackedEnded::unpack)
            .collect::<VecDeque<_>>();
        self.untold = untold.min(self.ended.len());
    }
}

impl PackedEnded {
    fn of(row: &EndedRow) -> PackedEnded {
        let EndedRow {
            name,
            version,
            client,
            principal,
            created_at,
            ended_at,
            reason,
            requests,
            events,
        } = row;
        let client = client.as_ref().map(|client| {
            let ClientName { name, version } = client;
            (name.clone(), version.clone())
        });
        PackedEnded {
            name: name.to_string().into(),
            version: version.as_str().into(),
            client,
            principal: principal.map(|it| it.to_bytes()),
            created_at: *created_at,
            ended_at: *ended_at,
            reason: reason.word().into(),
            requests: *requests,
            events: *events,
        }
    }

    fn unpack(self) -> Option<EndedRow> {
        let PackedEnded {
            name,
            version,
            client,
            principal,
            created_at,
            ended_at,
            reason,
            requests,
            events,
        } = self;
        Some(EndedRow {
            name: name.parse().ok()?,
            version: ProtocolVersion::parse(&version)?,
            client: client.map(|(name, version)| ClientName { name, version }),
            principal: principal.map(PrincipalId::from_bytes),
            created_at,
            ended_at,
            reason: EndReason::of_word(&reason)?,
            requests,
            events,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32, reason: EndReason) -> EndedRow {
        let name = "n1.AAEAAAACAAAAAwAAAAAAAAAE".parse();
        EndedRow {
            name: name.unwrap_or_else(|_| unreachable!("it is a name")),
            version: ProtocolVersion::LATEST_LEGACY,
            client: Some(ClientName {
                name: "soup".into(),
                version: "1".into(),
            }),
            principal: Some(PrincipalId::of("https://login.example", "alice")),
            created_at: 5,
            ended_at: u64::from(number),
            reason,
            requests: number,
            events: 7,
        }
    }

    #[test]
    fn an_end_that_is_forgotten_or_told_twice_because_another_process_goes_on() {
        let mut before = Records::default();
        before.note(row(1, EndReason::Deleted));
        before.note(row(2, EndReason::OutOfMemory));
        assert_eq!(before.next_untold().map(|it| it.requests), Some(1));
        let mut packed = before.pack();
        packed.ended.push(PackedEnded {
            reason: "moonlight".into(),
            ..packed.ended[0].clone()
        });
        let bytes = rmp_serde::to_vec_named(&packed).expect("it can be written");
        let packed: PackedRecords = rmp_serde::from_slice(&bytes).expect("it can be read");
        let mut after = Records::default();
        after.take_in(packed.clone());
        assert_eq!(after.pack().ended, before.pack().ended);
        assert_eq!(after.next_untold().map(|it| it.requests), Some(2));
        assert!(after.next_untold().is_none());
        // Whoever goes on by itself.
        before.take_in(packed);
        assert_eq!(before.ended().count(), 2);
    }

    #[test]
    fn more_ends_than_have_a_place() {
        let mut packed = Records::default().pack();
        let ends = (0..2 * ENDED_KEPT as u32).map(|it| row(it, EndReason::Idle));
        packed.ended = ends.map(|it| PackedEnded::of(&it)).collect();
        packed.untold = usize::MAX;
        let mut after = Records::default();
        after.take_in(packed);
        assert_eq!(after.ended().count(), ENDED_KEPT);
        assert_eq!(after.ended().last().map(|it| it.requests), Some(1_999));
        assert!((0..ENDED_KEPT).all(|_| after.next_untold().is_some()));
        assert!(after.next_untold().is_none());
    }

    /// Without `_`: a new one has to be put in its place here.
    fn after(reason: EndReason) -> Option<EndReason> {
        Some(match reason {
            EndReason::Deleted => EndReason::Idle,
            EndReason::Idle => EndReason::Evicted,
            EndReason::Evicted => EndReason::Operator,
            EndReason::Operator => EndReason::NodeEnds,
            EndReason::NodeEnds => EndReason::Draining,
            EndReason::Draining => EndReason::PeerLeft,
            EndReason::PeerLeft => EndReason::SlowReader,
            EndReason::SlowReader => EndReason::TokenExpired,
            EndReason::TokenExpired => EndReason::TokenRevoked,
            EndReason::TokenRevoked => EndReason::NoLongerAllowed,
            EndReason::NoLongerAllowed => EndReason::OutOfMemory,
            EndReason::OutOfMemory => EndReason::TakenOver,
            EndReason::TakenOver => return None,
        })
    }

    #[test]
    fn a_reason_that_is_not_known_by_its_word() {
        let all: Vec<_> =
            std::iter::successors(Some(EndReason::Deleted), |it| after(*it)).collect();
        assert_eq!(all, EndReason::ALL);
        for reason in all {
            assert_eq!(EndReason::of_word(reason.word()), Some(reason));
        }
        assert_eq!(EndReason::of_word("moonlight"), None);
    }
}
