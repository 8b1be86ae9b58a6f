//! Lines of a stream, and the events of one that say a certain thing, however the bytes are cut.

use memchr::memmem::Finder;

/// Lines without their ends.
#[derive(Default)]
pub(crate) struct Lines {
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Lines {
    /// Takes each line that ends in `input`.
    pub(crate) fn feed(&mut self, mut input: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', input) {
            let (line, rest) = (&input[..end], &input[end + 1..]);
            input = rest;
            if self.partial.is_empty() {
                take(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                take(&whole);
            }
        }
        self.partial.extend_from_slice(input);
    }
}

#[derive(Default)]
pub(crate) struct EventCounter {
    lines: Lines,
    /// A data line of the current event holds the needle.
    found: bool,
}

impl EventCounter {
    /// How many events that end in `input` have a data line with the needle in it. Comments, ids and events that say
    /// something else count nothing.
    pub(crate) fn feed(&mut self, input: &[u8], needle: &Finder<'_>) -> u64 {
        let EventCounter { lines, found } = self;
        let mut count = 0;
        lines.feed(input, |line| count += u64::from(ends(line, found, needle)));
        count
    }
}

/// True if this line ends an event that counts.
fn ends(line: &[u8], found: &mut bool, needle: &Finder<'_>) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return std::mem::take(found);
    }
    *found |= line.starts_with(b"data:") && needle.find(line).is_some();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_with_the_needle_count_wherever_they_are_cut() {
        let input = b"id: 1\ndata: {\"m\":\"updated\"}\n\n: updated\n\nid: updated\ndata: {}\n\n\
            data: x\r\ndata: updated\r\n\r\ndata: updated\n";
        let needle = Finder::new("updated");
        for piece in 1..=input.len() {
            let mut counter = EventCounter::default();
            let count: u64 = input
                .chunks(piece)
                .map(|bytes| counter.feed(bytes, &needle))
                .sum();
            assert_eq!(count, 2, "in pieces of {piece}");
        }
    }
}
