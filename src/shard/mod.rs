//! All that one core owns: connections, sessions, streams, subscriptions, timers. Start reading here.
//!
//! A [`Shard`] is a plain value. Bytes, publications, what handlers do, and the time go in through `handle_*`;
//! effects, bytes to write and a deadline come out through `poll_*`. It never waits, reads no clock and touches no
//! socket, so a test drives it step by step and a simulation drives hundreds.
//!
//! After every `handle_*` the driver drains [`Shard::poll_effect`] and [`Shard::poll_transmit`] to `None`;
//! [`Shard::poll_fanout`] it drains in portions, as it sees fit; and it calls [`Shard::handle_timeout`] when
//! [`Shard::poll_timeout`] says so.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod admission;
mod answer;
mod arena;
mod call;
mod chase;
mod client;
mod connection;
mod deliver;
mod drain;
mod elsewhere;
mod event_id;
mod fanout;
mod half_close;
mod handler_events;
mod hold;
mod hooks;
mod introduction;
mod legacy;
mod listen;
mod look;
mod memory;
mod modern;
mod params;
mod post;
mod profile;
mod receive;
mod request;
mod resume;
mod session;
mod sessions;
mod stream;
mod tell;
mod timers;
mod wheel;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::arena::Arena;
use self::call::CallState;
use self::chase::Silent;
use self::connection::Connection;
use self::drain::Drain;
use self::fanout::{Due, Fanout};
use self::introduction::Introduction;
use self::memory::Shares;
use self::profile::Profiles;
use self::session::Session;
use self::stream::Stream;
use self::timers::TimerKey;
use self::wheel::Wheel;
use crate::app::call::{About, AskFailed, Availability, Call, Lifecycle, Topic};
use crate::budget::{Account, Charge};
use crate::clients::{Client, Commons, Ticket};
use crate::limits::{GAP_OFFSETS, Limits, MEMORY_PORTION_BYTES};
use crate::wire::session_id::{NodeName, SessionId};
use crate::wire::uri::NotAUri;

pub use self::call::CallKey;
pub use self::client::TooMany;
pub use self::connection::{Closed, ConnectionKey};
pub use self::drain::{DrainProgress, DrainTimes};
pub use self::elsewhere::{Cluster, Gone, Located, Presence, SessionAbout};
pub use self::look::{Look, Looked};
pub use self::session::SessionKey;
pub use self::wheel::Millis;

/// What a shard is told once, at its start.
pub struct Setup {
    pub node: NodeName,
    /// This core's number and how many there are.
    pub core: u16,
    pub core_count: u16,
    /// Distinguishes this process from earlier ones of the same node: session ids of those are recognised.
    pub boot: u64,
    pub limits: Limits,
    /// What this core shares with the others of its node.
    pub commons: Arc<Commons>,
    pub gate: Gate,
    /// None: this node is alone.
    pub cluster: Option<Cluster>,
    pub about: Arc<About>,
    pub accepts: Accepts,
    /// 16 random bytes for each session's secret.
    pub secrets: Box<dyn FnMut() -> [u8; 16]>,
}

/// The application's word on a URI that a client wants to hear of: how the application itself spells it when it
/// publishes, and nothing if nobody may subscribe to it.
pub type Accepts = Box<dyn Fn(&str) -> Result<Option<Box<str>>, NotAUri>>;

/// Who is let in: path, `Host` and `Origin`.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The MCP endpoint, `/mcp`.
    pub path: Box<str>,
    /// Listening on loopback: only requests that were meant for it are served (DNS rebinding).
    pub loopback: bool,
    /// `Host` values besides loopback names that are let in; without any, every host is if not `loopback`.
    pub hosts: Vec<Box<str>>,
    /// `Origin` values besides loopback ones (those only if `loopback`) that are let in.
    pub origins: Vec<Box<str>>,
}

/// What the driver is to do.
pub enum Effect {
    /// Let the application work on this. Its answer comes by [`Shard::handle_outcome`].
    Start { call: CallKey, request: Call },
    /// Nobody waits for this call any more: drop it.
    Cancel(CallKey),
    /// What the client answered to a request of this call.
    Answered {
        call: CallKey,
        ask: u32,
        answer: Result<Box<RawValue>, AskFailed>,
    },
    /// The connection belongs on another core, together with what was read of it.
    Move {
        connection: ConnectionKey,
        core: u16,
        bytes: Vec<u8>,
        ticket: Ticket,
    },
    /// Run this on a thread that may take its time, and say what came of it by [`Shard::handle_looked`]; its charge
    /// ends with that, whoever still waits for it.
    Look {
        connection: ConnectionKey,
        look: Look,
        charge: Charge,
    },
    /// Find out whether the node of this session lives, and say so by [`Shard::handle_located`].
    Locate {
        connection: ConnectionKey,
        session: SessionId,
    },
    /// The connection leaves for another node, together with what was read of it: a whole head and what follows.
    /// Its key is stale.
    Forward {
        connection: ConnectionKey,
        bytes: Vec<u8>,
        /// Whose request it is.
        client: Option<Client>,
        ticket: Ticket,
    },
    /// Call [`Shard::handle_released`] after so many milliseconds: until then nothing is written to this connection.
    Hold {
        connection: ConnectionKey,
        ms: Millis,
    },
    /// The node is full, and the sessions to end are rather on another core: tell all of them, by
    /// [`Shard::handle_make_room`].
    MakeRoom { holds: u32 },
    /// Tell the application; nothing waits for it.
    Tell(Lifecycle),
    /// Tell the other nodes; nothing waits for it.
    Say(Presence),
    /// Reading was paused ([`Shard::wants_bytes`]) and goes on.
    Read(ConnectionKey),
    /// No more bytes will be written: half-close, and go on reading until the peer closes.
    ShutdownWrite(ConnectionKey),
    /// The connection is over and its key is stale.
    Close {
        connection: ConnectionKey,
        reason: Closed,
    },
}

