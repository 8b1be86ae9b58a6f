//! Streams of other nodes' sessions, from their head to their end: two sockets each, and where the framing stands.
//!
//! Most of a stream's life is silence, so nothing here has a task, a timer or a buffer of its own: both sockets are in a
//! readiness set, what comes goes from one to the other through the core's scratch buffer, and only a client that does
//! not take everything at once has a task until it did.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream as StdStream};
use std::rc::Rc;
use std::time::Duration;

use monoio::net::TcpStream;
use slab::Slab;

use super::process_of;
use crate::budget::Charge;
use crate::clients::Ticket;
use crate::forward::request::Rest;
use crate::runtime::core::{Core, SCRATCH_BYTES, stream_of};
use crate::runtime::readiness::Readiness;
use crate::runtime::{clock, socket};
use crate::shard::Millis;
use crate::wire::session_id::SessionId;

pub(super) struct Relays {
    pub(super) readiness: Readiness,
    relays: RefCell<Slab<Relay>>,
    /// Tells a relay from earlier ones in its place.
    serial: Cell<u32>,
    looked_at_ms: Cell<Millis>,
}

struct Relay {
    client: StdStream,
    owner: StdStream,
    /// Whose stream it is.
    session: SessionId,
    body: Rest,
    /// What the client sent after its request, and its part of the node's budget.
    read_ahead: Vec<u8>,
    ahead: Option<Charge>,
    /// The client sends nothing more, and so the owner was told.
    ended: bool,
    /// When the owner last said something.
    heard_ms: Millis,
    serial: u32,
    /// Of both sockets.
    ticket: Ticket,
}

/// What a read came to.
enum Came {
    Nothing,
    /// The stream is whole, and the client has all of it.
    Whole,
    /// The client takes no more now.
    Slow(Vec<u8>),
    /// The client has sent something ahead, which is not charged yet.
    Ahead,
    /// One of the two is gone.
    Over,
}

/// How often silent owners are looked for.
const LOOK_EVERY_MS: Millis = 1_000;

impl Relays {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Relays {
            readiness: Readiness::new()?,
            relays: RefCell::default(),
            serial: Cell::new(0),
            looked_at_ms: Cell::new(0),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.relays.borrow().len()
    }

    /// Goes on with an answer whose head has been passed on.
    ///
    /// # Errors
    /// Out of descriptors; the stream breaks off.
    pub(super) fn open(
        &self,
        client: &TcpStream,
        owner: &TcpStream,
        session: SessionId,
        body: Rest,
        read_ahead: Vec<u8>,
        ticket: Ticket,
    ) -> io::Result<()> {
        // The ring may still hold the other descriptors for operations that it is cancelling.
        let (client, owner) = (
            socket::duplicate(client)?.into(),
            socket::duplicate(owner)?.into(),
        );
        self.serial.set(self.serial.get().wrapping_add(1));
        let mut relays = self.relays.borrow_mut();
        let entry = relays.vacant_entry();
        let index = entry.key();
        let relay = entry.insert(Relay {
            client,
            owner,
            session,
            body,
            read_ahead,
            ahead: None,
            ended: false,
            heard_ms: clock::now(),
            serial: self.serial.get(),
            ticket,
        });
        let watched = self.readiness.watch(to_client(index), &relay.client);
        let watched = watched.and_then(|()| self.readiness.watch(to_owner(index), &relay.owner));
        drop(relays);
        watched.inspect_err(|_| self.close(index))
    }

    /// One of a relay's sockets has something, or had a moment ago. `sink` is written over.
    pub(super) fn on_ready(&self, core: &Rc<Core>, sink: &RefCell<Vec<u8>>, data: u64) {
        let index = (data >> 1) as usize;
        let came = match data == to_owner(index) {
            true => self.read_owner(core, &mut sink.borrow_mut(), index),
            false => self.read_client(core, index),
        };
        match came {
            Came::Nothing => {}
            Came::Whole => self.finish(core, index),
            Came::Slow(unsent) => self.wait_for_client(core, index, unsent),
            Came::Ahead => self.charge_ahead(core, index),
            Came::Over => self.close(index),
        }
    }

