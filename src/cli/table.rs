//! Tables, times and texts for people. What clients say of themselves is shown without what a terminal would obey.

use std::fmt::Write as _;

/// Columns of text that is aligned when all of it is known.
pub(super) struct Table {
    heads: Vec<&'static str>,
    /// Numbers stand at the right.
    is_number: Vec<bool>,
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    /// A head that begins with `>` is one of numbers.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Table {
            heads: heads.iter().map(|it| it.trim_start_matches('>')).collect(),
            is_number: heads.iter().map(|it| it.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A line for the heads and one for each row, each with its line end.
    pub(super) fn render(&self) -> String {
        let widths: Vec<usize> = self
            .heads
            .iter()
            .enumerate()
            .map(|(at, head)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let widest = cells.map(|cell| cell.chars().count()).max();
                widest.unwrap_or(0).max(head.chars().count())
            })
            .collect();
        let mut text = String::new();
        let heads: Vec<&str> = self.heads.clone();
        self.line(&mut text, &widths, &heads);
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.line(&mut text, &widths, &cells);
        }
        text
    }

    fn line(&self, text: &mut String, widths: &[usize], cells: &[&str]) {
        let mut line = String::new();
        for ((cell, width), is_number) in cells.iter().zip(widths).zip(&self.is_number) {
            let padded = match is_number {
                true => write!(line, "{cell:>width$}{GAP}"),
                false => write!(line, "{cell:<width$}{GAP}"),
            };
            padded.expect("a String takes everything");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// `1 session`, `2 sessions`.
pub(super) fn counted(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    }
}

/// Milliseconds in the two largest units that fit: `3d 4h`, `12m 7s`, `0.2s`.
pub(super) fn short_time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else if ms >= 10_000 || ms % 1000 < 100 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{}s", ms % 1000 / 100)
    }
}

/// A text of somebody else's: a terminal would move its cursor for some characters, and show others where they are not.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |it: char| {
        it.is_control()
            || matches!(it, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars()
        .map(|it| if obeyed(it) { '\u{fffd}' } else { it })
        .collect()
}

/// So many characters of it at most, the last one being `…` where there were more.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept = text.chars().take(chars_max.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(&["NAME", ">CALLS"]);
        table.row(["a-long-name".to_owned(), "7".to_owned()]);
        table.row(["ü".to_owned(), "1234567".to_owned()]);
        let lines = "NAME           CALLS\na-long-name        7\nü            1234567\n";
        assert_eq!(table.render(), lines);
    }

    #[test]
    fn a_name_that_a_terminal_would_obey() {
        assert_eq!(
            plain("a\u{1b}[2Jb\r\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(plain("a\u{61c}b"), "a\u{fffd}b", "an Arabic letter mark");
        assert_eq!(plain("Grüße 日本"), "Grüße 日本");
        assert_eq!(
            (cut("abcdef", 4), cut("abcd", 4)),
            ("abc…".to_owned(), "abcd".to_owned())
        );
    }

    #[test]
    fn times_of_every_length() {
        for (ms, shown) in [
            (0, "0s"),
            (40, "0s"),
            (250, "0.2s"),
            (1_900, "1.9s"),
            (12_345, "12s"),
            (61_000, "1m 1s"),
            (3_725_000, "1h 2m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(short_time(ms), shown);
        }
    }
}
