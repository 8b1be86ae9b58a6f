//! The sockets of what is passed on to other nodes, around a [`Forwarder`], which says what to do with them.
//!
//! Most of a stream's life is silence, so nothing here has a task, a timer or a buffer of its own. All sockets are in one
//! readiness set, and what comes goes from one to the other through the core's scratch buffer. Only the opening of a
//! connection, and a question to the control thread, have a task while they last.

mod core_action;
mod dial;
mod travel;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::time::Duration;

use monoio::time::timeout;

pub(super) use self::core_action::CoreAction;
use self::dial::{connect, is_of_the_peer};
pub(super) use self::travel::Lent;
use super::clock;
use super::cluster_handle::{ClusterAccess, SessionOwner};
use super::engine::{CoreDriver, SCRATCH_BYTES};
use super::readiness::{self, Readiness};
use crate::forward::{
    Departing, ForwardCounts, ForwardEffect, Forwarder, ForwarderSetup, IdleKey, PassMode,
    PassageKey, Question, RelayBuffer, Side, SocketInterest,
};
use crate::gate::Gate;
use crate::limits::Limits;
use crate::log_throttle::LogThrottle;
use crate::shard::{ConnectionKey, DrainTimes, Millis, MissReason, SessionEvent};
use crate::socket;
use crate::tasks;
use crate::wire::session_id::{NodeName, Process, SessionId};

/// What one core knows of other nodes, and its connections to them.
pub(super) struct Forwarding {
    pub(super) cluster: ClusterAccess,
    forwarder: RefCell<Forwarder>,
    readiness: Readiness,
    /// By the index of the passage's key.
    pairs: RefCell<Vec<Option<Pair>>>,
    idle: RefCell<HashMap<IdleKey, StdStream>>,
    /// Said since the last time that it was handed on.
    said: RefCell<Vec<SessionEvent>>,
    /// When it was last logged that this machine is out of something.
    complained: RefCell<LogThrottle>,
}

struct Pair {
    client: StdStream,
    owner: Option<StdStream>,
}

impl Forwarding {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(
        cluster: ClusterAccess,
        node: NodeName,
        path: &str,
        limits: Limits,
    ) -> io::Result<Self> {
        let setup = ForwarderSetup {
            node,
            path: path.into(),
            secret: cluster.secret.clone(),
            limits,
            read_bytes_max: SCRATCH_BYTES,
        };
        Ok(Forwarding {
            cluster,
            forwarder: RefCell::new(Forwarder::new(setup)),
            readiness: Readiness::new()?,
            pairs: RefCell::default(),
            idle: RefCell::default(),
            said: RefCell::default(),
            complained: RefCell::default(),
        })
    }

    pub(super) fn say(&self, presence: SessionEvent) {
        self.said.borrow_mut().push(presence);
    }

    /// Hands on what was said, in one piece.
    pub(super) fn flush(&self) {
        let said = std::mem::take(&mut *self.said.borrow_mut());
        if !said.is_empty() {
            self.cluster.handle.say(said);
        }
    }

    /// Nothing is left here that a request from another node could be for.
    pub(super) fn announce_leaving(&self) {
        self.cluster.handle.announce_leaving();
    }

    pub(super) fn counts(&self) -> ForwardCounts {
        self.forwarder.borrow().counts()
    }

    /// Requests under way to other nodes, which count as connections of this one.
    pub(super) fn count(&self) -> usize {
        self.forwarder.borrow().count()
    }

    pub(super) fn handle_timeout(&self) {
        self.forwarder.borrow_mut().handle_timeout(clock::now());
    }

    pub(super) fn handle_drain(&self, times: DrainTimes) {
        self.cluster.handle.announce_draining();
        self.forwarder
            .borrow_mut()
            .handle_drain(clock::now(), times);
    }

    pub(super) fn handle_locate(&self, connection: ConnectionKey, session: SessionId) {
        self.forwarder
            .borrow_mut()
            .handle_locate(clock::now(), connection, session);
    }

    pub(super) fn handle_held(
        &self,
        key: PassageKey,
        what: RelayBuffer,
        charge: Option<crate::budget::Charge>,
    ) {
        self.forwarder.borrow_mut().handle_held(key, what, charge);
    }

