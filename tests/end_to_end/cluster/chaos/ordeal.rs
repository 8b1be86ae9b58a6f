//! A run: round after round of faults, each undone, and what must be true afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::client::{modern_read, try_get};
use super::super::fleet::{Fleet, Plan};
use super::faults::{Fault, Target};
use super::follower::{self, Shown, View, text_of};
use super::ledger::Text;
use super::timeline::{Event, Millis};
use super::world::{World, now};
use super::{PAUSE, URIS, publisher, summary, uri};
use crate::random::Random;
use crate::server::Placement;

/// For what takes seconds at most when all is well, on however busy a machine.
const HEALED_WITHIN: Duration = Duration::from_secs(90);
const FAULTS_MAX: usize = 4;
/// Until the next fault, and until one is undone.
const NEXT_MS_MAX: usize = 2_500;
const UNDONE_MS_MAX: usize = 8_000;

pub(super) struct Ordeal {
    world: Arc<World>,
    fleet: Fleet,
    random: Random,
    round: usize,
    begun: Instant,
    shown: Vec<Arc<Shown>>,
    threads: Vec<JoinHandle<()>>,
}

enum Step {
    Begin(Fault),
    Undo(Fault),
    Rest,
}

impl Ordeal {
    pub(super) fn start(seed: u64) -> Ordeal {
        let name = format!("cluster/chaos/{seed}");
        let plan = Plan {
            says_when: true,
            // Sessions are on one core, and their requests come to any.
            placement: Placement::AtRandom,
            ..Plan::new(name.leak()).ending()
        };
        let mut fleet = plan.start();
        let world = Arc::new(World::new(seed, &mut fleet));
        let (shown, mut threads) = follower::start(&world);
        threads.extend(publisher::start(&world));
        threads.push(summary::tell_progress(&world));
        Ordeal {
            world,
            fleet,
            random: Random::new(seed),
            round: 0,
            begun: Instant::now(),
            shown,
            threads,
        }
    }

    pub(super) fn run(mut self, length: Duration) {
        // Everybody is there before the first fault.
        self.check();
        while self.begun.elapsed() < length && !self.world.has_had_enough() {
            self.round += 1;
            self.round();
            self.check();
        }
        self.finish();
    }

    fn round(&mut self) {
        self.world.begin_round(self.round);
        self.world.publishing.store(true, Ordering::SeqCst);
        let begun = now();
        for (at, step) in self.plan() {
            while now() < begun + at {
                std::thread::sleep(PAUSE);
            }
            match step {
                Step::Begin(fault) => fault.begin(&self.world, &mut self.fleet, &mut self.random),
                Step::Undo(fault) => fault.undo(&self.world, &mut self.fleet),
                Step::Rest => {
                    self.world.publishing.store(false, Ordering::SeqCst);
                    self.world.note(Event::PublishersRest);
                }
            }
        }
        self.world.count("rounds", "of faults");
    }

