//! One core: its shard, its sockets, its running calls, and the pump that carries effects out.
//!
//! Every task of a core's thread holds an `Rc<Core>`. Whoever tells the shard something calls [`Core::pump`]
//! afterwards; nobody holds a borrow across an await or while the application runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;

use futures_channel::oneshot;
use futures_util::future::AbortHandle;
use monoio::net::TcpStream;
use serde_json::value::RawValue;

use super::blocking::BlockingPool;
use super::forward::{self, Abroad};
use super::publisher::Publisher;
use super::readiness::{self, Readiness};
use super::seal::Sealer;
use super::{clock, link, serve, socket};
use crate::app::call::{AskFailed, Handler};
use crate::clients::Ticket;
use crate::log_throttle::LogThrottles;
use crate::shard::{CallKey, Closed, ConnectionKey, Effect, Gone, Shard, TooMany};

pub(super) struct Core {
    pub(super) number: u16,
    pub(super) shard: RefCell<Shard>,
    pub(super) handler: Rc<dyn Handler>,
    pub(super) publisher: Publisher,
    pub(super) sealer: Sealer,
    pub(super) blocking: BlockingPool,
    /// None: this node is alone.
    pub(super) abroad: Option<Rc<Abroad>>,
    pub(super) readiness: Readiness,
    /// By the index of the connection's key.
    sockets: RefCell<Vec<Option<Socket>>>,
    calls: RefCell<HashMap<CallKey, RunningCall>>,
    pumping: Cell<bool>,
    /// Set while the fan-out task sleeps.
    pub(super) fanout: Cell<Option<Waker>>,
    /// Log lines about what goes wrong here for one after the other.
    throttles: LogThrottles,
    /// What is read lands here first; one for all connections, since each read is understood at once.
    scratch: RefCell<Box<[u8]>>,
}

struct Socket {
    key: ConnectionKey,
    /// Nothing of it is on the ring: a delivery is one send, and so are a read and an answer.
    stream: StdStream,
}

/// A call that has not ended.
struct RunningCall {
    abort: AbortHandle,
    asks: Vec<(u32, oneshot::Sender<Answer>)>,
}

pub(super) type Answer = Result<Box<RawValue>, AskFailed>;

/// User memory of one connection outside of the shard.
pub(super) const SOCKET_BYTES: usize = size_of::<Option<Socket>>();

pub(super) const SCRATCH_BYTES: usize = 64 * 1024;

