//! Processes that a test has started, by itself or by others: each is known by a mark in its environment, which it has from whoever
//! started it, whatever its arguments are and whoever its parent is by now.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// No name that the program would take for one of its own.
const VARIABLE: &str = "MARK_OF_ITS_TEST";

#[derive(Clone, Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// Another one each time, also in a process that has the number of one before.
    pub(crate) fn new() -> Mark {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        let (began, number) = (
            began.unwrap_or_default(),
            NEXT.fetch_add(1, Ordering::Relaxed),
        );
        Mark(format!(
            "{}-{}-{number}",
            std::process::id(),
            began.as_nanos()
        ))
    }

    pub(crate) fn put_on(&self, command: &mut Command) {
        command.env(VARIABLE, &self.0);
    }

    /// All that have it and have not ended.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        let wanted = format!("{VARIABLE}={}", self.0);
        let all = fs::read_dir("/proc").expect("there is /proc");
        let pids = all.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let has_it = |pid: &u32| {
            // Empty of one that has ended and was not waited for.
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|it| it == wanted.as_bytes())
        };
        pids.filter(has_it).collect()
    }

    /// What they were started as.
    pub(crate) fn command_lines(&self) -> Vec<String> {
        let pids = self.processes().into_iter();
        pids.map(|it| fs::read_to_string(format!("/proc/{it}/cmdline")).unwrap_or_default())
            .collect()
    }

    pub(crate) fn kill_all(&self) {
        for pid in self.processes() {
            // It may have ended meanwhile.
            signal("KILL", pid);
        }
    }
}

/// False if there is no such process.
pub(crate) fn signal(name: &str, pid: u32) -> bool {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    sent.is_ok_and(|status| status.success())
}

#[test]
fn a_process_that_another_one_has_started_and_nobody_finds() {
    let mark = Mark::new();
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & exec sleep 2000"]);
    mark.put_on(&mut command);
    let mut child = command.spawn().expect("a shell can be started");
    crate::waits::wait_until("both are there", || {
        let lines = mark.command_lines();
        let is_there = |line: &str| lines.iter().any(|it| it == line);
        lines.len() == 2 && is_there("sleep\x001000\0") && is_there("sleep\x002000\0")
    });
    assert!(Mark::new().processes().is_empty(), "of another one");
    mark.kill_all();
    child.wait().expect("our own child");
    crate::waits::wait_until("both have ended", || mark.processes().is_empty());
}