    fn read_owner(&self, core: &Core, sink: &mut Vec<u8>, index: usize) -> Came {
        let mut relays = self.relays.borrow_mut();
        let Some(relay) = relays.get_mut(index) else {
            return Came::Nothing;
        };
        core.with_scratch(|scratch| {
            let count = match socket::receive(&relay.owner, scratch) {
                Ok(0) => return Came::Over,
                Ok(count) => count,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Came::Nothing,
                Err(_) => return Came::Over,
            };
            relay.heard_ms = clock::now();
            let bytes = &scratch[..count];
            if relay.body.take(bytes, sink) != Some(count) {
                return Came::Over;
            }
            match socket::send(&relay.client, bytes) {
                Ok(sent) if sent == count && relay.body.is_nothing() => Came::Whole,
                Ok(sent) if sent == count => Came::Nothing,
                Ok(sent) => Came::Slow(bytes[sent..].to_vec()),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                    Came::Slow(bytes.to_vec())
                }
                Err(_) => Came::Over,
            }
        })
    }

    /// The client has nothing to say on a stream but that it leaves; what it sends is for when the stream has ended.
    fn read_client(&self, core: &Core, index: usize) -> Came {
        let mut relays = self.relays.borrow_mut();
        let Some(relay) = relays.get_mut(index) else {
            return Came::Nothing;
        };
        let bytes_max = core.shard.borrow().limits().pipeline_bytes_max;
        core.with_scratch(|scratch| match socket::receive(&relay.client, scratch) {
            Ok(0) if relay.ended => Came::Over,
            // It reads on, or is gone: the owner says something at once, and a reset is the answer to that.
            Ok(0) => {
                relay.ended = true;
                socket::shutdown(&relay.owner, Shutdown::Write);
                self.readiness.watch_end(to_client(index), &relay.client);
                Came::Nothing
            }
            Ok(count) => {
                relay.read_ahead.extend_from_slice(&scratch[..count]);
                if relay.read_ahead.len() >= bytes_max {
                    self.readiness.unwatch(&relay.client);
                }
                match relay.ahead {
                    Some(_) => Came::Nothing,
                    None => Came::Ahead,
                }
            }
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Came::Nothing,
            Err(_) => Came::Over,
        })
    }

    /// Once for as much as may be read ahead.
    fn charge_ahead(&self, core: &Rc<Core>, index: usize) {
        let bytes_max = core.shard.borrow().limits().pipeline_bytes_max + SCRATCH_BYTES;
        match core.hold(None, bytes_max) {
            None => self.close(index),
            charge => {
                if let Some(relay) = self.relays.borrow_mut().get_mut(index) {
                    relay.ahead = charge;
                }
            }
        }
    }

    /// Reads nothing more from the owner until the client has taken this.
    fn wait_for_client(&self, core: &Rc<Core>, index: usize, unsent: Vec<u8>) {
        let relays = self.relays.borrow();
        let Some(relay) = relays.get(index) else {
            return;
        };
        self.readiness.unwatch(&relay.owner);
        let client = socket::duplicate(&relay.client).and_then(stream_of);
        let serial = relay.serial;
        drop(relays);
        let (Ok(client), Some(charge)) = (client, core.hold(None, unsent.len())) else {
            return self.close(index);
        };
        let core = core.clone();
        monoio::spawn(async move {
            let written = write(&core, &client, &unsent).await;
            drop((client, unsent, charge));
            if let Some(abroad) = &core.abroad {
                abroad.relays.go_on(&core, index, serial, written.is_ok());
            }
        });
    }

    fn go_on(&self, core: &Rc<Core>, index: usize, serial: u32, written: bool) {
        let relays = self.relays.borrow();
        let Some(relay) = relays.get(index).filter(|relay| relay.serial == serial) else {
            return;
        };
        let whole = relay.body.is_nothing();
        let goes_on =
            written && (whole || self.readiness.watch(to_owner(index), &relay.owner).is_ok());
        drop(relays);
        match goes_on {
            true if whole => self.finish(core, index),
            true => {}
            false => self.close(index),
        }
    }

    /// The client's connection takes its next request.
    fn finish(&self, core: &Rc<Core>, index: usize) {
        if let Some(relay) = self.remove(index) {
            let peer = relay.client.peer_addr().ok().map(|address| address.ip());
            core.take_back(relay.client, peer, &relay.read_ahead, relay.ticket, None);
        }
    }

    /// Each of the two sees the other one leave.
    fn close(&self, index: usize) {
        if let Some(relay) = self.remove(index) {
            for stream in [relay.client, relay.owner] {
                socket::shutdown(&stream, Shutdown::Both);
            }
        }
    }

    fn remove(&self, index: usize) -> Option<Relay> {
        let relay = self.relays.borrow_mut().try_remove(index)?;
        self.readiness.unwatch(&relay.client);
        self.readiness.unwatch(&relay.owner);
        Some(relay)
    }

    /// Ends so many of them.
    pub(super) fn close_some(&self, count: usize) {
        let relays = self.relays.borrow();
        let some: Vec<usize> = relays.iter().take(count).map(|(index, _)| index).collect();
        drop(relays);
        some.into_iter().for_each(|index| self.close(index));
    }

    /// Ends those whose owner was silent for `silence_max`, and looks now and then which were for `worth_a_look`: a
    /// session of each of their nodes.
    pub(super) fn silent(&self, worth_a_look: Duration, silence_max: Duration) -> Vec<SessionId> {
        let now = clock::now();
        if now < self.looked_at_ms.get() + LOOK_EVERY_MS {
            return Vec::new();
        }
        self.looked_at_ms.set(now);
        self.close_all(|relay| relay.is_silent(now, silence_max));
        let relays = self.relays.borrow();
        let silent = relays.iter().map(|(_, relay)| relay);
        let silent = silent.filter(|relay| relay.is_silent(now, worth_a_look));
        let of_each = silent.map(|relay| (process_of(&relay.session), relay.session));
        of_each.collect::<HashMap<_, _>>().into_values().collect()
    }

    /// The process of this session is gone, and with it the streams on which it said nothing for so long.
    pub(super) fn close_silent_of(&self, session: SessionId, silence: Duration) {
        let now = clock::now();
        let is_its = |relay: &Relay| process_of(&relay.session) == process_of(&session);
        self.close_all(|relay| is_its(relay) && relay.is_silent(now, silence));
    }

    fn close_all(&self, which: impl Fn(&Relay) -> bool) {
        let relays = self.relays.borrow();
        let which = relays.iter().filter(|(_, relay)| which(relay));
        let which: Vec<usize> = which.map(|(index, _)| index).collect();
        drop(relays);
        which.into_iter().for_each(|index| self.close(index));
    }
}

impl Relay {
    fn is_silent(&self, now: Millis, silence: Duration) -> bool {
        now > self.heard_ms + silence.as_millis() as Millis
    }
}

fn to_client(index: usize) -> u64 {
    (index as u64) << 1
}

fn to_owner(index: usize) -> u64 {
    (index as u64) << 1 | 1
}

async fn write(core: &Core, to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let stall_max = Duration::from_millis(core.shard.borrow().limits().write_stall_ms);
    super::exchange::write_all(to, bytes, stall_max).await
}