impl Core {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(
        number: u16,
        shard: Shard,
        handler: Rc<dyn Handler>,
        publisher: Publisher,
        sealer: Sealer,
        blocking: BlockingPool,
        abroad: Option<Rc<Abroad>>,
    ) -> io::Result<Self> {
        Ok(Core {
            number,
            shard: RefCell::new(shard),
            handler,
            publisher,
            sealer,
            blocking,
            abroad,
            readiness: Readiness::new()?,
            sockets: RefCell::default(),
            calls: RefCell::default(),
            pumping: Cell::new(false),
            fanout: Cell::new(None),
            throttles: LogThrottles::default(),
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
        gone: Option<Gone>,
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
        gone: Option<Gone>,
    ) {
        self.keep_socket(key, stream);
        let now = clock::now();
        if !bytes.is_empty() {
            let mut shard = self.shard.borrow_mut();
            match gone {
                Some(gone) => shard.handle_return(now, key, bytes, gone),
                None => shard.handle_bytes(now, key, bytes),
            }
            drop(shard);
            self.pump();
        }
        if self.shard.borrow().wants_bytes(key) {
            self.watch(key);
        }
    }

    /// Reads once and lets the shard understand it.
    pub(super) fn read_once(self: &Rc<Self>, key: ConnectionKey) {
        let Some(ended) = self.receive(key) else {
            return;
        };
        self.pump();
        if !self.shard.borrow().wants_bytes(key) {
            self.with_socket(key, |stream| match ended {
                true => self.readiness.watch_end(readiness::data_of(key), stream),
                false => self.readiness.unwatch(stream),
            });
        }
    }

    /// Whether that was the end of what the client sends. `None`: there was nothing to read, or there is no such
    /// connection any more.
    fn receive(&self, key: ConnectionKey) -> Option<bool> {
        let mut scratch = self.scratch.borrow_mut();
        let read = self.with_socket(key, |stream| socket::receive(stream, &mut scratch))?;
        let (now, mut shard) = (clock::now(), self.shard.borrow_mut());
        match read {
            Ok(0) => shard.handle_input_end(now, key),
            Ok(count) => shard.handle_bytes(now, key, &scratch[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => shard.handle_disconnect(now, key),
        }
        Some(matches!(read, Ok(0)))
    }

    fn watch(self: &Rc<Self>, key: ConnectionKey) {
        let watched = self.with_socket(key, |stream| {
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

    /// Requests of clients here that other nodes answer.
    pub(super) fn forwarded(&self) -> usize {
        self.abroad.as_ref().map_or(0, |abroad| abroad.count())
    }

    /// For code that reads and understands at once.
    pub(super) fn with_scratch<T>(&self, work: impl FnOnce(&mut [u8]) -> T) -> T {
        work(&mut self.scratch.borrow_mut())
    }

    /// Carries out everything the shard wants done, until it wants nothing.
    pub(super) fn pump(self: &Rc<Self>) {
        if self.pumping.replace(true) {
            // Called from inside of an effect: the loop below us goes on with it.
            return;
        }
        let mut bytes = Vec::new();
        loop {
            let transmit = self.shard.borrow_mut().poll_transmit(&mut bytes);
            if let Some(key) = transmit {
                self.write(key, &mut bytes);
                continue;
            }
            let effect = self.shard.borrow_mut().poll_effect();
            match effect {
                Some(effect) => self.execute(effect),
                None => break,
            }
        }
        self.pumping.set(false);
        if let Some(abroad) = &self.abroad {
            abroad.flush();
        }
        if self.shard.borrow().has_fanout() {
            self.wake_fanout();
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

    /// Writes what the kernel takes now; a task writes the rest.
    pub(super) fn write(self: &Rc<Self>, key: ConnectionKey, bytes: &mut Vec<u8>) {
        if self.write_some(key, bytes) {
            self.shard.borrow_mut().handle_written(clock::now(), key, 0);
        }
    }

    /// True if all was written. If not, the shard knows already.
    pub(super) fn write_some(self: &Rc<Self>, key: ConnectionKey, bytes: &mut Vec<u8>) -> bool {
        let Some(sent) = self.with_socket(key, |stream| socket::send(stream, bytes)) else {
            return false;
        };
        let count = match sent {
            Ok(count) if count == bytes.len() => return true,
            Ok(count) => count,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.shard.borrow_mut().handle_disconnect(clock::now(), key);
                return false;
            }
        };
        self.shard
            .borrow_mut()
            .handle_written(clock::now(), key, bytes.len() - count);
        if !self.shard.borrow().is_open(key) {
            // There was no room for the rest.
            return false;
        }
        match self.with_socket(key, |stream| stream_of(socket::duplicate(stream)?)) {
            Some(Ok(stream)) => {
                let rest = bytes.split_off(count);
                monoio::spawn(serve::write(self.clone(), key, stream, rest));
            }
            Some(Err(fault)) => {
                if let Some(unlogged) = self.may_log("wait") {
                    tracing::warn!(%fault, unlogged, "a slow reader was dropped: its connection could not be waited for");
                }
                self.shard.borrow_mut().handle_disconnect(clock::now(), key);
            }
            None => {}
        }
        false
    }

    /// See [`Shard::touch_fanout`].
    pub(super) fn touch_fanout(&self, count: usize) {
        let sockets = self.sockets.borrow();
        let touch = |key: ConnectionKey| {
            let socket = sockets.get(key.index as usize).and_then(Option::as_ref);
            black_box(socket.map(|socket| socket.key));
        };
        self.shard.borrow().touch_fanout(count, touch);
    }

    /// `None`: the call is over.
    pub(super) fn remember_ask(
        &self,
        call: CallKey,
        ask: u32,
    ) -> Option<oneshot::Receiver<Answer>> {
        let (sender, receiver) = oneshot::channel();
        let mut calls = self.calls.borrow_mut();
        calls.get_mut(&call)?.asks.push((ask, sender));
        Some(receiver)
    }

    pub(super) fn remember_abort(&self, call: CallKey, abort: AbortHandle) {
        let running = RunningCall {
            abort,
            asks: Vec::new(),
        };
        self.calls.borrow_mut().insert(call, running);
    }

    pub(super) fn forget_call(&self, call: CallKey) {
        self.calls.borrow_mut().remove(&call);
    }

    fn execute(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Start { call, request } => link::start(self, call, request),
            Effect::Cancel(call) => {
                let running = self.calls.borrow_mut().remove(&call);
                if let Some(running) = running {
                    running.abort.abort();
                }
            }
            Effect::Answered { call, ask, answer } => self.answered(call, ask, answer),
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
            } => self.look(connection, look, charge),
            Effect::Locate {
                connection,
                session,
            } => forward::locate(self, connection, session),
            Effect::Forward {
                connection,
                bytes,
                client,
                ticket,
            } => self.forward(connection, bytes, client, ticket),
            Effect::MakeRoom { holds } => self.publisher.make_room(self.number, holds),
            Effect::Hold { connection, ms } => serve::hold(self, connection, ms),
            Effect::Tell(event) => link::tell(self, &event),
            Effect::Say(presence) => {
                if let Some(abroad) = &self.abroad {
                    abroad.say(presence);
                }
            }
            Effect::Read(key) => self.watch(key),
            Effect::ShutdownWrite(key) => {
                self.with_socket(key, |stream| socket::shutdown(stream, Shutdown::Write));
            }
            Effect::Close { connection, reason } => self.close(connection, reason),
        }
    }

    /// Some: a fault of this kind is to be logged, and so many before it were not.
    pub(super) fn may_log(&self, kind: &'static str) -> Option<u64> {
        self.throttles.admit(kind, clock::now())
    }

    pub(super) fn complain_of_forwarding(&self, fault: &io::Error) {
        if let Some(unlogged) = self.may_log("forward") {
            tracing::warn!(%fault, unlogged, "a connection was dropped: it could not be passed on to another node, or not be taken back");
        }
    }

    fn answered(&self, call: CallKey, ask: u32, answer: Answer) {
        let sender = self.calls.borrow_mut().get_mut(&call).and_then(|running| {
            let index = running.asks.iter().position(|(number, _)| *number == ask)?;
            Some(running.asks.swap_remove(index).1)
        });
        if let Some(sender) = sender {
            // The handler may have given up on it.
            let _ = sender.send(answer);
        }
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

    /// `None`: there is no such connection any more.
    fn with_socket<T>(&self, key: ConnectionKey, work: impl FnOnce(&StdStream) -> T) -> Option<T> {
        let sockets = self.sockets.borrow();
        let socket = sockets.get(key.index as usize)?.as_ref();
        let socket = socket.filter(|socket| socket.key == key)?;
        Some(work(&socket.stream))
    }

    /// The other end of the connection on which a call's client waits.
    pub(super) fn peer_of(&self, call: CallKey) -> Option<SocketAddr> {
        let connection = self.shard.borrow().connection_of(call)?;
        self.with_socket(connection, |stream| stream.peer_addr().ok())?
    }

    fn keep_socket(&self, key: ConnectionKey, stream: StdStream) {
        let mut sockets = self.sockets.borrow_mut();
        let index = key.index as usize;
        if sockets.len() <= index {
            sockets.resize_with(index + 1, || None);
        }
        sockets[index] = Some(Socket { key, stream });
    }

    pub(super) fn take_socket(&self, key: ConnectionKey) -> Option<StdStream> {
        let mut sockets = self.sockets.borrow_mut();
        let slot = sockets.get_mut(key.index as usize)?;
        let socket = slot.take_if(|socket| socket.key == key)?;
        // Not left to closing: another descriptor of the same connection may live on.
        self.readiness.unwatch(&socket.stream);
        Some(socket.stream)
    }
}

/// Best effort: the connection is dropped whether the client reads this or not.
pub(super) fn refuse(stream: &StdStream, too_many: TooMany) {
    let _ = socket::send(stream, too_many.answer());
}

/// What the ring can wait for.
///
/// # Errors
/// The driver refuses the descriptor.
pub(super) fn stream_of(descriptor: OwnedFd) -> io::Result<TcpStream> {
    TcpStream::from_std(StdStream::from(descriptor))
}

#[cfg(test)]
mod tests {
    /// Paid for each connection of a node, as `tests/shard/sizes.rs` has it for what the shard keeps.
    #[test]
    fn a_connection_that_grew_unnoticed() {
        assert_eq!(super::SOCKET_BYTES, 12);
    }
}
