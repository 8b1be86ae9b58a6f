//! One attack from start to end: what the server held before, at most, while the attackers stay, and when they are gone;
//! and how the honest client fared.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use super::attackers::{Attacker, Told, ask};
use super::honest::{Honest, Times};
use super::memory;
use super::requests;
use crate::program::{output_of, scratch_folder};
use crate::server::{App, Placement, Server, binary};

pub(super) const MIB: u64 = 1 << 20;

/// All that clients may make the server hold, as it is told.
const BUDGET: u64 = 256 * MIB;
/// What an allocator needs beside what it was asked for, and what a core needs to look at one request.
const BESIDE_BUDGET: u64 = 96 * MIB;
/// One request, however large a body may be, is looked at within this.
pub(super) const ONE_REQUEST_MAX: u64 = 64 * MIB;
/// What may stay behind when all attackers have left.
const LEFT_BEHIND_MAX: u64 = 64 * MIB;
/// Names the file that gets a line of figures from each attack.
const TABLE: &str = "PINFOLD_ATTACKS";
/// How long a server is left alone before it is written there what it still holds.
const IDLE_BEFORE_A_FIGURE: Duration = Duration::from_secs(10);
/// Memory that comes back does so in a tenth of this.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(30);

/// What an attack leaves: connections that are still there, sessions that are not ended, and what was answered.
#[derive(Default)]
pub(super) struct Aftermath {
    pub(super) attackers: Vec<Attacker>,
    pub(super) sessions: Vec<String>,
    pub(super) told: Told,
}

pub(super) struct Siege {
    test: &'static str,
    pub(super) server: Server,
    honest: Honest,
    before: u64,
}

/// Bytes, but for times.
pub(super) struct Outcome {
    pub(super) server: Server,
    before: u64,
    peak: u64,
    after: u64,
    pub(super) told: Told,
    honest: Result<[Times; 2], String>,
}

impl Siege {
    /// A server that an honest client uses.
    pub(super) fn lay(test: &'static str, app: App, options: &[&str]) -> Self {
        let scratch = scratch_folder(&format!("attacks/{test}"));
        let mut all = budget_options();
        all.extend(options);
        let server = Server::start_with(&all, app, Placement::AtRandom, &scratch);
        let honest = Honest::begin(&server, app);
        let before = memory::of(server.id()).now;
        Siege {
            test,
            server,
            honest,
            before,
        }
    }

    /// Attacks, and sees how it ends.
    pub(super) fn run(self, attack: impl FnOnce(&Server) -> Aftermath) -> Outcome {
        let Siege {
            test,
            server,
            honest,
            before,
        } = self;
        let (id, cpu_before) = (server.id(), memory::cpu_ms(server.id()));
        let aftermath = attack(&server);
        let cpu_ms = memory::cpu_ms(id) - cpu_before;
        // The attackers are still there, and so is what they made the server hold.
        honest.await_rounds(5);
        let held = memory::of(id).now;
        drop(aftermath.attackers);
        for (number, session) in aftermath.sessions.iter().enumerate() {
            ask(server.address(), number, requests::delete(session));
        }
        let honest = honest.end();
        let after = given_back(id, before + LEFT_BEHIND_MAX);
        let outcome = Outcome {
            before,
            peak: memory::of(id).peak,
            after,
            told: aftermath.told,
            honest,
            server,
        };
        outcome.append_to_table(test, held, cpu_ms);
        outcome
    }
}

impl Outcome {
    /// At most a budget in all, an honest client that did not notice, and nothing that stays.
    pub(super) fn assert_within_budget(&self) {
        self.assert_within(BUDGET + BESIDE_BUDGET);
    }

    pub(super) fn assert_within(&self, bytes_max: u64) {
        let taken = self.peak.saturating_sub(self.before);
        assert!(
            taken <= bytes_max,
            "the attack made the server hold {} MiB, which is more than {}",
            taken / MIB,
            bytes_max / MIB
        );
        if let Err(panic) = &self.honest {
            panic!("the honest client was not served rightly: {panic}");
        }
        assert!(
            self.after <= self.before + LEFT_BEHIND_MAX,
            "{} MiB were there before, and {} are left behind",
            self.before / MIB,
            self.after / MIB
        );
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    fn append_to_table(&self, test: &str, held: u64, cpu_ms: u64) {
        let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let times = |index: usize| match &self.honest {
            Ok(times) => format!("{:.2} / {:.2}", times[index].p50_ms, times[index].p99_ms),
            Err(_) => "FAILED".to_owned(),
        };
        let cells = [
            test.to_owned(),
            megabytes(self.before),
            megabytes(self.peak),
            megabytes(held),
            megabytes(self.after),
            times(0),
            times(1),
            cpu_ms.to_string(),
            self.told.to_string(),
        ];
        let line = format!("| {} |\n", cells.join(" | "));
        print!("{line}");
        if let Some(path) = std::env::var_os(TABLE) {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(path)
                .expect("the file that PINFOLD_ATTACKS names can be written");
            file.write_all(line.as_bytes())
                .expect("a line can be written");
        }
    }
}

/// The budget, where the binary knows one: an earlier one is attacked with what it has.
fn budget_options() -> Vec<&'static str> {
    let help = output_of(Command::new(binary()).args(["serve", "--help"])).stdout;
    let known = String::from_utf8_lossy(&help).contains("--memory-max");
    if known {
        vec!["--memory-max", "256MiB"]
    } else {
        Vec::new()
    }
}

/// What is left once it is as little as `wanted`, or does not become less.
fn given_back(process: u32, wanted: u64) -> u64 {
    let deadline = Instant::now() + GIVEN_BACK_WITHIN;
    if std::env::var_os(TABLE).is_some() {
        std::thread::sleep(IDLE_BEFORE_A_FIGURE);
    }
    loop {
        let now = memory::of(process).now;
        if now <= wanted || Instant::now() >= deadline {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
