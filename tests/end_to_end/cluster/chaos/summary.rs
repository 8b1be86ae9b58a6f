//! What a run saw, for a person: a line now and then, and a table at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::PAUSE;
use super::world::World;

const PROGRESS_EVERY: Duration = Duration::from_secs(10);
const BAR_MAX: u64 = 40;

fn sum(counts: &BTreeMap<(&'static str, String), u64>, kind: &str) -> u64 {
    let of_kind = counts.iter().filter(|((own, _), _)| *own == kind);
    of_kind.map(|(_, count)| count).sum()
}

/// A line now and then, also while the run waits for something.
pub(super) fn tell_progress(world: &Arc<World>) -> JoinHandle<()> {
    let world = world.clone();
    std::thread::spawn(move || {
        let begun = Instant::now();
        let mut told = begun;
        while !world.is_over() {
            std::thread::sleep(PAUSE);
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                println!("{}", progress(&world, begun.elapsed()));
            }
        }
    })
}

fn progress(world: &World, elapsed: Duration) -> String {
    let counts = world.counts();
    let of = |kind| sum(&counts, kind);
    format!(
        "{:6.0} s  round {}: {} faults, {} publishes, {} notifications, {} reads, {} × 404, {} × 5xx, {} failures",
        elapsed.as_secs_f64(),
        world.round(),
        of("faults"),
        of("publishes"),
        of("notifications"),
        of("reads"),
        of("404"),
        of("5xx"),
        world.failures().len()
    )
}

/// Each count with a bar; bars are as long as the largest of their kind allows.
pub(super) fn table(world: &World, elapsed: Duration) -> String {
    let counts = world.counts();
    let mut table = format!("\nseed {}, {:.0} s\n", world.seed, elapsed.as_secs_f64());
    let mut last = "";
    for ((kind, what), count) in &counts {
        if *kind != last {
            let _ = writeln!(table, "{kind}");
            last = kind;
        }
        let of_kind = counts.iter().filter(|((own, _), _)| own == kind);
        let largest = of_kind.map(|(_, count)| *count).max().unwrap_or(1);
        let bar = "#".repeat((count * BAR_MAX).div_ceil(largest) as usize);
        let _ = writeln!(table, "  {what:45} {count:8}  {bar}");
    }
    let _ = writeln!(table, "failures{:47}", world.failures().len());
    table
}
