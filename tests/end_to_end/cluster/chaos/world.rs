//! What all threads of a run share: where everything is, what happened, what was counted, and what went wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::fleet::{Fleet, NODES};
use super::ledger::Ledger;
use super::timeline::{Event, Millis, Name, Timeline};

/// After so many the run ends.
const FAILURES_MAX: usize = 8;

const CHAOS: u8 = 0;
const CALM: u8 = 1;
const OVER: u8 = 2;

pub(super) struct Place {
    pub(super) name: Name,
    pub(super) mcp: String,
    pub(super) admin: String,
    pub(super) address: SocketAddr,
}

pub(super) struct World {
    pub(super) seed: u64,
    /// Times are told from here.
    pub(super) begun: Millis,
    pub(super) nodes: Vec<Place>,
    pub(super) proxy: Place,
    pub(super) redis_port: u16,
    pub(super) publishing: AtomicBool,
    /// Publishers with a question under way.
    pub(super) busy: AtomicUsize,
    /// As far as the faults say so.
    pub(super) redis_answers: AtomicBool,
    phase: AtomicU8,
    gave_up: AtomicBool,
    round: AtomicUsize,
    timeline: Mutex<Timeline>,
    ledger: Mutex<Ledger>,
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
    failures: Mutex<Vec<String>>,
}

/// A thread that failed has said so; what it held is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

impl World {
    pub(super) fn new(seed: u64, fleet: &mut Fleet) -> World {
        let place = |name: &Name| {
            let node = fleet.node(name);
            Place {
                name,
                mcp: node.mcp(),
                admin: node.admin(),
                address: node.address(),
            }
        };
        let begun = now();
        World {
            begun,
            seed,
            nodes: NODES.iter().map(place).collect(),
            proxy: Place {
                name: "Traefik",
                mcp: fleet.traefik.mcp(),
                admin: String::new(),
                address: fleet.traefik.address(),
            },
            redis_port: fleet.redis().port(),
            publishing: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            redis_answers: AtomicBool::new(true),
            phase: AtomicU8::new(CALM),
            gave_up: AtomicBool::new(false),
            round: AtomicUsize::new(0),
            timeline: Mutex::default(),
            ledger: Mutex::new(Ledger::new(begun)),
            counts: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(super) fn timeline(&self) -> MutexGuard<'_, Timeline> {
        lock(&self.timeline)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(super) fn note(&self, event: Event) {
        self.timeline().note(now(), event);
    }

    pub(super) fn round(&self) -> usize {
        self.round.load(Ordering::Relaxed)
    }

    pub(super) fn begin_round(&self, number: usize) {
        self.round.store(number, Ordering::Relaxed);
        self.phase.store(CHAOS, Ordering::Relaxed);
        self.note(Event::Round(number));
    }

    /// Clients read, and do nothing else of their own.
    pub(super) fn calm_down(&self) {
        self.phase.store(CALM, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.phase.store(OVER, Ordering::Relaxed);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != CHAOS
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == OVER
    }

    pub(super) fn count(&self, kind: &'static str, what: impl Into<String>) {
        self.add(kind, what, 1);
    }

    pub(super) fn add(&self, kind: &'static str, what: impl Into<String>, more: u64) {
        *lock(&self.counts).entry((kind, what.into())).or_insert(0) += more;
    }

    pub(super) fn counts(&self) -> BTreeMap<(&'static str, String), u64> {
        lock(&self.counts).clone()
    }

    /// Said at once, since a person may wait for it, and at the end.
    pub(super) fn fail(&self, sentence: &str) {
        let (seed, round) = (self.seed, self.round());
        let timeline = self.timeline().recent(self.begun);
        let told = format!("FAILED: seed {seed}, round {round}: {sentence}\n{timeline}");
        println!("{told}");
        lock(&self.failures).push(told);
    }

    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    pub(super) fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_had_enough(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed) || lock(&self.failures).len() >= FAILURES_MAX
    }
}