/// A notification with its place in the log: what the sequencer hands to every core in the same order.
#[derive(Clone, Debug)]
pub struct Publication {
    pub offset: u64,
    pub topic: Topic,
}

/// How many of everything there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: usize,
    pub sessions: usize,
    pub streams: usize,
    pub listeners: usize,
    pub topics: usize,
    pub calls: usize,
    /// Of the memory budget, in use.
    pub held_bytes: usize,
}

/// Bytes of each kind of entry, for the memory bill.
#[derive(Clone, Copy, Debug)]
pub struct EntrySizes {
    pub connection: usize,
    pub session: usize,
    pub stream: usize,
    pub listener: usize,
    pub call: usize,
    /// Both sides of the index.
    pub subscription: usize,
}

pub struct Shard {
    node: NodeName,
    core: u16,
    core_count: u16,
    boot: u64,
    limits: Limits,
    memory: Rc<Account>,
    /// Connections that hold something, in no order.
    holders: Vec<ConnectionKey>,
    shares: Shares,
    /// Until then it is known that no room can be made.
    no_room_until: Millis,
    commons: Arc<Commons>,
    gate: Gate,
    cluster: Option<Cluster>,
    about: Arc<About>,
    introduction: Introduction,
    accepts: Accepts,
    secrets: Box<dyn FnMut() -> [u8; 16]>,
    now: Millis,
    /// The newest offset this core has heard of.
    offset: u64,
    connections: Arena<Connection>,
    sessions: Arena<Session>,
    streams: Arena<Stream>,
    silent: Silent,
    calls: Arena<CallState>,
    fanout: Fanout,
    wheel: Wheel<TimerKey>,
    profiles: Profiles,
    calls_of_client: HashMap<Client, u32>,
    /// When other cores were last asked to make room for a session.
    asked_for_room: Option<Millis>,
    drain: Option<Drain>,
    /// A thread of this node hangs, or is gone.
    impaired: bool,
    /// See [`handle_late`](Shard::handle_late).
    busy_until: Millis,
    /// But for a drain.
    availability: Availability,
    /// While all sessions are announced again: the slot that is next.
    announced: Option<usize>,
    /// The slot of the next session whose record is verified.
    verified: usize,
    effects: VecDeque<Effect>,
    /// Connections with something in their outbox.
    dirty: VecDeque<ConnectionKey>,
    /// Connections that became free for what was read ahead on them.
    freed: VecDeque<ConnectionKey>,
    /// Reused between deliveries.
    due: Vec<Due>,
    events: Vec<u8>,
    id_text: Vec<u8>,
}

impl Shard {
    #[must_use]
    pub fn new(setup: Setup, now: Millis) -> Self {
        let portion = MEMORY_PORTION_BYTES.min(setup.commons.memory.total() / 64);
        Shard {
            node: setup.node,
            core: setup.core,
            core_count: setup.core_count,
            boot: setup.boot,
            limits: setup.limits,
            memory: Account::new(setup.commons.memory.clone(), portion),
            holders: Vec::new(),
            shares: Shares::default(),
            no_room_until: 0,
            gate: setup.gate,
            cluster: setup.cluster,
            introduction: Introduction::of(&setup.about),
            about: setup.about,
            accepts: setup.accepts,
            secrets: setup.secrets,
            now,
            offset: 0,
            connections: Arena::default(),
            sessions: Arena::default(),
            streams: Arena::default(),
            silent: Silent::default(),
            calls: Arena::default(),
            fanout: Fanout::new(setup.commons.subscription_bytes.clone()),
            commons: setup.commons,
            wheel: Wheel::new(now),
            profiles: Profiles::default(),
            calls_of_client: HashMap::new(),
            asked_for_room: None,
            drain: None,
            impaired: false,
            busy_until: now,
            availability: Availability::Ready,
            announced: None,
            verified: 0,
            effects: VecDeque::new(),
            dirty: VecDeque::new(),
            freed: VecDeque::new(),
            due: Vec::new(),
            events: Vec::new(),
            id_text: Vec::new(),
        }
    }

