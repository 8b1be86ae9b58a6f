//! Requests for sessions of other nodes: passed on with their connection, answered through it, streams included.
//!
//! ```text
//! shard ─Locate─▶ Abroad ─(asks the control thread, or remembers)─▶ Shard::handle_located
//! shard ─Forward(connection, bytes)─▶ run ─▶ exchange (two directions at once) ─▶ the connection comes back
//! ```
//!
//! While a request is passed on, its connection is no shard's: bytes go from socket to socket through the core's
//! shared scratch buffer, and none are kept but those that a slow side did not take yet. When the answer is complete
//! the connection returns to the shard for its next request. A client that leaves takes the connection to the owner
//! with it, so that the owner sees it leave too; one that only sends nothing more ends its sending to the owner, and has
//! its answer.

mod exchange;
mod pool;
mod relay;

mod unanswered;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monoio::net::TcpStream;
use slab::Slab;

use self::exchange::Ended;
use self::pool::Pool;
use self::relay::Relays;
use super::core::Core;
use super::neighbours::{Joined, Owner};
use super::seldom::Seldom;
use super::{clock, readiness, socket};
use crate::budget::Charge;
use crate::clients::{self, Ticket};
use crate::limits::Limits;
use crate::shard::{ConnectionKey, DrainTimes, Gone, Located, Presence};
use crate::wire::http1::Method;
use crate::wire::session_id::{NodeName, SessionId};

/// Of a request that is passed on and of its answer no more is held at once: what was read of it and of the next ones,
/// and what each side has not taken yet.
pub(super) const EXCHANGE_BYTES: usize = 256 * 1024;

/// How long a node is believed to live without asking again.
const OWNER_FRESH: Duration = Duration::from_secs(1);
/// How long an owner is looked for before the client is told that it cannot be found.
const LOCATE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a core says that it is out of something.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// How often some of what is under way ends while the node takes its leave.
const DRAIN_STEP_MS: u64 = 64;

/// What one core knows of other nodes.
pub(super) struct Abroad {
    joined: Joined,
    node: NodeName,
    path: Box<str>,
    /// Nodes that answered lately.
    owners: RefCell<HashMap<Process, Known>>,
    pool: RefCell<Pool>,
    /// Said since the last time that it was handed on.
    said: RefCell<Vec<Presence>>,
    /// Every request that is being passed on.
    under_way: RefCell<Slab<UnderWay>>,
    /// Streams whose head has been passed on.
    relays: Relays,
    /// What goes on of the bytes that were just read. One for all, as nothing is kept in it.
    out: RefCell<Vec<u8>>,
    draining: Cell<bool>,
    /// When it was last logged that this machine is out of something.
    complained: RefCell<Seldom>,
    /// Where decoded chunks go that nobody reads.
    sink: RefCell<Vec<u8>>,
}

/// A node's name and boot: sessions that live and end together.
type Process = (NodeName, u64);

fn process_of(session: &SessionId) -> Process {
    (session.node, session.locator.boot)
}

#[derive(Clone)]
struct Known {
    address: SocketAddr,
    cookie: Arc<str>,
    since: Instant,
}

/// Where a request comes from that is passed on.
pub(super) struct Origin {
    pub(super) peer: Option<IpAddr>,
    /// Whose it is.
    pub(super) client: Option<clients::Client>,
    /// Of its connection and of that to the owner.
    pub(super) ticket: Ticket,
    /// For what is held of the request and its answer while both are under way.
    pub(super) charge: Charge,
}

struct UnderWay {
    client: Rc<TcpStream>,
    /// On its way to be one; any other request ends with its answer.
    is_stream: bool,
}

/// A connection outside of any shard.
struct Client {
    stream: Rc<TcpStream>,
    /// In what is under way.
    place: usize,
    /// Whose request it is.
    address: Option<IpAddr>,
}

