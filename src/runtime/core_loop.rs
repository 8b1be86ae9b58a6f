//! One core: its shard, its sockets, its running calls, and the pump that carries effects out.
//!
//! Every task of a core's thread holds an `Rc<Core>`, most of them as a [`CoreDriver`]. A task that hands the shard something
//! calls [`CoreDriver::pump`] afterwards. No task holds a borrow across an await or while the application runs.

mod travel;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
#[cfg(feature = "auth")]
use std::sync::Arc;
use std::task::Waker;

use super::application::Application;
use super::blocking::BlockingPool;
use super::calls::Calls;
use super::core_message::CoreMessage;
use super::endings::{self, SessionEndings};
use super::engine::{CoreDriver, SCRATCH_BYTES};
use super::forward::{CoreAction, Forwarding};
#[cfg(feature = "auth")]
use super::identify;
use super::publisher::Publisher;
use super::readiness::{self, Readiness};
use super::seal::Sealer;
use super::sockets::Sockets;
use super::trace_sink::TraceSinks;
use super::unsent::UnsentWrites;
use super::{clock, core_reach, link, questions, serve};
use crate::budget::Charge;
use crate::clients::{Client, Ticket};
#[cfg(feature = "auth")]
use crate::credentials::CredentialStore;
use crate::forward::{Departing, EXCHANGE_BYTES};
use crate::gate::Gate;
use crate::log_throttle::LogThrottles;
use crate::shard::{CallKey, Closed, ConnectionKey, Effect, MissReason, Shard, TooMany};
use crate::socket;

pub(super) struct Core {
    pub(super) number: u16,
    pub(super) shard: RefCell<Shard>,
    application: Rc<Application>,
    pub(super) publisher: Publisher,
    sealer: Sealer,
    blocking: BlockingPool,
    /// None: this node is alone.
    pub(super) forwarding: Option<Rc<Forwarding>>,
    /// Who knows who asks. None: nobody is asked.
    #[cfg(feature = "auth")]
    pub(super) credentials: Option<Arc<CredentialStore>>,
    pub(super) readiness: Readiness,
    pub(super) sockets: Sockets,
    /// Shut while it is about to stand still: nothing is read.
    pub(super) quiet: Gate,
    pub(super) unsent: UnsentWrites,
    pub(super) calls: Calls,
    pumping: Cell<bool>,
    /// Connections that came a moment ago: whether there is something to be read is known when all of theirs is done.
    begun: RefCell<Vec<ConnectionKey>>,
    /// Set while the fan-out task sleeps.
    pub(super) fanout: Cell<Option<Waker>>,
    /// Log lines about what goes wrong here for one after the other.
    throttles: LogThrottles,
    pub(super) traces: TraceSinks,
    pub(super) endings: SessionEndings,
    /// What is read lands here first; one for all connections, since each read is understood at once.
    scratch: RefCell<Box<[u8]>>,
}

impl Core {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(
        number: u16,
        shard: Shard,
        application: Rc<Application>,
        publisher: Publisher,
        sealer: Sealer,
        blocking: BlockingPool,
        forwarding: Option<Rc<Forwarding>>,
    ) -> io::Result<Self> {
        Ok(Core {
            number,
            shard: RefCell::new(shard),
            application,
            publisher,
            sealer,
            blocking,
            forwarding,
            #[cfg(feature = "auth")]
            credentials: None,
            readiness: Readiness::new()?,
            sockets: Sockets::default(),
            quiet: Gate::default(),
            unsent: UnsentWrites::default(),
            calls: Calls::default(),
            pumping: Cell::new(false),
            begun: RefCell::default(),
            fanout: Cell::new(None),
            throttles: LogThrottles::default(),
            traces: TraceSinks::default(),
            endings: SessionEndings::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
        })
    }

    /// A connection that was accepted.
    pub(super) fn accept(self: &Rc<Self>, stream: StdStream, peer: Option<IpAddr>) {
        let opened = self.shard.borrow_mut().handle_open(clock::now(), peer);
        match opened {
            Ok(key) => self.begin(key, stream, &[], None),
            Err(too_many) => refuse(&stream, too_many),
        }
    }

