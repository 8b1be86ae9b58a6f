//! A machine that has no more room for a hand-over: no descriptors, no memory for what is written down. It comes to nothing, whoever
//! asked hears why, no client notices, and when there is room again it succeeds.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use super::failures::{Call, Witnesses, waits_for_a_call};
use super::{Said, Upgraded, ask};
use crate::crowd::open_session;
use crate::program::begin;
use crate::server::App;
use crate::waits::agent;

/// More of them than this are not needed beside those that a node has open.
const DESCRIPTORS_MAX: u64 = 40;

const SESSIONS: usize = 60;
/// A core has more to write down with half of them.
const STATE_BYTES_MAX: u64 = 8 * 1024;

/// Of the node's process, from now on. What its limit was, which is not always the test's own: it raises that of open files.
fn limit(node: &Upgraded, resource: Resource, current: u64) -> Rlimit {
    limit_of(node.pid(), resource, current)
}

fn limit_of(process: u32, resource: Resource, current: u64) -> Rlimit {
    // This one it has from the test, as it is.
    let Rlimit { maximum, .. } = getrlimit(resource);
    let limit = Rlimit {
        current: Some(current),
        maximum,
    };
    set_limit_of(process, resource, limit)
}

fn set_limit(node: &Upgraded, resource: Resource, limit: Rlimit) -> Rlimit {
    set_limit_of(node.pid(), resource, limit)
}

fn set_limit_of(process: u32, resource: Resource, limit: Rlimit) -> Rlimit {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    prlimit(pid, resource, limit).expect("it is of the same user")
}

/// Each attempt has one descriptor more than the one before.
#[test]
fn descriptors_that_run_out_at_any_moment() {
    let node = Upgraded::start("descriptors", App::Board, &["--handover-grace", "1s"]);
    let mut witnesses = Witnesses::of(&node);
    let mut refused = 0;
    for more in 1..DESCRIPTORS_MAX {
        let (before, files) = (node.pid(), node.open_files() as u64);
        let all = limit(&node, Resource::Nofile, files + more);
        let said = Said::by(&mut node.upgrading());
        set_limit(&node, Resource::Nofile, all);
        if said.code == Some(0) {
            assert_ne!(node.pid(), before);
            break;
        }
        refused += 1;
        // With none left nobody is heard, who asks.
        assert!(matches!(said.code, Some(1 | 3)), "{said:?}");
        node.goes_on_as(before);
        witnesses.have_noticed_nothing(&node);
    }
    assert!(
        (1..DESCRIPTORS_MAX - 1).contains(&refused),
        "{refused} attempts"
    );
    witnesses.have_noticed_nothing(&node);
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    let log = node.log();
    assert!(
        log.contains("Too many open files") && !log.contains("panicked at"),
        "{log}"
    );
    node.ends();
}

/// It hears of sockets that did not arrive, and of nothing else.
#[test]
fn a_new_process_that_may_have_no_more_files_and_gives_no_reason() {
    let options = ["--handover-grace", "1h"];
    let node = Upgraded::start("few_files", App::Conformance, &options);
    let (before, call) = (node.pid(), Call::begin(node.address()));
    let asking = begin(&mut node.upgrading());
    waits_for_a_call(&node);
    let new = node.processes().into_iter().find(|&it| it != before);
    limit_of(new.expect("it waits, too"), Resource::Nofile, 1);
    call.end(node.address());
    let asked = Said::of(asking.output());
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.text.contains("LimitNOFILE="), "{asked:?}");
    node.goes_on_as(before);
    node.upgrade();
    node.ends();
}

/// The kernel sends a signal, too, whose default is the end of the process.
#[test]
fn no_room_for_what_is_written_down() {
    let rate = ["--initialize-per-second-max", "1000000"];
    let options = [&["--handover-grace", "1s"], &rate[..]].concat();
    let node = Upgraded::start("no_room", App::Board, &options);
    let mut witnesses = Witnesses::of(&node);
    for _ in 0..SESSIONS {
        open_session(node.address());
    }
    // The log has to go on.
    let little = node.log().len() as u64 + STATE_BYTES_MAX;
    let all = limit(&node, Resource::Fsize, little);
    node.refuses("File too large");
    witnesses.have_noticed_nothing(&node);
    for number in 0..5 {
        let uri = format!("board://large/{number}");
        let item = json!([{"uri": uri, "contents": "x".repeat(1_000_000)}]);
        let answer = agent()
            .post(&format!("{}/publish", node.admin()))
            .send(item.to_string());
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    limit(&node, Resource::Fsize, 2 << 20);
    node.refuses("contents cannot be written down: File too large");
    witnesses.have_noticed_nothing(&node);
    set_limit(&node, Resource::Fsize, all);
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    let shown = ask(&format!("{}/node", node.admin())).expect("an answer");
    assert_eq!(shown["totals"]["sessions"], SESSIONS + 1, "{shown}");
    node.ends();
}