impl Abroad {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(joined: Joined, node: NodeName, path: &str) -> io::Result<Self> {
        Ok(Abroad {
            joined,
            node,
            path: path.into(),
            owners: RefCell::default(),
            pool: RefCell::default(),
            said: RefCell::default(),
            under_way: RefCell::default(),
            relays: Relays::new()?,
            out: RefCell::default(),
            draining: Cell::new(false),
            complained: RefCell::new(Seldom::every(COMPLAIN_EVERY)),
            sink: RefCell::default(),
        })
    }

    pub(super) fn say(&self, presence: Presence) {
        self.said.borrow_mut().push(presence);
    }

    /// Hands on what was said, in one piece.
    pub(super) fn flush(&self) {
        let said = std::mem::take(&mut *self.said.borrow_mut());
        if !said.is_empty() {
            self.joined.neighbours.say(said);
        }
    }

    /// Nothing is left here that a request from another node could be for.
    pub(super) fn say_leaving(&self) {
        self.joined.neighbours.say_leaving();
    }

    /// Requests under way to other nodes, which count as connections of this one.
    pub(super) fn count(&self) -> usize {
        self.under_way.borrow().len() + self.relays.count()
    }

    /// Closes connections that have been idle for too long, and streams whose owner must be gone.
    pub(super) fn tidy(self: &Rc<Self>, limits: &Limits) {
        self.pool.borrow_mut().tidy();
        let worth_a_look = exchange::silence_of_two(limits);
        let silent = self
            .relays
            .silent(worth_a_look, exchange::silence_max(limits));
        for session in silent {
            let abroad = self.clone();
            monoio::spawn(async move {
                if abroad.lost(session).await.is_some() {
                    abroad.relays.close_silent_of(session, worth_a_look);
                }
            });
        }
    }

    /// Ends the streams, spread over the window: their clients come back through another node. Answers are waited for.
    pub(super) async fn drain(self: Rc<Self>, times: DrainTimes) {
        if self.draining.replace(true) {
            return;
        }
        monoio::time::sleep(Duration::from_millis(times.notice_ms)).await;
        let mut steps_left = times.window_ms / DRAIN_STEP_MS + 1;
        loop {
            self.end_streams(steps_left as usize);
            // Those that open later end at once, for as long as the process goes on.
            steps_left = (steps_left - 1).max(1);
            monoio::time::sleep(Duration::from_millis(DRAIN_STEP_MS)).await;
        }
    }

    /// As many as it takes to be done in so many steps.
    fn end_streams(&self, steps: usize) {
        let under_way = self.under_way.borrow();
        let streams = || under_way.iter().filter(|(_, it)| it.is_stream);
        let count = streams().count().div_ceil(steps);
        for (_, stream) in streams().take(count) {
            socket::shutdown(&stream.client, Shutdown::Both);
        }
        self.relays.close_some(self.relays.count().div_ceil(steps));
    }

    /// True once in a while: what goes wrong for one request does so for all.
    fn may_complain(&self) -> bool {
        self.complained.borrow_mut().may(Instant::now())
    }

    fn known(&self, session: SessionId) -> Option<Known> {
        let owners = self.owners.borrow();
        owners.get(&process_of(&session)).cloned()
    }

    fn is_fresh(&self, session: SessionId) -> bool {
        self.known(session)
            .is_some_and(|known| known.since.elapsed() < OWNER_FRESH)
    }

    /// The owner did not take a connection: the next request asks anew.
    fn forget(&self, session: SessionId) {
        self.owners.borrow_mut().remove(&process_of(&session));
    }

    /// Asks the control thread where a session is, and remembers the answer.
    async fn ask(&self, session: SessionId) -> Located {
        let answer = self.joined.neighbours.locate(session);
        let owner = match monoio::time::timeout(LOCATE_TIMEOUT, answer).await {
            Ok(Ok(owner)) => owner,
            Ok(Err(_)) | Err(_) => Owner::Gone(Gone::CannotTell),
        };
        self.learn(session, owner)
    }

    /// Why a node that was there a while ago will not answer any more. None: it may.
    async fn lost(&self, session: SessionId) -> Option<Gone> {
        if self.is_fresh(session) {
            return None;
        }
        match self.ask(session).await {
            Located::There | Located::Gone(Gone::CannotTell) => None,
            Located::Gone(gone) => Some(gone),
        }
    }

