//! Requests for sessions of other nodes: passed on with their connection, answered through it, streams included.
//!
//! A [`Forwarder`] is all that one core knows of other nodes, and a plain value like its
//! [`Shard`](crate::shard::Shard): what came from the sockets, what was found out of other nodes, and the time go in
//! through `handle_*`; effects and bytes to write come out through `poll_*`.
//!
//! ```text
//! shard ─Locate─▶ handle_locate ─(asks, or remembers)─▶ Effect::Located
//! shard ─Forward(connection, bytes)─▶ handle_forward ─▶ Connect, or Reuse ─▶ both sides ─▶ Effect::Return
//! ```
//!
//! While a request is passed on, its connection belongs to no shard. It is a *passage*: at first an exchange
//! (`exchange.rs`), and from the head of a stream on a relay (`relay.rs`). When the answer is complete the connection
//! returns to the shard for its next request. When a client leaves, the connection to the owner ends with it, so that the
//! owner sees it leave too. A client that only sends nothing more ends its sending to the owner, and gets its answer.
//! Why requests are passed on: `docs/decisions/0007-forward-rather-than-redirect.md`.
//!
//! After every `handle_*` the driver drains [`poll_transmit`](Forwarder::poll_transmit), and then
//! [`poll_effect`](Forwarder::poll_effect), to `None`. It reads from a socket only while [`Forwarder::reads`] says so.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

mod drain;
mod ends;
mod exchange;
mod owners;
mod passage;
mod pool;
mod relay;
mod request;
mod response;
mod search;
mod sides;
mod travel;
mod unanswered;
mod unsent;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use slab::Slab;

use self::drain::ForwardDrain;
use self::exchange::ForwardedExchange;
use self::owners::Owners;
use self::passage::{Passage, PassageState};
use self::pool::IdlePool;
use self::request::Outgoing;
use self::search::Asker;
use crate::budget::Charge;
use crate::clients::{Client, Ticket};
use crate::limits::Limits;
use crate::shard::{ConnectionKey, Located, Millis, MissReason, SessionEvent};
use crate::wire::forwarded::PeerSecret;
use crate::wire::http1::Method;
use crate::wire::session_id::{NodeName, Process, SessionId};

pub use self::owners::SessionOwner;
pub use self::passage::{PassageKey, Side, SocketInterest};
pub use self::pool::IdleKey;
pub use self::relay::RelayBuffer;
pub use self::search::Question;
pub use self::sides::PassMode;
pub use self::travel::TravellingStream;

/// Of a request that is passed on and of its answer no more is held at once: what was read of it and of the next ones,
/// and what each side has not taken yet.
pub const EXCHANGE_BYTES: usize = 256 * 1024;

/// A node that is there takes a connection in less than a millisecond.
const CONNECT_MS: Millis = 1_000;

/// What a forwarder is given once, at its start.
pub struct ForwarderSetup {
    pub node: NodeName,
    /// The MCP endpoint, `/mcp`.
    pub path: Box<str>,
    /// None: requests for other nodes' sessions are answered 404 `misrouted`.
    pub secret: Option<PeerSecret>,
    pub limits: Limits,
    /// What one read from a socket brings at most.
    pub read_bytes_max: usize,
}

/// A request that leaves its shard, with its connection.
pub struct Departing {
    /// What was read of the connection: a whole head, and what follows.
    pub bytes: Vec<u8>,
    /// Whose it is. The owner is told its address; a principal it finds out by itself.
    pub client: Option<Client>,
    /// Of its connection and of that to the owner.
    pub ticket: Ticket,
    /// Of [`EXCHANGE_BYTES`].
    pub charge: Charge,
}

/// A connection that a shard takes back, with what was read of it since; `gone` says why its request was not answered.
pub struct Returning {
    pub bytes: Vec<u8>,
    pub gone: Option<MissReason>,
    pub ticket: Ticket,
}

