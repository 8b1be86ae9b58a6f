//! The limit on open files, which is the process's: each case runs in a process of its own.

use std::process::Command;

use pinfold::Node;

use crate::client::{named, small};

const RAISE: &str = "PINFOLD_TEST_RAISE";

fn soft_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux tells");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).expect("a number")
}

/// Run by the test below, after `ulimit -Sn 300`.
#[test]
#[ignore = "it needs a process of its own"]
fn in_a_process_of_its_own() {
    let raise = std::env::var(RAISE).expect("the test says it") == "true";
    let node = small(Node::builder(named("files"))).raise_open_files(raise);
    let node = node.start().expect("it starts");
    let (connections, soft) = (node.counts().connections_max as u64, soft_limit());
    assert_eq!(soft > 300, raise, "{soft}");
    assert!(connections < soft, "{connections} of {soft}");
    node.stop();
    node.join_blocking().expect("it ends");
}

#[test]
fn a_node_that_has_three_hundred_connections_and_could_have_thousands() {
    let own = std::env::current_exe().expect("this test");
    for raise in ["true", "false"] {
        let run = Command::new("sh")
            .args(["-c", "ulimit -Sn 300 && exec \"$@\"", "sh"])
            .arg(&own)
            .args([
                "--exact",
                "open_files::in_a_process_of_its_own",
                "--ignored",
            ])
            .env(RAISE, raise)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(
            run.status.success() && said.contains("1 passed"),
            "{raise}: {said}"
        );
    }
}
