//! A hand-over that comes to nothing: the old process goes on, whoever asked hears why, no client notices, nothing is left over.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Said, Upgraded};
use crate::auth::Issuer;
use crate::cluster::client::Session;
use crate::cluster::node::peer_secret;
use crate::cluster::redis::Redis;
use crate::crowd::{Habit, Listener, TOPICS, connect, open_session, post, uri};
use crate::program::{begin, scratch_folder, wait};
use crate::server::{App, binary};
use crate::tools;
use crate::waits::{agent, wait_for, wait_until};

/// A hand-over may have so long for a part of the node, while everything goes on. When everything stands still it has less for all
/// of it.
const PART_TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Those who are there all the time.
pub(super) struct Witnesses(Vec<Listener>);

impl Witnesses {
    pub(super) fn of(node: &Upgraded) -> Witnesses {
        let address = node.address();
        let session = open_session(address);
        Witnesses(vec![
            Listener::open(address, Some(session), Habit::Reads),
            Listener::open(address, None, Habit::Reads),
        ])
    }

    /// On the streams that they had from the beginning.
    pub(super) fn have_noticed_nothing(&mut self, node: &Upgraded) {
        let topics: Vec<String> = (0..TOPICS).map(uri).collect();
        node.publish(&topics);
        for listener in &mut self.0 {
            wait_for("a witness is told", || {
                listener.read();
                (listener.heard.len() == TOPICS).then_some(())
            });
            assert!(listener.heard.values().all(|&times| times == 1));
            listener.heard.clear();
        }
    }
}

/// Says everything up to a stage (see the script), and then nothing, or that it does not.
fn pretender(stage: &str, how: &str) -> String {
    let (python, script) = (
        tools::python(),
        tools::clients_folder().join("successor.py"),
    );
    format!(
        "exec {} {} {stage} '{how}'",
        python.display(),
        script.display()
    )
}

/// Its own program can take over in the end, and it ends.
fn can_still_be_upgraded(node: Upgraded, mut witnesses: Witnesses) {
    node.is_itself();
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    node.ends();
}

#[test]
fn a_program_that_does_not_start_or_is_another_one() {
    let node = Upgraded::start("no_pinfold", App::Board, &[]);
    let mut witnesses = Witnesses::of(&node);
    for (script, why) in [
        ("exit 7", "exit status: 7"),
        ("kill -KILL $$", "signal: 9"),
        (
            "exec sleep 1000",
            "silent for too long before it said that it is there",
        ),
    ] {
        node.is_now(script);
        node.refuses(why);
        witnesses.have_noticed_nothing(&node);
    }
    node.relink(std::path::Path::new("/nonexistent/pinfold"));
    node.refuses("the new process does not start");
    node.relink(std::path::Path::new("/etc/passwd"));
    node.refuses("Permission denied");
    witnesses.have_noticed_nothing(&node);
    can_still_be_upgraded(node, witnesses);
}

#[test]
fn a_new_process_that_hangs_ends_or_refuses_at_each_step() {
    let node = Upgraded::start("each_step", App::Board, &[]);
    let mut witnesses = Witnesses::of(&node);
    for (stage, how, why) in [
        (
            "hello",
            "exit",
            "ended (exit status: 3) before it said that it is there",
        ),
        ("prepared", "exit", "before its threads waited"),
        ("ready", "exit", "before it had understood everything"),
        (
            "ready",
            "hang",
            "silent for too long before it had understood everything",
        ),
        ("prepared", "the cellar is full", "the cellar is full"),
        ("ready", "the attic is full", "the attic is full"),
        (
            "prepared",
            "hang",
            "silent for too long before its threads waited",
        ),
    ] {
        node.is_now(&pretender(stage, how));
        node.refuses(why);
        witnesses.have_noticed_nothing(&node);
    }
    can_still_be_upgraded(node, witnesses);
}

/// Who gets in is told when nobody is served any more.
#[test]
fn a_new_process_that_hangs_while_everything_stands_still() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    let key = Issuer::ed25519("one");
    std::fs::write(&keys, Issuer::key_set(&[&key])).expect("a file can be written");
    let options = [
        ["--auth", "jwt"],
        ["--auth-issuer", "https://login.example.com"],
        ["--auth-jwks", keys.to_str().expect("a plain path")],
        ["--public-url", "https://mcp.example.com/mcp"],
    ];
    let node = Upgraded::start("in_the_pause", App::Board, &options.concat());
    node.is_now(&pretender("taken", "hang"));
    let ends = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let asking = scope.spawn(|| longest_wait(node.address(), &ends));
        node.refuses("silent for too long before it had taken what the node has");
        ends.store(true, Ordering::Relaxed);
        asking.join().expect("it is always answered")
    });
    assert!(longest < PART_TAKEN_WITHIN, "{longest:?}");
    node.is_itself();
    node.upgrade();
    node.ends();
}

