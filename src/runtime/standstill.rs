//! A core that stands still for another process to take its place, and a core that begins in the place of one.
//!
//! ```text
//! here   serves ─quiesce─▶ reads and accepts nothing ─freeze─▶ its thread waits, all it has is written down ─▶ (the process ends)
//!           ▲                        │  ▲                                   │
//!           └─────────go on──────────┘  └───────────────thaw────────────────┘
//! there  waits for what a core had ─▶ has it ─go─▶ serves
//! ```
//!
//! While its thread waits nothing of a core does anything: no timer fires, and no handler goes on but with what it does elsewhere
//! (blocking work, threads of tokio). It beats as soon as it is thawed, which is before the watchdog counts it as hanging: how long
//! a pause may be is bounded for that (`handover::successor`).

use std::fs::File;
use std::io;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ahead::AheadSockets;
use super::core_loop::Core;
use super::drain_barrier::DrainBarrier;
use super::engine::CoreDriver;
use super::forward::Lent;
use super::standstill_orders::{
    CoreResume, ForCore, FreezeOrder, FrozenCore, QuiesceOrder, Quiet, ReceivedCore, StillHeldUp,
};
use super::{clock, memory_file};
use crate::acceptor::Acceptor;
use crate::forward::TravellingStream;
use crate::shard::{ConnectionKey, FrozenShard, HeldUp, StaysBecause, write_frozen};
use crate::tasks;

/// How often a core that becomes quiet looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How often a core that waits for another process looks whether its own node has given up.
const LOOK_WHETHER_ABANDONED: Duration = Duration::from_millis(50);

/// A core as it is written down.
#[derive(Serialize, Deserialize)]
struct CoreState {
    shard: FrozenShard,
    /// What the kernel has not taken of writes: by the connection's place among all.
    unsent: Vec<(u32, Vec<u8>)>,
    /// Of other nodes' sessions.
    #[serde(default)]
    passed_on: Vec<TravellingStream>,
}

/// Reads nothing from now on, accepts nothing either in a moment, and says then when nothing is under way any more. It is not read
/// from this call on: an order to go on may be the next message, and has to find the gate shut to open it.
pub(super) fn quiesce(core: &Rc<Core>, acceptors: &Rc<[Acceptor]>, order: QuiesceOrder) {
    core.quiet.shut();
    let since_ns = clock::machine_ns();
    let quiet = become_quiet(core.clone(), acceptors.clone(), order, since_ns);
    tasks::spawn(quiet);
}

async fn become_quiet(
    core: Rc<Core>,
    acceptors: Rc<[Acceptor]>,
    order: QuiesceOrder,
    since_ns: u64,
) {
    let until = Instant::now() + order.within;
    for acceptor in &*acceptors {
        acceptor.pause().await;
        if !core.quiet.is_shut() {
            // It goes on already: whoever asked was told nothing in time.
            return acceptors.iter().for_each(Acceptor::resume);
        }
    }
    let mut held_up = held_up(&core);
    while !held_up.is_empty() && Instant::now() < until && core.quiet.is_shut() {
        monoio::time::sleep(LOOK_EVERY).await;
        core.pump();
        held_up = self::held_up(&core);
    }
    // Whoever asked may have given up.
    let _ = order.answer.send(Quiet { since_ns, held_up });
}

fn held_up(core: &Core) -> HeldUp {
    let mut held_up = core.shard.borrow().held_up();
    held_up.add_of(StaysBecause::PassedOn, passed_on(core));
    held_up
}

/// Requests of clients here that other nodes are to answer, and have not. Streams of other nodes travel.
fn passed_on(core: &Core) -> usize {
    core.forwarding.as_ref().map_or(0, |it| it.held_up())
}

/// Reads and accepts again.
pub(super) fn go_on(core: &Core, acceptors: &[Acceptor]) {
    core.quiet.open();
    acceptors.iter().for_each(Acceptor::resume);
}

