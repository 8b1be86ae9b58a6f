//! A part of `pinfold-bench listed`, which starts it: for how long a core is at it at a time while operators look at its
//! sessions.
//!
//! One shard without a socket, whose portions are timed by the CPU that they take: whoever else runs on this machine does not
//! count. `view [SESSIONS]` says it as JSON. A program of its own, since the allocator of counted tests is in it.

#[allow(unreachable_pub)]
#[path = "../../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use pinfold::internals::shard::view::{
    RowsQuestion, SessionFilter, SortBy, ViewAnswer, ViewOrder, ViewPlace, ViewQuestion,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use self::common::{NOW, Rig};

const SESSIONS: usize = 10_000;
const ROUNDS: usize = 50;
/// Before them: code that was never run, and memory that was never touched.
const WARM_UP: usize = 5;

fn main() {
    let sessions = std::env::args().nth(1);
    let sessions = sessions.map_or(SESSIONS, |it| it.parse().expect("a number of sessions"));
    let mut legacy = Rig::new();
    (0..sessions).for_each(|_| legacy.open_legacy_stream());
    let mut modern = Rig::new();
    (0..sessions).for_each(|id| modern.open_modern_stream(id));
    let told = [
        portions("sessions with a GET stream", &mut legacy),
        portions("listen streams", &mut modern),
    ];
    println!("{}", Value::from(told.to_vec()));
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The worst that can be asked of a core: every row is wanted.
fn portions(what: &str, rig: &mut Rig) -> Value {
    (0..WARM_UP).for_each(|_| list(rig, &mut Vec::new()));
    let mut times = Vec::new();
    (0..ROUNDS).for_each(|_| list(rig, &mut times));
    let count = times.len() / ROUNDS;
    times.sort_unstable();
    let us = |share: f64| {
        let time: Duration = times[((times.len() - 1) as f64 * share) as usize];
        time.as_secs_f64() * 1e6
    };
    json!({"what": what, "portions": count, "p50_us": us(0.5), "p99_us": us(0.99), "max_us": us(1.0)})
}

/// One list, and the time of each of its portions.
fn list(rig: &mut Rig, times: &mut Vec<Duration>) {
    let mut next = Some(ViewPlace::default());
    while let Some(from) = next {
        let question = ViewQuestion::Rows(RowsQuestion {
            from,
            filter: SessionFilter::default(),
            order: ViewOrder {
                by: SortBy::Pending,
                is_descending: true,
            },
            after: None,
            before: None,
        });
        let began = cpu();
        let answer = rig.shard.handle_view(NOW, &question);
        times.push(cpu() - began);
        next = match answer {
            ViewAnswer::Rows(portion) => portion.next,
            other => panic!("{other:?}"),
        };
    }
}
