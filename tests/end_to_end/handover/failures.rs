//! A hand-over that comes to nothing: the old process goes on, whoever asked hears why, no client notices, nothing is left over.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Said, Upgraded, until};
use crate::crowd::{Habit, Listener, TOPICS, connect, open_session, post, uri};
use crate::program::{EndedWithItsTest, wait};
use crate::server::{App, binary};
use crate::tools;

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
            until("a witness is told", || {
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
    node.is_itself();
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    node.ends();
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
    node.is_itself();
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
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
    let status = until("the old process ends", || {
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
    node.is_itself();
    node.upgrade();
    witnesses.have_noticed_nothing(&node);
    node.ends();
}

#[test]
fn a_second_upgrade_that_crosses_the_first() {
    let node = Upgraded::start("two_at_once", App::Board, &[]);
    let before = node.pid();
    node.is_now("exec sleep 1000");
    let first = node
        .upgrading()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let first = first.expect("the program runs");
    until("the new process is there", || {
        (node.log().contains("the new process starts")).then_some(())
    });
    let second = node.ask_for_upgrade();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(
        second.text.contains("a hand-over is under way already"),
        "{second:?}"
    );
    let first = first.wait_with_output().expect("it ends");
    assert_eq!(first.status.code(), Some(1));
    node.goes_on_as(before);
    node.is_itself();
    node.upgrade();
    node.ends();
}

#[test]
fn an_upgrade_of_a_node_that_takes_its_leave() {
    let node = Upgraded::start("draining", App::Board, &["--drain-window", "1h"]);
    let _witnesses = Witnesses::of(&node);
    let drained = ureq::post(&format!("{}/drain", node.admin())).send_empty();
    assert_eq!(drained.expect("an answer").status(), 202);
    let said = Said::by(&mut node.upgrading());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.text.contains("the node drains or ends"), "{said:?}");
    node.has_one_process();
}

/// A call that asks its client, who does not answer.
pub(super) struct Call {
    socket: TcpStream,
    session: String,
}

impl Call {
    pub(super) fn begin(address: SocketAddr) -> Call {
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

    pub(super) fn end(self, address: SocketAddr) {
        let session = self.session;
        let request =
            format!("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: {session}\r\n\r\n");
        crate::crowd::exchange(address, &request);
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
    until("the call ended with its session", || {
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
    let asking = node
        .upgrading()
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    until("it waits for the call", || {
        node.log().contains("once more in a second").then_some(())
    });
    assert_eq!(node.processes().len(), 2, "{}", node.log());
    node.signal("KILL", old);
    node.is_gone();
    let asked = asking.wait_with_output().expect("it ends");
    assert_eq!(asked.status.code(), Some(3), "{asked:?}");
}

#[test]
fn a_signal_that_is_lost_between_two_processes() {
    let node = Upgraded::start(
        "sigterm",
        App::Conformance,
        &["--handover-grace", "1h", "--drain-window", "100ms"],
    );
    let _call = Call::begin(node.address());
    let asking = node
        .upgrading()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut asking = EndedWithItsTest(asking.expect("the program runs"));
    until("it waits for the call", || {
        node.log().contains("once more in a second").then_some(())
    });
    node.signal("TERM", node.pid());
    node.is_gone();
    let status = until("whoever asked is answered", || {
        wait(&mut asking.0, Duration::ZERO)
    });
    assert!(matches!(status.code(), Some(1 | 3)), "{status}");
}