/// Stands still. Returns when the core goes on; not at all if another process has taken its place. `followed`: there are messages
/// after this one.
pub(super) fn freeze(core: &Rc<Core>, order: &FreezeOrder, followed: bool) {
    core.pump();
    let passed_on = passed_on(core);
    if followed || passed_on > 0 {
        let mut held_up = HeldUp::default();
        held_up.add_of(StaysBecause::PassedOn, passed_on);
        held_up.add_of(StaysBecause::NotDrained, followed.into());
        let _ = order
            .answer
            .send((order.core, Err(StillHeldUp::By(held_up))));
        return;
    }
    let frozen = core.shard.borrow_mut().handle_freeze(clock::now());
    let frozen = match frozen {
        Ok(frozen) => frozen,
        Err(held_up) => {
            let _ = order
                .answer
                .send((order.core, Err(StillHeldUp::By(held_up))));
            return;
        }
    };
    let keys = frozen.connection_keys();
    let sockets = keys.iter().filter_map(|&key| core.sockets.take(key));
    let mut sockets = sockets.collect::<Vec<_>>();
    let forwarding = core.forwarding.as_ref();
    let mut lent = forwarding.map_or_else(Lent::default, |it| it.lend(&mut sockets));
    let is_late = |place: &usize| keys.get(*place).is_none_or(|it| !order.ahead.contains(it));
    let late = (0..sockets.len()).filter(is_late).collect();
    let sockets = Arc::new(sockets);
    let sessions = frozen.session_count();
    let streams = std::mem::take(&mut lent.streams);
    let (state, written) = CoreState::of(frozen, core, &keys, streams).write();
    let answer = match written {
        Ok(file) => Ok(FrozenCore {
            state: file,
            sockets: sockets.clone(),
            late,
            sessions,
        }),
        Err(fault) => Err(StillHeldUp::System(fault)),
    };
    // Nobody may wait for it any more: then it is thawed at once.
    let _ = order.answer.send((order.core, answer));
    let _ = order.thaw.recv();
    thaw(core, state, (&keys, &lent), sockets);
}

fn thaw(
    core: &Rc<Core>,
    state: CoreState,
    (keys, lent): (&[ConnectionKey], &Lent),
    sockets: Arc<Vec<StdStream>>,
) {
    let sockets = Arc::try_unwrap(sockets).unwrap_or_else(|shared| {
        // A descriptor that cannot be had again is a connection that is lost, not a core.
        let again = shared.iter().map_while(|it| it.try_clone().ok());
        again.collect()
    });
    let mut sockets = sockets.into_iter();
    for (&key, socket) in keys.iter().zip(&mut sockets) {
        core.sockets.keep(key, socket);
    }
    if let Some(forwarding) = &core.forwarding {
        forwarding.give_back(lent, sockets);
    }
    let resumed = core
        .shard
        .borrow_mut()
        .handle_resume(clock::now(), state.shard);
    if let Err(why) = resumed {
        tracing::error!(%why, core = core.number, "a core could not go on with what it had a moment ago");
    }
    // Those that wait for more room are told to read on only if they were told not to.
    for &key in keys {
        core.watch_again(key);
    }
    core.pump();
}