    /// Some: the request is none that could be passed on.
    pub(super) fn handle_forward(
        &self,
        stream: StdStream,
        departing: Departing,
    ) -> Option<CoreAction> {
        let began = self
            .forwarder
            .borrow_mut()
            .handle_forward(clock::now(), departing);
        match began {
            Ok(key) => {
                self.keep_pair(key, stream, None);
                None
            }
            Err(returning) => Some(CoreAction::Return { stream, returning }),
        }
    }

    /// Carries out what is wanted done, up to what only the core can do. None: there is nothing more.
    pub(super) fn poll(self: &Rc<Self>, core: &Rc<impl CoreDriver>) -> Option<CoreAction> {
        loop {
            let transmit = self.forwarder.borrow_mut().poll_transmit();
            if let Some((key, side)) = transmit {
                self.transmit(key, side);
                continue;
            }
            let effect = self.forwarder.borrow_mut().poll_effect()?;
            if let Some(wanted) = self.carry_out(core, effect) {
                return Some(wanted);
            }
        }
    }

    fn carry_out(
        self: &Rc<Self>,
        core: &Rc<impl CoreDriver>,
        effect: ForwardEffect,
    ) -> Option<CoreAction> {
        match effect {
            ForwardEffect::Located {
                connection,
                located,
            } => {
                return Some(CoreAction::Located {
                    connection,
                    located,
                });
            }
            ForwardEffect::Hold { key, what, count } => {
                return Some(CoreAction::Hold { key, what, count });
            }
            ForwardEffect::Return { key, returning } => {
                let stream = self.take_pair(key)?.client;
                return Some(CoreAction::Return { stream, returning });
            }
            ForwardEffect::Ask {
                question,
                session,
                within_ms,
            } => self.ask(core, question, session, within_ms),
            ForwardEffect::Connect {
                key,
                session,
                process,
                address,
                within_ms,
            } => self.connect(core, key, (session, process), address, within_ms),
            ForwardEffect::Probe {
                key,
                process,
                address,
                within_ms,
            } => self.probe(core, key, (process, address), within_ms),
            ForwardEffect::Reuse { key, idle } => self.reuse(key, idle),
            ForwardEffect::Keep { key, idle } => {
                if let Some(owner) = self.take_owner(key) {
                    self.idle.borrow_mut().insert(idle, owner);
                }
            }
            ForwardEffect::Discard(idle) => drop(self.idle.borrow_mut().remove(&idle)),
            ForwardEffect::Watch {
                key,
                side,
                from,
                to,
            } => self.rewatch(core, key, side, from, to),
            ForwardEffect::EndSending { key, side } => {
                self.with_socket(key, side, |stream| {
                    socket::shutdown(stream, Shutdown::Write);
                });
            }
            ForwardEffect::LoseOwner(key) => drop(self.take_owner(key)),
            ForwardEffect::Close(key) => drop(self.take_pair(key)),
            ForwardEffect::Announce(presence) => self.say(presence),
        }
        None
    }

    /// Asks the control thread where a session is.
    fn ask(
        self: &Rc<Self>,
        core: &Rc<impl CoreDriver>,
        question: Question,
        session: SessionId,
        within_ms: Millis,
    ) {
        let answer = self.cluster.handle.locate(session);
        let (own, core) = (self.clone(), core.clone());
        tasks::spawn(async move {
            let owner = match timeout(Duration::from_millis(within_ms), answer).await {
                Ok(Ok(owner)) => owner,
                Ok(Err(_)) | Err(_) => SessionOwner::Gone(MissReason::CannotTell),
            };
            own.forwarder
                .borrow_mut()
                .handle_owner(clock::now(), question, owner);
            core.pump();
        });
    }