/// What the driver is to do.
pub enum ForwardEffect {
    /// Tell the shard ([`Shard::handle_located`](crate::shard::Shard::handle_located)).
    Located {
        connection: ConnectionKey,
        located: Located,
    },
    /// Ask where the node of this session is, and say so by [`Forwarder::handle_owner`], within this time.
    Ask {
        question: Question,
        session: SessionId,
        within_ms: Millis,
    },
    /// Open a connection to this owner, and say so by [`Forwarder::handle_connected`] or
    /// [`Forwarder::handle_unconnected`], within this time.
    Connect {
        key: PassageKey,
        session: SessionId,
        /// Which is to be there.
        process: Process,
        address: SocketAddr,
        within_ms: Millis,
    },
    /// Take this idle connection if nothing has come on it ([`Forwarder::handle_connected`]); else close it
    /// ([`Forwarder::handle_stale`]).
    Reuse { key: PassageKey, idle: IdleKey },
    /// Open a connection to this owner to see if it takes any, and say so by [`Forwarder::handle_probed`].
    Probe {
        key: PassageKey,
        process: Process,
        address: SocketAddr,
        within_ms: Millis,
    },
    /// The owner's connection waits for another request.
    Keep { key: PassageKey, idle: IdleKey },
    /// Close it: it has waited for too long.
    Discard(IdleKey),
    /// Wait for something else at a socket. If that cannot be done: [`Forwarder::handle_unwatched`].
    Watch {
        key: PassageKey,
        side: Side,
        from: SocketInterest,
        to: SocketInterest,
    },
    /// Nothing more will be written to this side: half-close.
    EndSending { key: PassageKey, side: Side },
    /// Close the owner's connection.
    LoseOwner(PassageKey),
    /// Ask for room in the node's budget, and say so by [`Forwarder::handle_held`].
    Hold {
        key: PassageKey,
        what: RelayBuffer,
        count: usize,
    },
    /// The connection goes back to the shard. Its key is stale, and so is the owner's connection, if it is still there.
    Return {
        key: PassageKey,
        returning: Returning,
    },
    /// Both connections are over, and their key is stale.
    Close(PassageKey),
    /// Tell the other nodes; nothing waits for it.
    Announce(SessionEvent),
}

/// What became of requests that were to be passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounts {
    /// The owner's answer was passed on, or the head of a stream was.
    pub answered: u64,
    /// Nobody knows what became of it: the owner or the client was lost, or said what cannot be understood.
    pub broke_off: u64,
    /// The owner was not there: its client was told so by the shard here.
    pub returned: u64,
}

pub struct Forwarder {
    node: NodeName,
    path: Box<str>,
    secret: Option<PeerSecret>,
    limits: Limits,
    read_bytes_max: usize,
    owners: Owners,
    /// Who waits to hear where a session is.
    askers: Slab<Asker>,
    /// Of the connections among them: each has one question.
    asking: HashMap<ConnectionKey, usize>,
    pool: IdlePool,
    /// Every request that is being passed on, and every stream.
    passages: Slab<Passage>,
    generation: u32,
    /// Those that have a time of their own: all but the streams whose clients take everything.
    timed: BTreeSet<u32>,
    /// When silent owners of streams were last looked for.
    looked_at: Millis,
    drain: Option<ForwardDrain>,
    effects: VecDeque<ForwardEffect>,
    /// What may have something for one of its sides.
    outgoing: VecDeque<(PassageKey, Side)>,
    /// Of what something happened to: whether the driver waits for the right things.
    unsettled: Vec<PassageKey>,
    /// Where decoded chunks go that nobody reads.
    sink: Vec<u8>,
    counts: ForwardCounts,
}

