//! One client that tries everything at the same time: sessions, streams, subscriptions, calls, large bodies. It gets its
//! share of each at most, is told which limit it met, and the honest client beside it is served all the while.

use std::thread::scope;

use crate::server::{App, Server};

use super::attackers::{ADDRESSES, Attacker, Habit, Told, drive};
use super::bodies::unfinished_body;
use super::requests::{Request, initialize, listen, modern, modern_call, post_head};
use super::siege::{Aftermath, Siege};

const OPTIONS: [&str; 8] = [
    "--connections-max",
    "2000",
    "--sessions-max",
    "200",
    "--initialize-per-second-max",
    "1000",
    "--subscription-bytes-max",
    "256KiB",
];
/// Quarters of what there is, and what a subscription takes at least: a URI twice, its entry and its place.
const SESSIONS_MAX: usize = 200 / 4;
const SUBSCRIPTIONS_MAX: usize = 256 * 1024 / 4 / 300;

/// Requests of each kind, each on a connection of its own.
const COUNT: usize = 260;
const BODY_BYTES: usize = 4 << 20;

#[test]
fn one_client_that_tries_everything_at_once() {
    let siege = Siege::lay("everything", App::Board, &OPTIONS);
    let mut got = [Told::default(), Told::default()];
    let outcome = siege.run(|server| try_everything(server, &mut got));
    let [sessions, streams] = got;
    // Whatever it was not let do it was told, also that it has no connection more.
    outcome.told.assert_only(&[200, 400, 408, 413, 429, 503]);
    assert!(outcome.told.count(429) > 0, "{}", outcome.told);
    let opened = sessions.count(200);
    assert!((1..=SESSIONS_MAX).contains(&opened), "sessions: {sessions}");
    let heard = streams.count(200);
    assert!(
        (1..=SUBSCRIPTIONS_MAX).contains(&heard),
        "streams: {streams}"
    );
    outcome.assert_within_budget();
    outcome.server.stop().expect("a clean end");
}

/// `got` is what became of sessions and of listen streams.
fn try_everything(server: &Server, got: &mut [Told; 2]) -> Aftermath {
    let body = unfinished_body();
    let large = Request {
        head: post_head("", BODY_BYTES),
        body,
    };
    let kinds: [&(dyn Fn(usize) -> Request + Sync); 5] = [
        &|_| initialize("2025-11-25", "{}", r#""greedy""#),
        &|number| listen(&format!("board://greedy/{number}")),
        &|_| {
            modern_call(
                "post",
                r#""arguments":{"uri":"board://greedy","text":"x"},"#,
            )
        },
        &|_| modern("tools/list", "", "{}"),
        &|_| large.clone(),
    ];
    let ended = scope(|scope| {
        let begin = |kind| scope.spawn(move || send(server, kind));
        kinds.map(begin).map(|it| it.join().expect("an attack"))
    });
    let told = |attackers: &Vec<Attacker>| Told::of(attackers);
    *got = [told(&ended[0]), told(&ended[1])];
    let answers = ended[0].iter().filter_map(Attacker::answer);
    Aftermath {
        sessions: answers.filter_map(|it| it.session).collect(),
        told: ended.iter().map(told).fold(Told::default(), Told::and),
        attackers: ended.into_iter().flatten().collect(),
    }
}

/// All of one address, and all still there when this returns.
fn send(server: &Server, request: impl Fn(usize) -> Request) -> Vec<Attacker> {
    let attacker = |number| {
        let of_one_address = number * ADDRESSES;
        Attacker::new(
            server.address(),
            of_one_address,
            Habit::Reads,
            request(number),
        )
    };
    let mut attackers: Vec<Attacker> = (0..COUNT).map(attacker).collect();
    drive(&mut attackers);
    attackers
}
