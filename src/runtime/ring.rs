//! Which driver the threads run on: io_uring, or epoll where the ring is forbidden.

use std::io;

use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder, time::TimeDriver};

/// Submission queue entries of a core's ring. monoio reaps completions only between turns of its run loop, so
/// the completion queue (twice as long) must hold whatever one turn starts.
const CORE_ENTRIES: u32 = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring if it can be had, else epoll with a warning.
    Auto,
    Uring,
    Epoll,
}

pub(super) type Runtime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

impl Driver {
    /// Settles `Auto`.
    ///
    /// # Errors
    /// Why there is no ring, if one was asked for.
    pub(super) fn settle(self) -> Result<(Driver, Option<io::Error>), io::Error> {
        match (self, io_uring::IoUring::new(8)) {
            (Driver::Epoll, _) => Ok((Driver::Epoll, None)),
            (_, Ok(_)) => Ok((Driver::Uring, None)),
            (Driver::Auto, Err(fault)) => Ok((Driver::Epoll, Some(fault))),
            (Driver::Uring, Err(fault)) => Err(fault),
        }
    }

    /// The runtime of the calling thread.
    ///
    /// # Errors
    /// The kernel refuses the ring or the epoll descriptor.
    pub(super) fn runtime(self) -> io::Result<Runtime> {
        if self == Driver::Epoll {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(CORE_ENTRIES);
            return Ok(FusionRuntime::Legacy(builder.enable_timer().build()?));
        }
        // Without these the kernel interrupts the thread for each completion: +56 % CPU per request measured.
        // Kernels before 6.0 do not know them.
        let mut fast = io_uring::IoUring::builder();
        fast.setup_coop_taskrun().setup_single_issuer();
        let plain = io_uring::IoUring::builder();
        ring(fast)
            .or_else(|_| ring(plain))
            .map(FusionRuntime::Uring)
    }
}

fn ring(builder: io_uring::Builder) -> io::Result<monoio::Runtime<TimeDriver<IoUringDriver>>> {
    RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(CORE_ENTRIES)
        .uring_builder(builder)
        .enable_timer()
        .build()
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Driver::Auto => "auto",
            Driver::Uring => "io_uring",
            Driver::Epoll => "epoll",
        })
    }
}
