//! Which driver the threads run on: io_uring, or epoll where the ring is forbidden. What each of them does is in
//! `docs/decisions/0002-epoll-beside-the-ring.md`.

use std::io;

use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder, time::TimeDriver};

use crate::tasks;

/// Submission queue entries of a core's ring. monoio reaps completions only between turns of its run loop, so
/// the completion queue (twice as long) must hold whatever one turn starts.
const CORE_ENTRIES: u32 = 16_384;
/// What the ring of a core maps: 64 bytes for each submission, 16 for each of twice as many completions.
pub(crate) const CORE_BYTES: usize = CORE_ENTRIES as usize * (64 + 2 * 16);
/// For a thread with a handful of connections.
const ALONE_ENTRIES: u32 = 256;

/// What a thread waits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring if it can be had, else epoll with a warning.
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll: at a higher cost per event, wherever Linux runs.
    Epoll,
}

pub(super) type Runtime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

impl Driver {
    /// Settles `Auto`.
    ///
    /// # Errors
    /// Why there is no ring, if one was asked for.
    pub(crate) fn settle(self) -> Result<(Driver, Option<io::Error>), io::Error> {
        match (self, io_uring::IoUring::new(8)) {
            (Driver::Epoll, _) => Ok((Driver::Epoll, None)),
            (_, Ok(_)) => Ok((Driver::Uring, None)),
            (Driver::Auto, Err(fault)) => Ok((Driver::Epoll, Some(fault))),
            (Driver::Uring, Err(fault)) => Err(fault),
        }
    }

    /// As logs have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Driver::Auto => "auto",
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        }
    }

    /// The runtime of the calling thread.
    ///
    /// # Errors
    /// The kernel refuses the ring or the epoll descriptor.
    pub(super) fn runtime(self) -> io::Result<Runtime> {
        self.runtime_with(CORE_ENTRIES)
    }

    fn runtime_with(self, entries: u32) -> io::Result<Runtime> {
        if self == Driver::Epoll {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(entries);
            return Ok(FusionRuntime::Legacy(builder.enable_timer().build()?));
        }
        // Without these the kernel interrupts the thread for each completion: +56 % CPU per request measured.
        // Kernels before 6.0 do not know them.
        let mut fast = io_uring::IoUring::builder();
        fast.setup_coop_taskrun().setup_single_issuer();
        let plain = io_uring::IoUring::builder();
        ring(fast, entries)
            .or_else(|_| ring(plain, entries))
            .map(FusionRuntime::Uring)
    }
}

#[cfg(test)]
impl Driver {
    /// Those that are there: the ring where it can be had.
    pub(crate) fn all_here() -> Vec<Driver> {
        let drivers = [Driver::Epoll, Driver::Uring].into_iter();
        drivers.filter(|it| it.settle().is_ok()).collect()
    }
}

fn ring(
    builder: io_uring::Builder,
    entries: u32,
) -> io::Result<monoio::Runtime<TimeDriver<IoUringDriver>>> {
    RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(entries)
        .uring_builder(builder)
        .enable_timer()
        .build()
}

/// Runs a future to its end on a small runtime of the calling thread, and ends what it has spawned.
///
/// # Errors
/// The kernel refuses the ring or the epoll descriptor.
pub fn run_alone<T>(driver: Driver, work: impl Future<Output = T>) -> io::Result<T> {
    Ok(driver
        .runtime_with(ALONE_ENTRIES)?
        .block_on(tasks::run(work)))
}
