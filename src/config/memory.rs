//! How much memory this process may count on: the machine's, or its control group's if that is less.

use std::fs;
use std::path::{Path, PathBuf};

/// Where nothing can be found out: a small machine.
const UNKNOWN_BYTES: usize = 1 << 30;

pub(super) fn bytes_here() -> usize {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_of(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_files(&groups, Path::new("/sys/fs/cgroup"))
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    limits.chain(machine).min().unwrap_or(UNKNOWN_BYTES)
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn total_of(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|it| it.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Where a limit may stand for this process: that of its group and those of all groups around it, of both versions of
/// control groups. `groups` is /proc/self/cgroup.
fn group_files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|it| it == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|it| root.join(it).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_the_kernels_words() {
        let text = "MemTotal:       24737560 kB\nMemFree:        1 kB\n";
        assert_eq!(total_of(text), Some(24_737_560 * 1024));
        assert_eq!(total_of("MemTotal: many\n"), None);
        assert!(bytes_here() > 1 << 20);
    }

    #[test]
    fn a_limit_of_a_group_around_this_one_counts() {
        let root = Path::new("/g");
        let files = group_files("0::/a/b\n", root);
        let all = ["/g/a/b/memory.max", "/g/a/memory.max", "/g/memory.max"];
        assert_eq!(files, all.map(PathBuf::from));
        let files = group_files("5:cpu,memory:/x\n4:pids:/x\n", root);
        let all = [
            "/g/memory/x/memory.limit_in_bytes",
            "/g/memory/memory.limit_in_bytes",
        ];
        assert_eq!(files, all.map(PathBuf::from));
        assert_eq!(group_files("nonsense", root), Vec::<PathBuf>::new());
    }
}
