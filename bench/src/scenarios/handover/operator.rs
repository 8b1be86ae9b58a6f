//! Who publishes and who asks for hand-overs, each on a thread of its own. What they say to the crowd is counted here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::faults::Faults;
use super::stream::{SLOW_AT_ONCE, SLOW_TOPICS, TOPICS};
use crate::Outcome;
use crate::loader::admin::Admin;
use crate::loader::protocol::uri;
use crate::machine;

#[derive(Default)]
pub(super) struct Shared {
    /// Asked for.
    pub(super) begun: AtomicUsize,
    /// That came to their end, or to nothing.
    pub(super) done: AtomicUsize,
    pub(super) all_done: AtomicBool,
    pub(super) publishes_no_more: AtomicBool,
    pub(super) published: AtomicU64,
    /// With the one that is being made.
    pub(super) publishing: AtomicU64,
    pub(super) all_published: AtomicBool,
    /// As many events have come at each stream that reads.
    pub(super) heard: AtomicU64,
    /// The process that serves.
    pub(super) process: AtomicU32,
}

/// One hand-over, as the program and the kernel tell it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct HandOver {
    pub(super) pause_ms: f64,
    /// What the pause had come to when all stood still, was sent, was understood.
    steps_ms: Value,
    /// From the request to its answer.
    pub(super) whole_ms: f64,
    pub(super) cpu_old_ms: f64,
    pub(super) cpu_new_ms: f64,
    pub(super) peak_old: u64,
    pub(super) peak_new: u64,
    connections: u64,
    sessions: u64,
}

#[derive(Default)]
pub(super) struct Published {
    /// Asked for once more, since the answer did not come.
    pub(super) again: u64,
    pub(super) slowest_ms: f64,
    pub(super) faults: Faults,
}

