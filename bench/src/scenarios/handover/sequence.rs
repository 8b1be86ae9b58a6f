//! Topics that are published in turn, as one stream is told of them.

/// Which of them came. An event says which topic it is of, and not of which publication: it is taken for the earliest that it can
/// be of. In the end that shows everything that is lost, since nobody publishes a topic again after the last time.
#[derive(Clone, Copy)]
pub(super) struct Sequence {
    /// As many topics there are.
    modulo: u64,
    /// After the last one that came, from the first publication on: at the least.
    next: u64,
    pub(super) received: u64,
    /// Between two that came.
    skipped: u64,
    /// Twice, or after one that was later: it would be of a publication that nobody has made.
    wrong: u64,
    /// So many of the last came one directly after the other.
    in_a_row: u64,
}

impl Sequence {
    pub(super) fn new(modulo: u32) -> Sequence {
        Sequence {
            modulo: modulo.into(),
            next: 0,
            received: 0,
            skipped: 0,
            wrong: 0,
            in_a_row: 0,
        }
    }

    /// An event of this topic. So many of them were published, or are just now.
    pub(super) fn take(&mut self, topic: u32, published: u64) {
        self.received += 1;
        let ahead = (u64::from(topic) + self.modulo - self.next % self.modulo) % self.modulo;
        if self.next + ahead >= published {
            self.wrong += 1;
            self.in_a_row = 0;
            return;
        }
        self.skipped += ahead;
        self.next += ahead + 1;
        self.in_a_row = if ahead == 0 { self.in_a_row + 1 } else { 1 };
    }

    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Of whoever hears of each publication.
    pub(super) fn missing(&self, published: u64) -> u64 {
        let came = self.received.saturating_sub(self.wrong);
        self.skipped.max(published.saturating_sub(came))
    }

    /// Whether the last publication of each topic has come, after everything else: publications of a topic may be one event, but
    /// nothing is merged with the last.
    pub(super) fn has_the_last_of_each(&self, published: u64) -> bool {
        self.next % self.modulo == published % self.modulo
            && self.in_a_row >= self.modulo.min(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: u32 = 8;

    fn told(topics: impl IntoIterator<Item = u32>, published: u64) -> Sequence {
        let mut sequence = Sequence::new(TOPICS);
        for topic in topics {
            sequence.take(topic, published);
        }
        sequence
    }

    #[test]
    fn every_event_once_and_in_order() {
        let all = told((0..20).map(|it| it % TOPICS), 20);
        assert_eq!((all.missing(20), all.wrong()), (0, 0));
        assert!(all.has_the_last_of_each(20));
    }

    #[test]
    fn events_that_are_missing_come_twice_or_too_late() {
        let missing = |topics: &[u32], published| {
            let told = told(topics.iter().copied(), published);
            (told.missing(published), told.wrong())
        };
        assert_eq!(missing(&[0, 1, 3, 4], 5), (1, 0));
        assert_eq!(missing(&[0, 1, 2, 3], 5), (1, 0), "the last");
        assert_eq!(missing(&[0, 1, 1, 2], 3), (0, 1));
        assert_eq!(missing(&[0, 2, 1, 3], 4), (1, 1));
    }

    #[test]
    fn a_reader_that_is_told_of_the_newest_alone() {
        // However many publications lie between two events.
        let rarely = [0, 6, 5, 4];
        let last: Vec<u32> = (85..93).map(|it| it % TOPICS).collect();
        let merged = told(rarely.into_iter().chain(last.iter().copied()), 93);
        assert_eq!(merged.wrong(), 0);
        assert!(merged.has_the_last_of_each(93));
        let without = |place: usize| {
            let last = last.iter().enumerate().filter(|(at, _)| *at != place);
            told(rarely.into_iter().chain(last.map(|(_, &it)| it)), 93)
        };
        assert!((0..8).all(|it| !without(it).has_the_last_of_each(93)));
        let twice = told(
            rarely.into_iter().chain(last.iter().copied()).chain([4]),
            93,
        );
        assert!(!twice.has_the_last_of_each(93));
    }
}