    fn connect(
        self: &Rc<Self>,
        core: &Rc<impl CoreDriver>,
        key: PassageKey,
        (session, process): (SessionId, Process),
        address: SocketAddr,
        within_ms: Millis,
    ) {
        let (own, core) = (self.clone(), core.clone());
        tasks::spawn(async move {
            match connect(address, within_ms).await {
                Ok(owner) => own.connected(key, owner),
                Err(fault) => {
                    let of_the_peer = is_of_the_peer(&fault);
                    own.log_unconnected(session, address, &fault, of_the_peer);
                    if of_the_peer {
                        own.cluster.handle.suspect(process);
                    }
                    own.forwarder
                        .borrow_mut()
                        .handle_unconnected(key, of_the_peer);
                }
            }
            core.pump();
        });
    }

    fn connected(&self, key: PassageKey, owner: StdStream) {
        // Else its passage is over, and so is this.
        if let Some(pair) = self.pairs.borrow_mut().get_mut(key.index as usize)
            && let Some(pair) = pair
            && self.forwarder.borrow().is_open(key)
        {
            pair.owner = Some(owner);
            let mut forwarder = self.forwarder.borrow_mut();
            forwarder.handle_connected(clock::now(), key);
        }
    }

    fn log_unconnected(
        &self,
        session: SessionId,
        address: SocketAddr,
        fault: &io::Error,
        of_the_peer: bool,
    ) {
        if of_the_peer {
            // Whoever watches the node hears of it with the reason that the client is told.
            tracing::debug!(session = %session.redacted(), %address, %fault,
                "a session's node does not take connections");
        } else if let Some(unlogged) = self.complained.borrow_mut().admit(clock::now()) {
            tracing::warn!(%address, %fault, unlogged, "no connection to another node could be opened, for want of something on \
                this machine: open files (ulimit -n), or local ports (net.ipv4.ip_local_port_range)");
        }
    }

    fn probe(
        self: &Rc<Self>,
        core: &Rc<impl CoreDriver>,
        key: PassageKey,
        (process, address): (Process, SocketAddr),
        within_ms: Millis,
    ) {
        let (own, core) = (self.clone(), core.clone());
        tasks::spawn(async move {
            let again = connect(address, within_ms).await;
            let is_there = !again.is_err_and(|fault| is_of_the_peer(&fault));
            if !is_there {
                own.cluster.handle.suspect(process);
            }
            own.forwarder
                .borrow_mut()
                .handle_probed(clock::now(), key, is_there);
            core.pump();
        });
    }

    fn reuse(&self, key: PassageKey, idle: IdleKey) {
        let owner = self.idle.borrow_mut().remove(&idle);
        match owner.filter(socket::is_quiet) {
            Some(owner) => self.connected(key, owner),
            None => self.forwarder.borrow_mut().handle_stale(clock::now(), key),
        }
    }

    fn rewatch(
        &self,
        core: &Rc<impl CoreDriver>,
        key: PassageKey,
        side: Side,
        from: SocketInterest,
        to: SocketInterest,
    ) {
        let data = data_of(key, side);
        let watched = self.with_socket(key, side, |stream| {
            self.readiness.rewatch(data, stream, from, to)
        });
        if let Some(Err(fault)) = watched {
            if let Some(unlogged) = core.may_log("forward") {
                tracing::warn!(%fault, unlogged, "a connection was dropped: it could not be passed on to another node, or not be taken back");
            }
            self.forwarder.borrow_mut().handle_unwatched(key);
        }
    }

    /// One of a passage's sockets has something, takes something, or did a moment ago.
    fn on_ready(&self, core: &Rc<impl CoreDriver>, data: u64) {
        let (key, side) = key_of(data);
        if !self.forwarder.borrow().unsent(key, side).is_empty() {
            self.transmit(key, side);
        }
        if self.forwarder.borrow().reads(key, side) {
            self.read(core, key, side);
        }
        if self.forwarder.borrow().has_work() {
            core.pump();
        }
    }

