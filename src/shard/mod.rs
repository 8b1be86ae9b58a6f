//! All that one core owns: connections, sessions, streams, subscriptions, timers. Start reading here.
//!
//! A [`Shard`] is a plain value. Bytes, publications, what handlers do, and the time go in through `handle_*`.
//! Effects, bytes to write and a deadline come out through `poll_*`. It never waits, reads no clock and touches no
//! socket. So a test drives it step by step, and a simulation drives hundreds (`docs/decisions/0005-the-core-is-a-plain-value.md`).
//!
//! It is two such values, and passes a request in and an answer out:
//!
//! | | owns | knows nothing of |
//! |---|---|---|
//! | `http` | connections, framing, admission, outboxes, time limits of the wire | sessions, streams, calls |
//! | `engine` | sessions, streams, calls, subscriptions, what other nodes should know | which wire it speaks on |
//!
//! What they know of each other is in `exchange`. `fields` is a request's head, read once. `memory` is the budget of both,
//! and who goes first when it is short. Sessions and connections can go on in another shard: `travel`.
//!
//! After every `handle_*` the driver drains [`Shard::poll_effect`] and [`Shard::poll_transmit`] to `None`. It drains
//! [`Shard::poll_fanout`] in portions, as it sees fit, and calls [`Shard::handle_timeout`] when [`Shard::poll_timeout`] says.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

mod arena;
mod body;
mod card;
mod counted;
mod effect;
mod engine;
mod exchange;
mod fields;
mod freeze;
mod http;
#[cfg(feature = "auth")]
mod identify;
mod memory;
mod messages;
mod portable;
mod questions;
mod refused;
mod remote;
mod setup;
mod stats;
mod stays;
mod takeover;
mod trace;
mod travel;
pub mod view;
mod wheel;

use std::hint::black_box;
use std::net::IpAddr;
use std::rc::Rc;

use self::engine::{Engine, ReceivedBody};
use self::http::Http;
use self::memory::Memory;
use crate::app::call::{Availability, Notice, NotifyRefused, Outcome};
use crate::budget::Charge;
use crate::clients::{Client, Ticket};
use crate::limits::Limits;

pub use self::card::CardSettings;
pub use self::effect::Effect;
pub use self::engine::position::CorePosition;
#[cfg(any(test, feature = "internals"))]
pub use self::engine::properties;
pub use self::engine::{CallKey, DrainProgress, DrainTimes, Look, Looked, SessionKey};
pub use self::exchange::{Closed, ConnectionKey};
pub use self::freeze::{FrozenShard, HeldUp, write_frozen};
pub use self::http::{HttpSsePaths, RequestPolicy, TooMany};
#[cfg(feature = "auth")]
pub use self::http::{IdentityAnswer, IdentityQuestion, UnknownSender};
pub use self::portable::{PORTABLE_BYTES_MAX, PortableSession};
pub use self::questions::{AskedByPeer, PeerAnswer};
pub use self::remote::{Cluster, Located, MissReason, SessionEvent, SessionInfo};
pub use self::setup::{
    AcceptsSubscription, EntrySizes, OwnSpelling, Publication, ShardCounts, ShardSetup,
};
pub use self::stats::{
    BOUNDS_MS, CoreStats, CountOfEach, EndedSessions, Gauges, Histogram, OperationCounts,
    OperationEnd, OperationLabels, StreamCounts,
};
pub use self::stays::{NotTaken, StaysBecause};
pub use self::trace::{TraceBegun, TraceEvent, TraceId, TraceKind, TraceTarget, TraceWish, Traced};
pub use self::travel::{GivenBack, TravellingConnection, TravellingSession};
pub use self::wheel::Millis;

pub struct Shard {
    http: Http<Engine>,
    engine: Engine,
    memory: Rc<Memory>,
}

impl Shard {
    #[must_use]
    pub fn new(setup: ShardSetup, now: Millis) -> Self {
        let memory = Memory::new(&setup.commons.memory, setup.core_count);
        let http = Http::new(
            setup.limits,
            memory.clone(),
            setup.commons.clone(),
            (setup.gate.clone(), setup.documents()),
            setup.neighbours(),
            now,
        );
        Shard {
            http,
            engine: Engine::new(setup, memory.clone(), now),
            memory,
        }
    }

