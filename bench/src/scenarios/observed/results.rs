//! Each turn, and what looking costs: ratios within a round.

use serde::Serialize;

use super::Looker;
use crate::observer::Seen;
use crate::stats::Summary;

/// One turn.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Turn {
    pub(super) looker: Looker,
    /// Requests, or events.
    pub(super) count: u64,
    pub(super) per_second: f64,
    /// Of the whole process, for each of them.
    pub(super) cpu_us: f64,
    /// Of its core alone.
    pub(super) cores_cpu_us: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) seen: Seen,
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            looker: Looker::Nobody,
            count: 0,
            per_second: 0.0,
            cpu_us: 0.0,
            cores_cpu_us: 0.0,
            p50_us: 0.0,
            p99_us: 0.0,
            seen: Seen::default(),
        }
    }
}

/// What is asked or told, and what it costs whoever looks.
#[derive(Serialize)]
pub(super) struct Cost {
    pub(super) what: String,
    /// Of what `cpu_us` is the CPU.
    pub(super) each: &'static str,
    /// While nobody looks.
    pub(super) cpu_us: Summary,
    pub(super) per_second: Summary,
    pub(super) p99_us: Summary,
    /// Of two turns of one round in which nobody looks, the larger figure by the smaller.
    pub(super) noise: Ratios,
    pub(super) lookers: Vec<Looked>,
    pub(super) rounds: Vec<Vec<Turn>>,
}

/// One way to look.
#[derive(Serialize)]
pub(super) struct Looked {
    pub(super) looker: Looker,
    pub(super) ratios: Ratios,
    /// Of all its turns.
    pub(super) seen: Seen,
}

/// To nobody's of the same round.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Ratios {
    pub(super) cpu: Summary,
    pub(super) cores_cpu: Summary,
    pub(super) rate: Summary,
    pub(super) p99: Summary,
}

impl Cost {
    pub(super) fn new(
        what: String,
        each: &'static str,
        lookers: &[Looker],
        rounds: Vec<Vec<Turn>>,
    ) -> Self {
        let nobodys = || {
            rounds
                .iter()
                .flatten()
                .filter(|it| it.looker == Looker::Nobody)
        };
        let of = |value: fn(&Turn) -> f64| Summary::of(nobodys().map(value));
        let looked = lookers.iter().map(|&looker| Looked {
            looker,
            ratios: Ratios::of(|value| ratios(&rounds, looker, value)),
            seen: seen(&rounds, looker),
        });
        Cost {
            what,
            each,
            cpu_us: of(|it| it.cpu_us),
            per_second: of(|it| it.per_second),
            p99_us: of(|it| it.p99_us),
            noise: Ratios::of(|value| noise(&rounds, value)),
            lookers: looked.collect(),
            rounds,
        }
    }
}

impl Ratios {
    fn of(ratios: impl Fn(fn(&Turn) -> f64) -> Vec<f64>) -> Self {
        Ratios {
            cpu: Summary::of(ratios(|it| it.cpu_us)),
            cores_cpu: Summary::of(ratios(|it| it.cores_cpu_us)),
            rate: Summary::of(ratios(|it| it.per_second)),
            p99: Summary::of(ratios(|it| it.p99_us)),
        }
    }
}

fn ratios(rounds: &[Vec<Turn>], looker: Looker, value: fn(&Turn) -> f64) -> Vec<f64> {
    let ratio = |round: &Vec<Turn>| {
        let of = |looker| {
            round
                .iter()
                .filter(move |it| it.looker == looker)
                .map(value)
        };
        let nobodys = of(Looker::Nobody).sum::<f64>() / of(Looker::Nobody).count() as f64;
        of(looker).next().map(|looked| looked / nobodys)
    };
    rounds.iter().filter_map(ratio).collect()
}

fn noise(rounds: &[Vec<Turn>], value: fn(&Turn) -> f64) -> Vec<f64> {
    let ratio = |round: &Vec<Turn>| {
        let (first, last) = (value(round.first()?), value(round.last()?));
        Some(first.max(last) / first.min(last))
    };
    rounds.iter().filter_map(ratio).collect()
}

fn seen(rounds: &[Vec<Turn>], looker: Looker) -> Seen {
    let turns = rounds.iter().flatten().filter(|it| it.looker == looker);
    turns.fold(Seen::default(), |sum, it| Seen {
        scrapes: sum.scrapes + it.seen.scrapes,
        events: sum.events + it.seen.events,
        missed: sum.missed + it.seen.missed,
        bytes: sum.bytes + it.seen.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_to_both_turns_of_nobody_in_its_round() {
        let turn = |looker, cpu_us| Turn {
            looker,
            cpu_us,
            ..Turn::default()
        };
        let round = vec![
            turn(Looker::Nobody, 4.0),
            turn(Looker::Scraper, 7.5),
            turn(Looker::Nobody, 6.0),
        ];
        let rounds = [round];
        assert_eq!(ratios(&rounds, Looker::Scraper, |it| it.cpu_us), [1.5]);
        assert_eq!(noise(&rounds, |it| it.cpu_us), [1.5]);
        assert!(ratios(&rounds, Looker::OfOneSession, |it| it.cpu_us).is_empty());
    }
}
