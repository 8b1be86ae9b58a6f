//! Which CPU each core's thread stays on.

use std::fs;

use core_affinity::CoreId;

use super::Pinning;

/// CPUs of the machine, as the kernel counts them: `0-3,8`.
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// One for each core, of those that the calling thread may run on.
pub(super) fn of_cores(pinning: Pinning, cores: usize) -> Vec<Option<CoreId>> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let online = fs::read_to_string(ONLINE).ok();
    let online = online.and_then(|text| count(text.trim()));
    let pins = match pinning {
        Pinning::Never => false,
        Pinning::Always => true,
        Pinning::WhenAlone => online == Some(allowed.len()) && cores == allowed.len(),
    };
    let cpu = |core: usize| allowed.get(core).copied().filter(|_| pins);
    (0..cores).map(cpu).collect()
}

fn count(list: &str) -> Option<usize> {
    let ranges = list.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (last + 1).checked_sub(first)
    });
    ranges.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_of_one_process_on_the_same_cpu() {
        let allowed = core_affinity::get_core_ids().expect("Linux tells").len();
        let is_pinned = |pinning, cores| of_cores(pinning, cores).iter().any(Option::is_some);
        assert!(!is_pinned(Pinning::WhenAlone, allowed + 1));
        assert!(allowed == 1 || !is_pinned(Pinning::WhenAlone, allowed - 1));
        assert!(!is_pinned(Pinning::Never, allowed));
        assert!(is_pinned(Pinning::Always, 1));
    }

    #[test]
    fn cpus_in_the_kernels_words() {
        for (list, cpus) in [("0", 1), ("0-3", 4), ("0-3,8,10-11", 7)] {
            assert_eq!(count(list), Some(cpus), "{list}");
        }
        for wrong in ["", "a", "3-0-1", "5-2"] {
            assert_eq!(count(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cpu_that_this_process_may_not_use() {
        std::thread::spawn(|| {
            let last = *core_affinity::get_core_ids()
                .expect("Linux tells")
                .last()
                .expect("one");
            assert!(core_affinity::set_for_current(last));
            assert_eq!(of_cores(Pinning::Always, 2), [Some(last), None]);
        })
        .join()
        .expect("it holds");
    }
}
