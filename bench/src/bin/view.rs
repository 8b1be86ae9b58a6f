//! What it costs a node that operators look at its sessions: how long a list of 10,000 takes, and how long a core is at it at a time.
//!
//! `cargo run --release -p pinfold-bench --bin view`. First one shard without a socket, whose portions are timed by the CPU that
//! they take: whoever else runs on this machine does not count. Then a node in this process, asked by HTTP, while a client of
//! its only core asks something every millisecond.

#[allow(unreachable_pub)]
#[path = "../../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::view::{
    RowsQuestion, SessionFilter, SortBy, ViewAnswer, ViewOrder, ViewPlace, ViewQuestion,
};
use rustix::time::{ClockId, clock_gettime};

use self::common::{NOW, Rig};

const SESSIONS: usize = 10_000;
const ROUNDS: usize = 20;

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn main() {
    println!(
        "| one core, {SESSIONS} of each | portions | µs of CPU a portion, median | the longest |"
    );
    println!("| --- | ---: | ---: | ---: |");
    let mut rig = Rig::new();
    (0..SESSIONS).for_each(|_| rig.open_legacy_stream());
    portions("sessions with a GET stream", &mut rig);
    let mut rig = Rig::new();
    (0..SESSIONS).for_each(|id| rig.open_modern_stream(id));
    portions("listen streams", &mut rig);
    println!();
    by_http();
}

/// The worst that can be asked of a core: every row is wanted.
fn portions(what: &str, rig: &mut Rig) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
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
    let count = times.len() / ROUNDS;
    let [middle, longest] = [0.5, 1.0].map(|share| quantile(&mut times, share).as_micros());
    println!("| {what} | {count} | {middle} | {longest} |");
}

fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

/// A connection that asks one request after the other.
struct Asker {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Asker {
    fn to(address: SocketAddr) -> Asker {
        let socket = TcpStream::connect(address).expect("the node listens");
        socket.set_nodelay(true).expect("it can be said");
        Asker {
            socket,
            answer: Vec::new(),
        }
    }

    /// The answer, whose length is said.
    fn ask(&mut self, request: &str) -> &str {
        self.socket
            .write_all(request.as_bytes())
            .expect("a request can be sent");
        self.answer.clear();
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = self.socket.read(&mut bytes).expect("an answer");
            assert!(count > 0, "the node closed");
            self.answer.extend_from_slice(&bytes[..count]);
            let text = std::str::from_utf8(&self.answer).unwrap_or("");
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("Content-Length: "));
            if length.is_none_or(|it| it.parse() == Ok(body.len())) {
                break;
            }
        }
        std::str::from_utf8(&self.answer).expect("text")
    }
}

fn by_http() {
    let limits = Limits {
        sessions_per_client_max: Some(2 * SESSIONS),
        initialize_per_second_max: 1_000_000,
        initialize_per_second_per_client_max: Some(1_000_000),
        calls_per_second_per_client_max: 1_000_000,
        ..Limits::default()
    };
    let app = || pinfold::app::Toolkit::new("view", "1");
    let node = pinfold::Node::builder(app)
        .listen("127.0.0.1:0")
        .admin("127.0.0.1:0")
        .cores(1);
    let node = node.limits(limits).start().expect("it starts");
    let mut client = Asker::to(node.address());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"view","version":"1"}}}"#;
    let mut session = String::new();
    for _ in 0..SESSIONS {
        let answer = client.ask(&common::post("", initialize));
        let id = answer
            .lines()
            .find_map(|it| it.strip_prefix("Mcp-Session-Id: "));
        session = id.expect("a session").to_owned();
    }
    let fields = format!("Mcp-Session-Id: {session}\r\n");
    let ping = common::post(&fields, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let mut resting = ask_for(&mut client, &ping, Duration::from_secs(2));
    let mut admin = Asker::to(node.admin_address().expect("there is one"));
    println!("| {SESSIONS} sessions by HTTP | ms, median | the longest |");
    println!("| --- | ---: | ---: |");
    for query in [
        "limit=100",
        "limit=1000",
        "limit=100&sort=activity",
        "limit=100&client=nobody",
    ] {
        let request = format!("GET /sessions?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| timed(|| _ = admin.ask(&request)))
            .collect();
        let [middle, longest] =
            [0.5, 1.0].map(|share| quantile(&mut times, share).as_secs_f64() * 1e3);
        println!("| `GET /sessions?{query}` | {middle:.1} | {longest:.1} |");
    }
    let is_over = AtomicBool::new(false);
    let mut watched = std::thread::scope(|scope| {
        scope.spawn(|| {
            let request = "GET /sessions?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n";
            while !is_over.load(Ordering::Relaxed) {
                admin.ask(request);
            }
        });
        let times = ask_for(&mut client, &ping, Duration::from_secs(5));
        is_over.store(true, Ordering::Relaxed);
        times
    });
    println!("\n| a `ping` each millisecond | µs, p50 | p99 | p99.9 | the longest |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (what, times) in [
        ("nobody looks", &mut resting),
        ("one list after the other", &mut watched),
    ] {
        let [a, b, c, d] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(times, share).as_micros());
        println!("| {what} | {a} | {b} | {c} | {d} |");
    }
    node.stop();
    node.join_blocking().expect("it ends well");
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn ask_for(client: &mut Asker, request: &str, time: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < time {
        times.push(timed(|| _ = client.ask(request)));
        std::thread::sleep(Duration::from_millis(1));
    }
    times
}