    /// A connection was accepted. If there are too many, the driver writes [`TooMany::answer`] and closes.
    ///
    /// # Errors
    /// Whose connections are too many.
    pub fn handle_open(
        &mut self,
        now: Millis,
        peer: Option<IpAddr>,
    ) -> Result<ConnectionKey, TooMany> {
        self.at(now);
        self.http.handle_open(peer)
    }

    /// A connection comes from another core, or is back from another node, with the place that it had.
    pub fn handle_arrival(
        &mut self,
        now: Millis,
        peer: Option<IpAddr>,
        ticket: Ticket,
    ) -> ConnectionKey {
        self.at(now);
        self.http.handle_arrival(peer, ticket)
    }

    /// Bytes arrived. What they ask for is done before this returns, except for the application's part.
    pub fn handle_bytes(&mut self, now: Millis, key: ConnectionKey, bytes: &[u8]) {
        self.at(now);
        self.take_in(key, bytes);
        self.http.settle(key, &mut self.engine);
        self.http.arm(key);
        self.go_on();
    }

    /// Nothing more will come from the client, which may still read. Said a second time it is gone.
    pub fn handle_input_end(&mut self, now: Millis, key: ConnectionKey) {
        self.at(now);
        self.http.handle_input_end(key);
        self.go_on();
    }

    /// The peer closed, or the connection broke. The key is stale afterwards.
    pub fn handle_disconnect(&mut self, now: Millis, key: ConnectionKey) {
        self.at(now);
        self.http.handle_disconnect(key);
        self.go_on();
    }

    /// Of what [`poll_transmit`](Shard::poll_transmit) or [`poll_fanout`](Shard::poll_fanout) gave for this connection
    /// so many bytes are not written yet. While it is not 0 the driver writes them, and nothing more is given for the
    /// connection.
    pub fn handle_written(&mut self, now: Millis, key: ConnectionKey, rest: usize) {
        self.at(now);
        self.http.handle_written(key, rest, &mut self.engine);
        self.go_on();
    }

    /// Another part of a write under way was taken by the kernel.
    pub fn handle_progress(&mut self, now: Millis, key: ConnectionKey) {
        self.http.handle_progress(now, key);
    }

    /// The driver has waited as long as [`Effect::Hold`] said: what is held may leave.
    pub fn handle_released(&mut self, now: Millis, key: ConnectionKey) {
        self.at(now);
        self.http.handle_released(key);
        self.go_on();
    }

    /// The driver was woken later than it asked to be: there is more to do on this machine than it can do now.
    pub fn handle_late(&mut self, now: Millis) {
        self.http.handle_late(now);
    }

    /// What is in the body of a request ([`Effect::Look`] asked for it). Too late if the client is gone.
    pub fn handle_looked(&mut self, now: Millis, key: ConnectionKey, looked: &Looked) {
        self.at(now);
        let mut input = http::Input::default();
        if let Some(request) = self.http.handle_looked(key, &mut input) {
            self.engine
                .handle_request(&mut self.http, &request, ReceivedBody::Looked(looked));
        }
        self.go_on();
    }

    /// A connection whose request could not be passed on after all comes back with what was read of it.
    pub fn handle_return(
        &mut self,
        now: Millis,
        key: ConnectionKey,
        bytes: &[u8],
        gone: MissReason,
    ) {
        self.http.tell_before(key, gone);
        self.handle_bytes(now, key, bytes);
    }

    /// A call ended. Late outcomes of cancelled calls are dropped.
    pub fn handle_outcome(&mut self, now: Millis, call: CallKey, outcome: &Outcome) {
        self.at(now);
        self.engine.handle_outcome(&mut self.http, call, outcome);
        self.go_on();
    }

    /// A notification that belongs to a call; `params` is an object in JSON.
    pub fn handle_notify(&mut self, now: Millis, call: CallKey, method: &str, params: &str) {
        self.at(now);
        self.engine
            .handle_notify(&mut self.http, call, method, params);
        self.go_on();
    }

    /// `notifications/message`, if the client wants it: a session by its level, a modern request by its own.
    pub fn handle_log(&mut self, now: Millis, call: CallKey, level: u8, params: &str) {
        self.at(now);
        self.engine.handle_log(&mut self.http, call, level, params);
        self.go_on();
    }

