//! Medians of repetitions, of which there are few, so that spread is told as the least and the most; and percentiles of
//! times, of which there are many.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Summary {
    /// # Panics
    /// Without any values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        assert!(count > 0, "a summary of nothing");
        Summary {
            median: (values[(count - 1) / 2] + values[count / 2]) / 2.0,
            least: values[0],
            most: values[count - 1],
        }
    }
}

/// Percentiles, microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Times {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let us = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Times {
            count: histogram.len(),
            p50_us: us(0.5),
            p99_us: us(0.99),
            max_us: histogram.max() as f64 / 1000.0,
        }
    }
}

/// Of nanoseconds up to a minute, to three digits.
pub(crate) fn histogram() -> Outcome<Histogram<u64>> {
    let most = Duration::from_secs(60).as_nanos() as u64;
    Ok(Histogram::new_with_bounds(1, most, 3)?)
}

/// The straight line of least squares through `points`: its slope, and the standard error of that.
///
/// # Panics
/// With fewer than three points.
pub(crate) fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    assert!(points.len() > 2, "no line has an error through two points");
    let count = points.len() as f64;
    let mean_x = points.iter().map(|it| it.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|it| it.1).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|it| (it.0 - mean_x).powi(2)).sum();
    let together = points.iter().map(|it| (it.0 - mean_x) * (it.1 - mean_y));
    let slope = together.sum::<f64>() / spread;
    let misses = points
        .iter()
        .map(|it| (it.1 - mean_y - slope * (it.0 - mean_x)).powi(2));
    let error = (misses.sum::<f64>() / (count - 2.0) / spread).sqrt();
    (slope, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(
            (summary.median, summary.least, summary.most),
            (2.5, 1.0, 4.0)
        );
        assert_eq!(Summary::of([7.0]).median, 7.0);
    }

    #[test]
    fn a_straight_line_is_found_without_an_error() {
        let (slope, error) = slope(&[(0.0, 5.0), (2.0, 6.0), (4.0, 7.0)]);
        assert_eq!((slope, error), (0.5, 0.0));
        let (slope, error) = super::slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]);
        assert!(slope.abs() < 1e-9 && error > 0.1, "{slope} ± {error}");
    }
}