impl Forwarder {
    #[must_use]
    pub fn new(setup: ForwarderSetup) -> Self {
        Forwarder {
            node: setup.node,
            path: setup.path,
            secret: setup.secret,
            limits: setup.limits,
            read_bytes_max: setup.read_bytes_max,
            owners: Owners::default(),
            askers: Slab::new(),
            asking: HashMap::new(),
            pool: IdlePool::default(),
            passages: Slab::new(),
            generation: 0,
            timed: BTreeSet::new(),
            looked_at: 0,
            drain: None,
            effects: VecDeque::new(),
            outgoing: VecDeque::new(),
            unsettled: Vec::new(),
            sink: Vec::new(),
            counts: ForwardCounts::default(),
        }
    }

    /// Passes on the request that the bytes begin with.
    ///
    /// # Errors
    /// It is none that could be: the shard takes it back at once.
    pub fn handle_forward(
        &mut self,
        now: Millis,
        departing: Departing,
    ) -> Result<PassageKey, Returning> {
        let Departing {
            bytes,
            client,
            ticket,
            charge,
        } = departing;
        let address = client.and_then(Client::address);
        let outgoing = self.secret.as_ref().and_then(|secret| {
            let known = (&self.limits, &*self.path);
            Outgoing::read(&bytes, known, self.node, secret, address)
        });
        let Some(outgoing) = outgoing else {
            let gone = Some(MissReason::CannotTell);
            self.counts.returned += 1;
            return Err(Returning {
                bytes,
                gone,
                ticket,
            });
        };
        self.generation = self.generation.wrapping_add(1);
        let (generation, session) = (self.generation, outgoing.session);
        let exchange = ForwardedExchange::new(outgoing, bytes, charge);
        let index = self.passages.insert(Passage {
            generation,
            client_watched: SocketInterest::Nothing,
            owner_watched: SocketInterest::Nothing,
            ended: false,
            session,
            ticket,
            state: PassageState::Exchange(Box::new(exchange)),
        }) as u32;
        let key = PassageKey { index, generation };
        self.timed.insert(index);
        // Another request may have found in the meantime that nobody is there, which is no reason for this one.
        match self.owners.known(session) {
            Some(_) => self.connect(now, key),
            None => {
                self.ask(session, Asker::Passage(key));
            }
        }
        Ok(key)
    }

    /// A side that has something to be written: [`unsent`](Forwarder::unsent), until
    /// [`handle_sent`](Forwarder::handle_sent) says that it is.
    pub fn poll_transmit(&mut self) -> Option<(PassageKey, Side)> {
        loop {
            let (key, side) = self.outgoing.pop_front()?;
            if !self.unsent(key, side).is_empty() {
                return Some((key, side));
            }
        }
    }