    /// In the order of time. Publishers rest before, between or after the last undos: the last words of each resource
    /// come at any time.
    fn plan(&mut self) -> Vec<(Millis, Step)> {
        let random = &mut self.random;
        let mut steps = Vec::new();
        let mut targets = Vec::new();
        let mut at = 0;
        let mut last = 0;
        for _ in 0..=random.below(FAULTS_MAX) {
            at += random.below(NEXT_MS_MAX) as Millis;
            let fault = Fault::at_random(random);
            let target = fault.target();
            let undone = at + 100 + random.below(UNDONE_MS_MAX) as Millis;
            if target != Target::Anything && targets.contains(&target) {
                continue;
            }
            if target != Target::Anything {
                targets.push(target);
                steps.push((undone, Step::Undo(fault.clone())));
                last = last.max(undone);
            }
            steps.push((at, Step::Begin(fault)));
            last = last.max(at);
        }
        steps.push((random.below(last as usize + 2_000) as Millis, Step::Rest));
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    /// Looks until it finds nothing wrong; what it found last is a failure. True if nothing is wrong.
    fn becomes(&mut self, mut fault: impl FnMut(&mut Self) -> Option<String>) -> bool {
        let deadline = Instant::now() + HEALED_WITHIN;
        loop {
            let Some(found) = fault(self) else {
                return true;
            };
            if Instant::now() >= deadline {
                self.world
                    .fail(&format!("{found} ({HEALED_WITHIN:?} after all was undone)"));
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What must be true when all is undone.
    fn check(&mut self) {
        let world = self.world.clone();
        world.publishing.store(false, Ordering::SeqCst);
        world.calm_down();
        world.note(Event::Healed);
        let healed = now();
        self.becomes(|this| this.what_is_not_healed());
        let mut served = Vec::new();
        let agrees = self.becomes(|this| match this.contents() {
            Ok(contents) => {
                served = contents;
                None
            }
            Err(fault) => Some(fault),
        });
        if !agrees {
            // What comes after it says nothing.
            return self.world.give_up();
        }
        for (number, found) in served.iter().enumerate() {
            let uri = uri(number);
            let judged = world.ledger().judge(&uri, found, &world.timeline());
            if let Err(sentence) = judged {
                world.fail(&sentence);
            }
            let timeline = world.timeline();
            world
                .ledger()
                .settle(self.round, &uri, found.clone(), &timeline);
        }
        let tools = world.ledger().settle_tools(&world.timeline());
        self.becomes(|this| {
            let shown = this.shown.iter();
            let mut stale = shown.filter_map(|shown| {
                let view = shown.view().clone();
                let ledger = this.world.ledger();
                let is_lost = |uri: &str, read: &Text| ledger.is_lost(uri, read);
                let fault = what_is_stale(&view, &served, is_lost, tools, healed)?;
                let written = fault.uri.as_ref().map_or("", |uri| ledger.last(uri));
                let diary = shown.tell_diary(this.world.begun);
                Some(format!(
                    "{}; written was\n    {written}\n{diary}",
                    fault.sentence
                ))
            });
            stale.next()
        });
        match self.contents() {
            Ok(again) if again != served => {
                world.fail(&format!(
                    "nobody published, and {served:?} became {again:?}"
                ));
            }
            Ok(_) => {}
            Err(fault) => world.fail(&format!("nobody published, and {fault}")),
        }
    }

    fn what_is_not_healed(&mut self) -> Option<String> {
        if self.world.busy.load(Ordering::SeqCst) > 0 {
            return Some("a publisher waits for its answer".into());
        }
        for place in &self.world.nodes {
            let ready = try_get(&format!("{}/readyz", place.admin), &[]);
            if ready.as_ref().is_none_or(|it| it.status != 200) {
                return Some(format!("{} is not ready: {ready:?}", place.name));
            }
        }
        let nodes = self.fleet.nodes.iter();
        let mut waiting = nodes.filter(|node| node.metric("pinfold_bus_queued") > 0.0);
        waiting
            .next()
            .map(|node| format!("something waits at {} for Redis", node.name))
    }

    /// What all nodes serve.
    fn contents(&self) -> Result<Vec<Text>, String> {
        let places = &self.world.nodes;
        let read = |uri: &str| {
            let mut all = places
                .iter()
                .map(|place| (place.name, read(&place.mcp, uri)));
            let (_, first) = all.next().expect("three nodes");
            let first = first.ok_or_else(|| format!("{} cannot be read at a node", uri))?;
            match all.find(|(_, other)| other.as_ref() != Some(&first)) {
                None => Ok(first),
                Some((name, other)) => Err(format!(
                    "nodes differ: a serves {first:?} at {uri}, and {name} {other:?}"
                )),
            }
        };
        (0..URIS).map(|number| read(&uri(number))).collect()
    }

    fn finish(mut self) {
        self.world.end();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.world.fail("a client or a publisher panicked");
            }
        }
        print!("{}", summary::table(&self.world, self.begun.elapsed()));
        let failures = self.world.failures();
        let scratch = self.fleet.scratch.clone();
        self.fleet.stop();
        assert!(
            failures.is_empty(),
            "{} failures; logs are in {}\n{}",
            failures.len(),
            scratch.display(),
            failures.join("\n")
        );
    }
}

fn read(mcp: &str, uri: &str) -> Option<Text> {
    modern_read(mcp, uri).as_ref().and_then(text_of)
}

struct Stale {
    uri: Option<String>,
    sentence: String,
}

/// What is wrong with what a client knows.
fn what_is_stale(
    view: &View,
    served: &[Text],
    is_lost: impl Fn(&str, &Text) -> bool,
    tools: Option<Millis>,
    healed: Millis,
) -> Option<Stale> {
    let who = &view.who;
    let fault = |uri, sentence| Some(Stale { uri, sentence });
    if view.looked < healed || !view.is_settled {
        return fault(None, format!("{who} does not come to rest"));
    }
    for (number, served) in served.iter().enumerate() {
        let uri = uri(number);
        let read = view.read.get(&uri);
        if let Some(read) = read.filter(|read| *read != served && !is_lost(&uri, read)) {
            let sentence = format!(
                "{who} is stale: it has read {read:?} at {uri}, all nodes serve {served:?}, and nobody tells it"
            );
            return fault(Some(uri), sentence);
        }
    }
    let missed = tools.filter(|tools| *tools > view.since && view.tools < *tools)?;
    let sentence = format!("{who} was not told that the list of tools changed, at {missed}");
    fault(None, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALED: Millis = 9_000;

    fn view(read: &str) -> View {
        View {
            since: 1_000,
            looked: HEALED + 1,
            is_settled: true,
            tools: 5_000,
            read: [(uri(1), Some(read.to_owned()))].into(),
            ..View::default()
        }
    }

    fn is_stale(view: &View, tools: Millis) -> bool {
        let served = [None, Some("new".to_owned())];
        let is_lost = |own: &str, read: &Text| own == uri(1) && read.as_deref() == Some("lost");
        what_is_stale(view, &served, is_lost, Some(tools), HEALED).is_some()
    }

    #[test]
    fn a_client_that_is_stale_and_one_that_is_not() {
        assert!(!is_stale(&view("new"), 5_000));
        assert!(is_stale(&view("old"), 5_000));
        assert!(!is_stale(&view("lost"), 5_000), "nobody can tell it");
        assert!(is_stale(&view("new"), 5_001), "it was not told");
        let fresh = View {
            since: 6_000,
            ..view("new")
        };
        assert!(!is_stale(&fresh, 5_500), "before its time");
        let restless = View {
            is_settled: false,
            ..view("new")
        };
        let absent = View {
            looked: HEALED - 1,
            ..view("new")
        };
        assert!(is_stale(&restless, 5_000) && is_stale(&absent, 5_000));
    }
}