    /// A connection of this core from now on, with what was read of it elsewhere.
    pub(super) fn adopt(
        self: &Rc<Self>,
        stream: StdStream,
        peer: Option<IpAddr>,
        bytes: &[u8],
        ticket: Ticket,
    ) {
        self.take_back(stream, peer, bytes, ticket, None);
    }

    /// A connection that was not this core's for a request or a stream, with what was read since; `gone` says why the
    /// request could not be passed on.
    pub(super) fn take_back(
        self: &Rc<Self>,
        stream: StdStream,
        peer: Option<IpAddr>,
        bytes: &[u8],
        ticket: Ticket,
        gone: Option<MissReason>,
    ) {
        let now = clock::now();
        let key = self.shard.borrow_mut().handle_arrival(now, peer, ticket);
        self.begin(key, stream, bytes, gone);
    }

    fn begin(
        self: &Rc<Self>,
        key: ConnectionKey,
        stream: StdStream,
        bytes: &[u8],
        gone: Option<MissReason>,
    ) {
        self.sockets.keep(key, stream);
        let now = clock::now();
        if !bytes.is_empty() {
            let mut shard = self.shard.borrow_mut();
            match gone {
                Some(gone) => shard.handle_return(now, key, bytes, gone),
                None => shard.handle_bytes(now, key, bytes),
            }
        }
        self.begun.borrow_mut().push(key);
        self.pump();
    }

    /// Reads once and lets the shard understand it.
    pub(super) fn read_once(self: &Rc<Self>, key: ConnectionKey) {
        let Some(ended) = self.receive(key) else {
            return;
        };
        self.pump();
        if !self.shard.borrow().wants_bytes(key) {
            self.sockets.with(key, |stream| match ended {
                true => self.readiness.watch_end(readiness::data_of(key), stream),
                false => self.readiness.unwatch(stream),
            });
        }
    }