    fn becomes_stream(&self, place: usize) {
        if let Some(it) = self.under_way.borrow_mut().get_mut(place) {
            it.is_stream = true;
        }
    }

    /// Whatever became of a DELETE on its way, its client is done with the session: no record of it should stay.
    fn say_if_deleted(&self, session: SessionId, method: Method) {
        if method == Method::Delete {
            self.say(Presence::Ended { session });
        }
    }

    fn learn(&self, session: SessionId, owner: Owner) -> Located {
        let key = process_of(&session);
        match owner {
            Owner::Alive { address, cookie } => {
                let since = Instant::now();
                let known = Known {
                    address,
                    cookie,
                    since,
                };
                self.owners.borrow_mut().insert(key, known);
                match self.joined.secret {
                    Some(_) => Located::There,
                    None => Located::Gone(Gone::Misrouted),
                }
            }
            Owner::Gone(gone) => {
                self.owners.borrow_mut().remove(&key);
                Located::Gone(gone)
            }
        }
    }
}

/// Finds out where a session's node is and tells the shard: at once if that is remembered.
pub(super) fn locate(core: &Rc<Core>, connection: ConnectionKey, session: SessionId) {
    let Some(abroad) = core.abroad.clone() else {
        return;
    };
    if abroad.joined.secret.is_some() && abroad.is_fresh(session) {
        return located(core, connection, Located::There);
    }
    let core = core.clone();
    monoio::spawn(async move {
        let answer = abroad.ask(session).await;
        located(&core, connection, answer);
        core.pump();
    });
}

fn located(core: &Rc<Core>, connection: ConnectionKey, located: Located) {
    core.shard
        .borrow_mut()
        .handle_located(clock::now(), connection, located);
}

/// Moves what comes on open streams, for ever; a node that is alone has none.
///
/// # Errors
/// The kernel no longer says which of them have something.
pub(super) async fn relay(core: Rc<Core>) -> io::Result<()> {
    let Some(abroad) = core.abroad.clone() else {
        return Ok(());
    };
    let relays = &abroad.relays;
    let on_ready = |data| relays.on_ready(&core, &abroad.sink, data);
    readiness::run(&relays.readiness, on_ready).await
}

/// Passes on the request that `bytes` begin with.
pub(super) fn start(core: &Rc<Core>, stream: TcpStream, origin: Origin, bytes: Vec<u8>) {
    let Some(abroad) = core.abroad.clone() else {
        return;
    };
    let core = core.clone();
    let stream = Rc::new(stream);
    // Counted from now on, whenever the task begins.
    let place = abroad.under_way.borrow_mut().insert(UnderWay {
        client: stream.clone(),
        is_stream: false,
    });
    let Origin {
        peer,
        client,
        ticket,
        charge,
    } = origin;
    let client = Client {
        stream,
        place,
        address: client.map(clients::Client::address),
    };
    monoio::spawn(async move {
        let ended = exchange::pass_on(&core, &abroad, &client, bytes).await;
        abroad.under_way.borrow_mut().remove(place);
        drop(charge);
        let (bytes, gone) = match ended {
            Ended::Answered { read_ahead } => (read_ahead, None),
            Ended::NotPassedOn { read, gone } => (read, Some(gone)),
            Ended::Opened {
                owner,
                session,
                body,
                read_ahead,
            } => {
                let opened =
                    abroad
                        .relays
                        .open(&client.stream, &owner, session, body, read_ahead, ticket);
                if let Err(fault) = opened {
                    core.complain_of_forwarding(&fault);
                }
                return;
            }
            // What was said about it goes with the rest.
            Ended::Over => return core.pump(),
        };
        // The ring may still hold the other descriptor for an operation that it is cancelling.
        match socket::duplicate(&*client.stream) {
            Ok(stream) => core.take_back(stream.into(), peer, &bytes, ticket, gone),
            Err(fault) => core.complain_of_forwarding(&fault),
        }
    });
}
