//! The limit on open files: each connection is one.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// The soft limit; if `raise`, after raising it to the hard one.
///
/// # Errors
/// The kernel's.
pub(crate) fn open_files(raise: bool) -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel fills the struct it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if raise && limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the struct is filled in and only read.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Makes the kernel's table of this process's open files large enough for `count` of them, at 8 bytes each.
///
/// It doubles when it is full, and where several threads share it each doubling waits until all CPUs have let go of
/// the old one: 8 to 16 ms in which whoever opens a connection stands still, seen at 256, 512, 1,024 … connections. A
/// process with one thread waits for nobody, so this is called before there are others.
///
/// # Errors
/// `count` is above the limit, or there is no memory.
pub(crate) fn reserve_open_files(count: u64) -> io::Result<()> {
    let any = File::open("/dev/null")?;
    let last = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
    // The table keeps its size when the descriptor is closed again.
    drop(rustix::io::fcntl_dupfd_cloexec(&any, last)?);
    Ok(())
}