    /// Whether that was the end of what the client sends. `None`: there was nothing to read, or there is no such
    /// connection any more.
    fn receive(&self, key: ConnectionKey) -> Option<bool> {
        let mut scratch = self.scratch.borrow_mut();
        let read = self
            .sockets
            .with(key, |stream| socket::receive(stream, &mut scratch))?;
        let (now, mut shard) = (clock::now(), self.shard.borrow_mut());
        match read {
            Ok(0) => shard.handle_input_end(now, key),
            Ok(count) => shard.handle_bytes(now, key, &scratch[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => shard.handle_disconnect(now, key),
        }
        Some(matches!(read, Ok(0)))
    }

    pub(super) fn watch_if_wanted(self: &Rc<Self>, key: ConnectionKey) {
        if self.shard.borrow().wants_bytes(key) {
            self.watch(key);
        }
    }

    /// A connection that has just come with all of its state: also if its client sends nothing more, that it breaks is to be seen.
    pub(super) fn watch_again(self: &Rc<Self>, key: ConnectionKey) {
        let (wanted, ended) = {
            let shard = self.shard.borrow();
            (shard.wants_bytes(key), shard.has_input_ended(key))
        };
        match wanted || ended {
            true => self.watch(key),
            // It may be, since it came before its state did.
            false => {
                self.sockets
                    .with(key, |stream| self.readiness.unwatch(stream));
            }
        }
        if ended {
            self.sockets.with(key, |stream| {
                self.readiness.watch_end(readiness::data_of(key), stream);
            });
        }
    }

    /// It is to be watched for what its client sends, and for nothing else.
    pub(super) fn is_read(&self, key: ConnectionKey) -> bool {
        let shard = self.shard.borrow();
        shard.wants_bytes(key) && !shard.has_input_ended(key)
    }

    fn watch(self: &Rc<Self>, key: ConnectionKey) {
        let watched = self.sockets.with(key, |stream| {
            self.readiness.watch(readiness::data_of(key), stream)
        });
        if let Some(Err(fault)) = watched {
            if let Some(unlogged) = self.may_log("watch") {
                tracing::warn!(%fault, unlogged, "a connection was dropped: it could not be watched; raise fs.epoll.max_user_watches");
            }
            self.shard.borrow_mut().handle_disconnect(clock::now(), key);
            self.pump();
        }
    }

    /// Requests of clients here that other nodes answer, and streams of theirs: a drain waits for both.
    pub(super) fn forwarded(&self) -> usize {
        self.forwarding.as_ref().map_or(0, |it| it.count())
    }

    /// All that the shard, and what is passed on, want done now.
    fn drain(self: &Rc<Self>) {
        let mut bytes = Vec::new();
        loop {
            let transmit = self.shard.borrow_mut().poll_transmit(&mut bytes);
            if let Some(key) = transmit {
                self.write(key, &mut bytes);
                continue;
            }
            let effect = self.shard.borrow_mut().poll_effect();
            if let Some(effect) = effect {
                self.execute(effect);
                continue;
            }
            let forwarding = self.forwarding.as_ref();
            match forwarding.and_then(|it| it.poll(self)) {
                Some(wanted) => self.do_for_forwarding(wanted),
                None => return self.pass_traces(),
            }
        }
    }

    /// False: a panic that was taken for the application's, and caught as such, ended the pump in the middle.
    pub(super) fn is_sound(&self) -> bool {
        !self.pumping.get()
    }

    pub(super) fn wake_fanout(&self) {
        if let Some(waker) = self.fanout.take() {
            waker.wake();
        }
    }

    fn execute(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Start { call, request } => link::start(self, call, request),
            Effect::Cancel(call) => self.calls.cancel(call),
            Effect::Answered { call, ask, answer } => self.calls.answered(call, ask, answer),
            Effect::Move {
                connection,
                core,
                bytes,
                ticket,
            } => self.send_away(connection, core, bytes, ticket),
            Effect::Look {
                connection,
                look,
                charge,
            } => serve::look(self, connection, look, charge),
            Effect::Locate {
                connection,
                session,
            } => {
                if let Some(forwarding) = &self.forwarding {
                    forwarding.handle_locate(connection, session);
                }
            }
            Effect::Forward {
                connection,
                bytes,
                client,
                ticket,
            } => self.forward(connection, bytes, client, ticket),
            #[cfg(feature = "auth")]
            Effect::Identify(sender) => {
                identify::ask(self, self.credentials.as_deref(), self.number, sender);
            }
            Effect::AskOperators(asked) => questions::ask(self, self.forwarding.as_ref(), asked),
            Effect::MakeRoom { holds } => self.publisher.make_room(self.number, holds),
            Effect::Hold { connection, ms } => serve::hold(self, connection, ms),
            Effect::Lifecycle(event) => self.application.run_hook(&event),
            Effect::Announce(presence) => {
                if let Some(forwarding) = &self.forwarding {
                    forwarding.say(core_reach::dated(presence));
                }
            }
            Effect::HearingEnded(why) => endings::note(self.number, why, &self.throttles),
            Effect::Read(key) => self.watch(key),
            Effect::ShutdownWrite(key) => {
                self.sockets
                    .with(key, |stream| socket::shutdown(stream, Shutdown::Write));
            }
            Effect::Close { connection, reason } => self.close(connection, reason),
        }
    }

    /// The connection goes to the session, never the session's data to the connection.
    fn send_away(&self, key: ConnectionKey, core: u16, bytes: Vec<u8>, ticket: Ticket) {
        let Some(stream) = self.take_socket(key) else {
            return;
        };
        let peer = stream.peer_addr().ok().map(|address| address.ip());
        let message = CoreMessage::Connection {
            stream,
            peer,
            bytes,
            ticket,
        };
        self.publisher.mailbox(core.into()).post_beyond(message);
    }

    /// It goes to another node.
    fn forward(
        self: &Rc<Self>,
        key: ConnectionKey,
        bytes: Vec<u8>,
        client: Option<Client>,
        mut ticket: Ticket,
    ) {
        let (Some(stream), Some(forwarding)) = (self.take_socket(key), &self.forwarding) else {
            return;
        };
        if ticket.widen().is_err() {
            return refuse(&stream, TooMany::OfNode);
        }
        let Some(charge) = self.hold(client, EXCHANGE_BYTES) else {
            return refuse(&stream, TooMany::OfNode);
        };
        let departing = Departing {
            bytes,
            client,
            ticket,
            charge,
        };
        if let Some(wanted) = forwarding.handle_forward(stream, departing) {
            self.do_for_forwarding(wanted);
        }
    }

    fn do_for_forwarding(self: &Rc<Self>, wanted: CoreAction) {
        match wanted {
            CoreAction::Located {
                connection,
                located,
            } => {
                let mut shard = self.shard.borrow_mut();
                shard.handle_located(clock::now(), connection, located);
            }
            CoreAction::Hold { key, what, count } => {
                let charge = self.hold(None, count);
                if let Some(forwarding) = &self.forwarding {
                    forwarding.handle_held(key, what, charge);
                }
            }
            CoreAction::Return { stream, returning } => {
                let peer = stream.peer_addr().ok().map(|address| address.ip());
                let (bytes, gone) = (&returning.bytes, returning.gone);
                self.take_back(stream, peer, bytes, returning.ticket, gone);
            }
        }
    }

    /// Room in the node's budget for what is held outside of the shard. Connections of the shard may end for it.
    fn hold(&self, client: Option<Client>, count: usize) -> Option<Charge> {
        let mut shard = self.shard.borrow_mut();
        shard.handle_hold(clock::now(), client, count)
    }

    fn close(&self, key: ConnectionKey, reason: Closed) {
        let Some(stream) = self.take_socket(key) else {
            return;
        };
        tracing::debug!(connection = ?key, ?reason, core = self.number, "closed");
        if reason == Closed::OutOfMemory
            && let Some(unlogged) = self.may_log("memory")
        {
            tracing::warn!(connection = ?key, core = self.number, unlogged,
                "a connection was cut that held most for longest: what clients may make this node hold is used up; \
                 raise --memory-max if there is more memory");
        }
        // Wakes the task that writes to it, if there is one.
        socket::shutdown(&stream, Shutdown::Both);
    }

    fn take_socket(&self, key: ConnectionKey) -> Option<StdStream> {
        let stream = self.sockets.take(key)?;
        self.unsent.forget(key);
        // Not left to closing: another descriptor of the same connection may live on.
        self.readiness.unwatch(&stream);
        Some(stream)
    }
}

impl CoreDriver for Core {
    fn shard(&self) -> &RefCell<Shard> {
        &self.shard
    }