    /// Bytes arrived. What they ask for is done before this returns, except for the application's part.
    pub fn handle_bytes(&mut self, now: Millis, key: ConnectionKey, bytes: &[u8]) {
        self.now = now;
        self.take_in(key, bytes);
        self.settle(key);
        self.arm_connection(key);
        self.serve_freed();
    }

    /// The peer closed, or the connection broke. The key is stale afterwards.
    pub fn handle_disconnect(&mut self, now: Millis, key: ConnectionKey) {
        self.now = now;
        self.close_connection(key, Closed::PeerLeft);
        self.serve_freed();
    }

    /// Of what [`poll_transmit`](Shard::poll_transmit) or [`poll_fanout`](Shard::poll_fanout) gave for this connection
    /// so many bytes are not written yet. While it is not 0 the driver writes them, and nothing more is given for the
    /// connection.
    pub fn handle_written(&mut self, now: Millis, key: ConnectionKey, rest: usize) {
        self.now = now;
        self.written(key, rest);
        self.serve_freed();
    }

    /// Another part of a write under way was taken by the kernel.
    pub fn handle_progress(&mut self, now: Millis, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.since = now;
        }
    }

    /// Something was published, on this core or elsewhere. Offsets only grow.
    pub fn handle_publication(&mut self, publication: &Publication) {
        debug_assert!(publication.offset > self.offset);
        self.offset = publication.offset;
        self.fanout.publish(&publication.topic, publication.offset);
    }

    /// What was published elsewhere is partly lost: anything may have changed, and everyone is told so in the words
    /// of the protocol. This takes [`GAP_OFFSETS`] offsets from `first` on.
    pub fn handle_gap(&mut self, first: u64) {
        debug_assert!(first > self.offset);
        self.offset = first + GAP_OFFSETS - 1;
        self.fanout.publish_everything(first..=self.offset);
    }

    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`handle_timeout`](Shard::handle_timeout) is due. It may turn out to have nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let announcing = self.announced.map(|_| self.now);
        let own = [announcing, self.drain_deadline(), self.room_deadline()];
        own.into_iter()
            .flatten()
            .chain(self.wheel.next_deadline())
            .min()
    }

    /// Whether the driver should read from this connection now; if not, [`Effect::Read`] will say when.
    #[must_use]
    pub fn wants_bytes(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|connection| {
            let wants = connection.wants_bytes(self.limits.pipeline_bytes_max);
            connection.paused.set(!wants);
            wants
        })
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub fn is_open(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            streams: self.streams.len(),
            listeners: self.fanout.listener_count(),
            topics: self.fanout.topic_count(),
            calls: self.calls.len(),
            held_bytes: self.memory.used(),
        }
    }

    #[must_use]
    pub const fn entry_sizes() -> EntrySizes {
        EntrySizes {
            connection: Arena::<Connection>::entry_size(),
            session: Arena::<Session>::entry_size(),
            stream: Arena::<Stream>::entry_size(),
            listener: Arena::<fanout::Listener>::entry_size(),
            call: Arena::<CallState>::entry_size(),
            subscription: fanout::SUBSCRIPTION_BYTES,
        }
    }

    /// Panics if anything a shard promises itself does not hold. Costs a walk over everything: for tests.
    pub fn invariants(&self) {
        self.profiles.invariants();
        self.fanout.invariants();
        self.memory_invariants();
        self.client_invariants();
        self.chase_invariants();
        for (key, connection) in self.connections.iter() {
            connection.invariants();
            match connection.state {
                connection::State::Streaming(stream) => {
                    let stream = self
                        .streams
                        .get(stream)
                        .expect("a streaming connection has its stream");
                    assert_eq!(stream.connection, Some(key));
                }
                connection::State::Listening(listener) => {
                    let listener = self
                        .fanout
                        .listener(listener)
                        .expect("a listening connection has its listener");
                    assert_eq!(listener.outlet, Some(key));
                }
                connection::State::ExpectAnswer(call) => assert!(self.calls.get(call).is_some()),
                _ => {}
            }
        }
        for (key, stream) in self.streams.iter() {
            stream.invariants();
            if let Some(connection) = stream.connection {
                let connection = self
                    .connections
                    .get(connection)
                    .expect("a stream's connection lives");
                assert!(matches!(connection.state, connection::State::Streaming(it) if it == key));
            }
            if let Some(session) = stream.session {
                let session = self
                    .sessions
                    .get(session)
                    .expect("a stream ends with its session");
                assert!(session.standalone == Some(key) || session.streams.contains(&key));
            }
        }
        for (key, session) in self.sessions.iter() {
            let listener = self
                .fanout
                .listener(session.listener)
                .expect("a session has its listener");
            assert!(matches!(listener.voice, fanout::Voice::Session(it) if it == key));
            let standalone = session.standalone.and_then(|it| self.streams.get(it));
            assert_eq!(
                listener.sequence,
                standalone.map_or(0, Stream::last_written)
            );
            for &call in &session.calls {
                assert_eq!(
                    self.calls
                        .get(call)
                        .expect("a session's call lives")
                        .session,
                    Some(key)
                );
            }
        }
    }
}
