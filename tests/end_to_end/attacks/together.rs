//! All attacks at the same time: the budget is one for all that clients can make a node hold, and the bill that it
//! prints at its start is a number that holds.

use crate::server::{App, Server};

use super::siege::{Aftermath, MIB, Siege};
use super::{bodies, kept_answers, large_json, profiles, questions, readers};

/// What a node of so few clients may cost, by its own bill, with a budget of 256 MiB.
const BILL_MAX: u64 = 1024 * MIB;
const FEW_CLIENTS: [&str; 10] = [
    "--connections-max",
    "2000",
    "--sessions-max",
    "2000",
    "--subscription-bytes-max",
    "16MiB",
    "--board-bytes-max",
    "64MiB",
    readers::ENTRY_OPTION[0],
    readers::ENTRY_OPTION[1],
];
const RIGHT: [u16; 6] = [200, 400, 408, 413, 429, 503];

type Attack = fn(&Server) -> Aftermath;

#[test]
fn every_attack_on_a_board_at_once() {
    let attacks: [Attack; 5] = [
        profiles::modern_clients,
        kept_answers::hang_up,
        bodies::never_finish,
        readers::do_not_read,
        large_json::send,
    ];
    all_at_once("together/board", App::Board, &attacks);
}

#[test]
fn every_attack_on_tools_that_ask_at_once() {
    let attacks: [Attack; 4] = [
        profiles::modern_clients,
        bodies::never_finish,
        questions::abandon,
        large_json::send,
    ];
    all_at_once("together/conformance", App::Conformance, &attacks);
}

fn all_at_once(test: &'static str, app: App, attacks: &[Attack]) {
    let siege = Siege::lay(test, app, &FEW_CLIENTS);
    let bill = bill_sum(&siege.server.log());
    let outcome = siege.run(|server| {
        std::thread::scope(|scope| {
            let begin = |attack: &Attack| {
                let attack = *attack;
                scope.spawn(move || attack(server))
            };
            let threads: Vec<_> = attacks.iter().map(begin).collect();
            let ended = threads.into_iter().map(|it| it.join().expect("an attack"));
            ended.fold(Aftermath::default(), Aftermath::and)
        })
    });
    outcome.told.assert_only(&RIGHT);
    outcome.assert_within_budget();
    assert!(
        outcome.peak() <= bill && bill <= BILL_MAX,
        "a bill of {} MiB, and {} MiB were taken",
        bill / MIB,
        outcome.peak() / MIB
    );
    outcome.server.stop().expect("a clean end");
}

impl Aftermath {
    fn and(mut self, other: Aftermath) -> Aftermath {
        self.attackers.extend(other.attackers);
        self.sessions.extend(other.sessions);
        Aftermath {
            told: self.told.and(other.told),
            ..self
        }
    }
}

/// Of the banner's lines `what  each x count = all`.
fn bill_sum(log: &str) -> u64 {
    let lines = log.lines().filter(|line| line.contains(" x "));
    let totals = lines.filter_map(|line| line.rsplit_once(" = ").map(|(_, total)| bytes(total)));
    totals.fold(0, u64::saturating_add)
}

/// `1.5 KiB`
fn bytes(text: &str) -> u64 {
    let (number, unit) = text.trim().split_once(' ').expect("a number and a unit");
    let shift = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        .iter()
        .position(|it| *it == unit)
        .expect("a unit of memory");
    let number: f64 = number.parse().expect("a number");
    (number * (1u64 << (10 * shift)) as f64) as u64
}