    /// Sends a request to the client of a legacy call. Its answer comes as [`Effect::Answered`] with the number
    /// returned here; `None` if the call is over.
    pub fn handle_ask(
        &mut self,
        now: Millis,
        call: CallKey,
        method: &str,
        params: &str,
    ) -> Option<u32> {
        self.at(now);
        let ask = self.engine.handle_ask(&mut self.http, call, method, params);
        self.go_on();
        ask
    }

    /// Ends the response stream before the answer: the client comes back for it. Only clients of 2025-11-25 do,
    /// and an event with an id was sent by then.
    pub fn handle_close_stream(&mut self, now: Millis, call: CallKey) {
        self.at(now);
        self.engine.handle_close_stream(&mut self.http, call);
        self.go_on();
    }

    /// On which connection a call's client waits for the answer. `None`: it is gone.
    #[must_use]
    pub fn connection_of(&self, call: CallKey) -> Option<ConnectionKey> {
        self.engine.exchange_of(call)
    }

    /// Notifies one session of this core.
    ///
    /// # Errors
    /// Why it was not notified. If too much is waiting for it, its connection is closed as well: the client is to come
    /// back for what waits.
    pub fn handle_notice(
        &mut self,
        now: Millis,
        session: &str,
        notice: &Notice,
    ) -> Result<(), NotifyRefused> {
        self.at(now);
        let queued = self.engine.handle_notice(&mut self.http, session, notice);
        self.go_on();
        queued
    }

    /// Notifies every session of this core. `offset` is the place that this took in the log.
    pub fn handle_notice_to_all(&mut self, now: Millis, offset: u64, notice: &Notice) {
        self.at(now);
        self.engine
            .handle_notice_to_all(&mut self.http, offset, notice);
        self.go_on();
    }

    /// Something was published, on this core or elsewhere. Offsets only grow.
    pub fn handle_publication(&mut self, publication: &Publication) {
        self.engine.handle_publication(publication);
    }

    /// What was published elsewhere is partly lost: anything may have changed, and every client is notified of that in the words
    /// of the protocol. This takes [`GAP_OFFSETS`](crate::limits::GAP_OFFSETS) offsets from `first` on.
    pub fn handle_gap(&mut self, first: u64) {
        self.engine.handle_gap(first);
    }

    /// Another core needs room for a session of somebody who holds so many.
    pub fn handle_make_room(&mut self, now: Millis, holds: u32) {
        self.at(now);
        self.engine.handle_make_room(&mut self.http, holds);
        self.go_on();
    }

    /// For what the driver holds for a client of this core itself. None: there is no room.
    pub fn handle_hold(
        &mut self,
        now: Millis,
        client: Option<Client>,
        count: usize,
    ) -> Option<Charge> {
        self.at(now);
        let charge = self.engine.charge(&mut self.http, client, count).ok();
        self.go_on();
        charge
    }

    /// Announces every session again, some at each look at the timers: whoever kept their records has lost them.
    pub fn handle_announce(&mut self) {
        self.engine.handle_announce();
    }

    /// Says of some sessions that they are there, the next ones each time: whoever keeps their records looks whether it
    /// still has them.
    pub fn handle_verify(&mut self) {
        self.engine.handle_verify();
    }

    /// The process ends, and every session with it.
    pub fn handle_end(&mut self) {
        self.engine.handle_end();
    }

    /// Whether something is wrong with this node that new clients had better not come to.
    pub fn handle_impaired(&mut self, impaired: bool) {
        self.http.handle_impaired(impaired);
    }

    /// Whether new clients should come, as long as it does not drain.
    pub fn handle_availability(&mut self, availability: Availability) {
        self.http.handle_availability(availability);
        self.engine
            .handle_loading(availability == Availability::Loading);
    }

    /// Drains from now on. False: it does already, and nothing changes.
    pub fn handle_drain(&mut self, now: Millis, times: DrainTimes) -> bool {
        self.at(now);
        self.http.handle_leaving();
        self.engine.handle_drain(times)
    }

