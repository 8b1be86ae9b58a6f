//! Sockets of the node's connections on their way to the next process while this one serves them: the node stands still for the few
//! that come later.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use crate::handover::{HandoverFault, SuccessorProcess};
use crate::runtime::{Publisher, copy_sockets};
use crate::shard::ConnectionKey;

/// Of each core: whose sockets the next process has.
pub(super) struct SocketsAhead {
    of_cores: Vec<Arc<HashSet<ConnectionKey>>>,
}

impl SocketsAhead {
    /// Of those that are there now, once: whatever closes from now on keeps a descriptor of the next process until that serves. So
    /// these are at most half of what it may have.
    ///
    /// # Errors
    /// The next process is gone, or takes nothing.
    pub(super) fn send(
        (publisher, cores): (&Publisher, usize),
        successor: &SuccessorProcess,
    ) -> Result<SocketsAhead, HandoverFault> {
        let allowed = getrlimit(Resource::Nofile).current;
        let mut room = usize::try_from(allowed.unwrap_or(u64::MAX)).unwrap_or(usize::MAX) / 2;
        let mut of_cores = Vec::new();
        for core in 0..cores {
            let (mut known, mut from) = (HashSet::new(), Some(0));
            while let Some(place) = from
                && let Some(copies) = copy_sockets(publisher, core, place)
                && copies.sockets.len() <= room
            {
                room -= copies.sockets.len();
                from = copies.next;
                let keys = copies.sockets.iter();
                let keys = keys.map(|(key, _)| (key.index, key.generation)).collect();
                let sockets: Vec<_> = copies.sockets.iter().map(|(_, it)| it.as_fd()).collect();
                if !sockets.is_empty() {
                    successor.send_ahead(core as u16, keys, &sockets)?;
                }
                known.extend(copies.sockets.iter().map(|(key, _)| *key));
            }
            of_cores.push(Arc::new(known));
        }
        Ok(SocketsAhead { of_cores })
    }

    pub(super) fn of_cores(&self) -> &[Arc<HashSet<ConnectionKey>>] {
        &self.of_cores
    }
}
