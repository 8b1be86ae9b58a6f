//! Which connections of a core have something to be read: one epoll set, and one task that waits for the set.
//!
//! A connection that waits on the ring by itself costs a task, an operation and a shared socket: 330 bytes of this
//! process and 256 of the kernel. In the set it costs nothing here and 192 bytes there. One system call then lists
//! everything that is ready. The ring waits for the set as for any other descriptor.
//! `docs/decisions/0002-epoll-beside-the-ring.md` has the figures.

use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::{AsFd, OwnedFd};

use monoio::net::TcpStream;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::forward::SocketInterest;
use crate::gate::Gate;
use crate::shard::ConnectionKey;
use crate::socket;

/// Connections that are read from before everything else gets its turn.
const BATCH: usize = 64;
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

pub(super) struct Readiness {
    set: OwnedFd,
}

impl Readiness {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Readiness { set })
    }

    /// From now on [`run`] tells `data` whenever there is something to be read.
    ///
    /// # Errors
    /// `ENOSPC`: more connections than `fs.epoll.max_user_watches` allows.
    pub(super) fn watch(&self, data: u64, stream: &StdStream) -> io::Result<()> {
        let data = EventData::new_u64(data);
        match epoll::add(&self.set, stream, data, EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The peer sends nothing more, which is to be read for ever; from now on `data` is told only if the connection breaks.
    pub(super) fn watch_end(&self, data: u64, stream: &StdStream) {
        // Not in the set it is not read from either, and is found broken when something is written.
        let _ = epoll::modify(
            &self.set,
            stream,
            EventData::new_u64(data),
            EventFlags::empty(),
        );
    }

    /// Waits for something else than before, with the same `data`.
    ///
    /// # Errors
    /// As [`watch`](Readiness::watch).
    pub(super) fn rewatch(
        &self,
        data: u64,
        stream: &StdStream,
        from: SocketInterest,
        to: SocketInterest,
    ) -> io::Result<()> {
        let flags = match to {
            SocketInterest::Nothing => {
                self.unwatch(stream);
                return Ok(());
            }
            SocketInterest::End => EventFlags::empty(),
            SocketInterest::Read => EventFlags::IN,
            SocketInterest::Write => EventFlags::OUT,
            SocketInterest::Both => EventFlags::IN | EventFlags::OUT,
        };
        let data = EventData::new_u64(data);
        match from {
            SocketInterest::Nothing => epoll::add(&self.set, stream, data, flags)?,
            _ => epoll::modify(&self.set, stream, data, flags)?,
        }
        Ok(())
    }

    pub(super) fn unwatch(&self, stream: &StdStream) {
        // It may be paused, and not in the set.
        let _ = epoll::delete(&self.set, stream);
    }

    fn collect(&self, ready: &mut Vec<Event>) -> io::Result<()> {
        ready.clear();
        epoll::wait(&self.set, spare_capacity(ready), Some(&AT_ONCE))?;
        Ok(())
    }
}

/// Tells of every connection that has something, for ever; what is told may be over when it is. While the gate is shut nothing is
/// told.
pub(super) async fn run(
    readiness: &Readiness,
    gate: &Gate,
    mut on_ready: impl FnMut(u64),
) -> io::Result<()> {
    // monoio waits for sockets only; to the kernel a descriptor is a descriptor.
    let set: TcpStream = socket::on_the_ring(readiness.set.as_fd().try_clone_to_owned()?)?;
    let mut ready = Vec::with_capacity(BATCH);
    loop {
        set.readable(false).await?;
        gate.pass().await;
        readiness.collect(&mut ready)?;
        for event in &ready {
            on_ready({ event.data }.u64());
        }
    }
}

/// Tells once of each of `count` connections at most that have something now. Between batches, and before the first, the
/// others have their turn.
pub(super) async fn look_once(
    readiness: &Readiness,
    count: usize,
    mut on_ready: impl FnMut(u64),
    others_turn: impl AsyncFn(),
) {
    let mut ready = Vec::with_capacity(BATCH);
    // Those that were told of go to the end of the kernel's list.
    for _ in 0..count.div_ceil(BATCH) {
        others_turn().await;
        // A fault is found again by whoever waits for the set.
        if readiness.collect(&mut ready).is_err() || ready.is_empty() {
            return;
        }
        for event in &ready {
            on_ready({ event.data }.u64());
        }
    }
}

pub(super) fn data_of(key: ConnectionKey) -> u64 {
    u64::from(key.generation) << 32 | u64::from(key.index)
}

pub(super) fn key_of(data: u64) -> ConnectionKey {
    ConnectionKey::from_parts(data as u32, (data >> 32) as u32)
}
