//! What publishers were told: of each resource every write since all nodes last agreed on one, and whether what nodes
//! serve afterwards is the newest that was accepted, or a newer one.
//!
//! "Newer" is by acceptance: a write was accepted at some moment between its question and its answer, so one is older
//! for certain only if it was answered before the other one was asked for; and of two within a quarter of a second the one
//! stands that reached Redis last.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::timeline::{Loss, Millis, Name, Timeline};

/// Within this any of two writes may stand.
const ONE_MOMENT_MS: Millis = 400;
/// So long after its answer every node that does not hang has it: what Redis loses later it gets back from them.
const SPREAD_MS: Millis = 5_000;

/// `None`: taken away.
pub(super) type Text = Option<String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It may stand or not: nobody answered.
    Unknown,
    Refused,
    KeptByCluster,
    KeptByNode,
    /// Its node left, and said in its log that this is lost.
    SaidToBeLost,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) text: Text,
    /// `None`: another program, by XADD.
    pub(super) node: Option<Name>,
    pub(super) asked: Millis,
    pub(super) answered: Millis,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Times are told from here.
    begun: Millis,
    writes: BTreeMap<String, Vec<Write>>,
    /// Texts of earlier rounds, which must not come again.
    past: HashMap<String, usize>,
    /// What clients may have read at a node that was killed before anybody else had it: nobody can tell them.
    lost: HashSet<(String, Text)>,
    /// What was written of each resource in the last round, in words.
    last: BTreeMap<String, String>,
    tools: Vec<Write>,
}

impl Write {
    fn is_accepted(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::KeptByCluster | Outcome::KeptByNode | Outcome::SaidToBeLost
        )
    }

    /// Whoever had it is gone, and nobody could have had it from there.
    fn may_be_lost(&self, timeline: &Timeline) -> bool {
        let was_killed = self
            .node
            .is_some_and(|node| timeline.was_killed(node, self.asked));
        let mut losses = timeline.losses((self.asked, self.answered + SPREAD_MS));
        match (self.outcome, self.node) {
            (Outcome::SaidToBeLost, _) => true,
            (Outcome::KeptByNode, _) => was_killed,
            // An entry that is gone before any node has read it.
            (_, None) => losses.any(|loss| matches!(loss, Loss::Everything | Loss::Log)),
            // Its node has it, and so have the others, unless they hung.
            _ => was_killed && losses.any(|loss| loss != Loss::Keys),
        }
    }

    /// Its node may have shown it to clients, and to nobody else.
    fn died(&self, timeline: &Timeline) -> bool {
        let was_killed = self
            .node
            .is_some_and(|node| timeline.was_killed(node, self.asked));
        let is_kept = self.outcome == Outcome::KeptByCluster;
        self.may_be_lost(timeline) || (was_killed && !is_kept)
    }

    fn tell(&self, begun: Millis) -> String {
        let text = self.text.as_deref().unwrap_or("(taken away)");
        let by = self.node.unwrap_or("XADD");
        let seconds = |at: Millis| at.saturating_sub(begun) as f64 / 1000.0;
        let (asked, answered) = (seconds(self.asked), seconds(self.answered));
        format!(
            "{text:?} by {by}, {asked:.3} to {answered:.3} s, {:?}",
            self.outcome
        )
    }
}

impl Ledger {
    pub(super) fn new(begun: Millis) -> Ledger {
        Ledger {
            begun,
            ..Ledger::default()
        }
    }

    pub(super) fn note(&mut self, uri: &str, write: Write) {
        self.writes.entry(uri.to_owned()).or_default().push(write);
    }

    pub(super) fn note_tools(&mut self, write: Write) {
        self.tools.push(write);
    }

    /// A node that left said that of these resources something is lost.
    pub(super) fn note_lost(&mut self, node: Name, log: &str) -> usize {
        let mut count = 0;
        for (uri, writes) in &mut self.writes {
            let is_named = log.contains(&format!("\"{uri}\""));
            for write in writes.iter_mut().filter(|_| is_named) {
                if write.node == Some(node) && write.outcome == Outcome::KeptByNode {
                    write.outcome = Outcome::SaidToBeLost;
                    count += 1;
                }
            }
        }
        count
    }

    /// Whether all nodes may serve this now.
    pub(super) fn judge(&self, uri: &str, found: &Text, timeline: &Timeline) -> Result<(), String> {
        let writes = self.writes.get(uri).map_or(&[][..], Vec::as_slice);
        let is_found = |write: &&Write| write.text == *found && write.outcome != Outcome::Refused;
        let newest = writes.iter().filter(is_found).map(|it| it.answered).max();
        // Before the first write there is nothing.
        let newest = newest.or_else(|| (found.is_none() && self.is_new(uri)).then_some(0));
        let all = || tell_all(self.begun, writes);
        let Some(newest) = newest else {
            let round = found.as_ref().and_then(|text| self.past.get(text));
            let past = round.map_or(String::new(), |round| format!(", but for round {round}"));
            return Err(format!(
                "all nodes serve {found:?} at {uri}, which nobody wrote{past}; written was\n    {}",
                all()
            ));
        };
        let is_lost = |write: &&Write| {
            write.is_accepted()
                && newest + ONE_MOMENT_MS < write.asked
                && !write.may_be_lost(timeline)
        };
        match writes.iter().find(is_lost) {
            None => Ok(()),
            Some(lost) => Err(format!(
                "a write that was accepted is lost: {}; all nodes serve {found:?} at {uri}; written was\n    {}",
                lost.tell(self.begun),
                all()
            )),
        }
    }

