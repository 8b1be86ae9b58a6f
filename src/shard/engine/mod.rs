//! The engine of a shard: all that MCP is here, between requests that are complete and answers that are not bytes yet.
//! It has sessions, streams, calls and what they ask their clients, subscriptions and the fan-out, and what other nodes should
//! know. (It is not `mcp`: that is what the protocol says, this is what is done about it.)
//!
//! A plain value like the shard it is in, and useful by itself. Requests come in by [`Engine::handle_request`], what became
//! of their exchanges by [`Engine::handle_event`], what handlers do by the other `handle_*`. Answers go to the [`Wire`]
//! that each of them is given, whichever that is. The rest comes out by [`Engine::poll_output`].

mod admission;
mod call;
mod calls;
mod chase;
mod client_info;
mod count;
mod deliver;
mod description;
mod drain;
#[cfg(feature = "auth")]
mod ends;
mod event_id;
mod exchanges;
mod fanout;
mod grant;
mod guard;
mod handler_events;
mod hooks;
mod http_sse;
mod keys;
mod legacy;
#[cfg(feature = "auth")]
mod life;
mod listen;
mod look;
mod memory;
mod modern;
mod moved;
mod notices;
mod params;
mod place;
pub(super) mod position;
mod post;
#[cfg(any(test, feature = "internals"))]
pub mod properties;
mod responses;
mod resume;
#[cfg_attr(not(feature = "auth"), path = "no_rights.rs")]
mod rights;
mod session;
mod session_events;
mod session_lifecycle;
mod shown;
mod stream;
mod subscribe;
mod takeover;
#[cfg(test)]
mod tests;
mod timers;
mod traced;
pub(super) mod travel;
mod view;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::value::RawValue;

use self::call::CallState;
use self::chase::SilentStreams;
use self::client_info::ClientInfos;
use self::description::ServerDescription;
use self::drain::Drain;
use self::fanout::{Due, Fanout, ListenerKey};
use self::keys::{OfCall, OfSession, OfStream, StreamKey};
use self::moved::Moved;
use self::rights::Rights;
use self::session::Session;
use self::stream::Stream;
use self::takeover::{NO_LEASE, Takeover};
use self::timers::TimerKey;
use self::view::Records;
use super::arena::{self, Arena};
use super::body;
use super::exchange::{
    self, Closed, Destination, Exchange, ExchangeChange, ExchangeEvent, UpperLayer, Wire,
};
use super::fields::{self, RequestFields};
use super::memory::Memory;
use super::messages;
use super::refused::Refused;
use super::remote::{MissReason, SessionEvent, SessionInfo};
use super::stats::{self, EngineStats};
use super::wheel::{self, Millis, Wheel};
use super::{
    AcceptsSubscription, EntrySizes, HttpSsePaths, OwnSpelling, Publication, ShardCounts,
    ShardSetup,
};
use crate::app::call::{AskFailed, Call, Lifecycle, ServerInfoJson};
use crate::clients::{CallRates, Client, Commons};
use crate::limits::{GAP_OFFSETS, Limits};
use crate::wire::session_id::{NodeName, SessionId};

pub use self::drain::{DrainProgress, DrainTimes};
pub use self::keys::{CallKey, SessionKey};
pub(super) use self::look::ReceivedBody;
pub use self::look::{Look, Looked};

type Request<'a> = exchange::Request<'a, MissReason>;

pub(super) struct Engine {
    node: NodeName,
    core: u16,
    core_count: u16,
    incarnation: u64,
    limits: Limits,
    memory: Rc<Memory>,
    commons: Arc<Commons>,
    /// There may be other nodes, and what they should know is announced.
    is_clustered: bool,
    /// Where HTTP+SSE is, if it is there.
    http_sse: Option<HttpSsePaths>,
    server_info: Arc<ServerInfoJson>,
    description: ServerDescription,
    accepts: AcceptsSubscription,
    spelling: OwnSpelling,
    rights: Option<Box<Rights>>,
    secrets: Box<dyn FnMut() -> [u8; 16]>,
    now: Millis,
    /// The newest offset this core has heard of.
    offset: u64,
    sessions: Arena<Session, OfSession>,
    moved: Moved,
    /// None: sessions stay with their node.
    takeover: Option<Box<Takeover>>,
    /// From then on other nodes may have taken over what is here.
    lease_until: Millis,
    streams: Arena<Stream, OfStream>,
    silent: SilentStreams,
    calls: Arena<CallState, OfCall>,
    fanout: Fanout,
    wheel: Wheel<TimerKey>,
    /// For operators.
    records: Records,
    profiles: ClientInfos,
    calls_of_client: HashMap<Client, u32>,
    call_rates: CallRates,
    /// When other cores were last asked to make room for a session.
    asked_for_room: Option<Millis>,
    drain: Option<Drain>,
    /// What is on the board is being read.
    is_loading: bool,
    /// While all sessions are announced again: the slot that is next.
    announced: Option<usize>,
    /// The slot of the next session whose record is verified.
    verified: usize,
    outputs: VecDeque<EngineOutput>,
    /// Reused between deliveries.
    due: Vec<Due>,
    events: Vec<u8>,
    id_text: Vec<u8>,
    stats: EngineStats,
}

/// Whose an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExchangeOwner {
    /// A call runs; its answer is one JSON message unless it sends something before.
    Call(CallKey),
    /// An SSE response: the GET stream or the answer to a POST.
    Stream(StreamKey),
    /// An SSE response whose stream goes on elsewhere; see `chase`.
    Silent(StreamKey),
    /// The SSE response of `subscriptions/listen`.
    Listener(ListenerKey),
}

