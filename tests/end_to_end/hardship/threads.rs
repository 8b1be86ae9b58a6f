//! A thread that dies, and one that hangs, each on purpose: `--break-thread NAME=panic|stall`, then SIGUSR2.

use std::path::Path;

use super::Process;
use crate::program::scratch_folder;

const THREADS: [&str; 3] = ["core-1", "control", "signals"];

/// The notice is longer than any test: what is seen is seen while the node takes its leave.
fn start(thread: &str, how: &str, notice: &str, scratch: &Path) -> Process {
    let plan = format!("{thread}={how}");
    Process::start(
        &["--break-thread", &plan, "--drain-notice", notice],
        scratch,
    )
}

/// Ports where nobody may be left to answer.
fn silenced(node: &Process, thread: &str) -> Vec<u16> {
    match thread {
        "control" => vec![node.ports.admin],
        // Its connections are the kernel's to give out, to a core that hangs as to any other.
        "core-1" => vec![node.ports.client],
        _ => Vec::new(),
    }
}

#[test]
fn a_node_that_stays_ready_without_one_of_its_threads() {
    let scratch = scratch_folder("hardship/gone-thread");
    for thread in THREADS {
        let mut node = start(thread, "panic", "1h", &scratch);
        node.signal("USR2");
        // A core that is gone has left its port.
        let silent = if thread == "core-1" {
            Vec::new()
        } else {
            silenced(&node, thread)
        };
        node.until_ready_is(503, &silent);
        let words =
            format!("a thread is gone: the node takes its leave, and ends thread=\"{thread}\"");
        node.until_it_says(&words);
        assert!(node.log().contains("broken on purpose"), "{}", node.log());
        assert!(node.runs(), "the others take their leave");
    }
}

#[test]
fn a_node_that_goes_on_for_ever_without_one_of_its_threads() {
    let scratch = scratch_folder("hardship/ends");
    for thread in THREADS {
        let mut node = start(thread, "panic", "0s", &scratch);
        node.signal("USR2");
        assert_eq!(node.ends().code(), Some(1), "{}", node.log());
        let words = format!("thread {thread} is gone");
        assert!(node.log().contains(&words), "{}", node.log());
    }
}

#[test]
fn a_node_that_is_ready_while_one_of_its_threads_hangs() {
    let scratch = scratch_folder("hardship/hangs");
    for thread in THREADS {
        let mut node = start(thread, "stall", "0s", &scratch);
        let silent = silenced(&node, thread);
        node.signal("USR2");
        node.until_ready_is(503, &silent);
        let hangs = format!("not ready until it goes on thread=\"{thread}\"");
        node.until_it_says(&hangs);
        assert!(node.runs(), "it may come back");
        node.signal("USR2");
        node.until_ready_is(200, &[]);
        node.until_it_says(&format!("the thread goes on thread=\"{thread}\""));
        node.ends_on_sigterm();
    }
}

#[test]
fn a_sigterm_that_a_thread_which_hangs_holds_up() {
    let scratch = scratch_folder("hardship/held-up");
    for (thread, code) in [("core-1", 1), ("control", 0), ("signals", 0)] {
        let mut node = start(thread, "stall", "0s", &scratch);
        node.signal("USR2");
        node.signal("TERM");
        assert_eq!(node.ends().code(), Some(code), "{thread}: {}", node.log());
    }
}