    fn pump(self: &Rc<Self>) {
        if self.pumping.replace(true) {
            // Called from inside of an effect: the loop below us goes on with it.
            return;
        }
        loop {
            self.drain();
            let Some(key) = self.begun.borrow_mut().pop() else {
                break;
            };
            self.watch_if_wanted(key);
        }
        self.pumping.set(false);
        if let Some(forwarding) = &self.forwarding {
            forwarding.flush();
        }
        if self.shard.borrow().has_fanout() {
            self.wake_fanout();
        }
    }

    fn unsent(&self) -> &UnsentWrites {
        &self.unsent
    }

    fn may_log(&self, kind: &'static str) -> Option<u64> {
        self.throttles.admit(kind, clock::now())
    }

    fn scratch(&self) -> &RefCell<Box<[u8]>> {
        &self.scratch
    }

    fn application(&self) -> &Rc<Application> {
        &self.application
    }

    fn peer_of(&self, call: CallKey) -> Option<SocketAddr> {
        let connection = self.shard.borrow().connection_of(call)?;
        self.sockets
            .with(connection, |stream| stream.peer_addr().ok())?
    }

    fn calls(&self) -> &Calls {
        &self.calls
    }

    fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }
}

/// Best effort: the connection is dropped whether the client reads this or not.
fn refuse(stream: &StdStream, too_many: TooMany) {
    let _ = socket::send(stream, too_many.answer());
}