    /// Ends what ran out of time and keeps silent streams alive.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.at(now);
        self.http.handle_timeout();
        self.notify_owners();
        self.engine.handle_timeout(&mut self.http);
        self.make_room_for_others();
        self.engine.go_on(&mut self.http);
        self.go_on();
    }

    pub fn poll_effect(&mut self) -> Option<Effect> {
        let output = self.http.poll_output().map(Effect::from);
        output.or_else(|| self.engine.poll_output().map(Effect::from))
    }

    /// The next connection with bytes to be written now, and the bytes. The driver writes what the kernel takes
    /// and calls [`Shard::handle_written`].
    pub fn poll_transmit(&mut self, bytes: &mut Vec<u8>) -> Option<ConnectionKey> {
        self.http.poll_transmit(bytes)
    }

    /// The next stream with topics to deliver, and the bytes. The driver calls [`Shard::handle_written`] only if
    /// the kernel did not take all of them: that saves a lookup for each of ten thousand streams.
    pub fn poll_fanout(&mut self, now: Millis, bytes: &mut Vec<u8>) -> Option<ConnectionKey> {
        self.at(now);
        self.engine.poll_fanout(&mut self.http, bytes)
    }

    /// Whether [`poll_fanout`](Shard::poll_fanout) has anything to look at.
    #[must_use]
    pub fn has_fanout(&self) -> bool {
        self.engine.has_fanout()
    }

    /// Brings what the next deliveries need into the cache; `touch` does so for what the driver has of a connection.
    pub fn touch_fanout(&self, count: usize, mut touch: impl FnMut(ConnectionKey)) {
        self.engine.touch_fanout(count, |key| {
            black_box(self.http.is_open(key));
            touch(key);
        });
    }

    /// When [`handle_timeout`](Shard::handle_timeout) is due. It may turn out to have nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let room = self.memory.deadline(self.http.now());
        let own = [room, self.http.next_deadline(), self.engine.next_deadline()];
        own.into_iter().flatten().min()
    }

    /// Whether the driver should read from this connection now; if not, [`Effect::Read`] will say when.
    #[must_use]
    pub fn wants_bytes(&self, key: ConnectionKey) -> bool {
        self.http.wants_bytes(key)
    }

    #[must_use]
    pub fn is_open(&self, key: ConnectionKey) -> bool {
        self.http.is_open(key)
    }

    #[must_use]
    pub fn drain_progress(&self) -> DrainProgress {
        self.engine.drain_progress()
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    #[must_use]
    pub fn counts(&self) -> ShardCounts {
        ShardCounts {
            connections: self.http.connection_count(),
            ..self.engine.counts()
        }
    }

    #[must_use]
    pub const fn entry_sizes() -> EntrySizes {
        Engine::entry_sizes(Http::<Engine>::ENTRY_BYTES)
    }

    /// Panics if anything a shard promises itself does not hold. Costs a walk over everything: for tests.
    pub fn invariants(&self) {
        self.http.invariants();
        self.engine.invariants();
        let mut known: Vec<_> = self.http.owners().collect();
        let mut owned: Vec<_> = self.engine.owned().collect();
        known.sort_unstable();
        owned.sort_unstable();
        assert_eq!(
            known, owned,
            "owners of exchanges, by the wire and the engine"
        );
    }

    fn at(&mut self, now: Millis) {
        self.http.at(now);
        self.engine.at(now);
    }

    /// Serves what is complete in `bytes` and what was there before, and keeps the rest.
    fn take_in(&mut self, key: ConnectionKey, bytes: &[u8]) {
        let Some(mut input) = self.http.lend(key, bytes) else {
            return;
        };
        while let Some(request) = self.http.next_request(key, &mut input, &mut self.engine) {
            let body = ReceivedBody::Text(request.body);
            self.engine.handle_request(&mut self.http, &request, body);
        }
        self.http.take_back(key, input);
    }

    /// Does what follows from what was done, until nothing follows any more.
    fn go_on(&mut self) {
        self.notify_owners();
        while let Some(key) = self.http.poll_freed() {
            if self.http.has_inbox(key) {
                self.take_in(key, &[]);
            }
            self.http.go_on_reading(key);
            self.notify_owners();
        }
    }

    fn notify_owners(&mut self) {
        while let Some(event) = self.http.poll_event() {
            self.engine.handle_event(&mut self.http, event);
        }
    }

    /// Another core, or this one, found no room: what is not needed here goes.
    fn make_room_for_others(&mut self) {
        let missing = self.memory.missing();
        if missing > 0 {
            self.engine.make_room(&mut self.http, missing);
            self.notify_owners();
            self.memory.settle();
        }
    }
}