    fn is_new(&self, uri: &str) -> bool {
        let writes = self.writes.get(uri);
        writes.is_none_or(|writes| writes.iter().all(|write| write.asked > 0))
    }

    /// All nodes serve this, and nothing that was written before may come again.
    pub(super) fn settle(&mut self, round: usize, uri: &str, found: Text, timeline: &Timeline) {
        let writes = self.writes.entry(uri.to_owned()).or_default();
        let lost = writes.iter().filter(|write| write.died(timeline));
        self.lost
            .extend(lost.map(|write| (uri.to_owned(), write.text.clone())));
        self.last
            .insert(uri.to_owned(), tell_all(self.begun, writes));
        let texts = writes.drain(..).filter_map(|write| write.text);
        self.past.extend(texts.map(|text| (text, round)));
        writes.push(Write {
            text: found,
            node: None,
            asked: 0,
            answered: 0,
            outcome: Outcome::KeptByCluster,
        });
    }

    /// Whether somebody may have read this, and nobody else ever had it.
    pub(super) fn is_lost(&self, uri: &str, text: &Text) -> bool {
        self.lost.contains(&(uri.to_owned(), text.clone()))
    }

    /// What was written before that was settled.
    pub(super) fn last(&self, uri: &str) -> &str {
        self.last.get(uri).map_or("", String::as_str)
    }

    /// When the list of tools was last said to have changed, of which everybody must have heard.
    pub(super) fn settle_tools(&mut self, timeline: &Timeline) -> Option<Millis> {
        let tools = std::mem::take(&mut self.tools);
        let must = tools
            .iter()
            .filter(|write| write.is_accepted() && !write.may_be_lost(timeline));
        must.map(|write| write.asked).max()
    }
}

fn tell_all(begun: Millis, writes: &[Write]) -> String {
    let all: Vec<_> = writes.iter().map(|write| write.tell(begun)).collect();
    all.join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::super::timeline::Event;
    use super::*;

    const URI: &str = "board://kept";

    fn write(text: &str, node: Option<Name>, asked: Millis, outcome: Outcome) -> Write {
        Write {
            text: Some(text.into()),
            node,
            asked,
            answered: asked + 10,
            outcome,
        }
    }

    /// Of what happened a second after the last write.
    fn judge(writes: &[Write], events: &[Event], found: &str) -> bool {
        judge_at(6_000, writes, events, found)
    }

    fn judge_at(at: Millis, writes: &[Write], events: &[Event], found: &str) -> bool {
        let mut ledger = Ledger::default();
        ledger.settle(1, URI, Some("before".into()), &Timeline::default());
        for write in writes {
            ledger.note(URI, write.clone());
        }
        let mut timeline = Timeline::default();
        for event in events {
            timeline.note(at, event.clone());
        }
        let found = Some(found.to_owned());
        ledger.judge(URI, &found, &timeline).is_ok()
    }

    #[test]
    fn a_write_that_is_lost_and_one_that_may_be() {
        use Outcome::{KeptByCluster, KeptByNode, Refused, SaidToBeLost, Unknown};
        let kept = |outcome| [write("new", Some("a"), 5_000, outcome)];
        let flushed = || Event::Forgets(Loss::Everything, "all".into());
        let killed = || Event::Killed("a");
        let cases = [
            (KeptByCluster, vec![], false),
            (KeptByCluster, vec![flushed()], false),
            (KeptByCluster, vec![killed()], false),
            (KeptByCluster, vec![killed(), flushed()], true),
            (KeptByNode, vec![], false),
            (KeptByNode, vec![Event::Killed("b")], false),
            (KeptByNode, vec![killed()], true),
            (SaidToBeLost, vec![], true),
            (Refused, vec![], true),
            (Unknown, vec![], true),
        ];
        for (outcome, events, may_be) in cases {
            assert_eq!(
                judge(&kept(outcome), &events, "before"),
                may_be,
                "{outcome:?} {events:?}"
            );
            assert_eq!(judge(&kept(outcome), &events, "new"), outcome != Refused);
            assert!(!judge(&kept(outcome), &events, "of nobody"));
        }
        let entry = [write("new", None, 5_000, KeptByCluster)];
        let lost = [Event::Forgets(Loss::Log, "the log".into())];
        assert!(judge_at(6_000, &entry, &lost, "before"));
        assert!(!judge_at(11_000, &entry, &lost, "before"), "nodes have it");
    }

    #[test]
    fn an_older_write_that_stands() {
        let older = write("older", Some("a"), 5_000, Outcome::KeptByNode);
        let newer = |asked| write("newer", Some("b"), asked, Outcome::KeptByCluster);
        assert!(
            judge(&[older.clone(), newer(5_100)], &[], "older"),
            "one moment"
        );
        assert!(!judge(&[older.clone(), newer(6_000)], &[], "older"));
        assert!(judge(&[older, newer(6_000)], &[], "newer"));
    }
}