    fn read(&self, core: &Rc<impl CoreDriver>, key: PassageKey, side: Side) {
        let mut scratch = core.scratch().borrow_mut();
        let read = self.with_socket(key, side, |stream| socket::receive(stream, &mut scratch));
        let (Some(read), now) = (read, clock::now()) else {
            return;
        };
        let mut forwarder = self.forwarder.borrow_mut();
        match (read, side) {
            (Ok(0), Side::Client) => forwarder.handle_client_end(now, key),
            (Ok(0), Side::Owner) => forwarder.handle_owner_end(now, key),
            (Ok(count), Side::Client) => {
                forwarder.handle_client_bytes(now, key, &scratch[..count]);
            }
            (Ok(count), Side::Owner) => {
                let bytes = &scratch[..count];
                match forwarder.handle_owner_bytes(now, key, bytes) {
                    PassMode::Buffered => {}
                    PassMode::AsTheyAre => self.pass(&mut forwarder, key, bytes),
                }
            }
            (Err(fault), _) if fault.kind() == io::ErrorKind::WouldBlock => {}
            (Err(_), side) => forwarder.handle_fault(now, key, side),
        }
    }

    /// A stream's bytes, to its client.
    fn pass(&self, forwarder: &mut Forwarder, key: PassageKey, bytes: &[u8]) {
        let sent = self.with_socket(key, Side::Client, |stream| socket::send(stream, bytes));
        match sent {
            Some(Ok(count)) => forwarder.handle_passed(clock::now(), key, &bytes[count..]),
            Some(Err(fault)) if fault.kind() == io::ErrorKind::WouldBlock => {
                forwarder.handle_passed(clock::now(), key, bytes);
            }
            _ => forwarder.handle_unsendable(clock::now(), key, Side::Client),
        }
    }

    /// Writes what the kernel takes now.
    fn transmit(&self, key: PassageKey, side: Side) {
        let mut forwarder = self.forwarder.borrow_mut();
        let sent = self.with_socket(key, side, |stream| {
            socket::send(stream, forwarder.unsent(key, side))
        });
        let now = clock::now();
        match sent {
            Some(Ok(count)) => forwarder.handle_sent(now, key, side, count),
            Some(Err(fault)) if fault.kind() == io::ErrorKind::WouldBlock => {
                forwarder.handle_sent(now, key, side, 0);
            }
            _ => forwarder.handle_unsendable(now, key, side),
        }
    }

    fn with_socket<T>(
        &self,
        key: PassageKey,
        side: Side,
        work: impl FnOnce(&StdStream) -> T,
    ) -> Option<T> {
        let pairs = self.pairs.borrow();
        let pair = pairs.get(key.index as usize)?.as_ref()?;
        match side {
            Side::Client => Some(work(&pair.client)),
            Side::Owner => pair.owner.as_ref().map(work),
        }
    }

    fn take_owner(&self, key: PassageKey) -> Option<StdStream> {
        let mut pairs = self.pairs.borrow_mut();
        pairs.get_mut(key.index as usize)?.as_mut()?.owner.take()
    }

    fn take_pair(&self, key: PassageKey) -> Option<Pair> {
        self.pairs.borrow_mut().get_mut(key.index as usize)?.take()
    }
}

/// Moves what comes on connections that are passed on, for ever; a node that is alone has none.
///
/// # Errors
/// The kernel no longer says which of them have something.
pub(super) async fn run(
    core: Rc<impl CoreDriver>,
    forwarding: Option<Rc<Forwarding>>,
) -> io::Result<()> {
    let Some(forwarding) = forwarding else {
        return Ok(());
    };
    let on_ready = |data| forwarding.on_ready(&core, data);
    // Answers of other nodes are what a core that becomes quiet waits for.
    readiness::run(&forwarding.readiness, &Gate::default(), on_ready).await
}

fn data_of(key: PassageKey, side: Side) -> u64 {
    let is_owner = u64::from(side == Side::Owner);
    u64::from(key.generation) << 32 | u64::from(key.index) << 1 | is_owner
}

fn key_of(data: u64) -> (PassageKey, Side) {
    let key = PassageKey {
        index: data as u32 >> 1,
        generation: (data >> 32) as u32,
    };
    let side = match data & 1 {
        0 => Side::Client,
        _ => Side::Owner,
    };
    (key, side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_taken_for_another_one() {
        for (index, generation) in [(0, 0), (1, 7), (u32::MAX >> 1, u32::MAX)] {
            for side in [Side::Client, Side::Owner] {
                let key = PassageKey { index, generation };
                assert_eq!(key_of(data_of(key, side)), (key, side));
            }
        }
    }
}