const EVERY: Duration = Duration::from_millis(50);
const AHEAD_MAX: u64 = TOPICS as u64 - 2;
/// Far longer than a machine takes that is busy with other things: then something is lost.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(2);
const TRIES: usize = 2_000;
/// From one to the next: what one costs is over by then.
const BETWEEN: Duration = Duration::from_millis(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(5);

const ENTRY_BYTES: usize = 1_000_000;

/// Contents that nobody is subscribed to.
pub(super) fn fill_board(admin: SocketAddr, megabytes: usize) -> Outcome<()> {
    let mut connection = Admin::connect(admin, "")?;
    let contents = "x".repeat(ENTRY_BYTES);
    for number in 0..megabytes {
        let item = format!(r#"[{{"uri":"board://large-{number}","contents":"{contents}"}}]"#);
        connection.ask("POST /publish", item.as_bytes())?;
    }
    Ok(())
}

/// Publishes until it is told to stop. Whoever gets no answer asks again, with the same keys.
pub(super) fn publish(admin: SocketAddr, shared: &Shared) -> Published {
    let mut told = Published::default();
    let mut connection = None;
    let mut due = Instant::now();
    while !shared.publishes_no_more.load(SeqCst) {
        let number = shared.published.load(SeqCst);
        if !await_heard(number, shared) {
            // Nobody publishes on, or what comes next would be told of together with what is missing.
            told.faults.publications_failed += 1;
            let sentence =
                format!("a stream did not hear of the publications before the {number}th");
            told.faults.say(sentence);
            break;
        }
        shared.publishing.store(number + 1, SeqCst);
        let body = publication(number);
        let asked = Instant::now();
        let mut tries = 0;
        while let Err(fault) = try_once(&mut connection, admin, &body) {
            connection = None;
            told.again += 1;
            tries += 1;
            if tries == TRIES {
                told.faults.publications_failed += 1;
                told.faults.say(format!("publishing failed: {fault}"));
                shared.publishes_no_more.store(true, SeqCst);
                break;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        told.slowest_ms = told.slowest_ms.max(ms(asked.elapsed()));
        shared.published.store(number + 1, SeqCst);
        due = (due + EVERY).max(Instant::now());
        std::thread::sleep(due - Instant::now());
    }
    shared.all_published.store(true, SeqCst);
    told
}

/// A topic that was not told of yet and is published again is told of once, and on a machine that is too slow for so many streams
/// that would look like a loss. False: there is no end to that.
fn await_heard(number: u64, shared: &Shared) -> bool {
    let until = Instant::now() + HEARD_WITHIN;
    while shared.heard.load(SeqCst) + AHEAD_MAX < number {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(AGAIN_AFTER);
    }
    true
}

fn try_once(connection: &mut Option<Admin>, admin: SocketAddr, body: &str) -> Outcome<()> {
    let known = match connection.take() {
        Some(known) => known,
        None => Admin::connect(admin, "")?,
    };
    connection
        .insert(known)
        .ask("POST /publish", body.as_bytes())
}

/// The next topic of everybody, and some that slow readers hear of besides.
fn publication(number: u64) -> String {
    let main = (number % u64::from(TOPICS)) as usize;
    let first = number * u64::from(SLOW_AT_ONCE);
    let slow = (0..u64::from(SLOW_AT_ONCE))
        .map(|it| (u64::from(TOPICS) + (first + it) % u64::from(SLOW_TOPICS)) as usize);
    let items = std::iter::once(main).chain(slow).enumerate();
    let items = items.map(|(item, topic)| {
        let uri = uri(topic);
        format!(r#"{{"uri":"{uri}","key":"{number}-{item}"}}"#)
    });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Asks for so many, one after the other.
pub(super) fn hand_over(
    admin: SocketAddr,
    count: usize,
    shared: &Shared,
) -> (Vec<HandOver>, Faults) {
    let (mut all, mut faults) = (Vec::new(), Faults::default());
    for _ in 0..count {
        std::thread::sleep(BETWEEN);
        shared.begun.fetch_add(1, SeqCst);
        match hand_over_once(admin, shared) {
            Ok(one) => all.push(one),
            Err(fault) => {
                faults.refusals += 1;
                faults.say(fault.to_string());
                find_successor(admin, shared);
            }
        }
        shared.done.fetch_add(1, SeqCst);
    }
    std::thread::sleep(BETWEEN);
    shared.all_done.store(true, SeqCst);
    (all, faults)
}

/// Of whom nothing was heard: the node says who serves.
fn find_successor(admin: SocketAddr, shared: &Shared) {
    // Its connections end before it does.
    std::thread::sleep(BETWEEN);
    if let Ok(serving) = serving(admin) {
        shared.process.store(serving, SeqCst);
    }
}

fn serving(admin: SocketAddr) -> Outcome<u32> {
    let mut connection = Admin::connect(admin, "")?;
    let node: Value = serde_json::from_slice(connection.read("GET /node")?)?;
    let pid = node["pid"].as_u64().ok_or("a node without a process")?;
    Ok(u32::try_from(pid)?)
}

fn hand_over_once(admin: SocketAddr, shared: &Shared) -> Outcome<HandOver> {
    let old = shared.process.load(SeqCst);
    let before = Usage::of(old)?;
    let mut last = before;
    let mut connection = Admin::connect(admin, "")?;
    connection.non_blocking()?;
    let asked = Instant::now();
    connection.begin("POST /handover")?;
    let mut scratch = [0; 4096];
    while connection.poll(&mut scratch)? != Some(true) {
        std::thread::sleep(LOOK_EVERY);
        // It may have ended.
        last = Usage::of(old).unwrap_or(last);
    }
    let whole = asked.elapsed();
    let answer: Value = serde_json::from_slice(connection.text())?;
    let new = answer["pid"].as_u64().unwrap_or_default() as u32;
    let after = Usage::of(new)?;
    shared.process.store(new, SeqCst);
    let number = |name: &str| answer[name].as_f64().unwrap_or(f64::NAN);
    Ok(HandOver {
        pause_ms: number("pauseMs"),
        steps_ms: answer["pauseSteps"].clone(),
        whole_ms: ms(whole),
        cpu_old_ms: last.cpu_ms - before.cpu_ms,
        cpu_new_ms: after.cpu_ms,
        peak_old: last.peak,
        peak_new: after.peak,
        connections: number("connections") as u64,
        sessions: number("sessions") as u64,
    })
}

/// Of a process since it began.
#[derive(Clone, Copy)]
struct Usage {
    /// In ticks of the kernel, of 10 ms.
    cpu_ms: f64,
    peak: u64,
}

impl Usage {
    fn of(process: u32) -> Outcome<Usage> {
        Ok(Usage {
            cpu_ms: machine::own_cpu_ns_of(process)? as f64 / 1e6,
            peak: machine::peak_memory(process)?,
        })
    }
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