/// What the driver is to do; see [`Effect`](super::Effect), which has these in the same words.
pub(super) enum EngineOutput {
    Start {
        call: CallKey,
        request: Call,
    },
    Cancel(CallKey),
    Answered {
        call: CallKey,
        ask: u32,
        answer: Result<Box<RawValue>, AskFailed>,
    },
    Locate {
        exchange: Exchange,
        session: SessionId,
    },
    MakeRoom {
        holds: u32,
    },
    Lifecycle(Lifecycle),
    Announce(SessionEvent),
    HearingEnded(Closed),
}

impl Engine {
    pub(super) fn new(setup: ShardSetup, memory: Rc<Memory>, now: Millis) -> Self {
        let takeover = setup.adopts().then(Box::default);
        Engine {
            node: setup.node,
            core: setup.core,
            core_count: setup.core_count,
            incarnation: setup.incarnation,
            limits: setup.limits,
            memory,
            is_clustered: setup.cluster.is_some(),
            http_sse: setup.gate.http_sse,
            description: ServerDescription::of(&setup.server_info),
            server_info: setup.server_info,
            accepts: setup.accepts,
            spelling: setup.spelling,
            rights: None,
            secrets: setup.secrets,
            now,
            offset: 0,
            sessions: Arena::default(),
            moved: Moved::default(),
            takeover,
            lease_until: NO_LEASE,
            streams: Arena::default(),
            silent: SilentStreams::default(),
            calls: Arena::default(),
            fanout: Fanout::new(setup.commons.clone()),
            commons: setup.commons,
            wheel: Wheel::new(now),
            records: Records::default(),
            profiles: ClientInfos::default(),
            calls_of_client: HashMap::new(),
            call_rates: CallRates::new(setup.limits.calls_per_second_per_client_max),
            asked_for_room: None,
            drain: None,
            is_loading: false,
            announced: None,
            verified: 0,
            outputs: VecDeque::new(),
            due: Vec::new(),
            events: Vec::new(),
            id_text: Vec::new(),
            stats: EngineStats::default(),
        }
    }

    /// The time at which whatever comes next happens.
    pub(super) fn at(&mut self, now: Millis) {
        self.now = now;
    }

    /// Something was published, on this core or elsewhere. Offsets only grow.
    pub(super) fn handle_publication(&mut self, publication: &Publication) {
        debug_assert!(publication.offset > self.offset);
        self.offset = publication.offset;
        let Publication {
            offset,
            published,
            topic,
            principal,
        } = publication;
        match principal {
            None => self.fanout.publish(topic, *offset),
            Some(principal) => self.fanout.publish_to(*principal, topic, *offset, self.now),
        }
        let is_heard = self.fanout.has_ready();
        self.stats.count_publication(*published, is_heard);
    }

    /// What was published elsewhere is partly lost: anything may have changed, and everyone is notified so in the words
    /// of the protocol. This takes [`GAP_OFFSETS`] offsets from `first` on.
    pub(super) fn handle_gap(&mut self, first: u64) {
        debug_assert!(first > self.offset);
        self.offset = first + GAP_OFFSETS - 1;
        self.fanout.publish_everything(first..=self.offset);
    }

    pub(super) fn core(&self) -> u16 {
        self.core
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn poll_output(&mut self) -> Option<EngineOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Engine::handle_timeout) is due.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let has_changes = self.takeover.as_ref().is_some_and(|it| it.has_changes());
        let is_busy = self.announced.is_some() || has_changes || self.is_looking();
        let own = [
            is_busy.then_some(self.now),
            self.drain_deadline(),
            self.arming_deadline(),
            self.lease_deadline(),
        ];
        own.into_iter()
            .flatten()
            .chain(self.wheel.next_deadline())
            .min()
    }

    /// All but the connections, and what they hold.
    pub(super) fn counts(&self) -> ShardCounts {
        ShardCounts {
            connections: 0,
            sessions: self.sessions.len(),
            streams: self.streams.len(),
            listeners: self.fanout.listener_count(),
            topics: self.fanout.topic_count(),
            calls: self.calls.len(),
            held_bytes: self.memory.used(),
        }
    }

    /// All but a connection's.
    pub(super) const fn entry_sizes(connection: usize) -> EntrySizes {
        EntrySizes {
            connection,
            session: Arena::<Session>::entry_size(),
            stream: Arena::<Stream>::entry_size(),
            listener: Arena::<fanout::Listener>::entry_size(),
            call: Arena::<CallState>::entry_size(),
            subscription: fanout::SUBSCRIPTION_BYTES,
        }
    }

    /// Whose sessions there are. For tests.
    pub(super) fn session_clients(&self) -> impl Iterator<Item = Client> {
        self.sessions.iter().filter_map(|(_, it)| it.client)
    }

    /// What is counted of subscriptions for whom. For tests.
    pub(super) fn subscriptions_paid(&self) -> impl Iterator<Item = (Client, usize)> {
        self.fanout.paid()
    }

    /// Of subscriptions to resources. For tests.
    pub(super) fn subscription_bytes(&self) -> usize {
        self.fanout.bytes()
    }

    /// Panics if anything that this promises itself does not hold. For tests.
    pub(super) fn invariants(&self) {
        self.profiles.invariants();
        self.fanout.invariants();
        self.call_invariants();
        self.chase_invariants();
        self.moved_invariants();
        for (key, stream) in self.streams.iter() {
            stream.invariants();
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
            assert!(matches!(listener.kind, fanout::ListenerKind::Session(it) if it == key));
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
