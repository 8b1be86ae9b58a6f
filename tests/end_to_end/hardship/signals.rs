//! Signals that operators, terminals and mistakes send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{PATIENCE, Process, status};
use crate::program::scratch_folder;

#[test]
fn a_signal_that_kills_a_node_which_was_not_told_to_end() {
    let scratch = scratch_folder("hardship/signals");
    let mut node = Process::start(&[], &scratch);
    for name in [
        "HUP", "USR1", "USR2", "PIPE", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XFSZ",
        "WINCH", "CHLD", "URG", "CONT",
    ] {
        node.signal(name);
        node.until_ready_is(200, &[]);
        assert!(node.runs(), "SIG{name} ended it:\n{}", node.log());
    }
    node.until_it_says("nothing to be read again");
    node.until_it_says("status core=0 counts=");
    node.until_it_says("status core=1 counts=");
    node.ends_on_sigterm();
}

#[test]
fn an_admin_token_that_was_exchanged_without_a_restart() {
    let scratch = scratch_folder("hardship/token");
    let file = scratch.join("token");
    std::fs::write(&file, "first\n").expect("a token can be written");
    let shown = file.display().to_string();
    let mut node = Process::start(&["--admin-token-file", &shown], &scratch);
    let metrics = format!("http://127.0.0.1:{}/metrics", node.ports.admin);
    let ask = |token: &str| status(&metrics, Some(token), PATIENCE);
    assert_eq!((ask("first"), ask("second")), (Some(200), Some(401)));
    std::fs::write(&file, "no token\n").expect("a token can be written");
    node.signal("HUP");
    node.until_it_says("stays as it was");
    assert_eq!((ask("first"), ask("second")), (Some(200), Some(401)));
    std::fs::write(&file, "second\n").expect("a token can be written");
    node.signal("HUP");
    node.until_it_says("was read again");
    assert_eq!((ask("first"), ask("second")), (Some(401), Some(200)));
    node.ends_on_sigterm();
}

/// Whoever wrote in time has an answer, however late the node comes to read it.
#[test]
fn clients_cut_for_the_time_in_which_a_node_could_not_run() {
    const IDLE: Duration = Duration::from_secs(4);
    let scratch = scratch_folder("hardship/stopped");
    let mut node = Process::start(&["--connection-idle", "4s"], &scratch);
    let mut clients = loop {
        let since = Instant::now();
        let mut clients: Vec<_> = (0..300).map(|_| Keeps::connect(&node)).collect();
        clients.iter_mut().for_each(Keeps::ask);
        clients.iter_mut().for_each(|it| assert!(it.is_answered()));
        // Else the first of them is idle for too long by itself.
        if since.elapsed() < IDLE / 2 {
            break clients;
        }
    };
    node.signal("STOP");
    clients.iter_mut().for_each(Keeps::ask);
    std::thread::sleep(IDLE);
    node.signal("CONT");
    let cut = clients
        .iter_mut()
        .filter_map(|it| (!it.is_answered()).then_some(()));
    assert_eq!(cut.count(), 0, "of {} clients", clients.len());
    node.ends_on_sigterm();
}

/// A connection for one request after the other.
struct Keeps(TcpStream);

impl Keeps {
    fn connect(node: &Process) -> Keeps {
        let address = ("127.0.0.1", node.ports.client);
        let socket = TcpStream::connect(address).expect("it listens");
        let limit = socket.set_read_timeout(Some(PATIENCE));
        limit.expect("a time limit can be set");
        Keeps(socket)
    }

    fn ask(&mut self) {
        let request = b"OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
        self.0.write_all(request).expect("the kernel takes it");
    }

    fn is_answered(&mut self) -> bool {
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            if self.0.read_exact(&mut byte).is_err() {
                return false;
            }
            answer.extend(byte);
        }
        answer.starts_with(b"HTTP/1.1 204 ")
    }
}

/// Streams may take long to close; whoever asks twice does not want to wait for them.
#[test]
fn a_second_sigterm_that_is_lost() {
    let scratch = scratch_folder("hardship/twice");
    for (options, before) in [
        (["--drain-notice", "1h"].as_slice(), None),
        (
            &["--drain-notice", "1h", "--break-thread", "signals=stall"],
            Some("USR2"),
        ),
    ] {
        let mut node = Process::start(options, &scratch);
        if let Some(signal) = before {
            node.signal(signal);
        }
        node.signal("TERM");
        node.until_ready_is(503, &[]);
        assert!(node.runs(), "it takes its leave");
        node.signal("TERM");
        assert_eq!(node.ends().code(), Some(128 + 15), "{}", node.log());
    }
}
