//! A process's own memory as the kernel counts it, in bytes: heap and stacks, without files and shared pages.

use std::fs::read_to_string;

#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// `RssAnon`
    pub(super) now: u64,
    /// The most since the process started. The kernel keeps it for all resident pages (`VmHWM`); those of files only
    /// grow in number as more of the program is used.
    pub(super) peak: u64,
}

pub(super) fn of(process: u32) -> Memory {
    let status = read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = number.and_then(|it| it.parse().ok()).expect("Linux tells");
        kilobytes * 1024
    };
    let others = field("RssFile:") + field("RssShmem:");
    Memory {
        now: field("RssAnon:"),
        peak: field("VmHWM:").saturating_sub(others),
    }
}

/// What the process has computed so far, user and system, in milliseconds.
pub(super) fn cpu_ms(process: u32) -> u64 {
    let stat = read_to_string(format!("/proc/{process}/stat")).expect("the server runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2);
    // A tick is 10 ms on every Linux.
    ticks.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>() * 10
}
