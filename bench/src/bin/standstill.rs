//! How long a core takes to write down all that it has, and another one to read that and go on: most of a hand-over's pause.
//!
//! One shard without a socket, timed by the CPU that it takes: whoever else runs on this machine does not count. Half of its
//! clients have a session with a GET stream, half a listen stream, and each has ten subscriptions among 264 resources.
//! `standstill [CLIENTS]` says it as JSON, in the release build. A program of its own, since the allocator of counted tests is in it.

#[allow(unreachable_pub)]
#[path = "../../tests/common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::time::Duration;

use pinfold::internals::shard::{FrozenShard, write_frozen};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use self::common::{META, NOW, Rig, post};

const CLIENTS: usize = 5_000;
const SUBSCRIPTIONS: usize = 10;
const RESOURCES: usize = 264;
const ROUNDS: usize = 15;
/// Before them: code that was never run, and memory that was never touched.
const WARM_UP: usize = 2;

/// What each part took, in ms.
#[derive(Default)]
struct Times {
    pack: Vec<f64>,
    write: Vec<f64>,
    read: Vec<f64>,
    resume: Vec<f64>,
}

fn main() {
    let clients = std::env::args().nth(1);
    let clients = clients.map_or(CLIENTS, |it| it.parse().expect("a number of clients"));
    let mut rig = Rig::new();
    (0..clients).for_each(|it| open(&mut rig, it));
    let mut times = Times::default();
    let mut bytes = 0;
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            times = Times::default();
        }
        (rig, bytes) = handed_over(rig, &mut times);
    }
    let Times {
        pack,
        write,
        read,
        resume,
    } = times;
    let told = json!({
        "clients": clients,
        "subscriptions": clients * SUBSCRIPTIONS,
        "bytes": bytes,
        "pack_ms": median(pack),
        "write_ms": median(write),
        "read_ms": median(read),
        "resume_ms": median(resume),
    });
    println!("{told:#}");
}

fn median(mut times: Vec<f64>) -> Value {
    times.sort_unstable_by(f64::total_cmp);
    json!((times[times.len() / 2] * 100.0).round() / 100.0)
}

fn topic(client: usize, nth: usize) -> String {
    format!("board://bench/{}", (client * 7 + nth) % RESOURCES)
}

fn open(rig: &mut Rig, client: usize) {
    let topics = (0..SUBSCRIPTIONS).map(|it| topic(client, it));
    if client.is_multiple_of(2) {
        let (key, session) = rig.open_session();
        for (id, uri) in topics.enumerate() {
            let subscribe = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/subscribe","params":{{"uri":"{uri}"}}}}"#
            );
            rig.answer(key, &post(&session, &subscribe));
        }
        let get = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{session}\r\n"
        );
        rig.answer(key, &get);
    } else {
        let mut uris = String::new();
        topics.for_each(|uri| write!(uris, ",\"{uri}\"").expect("a string takes all"));
        let listen = format!(
            r#"{{"jsonrpc":"2.0","id":{client},"method":"subscriptions/listen","params":{{{META},"notifications":{{"resourceSubscriptions":[{}]}}}}}}"#,
            &uris[1..]
        );
        let key = rig.connect();
        let fields = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
        rig.answer(key, &post(fields, &listen));
    }
    let answered = rig.text();
    assert!(answered.contains("text/event-stream"), "{answered}");
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let began = cpu();
    let done = work();
    times.push((cpu() - began).as_secs_f64() * 1e3);
    done
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// To another shard, as `runtime::standstill` does it.
fn handed_over(mut from: Rig, times: &mut Times) -> (Rig, usize) {
    let frozen = timed(&mut times.pack, || from.shard.handle_freeze(NOW));
    let frozen = frozen.unwrap_or_else(|why| panic!("{why}"));
    drop(from);
    let bytes = timed(&mut times.write, || write_frozen(&frozen));
    let bytes = bytes.expect("plain values");
    drop(frozen);
    let frozen: FrozenShard = timed(&mut times.read, || {
        rmp_serde::from_slice(&bytes).expect("it reads back")
    });
    let mut to = Rig::new();
    let resumed = timed(&mut times.resume, || to.shard.handle_resume(NOW, frozen));
    resumed.expect("it goes on");
    to.drain(NOW);
    (to, bytes.len())
}
