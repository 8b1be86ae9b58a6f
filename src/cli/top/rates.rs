//! What two looks at a node say together: rates, how busy its cores are, how long things took. Counters of a node that was
//! restarted in between begin again, and say nothing.

use super::sample::{NodeSample, SampleHistogram};

/// Over the time between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) deliveries: f64,
    pub(super) publications: f64,
    /// Of each core, from 0 to 1.
    pub(super) busy: Vec<f64>,
}

impl Rates {
    /// None: the two do not belong together.
    pub(super) fn between(before: &NodeSample, now: &NodeSample) -> Option<Rates> {
        if before.node != now.node
            || before.started_at != now.started_at
            || now.uptime_s < before.uptime_s
        {
            return None;
        }
        let seconds = now.now.checked_sub(before.now)? as f64 / 1000.0;
        if seconds <= 0.0 {
            return None;
        }
        let rate = |before: u64, now: u64| Some(now.checked_sub(before)? as f64 / seconds);
        let (old, new) = (&before.totals, &now.totals);
        let busy = now.cores.iter().zip(&before.cores);
        let busy =
            busy.map(|(now, before)| ((now.busy_s - before.busy_s) / seconds).clamp(0.0, 1.0));
        Some(Rates {
            requests: rate(old.requests, new.requests)?,
            errors: rate(old.errors, new.errors)?,
            deliveries: rate(old.deliveries, new.deliveries)?,
            publications: rate(old.publications, new.publications)?,
            busy: busy.collect(),
        })
    }
}

/// The bound below which this part of what happened in between was, in seconds. None: nothing happened.
pub(super) fn quantile(
    before: &SampleHistogram,
    now: &SampleHistogram,
    part: f64,
) -> Option<Quantile> {
    let counts = now.counts.iter().enumerate().map(|(at, count)| {
        let earlier = before.counts.get(at).copied().unwrap_or(0);
        count.saturating_sub(earlier)
    });
    let counts: Vec<u64> = counts.collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = (part * total as f64).ceil().max(1.0);
    let mut so_far = 0;
    let at = counts.iter().position(|count| {
        so_far += count;
        so_far as f64 >= wanted
    })?;
    Some(match now.bounds_s.get(at) {
        Some(bound) => Quantile::Within(*bound),
        None => Quantile::Beyond(now.bounds_s.last().copied().unwrap_or(0.0)),
    })
}

/// A bucket is all that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantile {
    Within(f64),
    Beyond(f64),
}

impl Quantile {
    pub(super) fn shown(self) -> String {
        let time = |seconds: f64| match seconds < 1.0 {
            true => format!("{}ms", (seconds * 1000.0).round()),
            false => format!("{seconds}s"),
        };
        match self {
            Quantile::Within(seconds) => format!("≤{}", time(seconds)),
            Quantile::Beyond(seconds) => format!(">{}", time(seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::sample::SampleCore;

    fn sample(now: u64, requests: u64, busy_s: f64) -> NodeSample {
        let mut sample = NodeSample {
            node: "n1".into(),
            now,
            uptime_s: now as f64 / 1000.0,
            cores: vec![SampleCore {
                busy_s,
                ..SampleCore::default()
            }],
            ..NodeSample::default()
        };
        sample.totals.requests = requests;
        sample
    }

    #[test]
    fn rates_of_two_looks() {
        let rates = Rates::between(&sample(1_000, 10, 1.0), &sample(3_000, 50, 1.5))
            .expect("they belong together");
        assert_eq!((rates.requests, rates.busy), (20.0, vec![0.25]));
    }

    #[test]
    fn looks_that_do_not_belong_together() {
        let (before, now) = (sample(1_000, 10, 1.0), sample(3_000, 50, 1.5));
        assert_eq!(Rates::between(&now, &before), None);
        assert_eq!(Rates::between(&now, &now), None);
        let restarted = NodeSample {
            uptime_s: 0.1,
            ..sample(5_000, 60, 0.0)
        };
        assert_eq!(Rates::between(&now, &restarted), None);
        assert_eq!(Rates::between(&before, &sample(3_000, 9, 1.0)), None);
        let other = NodeSample {
            node: "n2".into(),
            ..now
        };
        assert_eq!(Rates::between(&before, &other), None);
    }

    #[test]
    fn a_quantile_that_is_of_what_was_before() {
        let histogram = |counts: &[u64]| SampleHistogram {
            bounds_s: vec![0.001, 0.5, 10.0],
            counts: counts.to_vec(),
        };
        let before = histogram(&[1000, 0, 0, 0]);
        let now = histogram(&[1000, 98, 1, 1]);
        assert_eq!(quantile(&before, &now, 0.5), Some(Quantile::Within(0.5)));
        assert_eq!(quantile(&before, &now, 0.99), Some(Quantile::Within(10.0)));
        assert_eq!(quantile(&before, &now, 1.0), Some(Quantile::Beyond(10.0)));
        assert_eq!(quantile(&now, &now, 0.5), None);
        assert_eq!(Quantile::Within(0.5).shown(), "≤500ms");
        assert_eq!(Quantile::Beyond(10.0).shown(), ">10s");
    }
}
