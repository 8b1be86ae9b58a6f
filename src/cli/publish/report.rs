//! What people read of a publish: a line per item for a few, what was refused and a sum for many.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::input::ItemLine;

pub(super) struct Report {
    counts: ItemCounts,
    /// Accepted items get a line, too.
    is_verbose: bool,
    /// Of a file: how many bytes there are.
    input_bytes: Option<u64>,
    done_bytes: u64,
    shows_progress: bool,
}

#[derive(Default)]
struct ItemCounts {
    accepted: u64,
    /// Among the accepted.
    duplicates: u64,
    /// Among the accepted: only the node has them, for now.
    kept_by_node: u64,
    refused: BTreeMap<String, u64>,
}

impl Report {
    /// Of items on the command line.
    pub(super) fn of_items() -> Self {
        Report {
            counts: ItemCounts::default(),
            is_verbose: true,
            input_bytes: None,
            done_bytes: 0,
            shows_progress: false,
        }
    }

    /// Of a file of so many bytes, or an input whose end is not known.
    pub(super) fn of_input(bytes: Option<u64>) -> Self {
        Report {
            is_verbose: false,
            input_bytes: bytes,
            shows_progress: std::io::stderr().is_terminal(),
            ..Report::of_items()
        }
    }

    pub(super) fn add(&mut self, line: &ItemLine, answer: &Value) {
        self.done_bytes += line.json.len() as u64 + 1;
        self.counts.add(answer);
        if self.is_verbose || answer["accepted"] != true {
            self.clear_progress();
            // Whoever reads our lines may go; the items are published all the same.
            let _ = writeln!(std::io::stdout(), "{}", line_of(&line.name, answer));
        }
    }

    pub(super) fn all_accepted(&self) -> bool {
        self.counts.refused.is_empty()
    }

    /// Shows how far it is, in place of what was shown before.
    pub(super) fn progress(&self) {
        if !self.shows_progress {
            return;
        }
        let part = match self.input_bytes {
            Some(bytes) if bytes > 0 => {
                format!("{:3} %  ", (self.done_bytes * 100 / bytes).min(100))
            }
            _ => String::new(),
        };
        eprint!("\r\x1b[K{part}{}", self.counts.sum());
    }

    fn clear_progress(&self) {
        if self.shows_progress {
            eprint!("\r\x1b[K");
        }
    }

    pub(super) fn conclude(&self) {
        self.clear_progress();
        if !self.is_verbose || self.counts.items() > 1 {
            eprintln!("{}", self.counts.sum());
        }
    }
}

impl ItemCounts {
    fn add(&mut self, answer: &Value) {
        if answer["accepted"] == true {
            self.accepted += 1;
            self.duplicates += u64::from(answer["duplicate"] == true);
            self.kept_by_node += u64::from(answer["kept"] == "node");
        } else {
            let reason = answer["reason"].as_str().unwrap_or("unknown");
            *self.refused.entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn items(&self) -> u64 {
        self.accepted + self.refused.values().sum::<u64>()
    }

    fn sum(&self) -> String {
        let items = self.items();
        let mut sum = format!("{items} items: {} accepted", self.accepted);
        if self.duplicates > 0 {
            sum += &format!(" ({} of them earlier, by their keys)", self.duplicates);
        }
        if self.kept_by_node > 0 {
            sum += &format!(
                " ({} of them kept by the node until Redis is back)",
                self.kept_by_node
            );
        }
        if !self.refused.is_empty() {
            let reasons = self.refused.iter();
            let reasons: Vec<_> = reasons
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            let refused = items - self.accepted;
            sum += &format!(", {refused} refused ({})", reasons.join(", "));
        }
        sum
    }
}

/// What is printed for an item and its answer.
fn line_of(name: &str, answer: &Value) -> String {
    if answer["accepted"] == true {
        let offset = answer["offset"].as_u64();
        let offset = offset.map_or_else(String::new, |offset| format!("  offset {offset}"));
        let duplicate = if answer["duplicate"] == true {
            "  (earlier, by its key)"
        } else {
            ""
        };
        let kept = match answer["kept"].as_str() {
            Some("node") => "  (kept by this node until Redis is back)",
            _ => "",
        };
        format!("accepted  {name}{offset}{duplicate}{kept}")
    } else {
        let reason = answer["reason"].as_str().unwrap_or("unknown");
        let message = answer["message"].as_str().unwrap_or_default();
        format!("refused   {name}  {reason}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_which_and_why() {
        let answer = json!({"accepted": false, "reason": "bad_item", "message": "no"});
        assert_eq!(line_of("line 7", &answer), "refused   line 7  bad_item: no");
        let answer = json!({"accepted": true, "offset": 17, "duplicate": true});
        assert_eq!(
            line_of("a:b", &answer),
            "accepted  a:b  offset 17  (earlier, by its key)"
        );
        assert_eq!(line_of("a:b", &json!({"accepted": true})), "accepted  a:b");
        let line = line_of("a:b", &json!({"accepted": true, "kept": "node"}));
        assert!(line.ends_with("kept by this node until Redis is back)"));
    }

    #[test]
    fn a_sum_of_everything() {
        let mut counts = ItemCounts::default();
        assert_eq!(counts.sum(), "0 items: 0 accepted");
        for answer in [
            json!({"accepted": true, "offset": 1}),
            json!({"accepted": true, "offset": 1, "duplicate": true}),
            json!({"accepted": true, "offset": 1, "kept": "node"}),
            json!({"accepted": true, "offset": 1, "kept": "cluster"}),
            json!({"accepted": false, "reason": "full"}),
            json!({"accepted": false, "reason": "bad_uri"}),
            json!({"accepted": false, "reason": "full"}),
        ] {
            counts.add(&answer);
        }
        assert_eq!(
            counts.sum(),
            "7 items: 4 accepted (1 of them earlier, by their keys) (1 of them kept by the node until Redis is back), 3 refused \
             (1 bad_uri, 2 full)"
        );
    }
}
