//! Durations in buckets, as Prometheus has them but for the sums: each bucket has its own.

use super::super::wheel::Millis;

/// The upper bounds of all buckets but the last, which has none.
pub const BOUNDS_MS: [Millis; 17] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000,
    300_000,
];

/// How many durations fell into which bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    pub counts: [u64; BOUNDS_MS.len() + 1],
    pub sum_ms: u64,
}

impl Histogram {
    #[inline]
    pub fn observe(&mut self, ms: Millis) {
        let within = BOUNDS_MS.iter().position(|&bound| ms <= bound);
        self.counts[within.unwrap_or(BOUNDS_MS.len())] += 1;
        self.sum_ms += ms;
    }

    /// All of another one as well.
    pub fn add(&mut self, other: &Histogram) {
        let counts = self.counts.iter_mut().zip(other.counts);
        counts.for_each(|(count, more)| *count += more);
        self.sum_ms += other.sum_ms;
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_at_a_bound_and_one_past_all() {
        let mut histogram = Histogram::default();
        for ms in [0, 1, 2, 3, 300_000, 300_001] {
            histogram.observe(ms);
        }
        let mut right = [0; BOUNDS_MS.len() + 1];
        (right[0], right[1], right[2]) = (2, 1, 1);
        (right[16], right[17]) = (1, 1);
        assert_eq!(histogram.counts, right);
        assert_eq!((histogram.sum_ms, histogram.count()), (600_007, 6));
        let mut both = histogram;
        both.add(&histogram);
        assert_eq!((both.sum_ms, both.count()), (1_200_014, 12));
        assert!(BOUNDS_MS.is_sorted());
    }
}