/// Of somebody who asks again and again and is not let in.
fn longest_wait(address: SocketAddr, ends: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !ends.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let request = "GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
        crate::crowd::exchange(address, request);
        longest = longest.max(asked.elapsed());
    }
    longest
}

/// The old process has written everything down by then, also what waits to be told to Redis.
#[test]
fn a_node_that_tells_the_others_nothing_after_a_hand_over_that_failed() {
    let scratch = scratch_folder("handover::redis");
    let redis = Redis::start(&scratch);
    let (url, secret) = (redis.url(), peer_secret(&scratch));
    let pairs = [
        ["--redis", &url],
        ["--node", "alone"],
        // There are no others to whom that would matter.
        ["--advertise", "http://127.0.0.1:9"],
        ["--peer-secret-file", &secret],
    ];
    let options = pairs.concat();
    let node = Upgraded::start("others", App::Board, &options);
    let entries = || redis.command(&["XLEN", "mcp:bus"]);
    let record_of_a_new_session = || {
        let session = Session::open(&node.mcp());
        wait_for("Redis knows of it", || redis.record(&session.id));
    };
    record_of_a_new_session();
    for why in ["the attic is full", "the cellar is full"] {
        node.is_now(&pretender("ready", why));
        node.refuses(why);
        // Each by itself: what is said later may bring along what was forgotten.
        let before = entries();
        node.publish(&["board://a".into()]);
        wait_until("the item is in the log", || entries() != before);
        record_of_a_new_session();
    }
    node.is_itself();
    node.upgrade();
    record_of_a_new_session();
    node.ends();
}

/// Nobody can take back what was handed over: then the program has to be started again by whoever looks after it.
#[test]
fn an_old_process_that_stays_when_its_successor_died_with_everything() {
    let mut node = Upgraded::start("after_go", App::Board, &[]);
    node.is_now(&pretender("go", "exit"));
    let said = node.ask_for_upgrade();
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.text.contains("nobody serves until"), "{said:?}");
    let status = wait_for("the old process ends", || {
        wait(&mut node.first.0, Duration::ZERO)
    });
    assert_eq!(status.code(), Some(1), "systemd has to see a failure");
    node.is_gone();
    assert!(
        node.log().contains("nobody serves any more"),
        "{}",
        node.log()
    );
}

#[test]
fn a_configuration_that_wants_a_restart_or_has_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pinfold.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write("node = 'a'\n[limits]\nconnections-max = 100\n");
    let path = file.display().to_string();
    let node = Upgraded::start("configuration", App::Board, &["--config", &path]);
    let mut witnesses = Witnesses::of(&node);
    for (text, why) in [
        (
            "node = 'a'\n[limits]\nconnections-max = 'many'\n",
            "connections-max",
        ),
        (
            "node = 'a'\n[limits]\nconections-max = 100\n",
            "conections-max",
        ),
        (
            "node = 'b'\n",
            "the node's name was a and is b now: that wants a restart",
        ),
    ] {
        write(text);
        node.refuses(why);
        witnesses.have_noticed_nothing(&node);
    }
    write("node = 'a'\n[limits]\nconnections-max = 200\n");
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    let shown = super::ask(&format!("{}/node", node.admin())).expect("an answer");
    assert_eq!(shown["limits"]["connectionsMax"], 200);
    node.ends();
}

/// Options come with the old process's arguments: another program in its place can only be a script that has others.
#[test]
fn a_port_or_a_number_of_cores_that_is_another_one() {
    let node = Upgraded::start("elsewhere", App::Board, &[]);
    let mut witnesses = Witnesses::of(&node);
    let binary = binary().display().to_string();
    for (from, to, why) in [
        (
            "--cores 2",
            "--cores 1",
            "cores was 2 and is 1 now: that wants a restart",
        ),
        (
            &*format!("--listen {}", node.address()),
            "--listen 127.0.0.1:1",
            "the address to listen on was",
        ),
    ] {
        node.is_now(&format!(
            "exec {binary} $(echo \"$*\" | sed 's/{from}/{to}/')"
        ));
        node.refuses(why);
        witnesses.have_noticed_nothing(&node);
    }
    node.is_now(&format!("ulimit -n 20; exec {binary} \"$@\""));
    let said = node.ask_for_upgrade();
    assert_eq!(said.code, Some(1), "{said:?}\n{}", node.log());
    witnesses.have_noticed_nothing(&node);
    can_still_be_upgraded(node, witnesses);
}

