//! What the kernel is asked besides sockets: pinning, the limit on open files, and its accounts of time and memory.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;

/// Where the server runs when it has one core; the loader has the other CPU.
pub(crate) const SERVER_CPU: usize = 0;
pub(crate) const LOADER_CPU: usize = 1;

/// The calling thread, and whatever it starts from now on, runs on this CPU only.
pub(crate) fn pin_to(cpu: usize) -> Outcome<()> {
    pin_to_any(&[cpu])
}

/// The same for several CPUs.
pub(crate) fn pin_to_any(cpus: &[usize]) -> Outcome<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set)
        .map_err(|fault| format!("cannot run on CPU {cpus:?}, which this needs: {fault}").into())
}

/// Raises the soft limit to `wanted` or as far as it goes, the hard one too if that is allowed. Children inherit it.
pub(crate) fn raise_open_files(wanted: u64) -> Outcome<u64> {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if wanted != u64::MAX && wanted > hard {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: Some(wanted),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return Ok(wanted);
        }
    }
    let reachable = wanted.min(hard).max(soft);
    let raised = Rlimit {
        current: Some(reachable),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(reachable)
}

/// What this process may have open, however much it uses of that.
pub(crate) fn open_files_allowed() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// How many there are.
pub(crate) fn cpus() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let lines = stat.lines().filter(|line| line.starts_with("cpu"));
    // The first is of all together.
    (lines.count().max(2) - 1) as f64
}

/// CPU time of a process, nanoseconds since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    pub(crate) all_ns: u64,
    /// Of threads named `core-…` alone: without the admin listener.
    pub(crate) cores_ns: u64,
}

/// As the scheduler has it, up to the moment each thread last went to sleep. Of the process and all that it started.
pub(crate) fn cpu_time(process: u32) -> Outcome<CpuTime> {
    let mut time = CpuTime::default();
    for process in family(process) {
        add_cpu_time(process, &mut time)?;
    }
    Ok(time)
}

/// The process, its children and theirs. Alone where the kernel does not tell (CONFIG_PROC_CHILDREN).
fn family(process: u32) -> Vec<u32> {
    let mut family = vec![process];
    let mut next = 0;
    while let Some(&process) = family.get(next) {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|it| it.parse::<u32>().ok()),
            );
        }
    }
    family
}

fn add_cpu_time(process: u32, time: &mut CpuTime) -> Outcome<()> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let first = schedstat.split_whitespace().next().unwrap_or("");
        let ns: u64 = first
            .parse()
            .map_err(|_| "the kernel keeps no schedstat (CONFIG_SCHED_INFO)")?;
        time.all_ns += ns;
        if fs::read_to_string(task.join("comm"))?.starts_with("core-") {
            time.cores_ns += ns;
        }
    }
    Ok(())
}

/// CPU time of the calling thread.
pub(crate) fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of this process, and of its children that have ended and theirs.
pub(crate) fn own_and_childrens_cpu_ns() -> Outcome<u64> {
    Ok(ticks("self")?.iter().sum::<u64>() * TICK_NS)
}

/// CPU time of a process by itself, with that of its threads that have ended, in whole ticks.
pub(crate) fn own_cpu_ns_of(process: u32) -> Outcome<u64> {
    let [user, system, ..] = ticks(&process.to_string())?;
    Ok((user + system) * TICK_NS)
}

/// User and system, of a process and of its children that have ended.
fn ticks(process: &str) -> Outcome<[u64; 4]> {
    const UNKNOWN: &str = "/proc/…/stat has another form than is known";
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, could have spaces.
    let (_, fields) = text.rsplit_once(')').ok_or(UNKNOWN)?;
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = ticks.filter_map(|it| it.parse().ok()).collect();
    ticks.try_into().map_err(|_| UNKNOWN.into())
}

/// Memory of a process, and of all that it started, that is backed by pages now, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Heap and stacks. The ring's pages are not among them: they are there from the start, however few are used.
    pub(crate) anonymous: u64,
    pub(crate) private_dirty: u64,
    pub(crate) resident: u64,
}

/// What the kernel keeps in small pieces, for everybody: sockets, files, and what belongs to them.
pub(crate) fn kernel_objects_bytes() -> Outcome<u64> {
    bytes_of("/proc/meminfo", "Slab:")
}

/// The most that a process had at once since it began.
pub(crate) fn peak_memory(process: u32) -> Outcome<u64> {
    bytes_of(&format!("/proc/{process}/status"), "VmHWM:")
}

/// A line of one of the kernel's files, which has kilobytes.
fn bytes_of(file: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.ok_or_else(|| format!("{file} has no {name}"))?;
    Ok(number.parse::<u64>()? * 1024)
}

pub(crate) fn memory(process: u32) -> Outcome<Memory> {
    let mut sum = Memory::default();
    for process in family(process) {
        let memory = memory_of_one(process)?;
        sum.anonymous += memory.anonymous;
        sum.private_dirty += memory.private_dirty;
        sum.resident += memory.resident;
    }
    Ok(sum)
}

fn memory_of_one(process: u32) -> Outcome<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let field = |name: &str| -> Outcome<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.ok_or_else(|| format!("smaps_rollup has no {name}"))?;
        Ok(number.parse::<u64>()? * 1024)
    };
    Ok(Memory {
        anonymous: field("Anonymous:")?,
        private_dirty: field("Private_Dirty:")?,
        resident: field("Rss:")?,
    })
}

/// `io_uring` or `epoll`: how a process waits.
pub(crate) fn driver(process: u32) -> &'static str {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
    let mut links = descriptors.into_iter().flatten().flatten();
    let has_ring = links.any(|descriptor| {
        fs::read_link(descriptor.path())
            .is_ok_and(|target| target.to_string_lossy().contains("io_uring"))
    });
    if has_ring { "io_uring" } else { "epoll" }
}

/// CPU time that all CPUs together spent on anything, and what was taken by other guests of the host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Busy {
    busy_ns: u64,
    steal_ns: u64,
}

/// What a clock tick of /proc/stat is.
const TICK_NS: u64 = 10_000_000;

impl Busy {
    pub(crate) fn now() -> Outcome<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or("");
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .filter_map(|it| it.parse().ok())
            .collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
            return Err("/proc/stat has another form than is known".into());
        };
        Ok(Busy {
            busy_ns: (user + nice + system + irq + softirq) * TICK_NS,
            steal_ns: steal * TICK_NS,
        })
    }

    /// Nanoseconds of others since then: neither `own_ns` nor idle.
    pub(crate) fn of_others_since(self, before: Busy, own_ns: u64) -> u64 {
        let busy_ns = self.busy_ns - before.busy_ns;
        busy_ns.saturating_sub(own_ns) + (self.steal_ns - before.steal_ns)
    }
}

/// Bytes that sockets of this machine with that local address hold for peers which have not taken them.
pub(crate) fn unsent_bytes(local: std::net::SocketAddr) -> Outcome<u64> {
    let port = format!(":{:04X}", local.port());
    let text = std::fs::read_to_string("/proc/net/tcp")?;
    let queued = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let of_server = fields.next()?.ends_with(&port);
        let queues = fields.nth(2)?;
        let waiting = u64::from_str_radix(queues.split_once(':')?.0, 16).ok()?;
        of_server.then_some(waiting)
    });
    Ok(queued.sum())
}
