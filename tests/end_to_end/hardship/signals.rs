//! Signals that operators, terminals and mistakes send.

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