#[test]
fn a_second_upgrade_that_crosses_the_first() {
    let node = Upgraded::start("two_at_once", App::Board, &[]);
    let before = node.pid();
    node.is_now("exec sleep 1000");
    let first = begin(&mut node.upgrading());
    wait_for("the new process is there", || {
        (node.log().contains("the new process starts")).then_some(())
    });
    let second = node.ask_for_upgrade();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.text.contains("a hand-over is under way already"),
        "{second:?}"
    );
    let first = Said::of(first.output());
    assert_eq!(first.code, Some(1), "{first:?}");
    node.goes_on_as(before);
    node.is_itself();
    node.upgrade();
    node.ends();
}

#[test]
fn an_upgrade_of_a_node_that_takes_its_leave() {
    let node = Upgraded::start("draining", App::Board, &["--drain-window", "1h"]);
    let _witnesses = Witnesses::of(&node);
    let drained = agent()
        .post(&format!("{}/drain", node.admin()))
        .send_empty();
    assert_eq!(drained.expect("an answer").status(), 202);
    let said = Said::by(&mut node.upgrading());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.text.contains("the node drains or ends"), "{said:?}");
    node.has_one_process();
}

pub(super) fn waits_for_a_call(node: &Upgraded) {
    wait_until("it waits for the call", || {
        node.log().contains("once more in a second")
    });
}

/// A call that asks its client, who does not answer.
pub(crate) struct Call {
    socket: TcpStream,
    session: String,
}

impl Call {
    pub(crate) fn begin(address: SocketAddr) -> Call {
        let body: Value = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "slow", "version": "1"},
        }});
        let answer = crate::crowd::exchange(address, &post(&body, ""));
        let session = answer
            .lines()
            .find_map(|line| line.strip_prefix("Mcp-Session-Id: "));
        let session = session.expect("a session").to_owned();
        let fields = format!("Mcp-Session-Id: {session}\r\n");
        let body: Value = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "test_elicitation", "arguments": {"message": "are you there?"},
        }});
        let mut socket = connect(address, Habit::Reads);
        socket
            .write_all(post(&body, &fields).as_bytes())
            .expect("the kernel takes it");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("elicitation/create") {
            let mut some = [0; 4096];
            let count = socket.read(&mut some).expect("it asks");
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend(&some[..count]);
        }
        Call { socket, session }
    }

    pub(crate) fn end(self, address: SocketAddr) {
        let session = self.session;
        let request =
            format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {session}\r\n\r\n");
        let answer = crate::crowd::exchange(address, &request);
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }

    fn goes_on(&mut self) {
        self.socket.set_nonblocking(true).expect("a socket");
        let read = self.socket.read(&mut [0; 4096]);
        assert!(
            matches!(&read, Ok(1..))
                || read
                    .as_ref()
                    .is_err_and(|it| it.kind() == ErrorKind::WouldBlock),
            "{read:?}"
        );
    }
}

#[test]
fn a_call_under_way_that_is_cut_or_not_named() {
    let node = Upgraded::start("calls", App::Conformance, &["--handover-grace", "2s"]);
    let mut call = Call::begin(node.address());
    node.refuses("a call is under way");
    call.goes_on();
    call.end(node.address());
    wait_for("the call ended with its session", || {
        let shown = super::ask(&format!("{}/node", node.admin()))?;
        (shown["totals"]["calls"] == 0).then_some(())
    });
    node.upgrade();
    node.ends();
}

/// The new process waits while the old one waits for a call to end, and then there is no old one.
#[test]
fn a_new_process_that_is_left_over_by_an_old_one_that_was_killed() {
    let node = Upgraded::start("killed", App::Conformance, &["--handover-grace", "1h"]);
    let _call = Call::begin(node.address());
    let old = node.pid();
    let asking = begin(&mut node.upgrading());
    waits_for_a_call(&node);
    assert_eq!(node.processes().len(), 2, "{}", node.log());
    node.signal("KILL", old);
    node.is_gone();
    let asked = Said::of(asking.output());
    assert_eq!(asked.code, Some(3), "{asked:?}");
}

#[test]
fn a_signal_that_is_lost_between_two_processes() {
    let node = Upgraded::start(
        "sigterm",
        App::Conformance,
        &["--handover-grace", "1h", "--drain-window", "100ms"],
    );
    let _call = Call::begin(node.address());
    let asking = begin(&mut node.upgrading());
    waits_for_a_call(&node);
    node.signal("TERM", node.pid());
    node.is_gone();
    let asked = Said::of(asking.output());
    assert!(matches!(asked.code, Some(1 | 3)), "{asked:?}");
}
