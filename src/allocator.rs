//! The program's allocator: what was freed goes back to the machine.
//!
//! The memory bill counts what is in use. With glibc's allocator most of what an attack had made the node hold stayed with
//! the process for good, since large and small pieces lie side by side in its heap; this one returns pages that are
//! not used any more after a second, on a thread of its own (PERF.md has the figures).
#![allow(unsafe_code)]

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Read by the allocator before anything is allocated.
// SAFETY: the allocator reads a C string through this symbol, once, before anything is allocated; it is a static with a
// NUL at its end, and no other crate defines the name.
#[used]
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: Option<&'static std::ffi::c_char> =
    Some(unsafe { &*c"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0".as_ptr() });
