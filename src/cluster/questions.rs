//! What other nodes ask of this one for operators there: each question once, whoever sends it again.

use std::collections::HashMap;

use crate::wire::peer_question::PeerQuestion;
use crate::wire::session_id::NodeName;

/// Nodes whose questions are remembered: as many as a node knows.
const NODES_MAX: usize = 1024;

/// Which questions of other nodes were asked already. A plain value.
#[derive(Debug, Default)]
pub(crate) struct QuestionsHeard {
    nodes: HashMap<NodeName, ProcessHeard>,
}

/// Of the newest process of a node: earlier ones ask nothing any more.
#[derive(Debug)]
struct ProcessHeard {
    incarnation: u64,
    newest: u64,
    /// Bit n: the question `newest - n` was asked. Those that are farther back count as asked.
    asked: u64,
}

impl QuestionsHeard {
    /// Whether this was never asked before. From now on it was.
    pub(crate) fn take(&mut self, question: &PeerQuestion) -> bool {
        let PeerQuestion {
            from,
            incarnation,
            number,
            ..
        } = *question;
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&from) {
            return false;
        }
        let heard = self.nodes.entry(from).or_insert(ProcessHeard {
            incarnation,
            newest: 0,
            asked: 0,
        });
        if incarnation > heard.incarnation {
            *heard = ProcessHeard {
                incarnation,
                newest: 0,
                asked: 0,
            };
        }
        incarnation == heard.incarnation && heard.take(number)
    }
}

impl ProcessHeard {
    fn take(&mut self, number: u64) -> bool {
        let bit = |distance: u64| {
            u32::try_from(distance)
                .ok()
                .and_then(|it| 1u64.checked_shl(it))
        };
        match number.checked_sub(self.newest) {
            Some(0) | None => {
                let Some(bit) = bit(self.newest - number) else {
                    return false;
                };
                let is_new = self.asked & bit == 0;
                self.asked |= bit;
                is_new
            }
            Some(farther) => {
                let shifted = u32::try_from(farther)
                    .ok()
                    .and_then(|it| self.asked.checked_shl(it));
                self.asked = shifted.unwrap_or(0) | 1;
                self.newest = number;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http1::Method;

    fn question(node: &str, incarnation: u64, number: u64) -> PeerQuestion {
        PeerQuestion {
            from: NodeName::new(node).expect("a name"),
            incarnation,
            number,
            method: Method::Get,
            target: "/node".into(),
        }
    }

    #[test]
    fn a_question_that_somebody_repeats() {
        let mut heard = QuestionsHeard::default();
        for number in [1, 3, 2, 70, 69, 64] {
            assert!(heard.take(&question("a", 5, number)), "{number}");
        }
        for number in [1, 2, 3, 64, 69, 70, 6, 0] {
            assert!(!heard.take(&question("a", 5, number)), "{number}");
        }
        assert!(heard.take(&question("a", 5, 7)), "it came late");
        assert!(heard.take(&question("a", 5, u64::MAX)));
        assert!(!heard.take(&question("a", 5, 71)), "far too late");
        assert!(heard.take(&question("b", 5, 1)), "of another node");
    }

    #[test]
    fn a_question_of_a_process_that_is_gone() {
        let mut heard = QuestionsHeard::default();
        assert!(heard.take(&question("a", 5, 1)));
        assert!(heard.take(&question("a", 6, 1)));
        for (incarnation, number) in [(5, 2), (6, 1), (4, 9)] {
            assert!(!heard.take(&question("a", incarnation, number)));
        }
    }

    #[test]
    fn more_nodes_than_there_are() {
        let mut heard = QuestionsHeard::default();
        for number in 0..NODES_MAX {
            assert!(heard.take(&question(&format!("n{number}"), 1, 1)));
        }
        assert!(!heard.take(&question("more", 1, 1)));
        assert!(heard.take(&question("n0", 1, 2)));
    }
}