    pub fn poll_effect(&mut self) -> Option<ForwardEffect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            let key = self.unsettled.pop()?;
            self.watch_right(key);
        }
    }

    /// Whether the driver has something to poll.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !(self.effects.is_empty() && self.outgoing.is_empty() && self.unsettled.is_empty())
    }

    /// Requests and streams that are passed on, which count as connections of this node.
    #[must_use]
    pub fn count(&self) -> usize {
        self.passages.len()
    }

    /// What became of those that are over.
    #[must_use]
    pub fn counts(&self) -> ForwardCounts {
        self.counts
    }

    /// Whether the passage goes on.
    #[must_use]
    pub fn is_open(&self, key: PassageKey) -> bool {
        self.passage_ref(key).is_some()
    }

    /// Whether the driver reads from this side now.
    #[must_use]
    pub fn reads(&self, key: PassageKey, side: Side) -> bool {
        self.passage_ref(key)
            .is_some_and(|it| it.wants(side, &self.limits).reads())
    }

    /// What this side has not taken yet.
    #[must_use]
    pub fn unsent(&self, key: PassageKey, side: Side) -> &[u8] {
        self.passage_ref(key).map_or(&[], |it| it.unsent(side))
    }

    fn passage_ref(&self, key: PassageKey) -> Option<&Passage> {
        let passage = self.passages.get(key.index as usize)?;
        (passage.generation == key.generation).then_some(passage)
    }

    fn passage(&mut self, key: PassageKey) -> Option<&mut Passage> {
        let passage = self.passages.get_mut(key.index as usize)?;
        (passage.generation == key.generation).then_some(passage)
    }

    fn exchange(&mut self, key: PassageKey) -> Option<&mut ForwardedExchange> {
        match &mut self.passage(key)?.state {
            PassageState::Exchange(exchange) => Some(exchange),
            PassageState::Relay(_) => None,
        }
    }

    fn transmits(&mut self, key: PassageKey, side: Side) {
        self.outgoing.push_back((key, side));
        self.settle(key);
    }

    fn settle(&mut self, key: PassageKey) {
        if self.unsettled.last() != Some(&key) {
            self.unsettled.push(key);
        }
    }

    fn watch_right(&mut self, key: PassageKey) {
        let limits = self.limits;
        let Some(passage) = self.passage(key) else {
            return;
        };
        let is_timed =
            passage.due(&limits).is_some() || !matches!(passage.state, PassageState::Relay(_));
        let mut changes = [None, None];
        for (side, change) in [Side::Client, Side::Owner].into_iter().zip(&mut changes) {
            let to = passage.wants(side, &limits);
            let from = std::mem::replace(passage.watched(side), to);
            *change = (from != to).then_some(ForwardEffect::Watch {
                key,
                side,
                from,
                to,
            });
        }
        self.effects.extend(changes.into_iter().flatten());
        match is_timed {
            true => self.timed.insert(key.index),
            false => self.timed.remove(&key.index),
        };
    }

    /// Whatever became of a DELETE on its way, its client is done with the session: no record of it should stay.
    fn announce_if_deleted(&mut self, key: PassageKey) {
        let Some(Passage { session, state, .. }) = self.passage_ref(key) else {
            return;
        };
        let session = *session;
        if matches!(state, PassageState::Exchange(it) if it.method == Method::Delete) {
            let ended = SessionEvent::Ended { session };
            self.effects.push_back(ForwardEffect::Announce(ended));
        }
    }

    /// Bytes of each stream, and of each request besides.
    #[must_use]
    pub const fn entry_sizes() -> (usize, usize) {
        (size_of::<Passage>(), size_of::<ForwardedExchange>())
    }

    /// What is held of requests, answers and streams at this moment.
    pub fn held_bytes(&self) -> impl Iterator<Item = usize> {
        self.passages.iter().map(|(_, it)| match &it.state {
            PassageState::Exchange(exchange) => exchange.held_bytes(),
            PassageState::Relay(relay) => relay.held_bytes(),
        })
    }

    /// How many questions have no answer yet.
    #[must_use]
    pub fn question_count(&self) -> usize {
        self.askers.len().max(self.asking.len())
    }

    /// What may be read ahead of one client: what the shard had read, and what one read brought when there was still room.
    fn ahead_max(&self) -> usize {
        self.limits.pipeline_bytes_max + self.read_bytes_max
    }

    /// How many idle connections there are.
    #[must_use]
    pub fn idle_count(&self) -> usize {
        self.pool.count()
    }

    /// Panics if anything a forwarder promises itself does not hold: for tests, with everything polled.
    pub fn invariants(&self) {
        assert!(!self.has_work(), "it is looked at when all is polled");
        for (index, passage) in &self.passages {
            let is_timed = self.timed.contains(&(index as u32));
            assert!(is_timed || passage.due(&self.limits).is_none());
            let watched = [passage.client_watched, passage.owner_watched];
            let wants = [Side::Client, Side::Owner].map(|side| passage.wants(side, &self.limits));
            assert_eq!(watched, wants, "the driver waits for something else");
            assert!(
                passage.ahead() <= self.ahead_max(),
                "{} bytes are read ahead",
                passage.ahead()
            );
        }
        let there = |index: &u32| self.passages.contains(*index as usize);
        assert!(self.timed.iter().all(there));
    }
}