/// A core that has just been made waits for what another one had, and has it then.
///
/// # Errors
/// Nothing comes, or what comes is not what a core had.
pub(super) fn resume(
    core: &Core,
    resume: &CoreResume,
    departure: &DrainBarrier,
) -> io::Result<Resumed> {
    // Whoever gives up listens no more.
    let _ = resume.waits.send(());
    let given_up = || io::Error::other("the other process keeps what it has");
    let mut ahead = AheadSockets::default();
    let ReceivedCore { state, sockets } = loop {
        match wait_for(&resume.state, departure).ok_or_else(given_up)? {
            ForCore::Ahead(some) => ahead.take_in(core, some),
            ForCore::State(all) => break all,
        }
    };
    let CoreState {
        shard,
        unsent,
        passed_on,
    } = CoreState::read(state)?;
    // Nobody goes on by rules from before what was taken back.
    #[cfg(feature = "auth")]
    if let Some(credentials) = &core.credentials {
        let rules = credentials.rules();
        core.shard.borrow_mut().handle_rules(rules);
    }
    let resumed = core.shard.borrow_mut().handle_resume(clock::now(), shard);
    let keys = resumed.map_err(|why| malformed(&why.to_string()))?;
    let (connections, streams) = (keys.len(), passed_on.len());
    let sockets_count = ahead.count_of(&keys) + sockets.len();
    if connections + 2 * streams != sockets_count {
        return Err(malformed(&format!(
            "it has {connections} connections, passes on {streams} streams, and has {sockets_count} sockets"
        )));
    }
    let mut sockets = sockets.into_iter();
    let mut unwatched = Vec::new();
    for &key in &keys {
        let (socket, is_watched) = match ahead.take(key) {
            Some((socket, is_watched)) => (Some(socket), is_watched && core.is_read(key)),
            None => (sockets.next(), false),
        };
        if let Some(socket) = socket {
            core.sockets.keep(key, socket);
        }
        if !is_watched {
            unwatched.push(key);
        }
    }
    ahead.let_go(core);
    pass_on(core, passed_on, sockets)?;
    let mut unsent_by = Vec::new();
    for (place, bytes) in unsent {
        let key = keys.get(place as usize).copied();
        let key = key.ok_or_else(|| malformed("a write is of no connection"))?;
        core.unsent.keep(key, bytes);
        unsent_by.push(key);
    }
    Ok(Resumed {
        unwatched,
        unsent: unsent_by,
    })
}

fn pass_on(
    core: &Core,
    streams: Vec<TravellingStream>,
    sockets: impl IntoIterator<Item = StdStream>,
) -> io::Result<()> {
    let commons = core.shard.borrow().commons().clone();
    let forwarding = core.forwarding.as_ref();
    let is_alone = forwarding.is_none() && streams.is_empty();
    match is_alone || forwarding.is_some_and(|it| it.resume(&commons, streams, sockets)) {
        true => Ok(()),
        false => Err(malformed(
            "what it passes on to other nodes is no stream, or this node is alone",
        )),
    }
}

/// None: nothing will come, or this node does not come to serve.
pub(super) fn wait_for<T>(from: &Receiver<T>, departure: &DrainBarrier) -> Option<T> {
    loop {
        match from.recv_timeout(LOOK_WHETHER_ABANDONED) {
            Ok(it) => return Some(it),
            Err(RecvTimeoutError::Timeout) if !departure.is_abandoned() => {}
            Err(_) => return None,
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("what a core of the other process had cannot be read: {what}"),
    )
}

/// What a core that took another one's place still has to do when it may.
#[derive(Default)]
pub(super) struct Resumed {
    /// Or not as it has to be.
    unwatched: Vec<ConnectionKey>,
    unsent: Vec<ConnectionKey>,
}

impl Resumed {
    /// Serves those who came.
    pub(super) fn begin(self, core: &Rc<Core>) {
        for key in self.unsent {
            core.write_rest(key);
        }
        for key in self.unwatched {
            core.watch_again(key);
        }
        core.pump();
    }
}

impl CoreState {
    fn of(
        shard: FrozenShard,
        core: &Core,
        keys: &[ConnectionKey],
        passed_on: Vec<TravellingStream>,
    ) -> CoreState {
        let mut unsent = Vec::new();
        let rest = core.unsent.rest();
        if !rest.is_empty() {
            let places = keys.iter().zip(0..);
            let places: std::collections::BTreeMap<_, u32> =
                places.map(|(&key, place)| (key, place)).collect();
            let placed = rest.into_iter();
            unsent.extend(placed.filter_map(|(key, bytes)| Some((*places.get(&key)?, bytes))));
        }
        CoreState {
            shard,
            unsent,
            passed_on,
        }
    }

    /// Itself, and where it was written to.
    fn write(self) -> (CoreState, io::Result<File>) {
        let written = self.write_down();
        (self, written)
    }

    fn write_down(&self) -> io::Result<File> {
        let bytes = write_frozen(self).map_err(io::Error::other)?;
        memory_file::write("pinfold-core", &bytes)
    }

    fn read(file: File) -> io::Result<CoreState> {
        let bytes = memory_file::read(file)?;
        rmp_serde::from_slice(&bytes).map_err(|fault| malformed(&fault.to_string()))
    }
}
