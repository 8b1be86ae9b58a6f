//! Lines out of pieces: the NDJSON of a body, whatever the pieces it arrives in.
//!
//! Lines of nothing but white space are skipped. A line longer than allowed is reported once, as [`Line::TooLong`], and
//! its bytes are dropped as they come. Invariant: `held` has no line end and at most `bytes_max` bytes.

/// One line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputLine {
    /// Without its end.
    Text(Vec<u8>),
    TooLong,
}

pub(super) struct LineSplitter {
    bytes_max: usize,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    /// The line under way is too long, and was told.
    is_dropping: bool,
}

impl LineSplitter {
    pub(super) fn new(bytes_max: usize) -> Self {
        LineSplitter {
            bytes_max,
            held: Vec::new(),
            is_dropping: false,
        }
    }

    /// Appends the lines that end in this piece.
    pub(super) fn feed(&mut self, mut piece: &[u8], lines: &mut Vec<InputLine>) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            self.hold(&piece[..end], lines);
            self.end_line(lines);
            piece = &piece[end + 1..];
        }
        self.hold(piece, lines);
    }

    /// The input is complete: its last line need not have an end.
    pub(super) fn finish(mut self, lines: &mut Vec<InputLine>) {
        self.end_line(lines);
    }

    fn hold(&mut self, bytes: &[u8], lines: &mut Vec<InputLine>) {
        if self.is_dropping {
            return;
        }
        if self.held.len() + bytes.len() > self.bytes_max {
            self.is_dropping = true;
            self.held = Vec::new();
            lines.push(InputLine::TooLong);
            return;
        }
        self.held.extend_from_slice(bytes);
    }

    fn end_line(&mut self, lines: &mut Vec<InputLine>) {
        let line = std::mem::take(&mut self.held);
        if !std::mem::take(&mut self.is_dropping) && !line.trim_ascii().is_empty() {
            lines.push(InputLine::Text(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &str, step: usize) -> Vec<String> {
        let (mut lines, mut found) = (LineSplitter::new(8), Vec::new());
        for piece in input.as_bytes().chunks(step) {
            lines.feed(piece, &mut found);
            assert!(lines.held.len() <= 8);
        }
        lines.finish(&mut found);
        let text = |line: InputLine| match line {
            InputLine::Text(text) => String::from_utf8(text).unwrap(),
            InputLine::TooLong => "…".into(),
        };
        found.into_iter().map(text).collect()
    }

    #[test]
    fn lines_cut_at_every_byte() {
        let input = "one\n\n  \r\n12345678\n123456789\ntwo\r\n\nmuch too long\nend";
        for step in 1..=input.len() {
            let expected = ["one", "12345678", "…", "two\r", "…", "end"];
            assert_eq!(cut(input, step), expected, "step {step}");
        }
    }

    #[test]
    fn an_input_without_lines() {
        for empty in ["", "\n", "\r\n\r\n", " \t"] {
            assert!(cut(empty, 1).is_empty(), "{empty:?}");
        }
        assert_eq!(cut("123456789", 1), ["…"]);
    }
}
