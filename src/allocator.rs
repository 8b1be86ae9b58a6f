//! How the program's allocator gives memory back.
//!
//! The memory bill counts what is in use. By default glibc learns from each large piece that is freed to keep larger ones
//! on its heap, and small pieces that live on between them pin all of it there. Most of what an attack had made the node hold
//! stayed with the process for good. With fixed thresholds a large piece is a mapping of its own, and goes back to the
//! machine the moment it is freed (PERF.md has the figures).
#![allow(unsafe_code)]

/// From here on a piece is a mapping of its own, and so much free memory at the end of a heap is given back. What requests
/// and answers usually have is smaller, and costs no system call.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 * 1024;

/// Before anything is allocated by another thread.
#[cfg(target_env = "gnu")]
pub(crate) fn give_back_what_is_large() {
    // SAFETY: both only set numbers of the allocator, under its own lock; a refusal leaves them as they are.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_BYTES);
    }
}

/// Others keep no large pieces.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_back_what_is_large() {}
