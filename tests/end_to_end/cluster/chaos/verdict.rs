//! Whether a 404 for a session has a true reason: what its client was told, against what was done to its node.

use pinfold::internals::wire::session_id::SessionId;

use super::timeline::{Millis, Timeline};

/// A node that hangs counts as lost after so long without a heartbeat; the last one is up to a second old then.
const COUNTS_AS_LOST_MS: Millis = 4_000;
/// The same if Redis has forgotten its heartbeat: it is waited for until one that lives would have written it again.
const FORGOTTEN_COUNTS_AS_LOST_MS: Millis = 1_500;
/// So long a heartbeat lasts, and a node is waited for that has none.
const HEARTBEAT_MS: Millis = 8_000;
/// What is known of a node that hung is right again so long after it went on.
const KNOWN_AGAIN_MS: Millis = 5_000;
/// A session's record is in Redis so long after its answer.
const RECORDED_MS: Millis = 2_000;

/// A session as its client knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) node: String,
    pub(super) incarnation: Millis,
    pub(super) opened: Millis,
    /// When its client asked for its end.
    pub(super) deleted: Option<Millis>,
}

impl Known {
    pub(super) fn new(id: &str, opened: Millis) -> Known {
        let parsed = SessionId::parse(id).unwrap_or_else(|| panic!("no session id: {id}"));
        Known {
            id: id.to_owned(),
            node: parsed.node.as_str().to_owned(),
            incarnation: parsed.locator.incarnation,
            opened,
            deleted: None,
        }
    }

    /// A client asked within this span, and was told that its session is gone.
    pub(super) fn judge(
        &self,
        timeline: &Timeline,
        (asked, answered): (Millis, Millis),
        reason: &str,
    ) -> Result<(), String> {
        let life = timeline.life(&self.node, self.incarnation);
        let ended = life.ended.is_some_and(|it| it <= answered);
        let followed = life.followed.is_some_and(|it| it <= answered);
        let deleted = self.deleted.is_some_and(|it| it <= answered);
        let hung = timeline.hung_ms(&self.node, (asked.saturating_sub(KNOWN_AGAIN_MS), answered));
        let forgotten = timeline.records_may_be_gone(self.opened)
            || self.opened + RECORDED_MS > answered
            || life
                .ended
                .is_some_and(|ended| ended < self.opened + RECORDED_MS);
        let has_heartbeat = !timeline.records_may_be_gone(asked.saturating_sub(HEARTBEAT_MS));
        let lost_after = match has_heartbeat {
            true => COUNTS_AS_LOST_MS,
            false => FORGOTTEN_COUNTS_AS_LOST_MS,
        };
        let is_true = match reason {
            "owner_restarted" => ended,
            "owner_down" | "owner_unreachable" => ended || hung >= lost_after,
            "expired" => deleted,
            "unknown" => (ended || deleted) && forgotten,
            _ => false,
        };
        if is_true {
            return Ok(());
        }
        let node = &self.node;
        let fate = match (deleted, ended, followed) {
            (true, ..) => "its client has deleted it".to_owned(),
            (_, true, true) => format!("its process of {node} has ended, and another one came"),
            (_, true, false) => format!("its process of {node} has ended"),
            _ if hung > 0 => format!("its process of {node} lives, and hung for {hung} ms"),
            _ => format!("its process of {node} lives and is reachable"),
        };
        Err(format!(
            "a client was told 404 {reason:?} after {} ms for a session of {node}, {} ms old: {fate}",
            answered - asked,
            asked.saturating_sub(self.opened)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::timeline::{Event, Loss};
    use super::*;

    const INCARNATION: Millis = 1_000;

    fn session() -> Known {
        Known {
            id: String::new(),
            node: "b".into(),
            incarnation: INCARNATION,
            opened: 5_000,
            deleted: None,
        }
    }

    fn timeline(events: &[(Millis, Event)]) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.note(990, Event::Starts("b"));
        for (at, event) in events {
            timeline.note(*at, event.clone());
        }
        timeline
    }

    fn is_true(events: &[(Millis, Event)], at: Millis, reason: &str) -> bool {
        session()
            .judge(&timeline(events), (at, at + 10), reason)
            .is_ok()
    }

    #[test]
    fn a_reason_that_is_not_true() {
        let hung = [(20_000, Event::Hangs("b")), (29_000, Event::GoesOn("b"))];
        let killed = [(20_000, Event::Killed("b"))];
        let again = [(20_000, Event::Killed("b")), (22_000, Event::Starts("b"))];
        let other = [(20_000, Event::Killed("a"))];
        let emptied = [
            (15_000, Event::Forgets(Loss::Everything, "all".into())),
            (20_000, Event::Killed("b")),
        ];
        let hung_and_forgotten = [
            (19_500, Event::Forgets(Loss::Everything, "all".into())),
            (20_000, Event::Hangs("b")),
        ];
        let cases: [(&[_], Millis, &str, bool); 15] = [
            (&[], 20_000, "owner_down", false),
            (&[], 20_000, "unknown", false),
            (&other, 25_000, "owner_down", false),
            (&killed, 19_000, "owner_down", false),
            (&killed, 21_000, "owner_down", true),
            (&killed, 21_000, "expired", false),
            (&killed, 21_000, "unknown", false),
            (&killed, 21_000, "misrouted", false),
            (&emptied, 21_000, "unknown", true),
            (&again, 23_000, "owner_restarted", true),
            (&hung, 22_000, "owner_down", false),
            (&hung, 25_000, "owner_unreachable", true),
            (&hung_and_forgotten, 22_000, "owner_down", true),
            (&hung, 40_000, "owner_down", false),
            (&hung, 28_000, "unknown", false),
        ];
        for (events, at, reason, right) in cases {
            assert_eq!(
                is_true(events, at, reason),
                right,
                "{reason} at {at}: {events:?}"
            );
        }
        let mut deleted = session();
        deleted.deleted = Some(9_000);
        let judge = |at| deleted.judge(&timeline(&[]), (at, at + 10), "expired");
        assert!(judge(8_000).is_err());
        assert!(judge(9_500).is_ok());
    }
}
