//! One core's thread, with its own runtime, listeners and shard.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use super::core_loop::Core;
use super::core_message::CoreMessage;
use super::drain_barrier::DrainBarrier;
use super::engine::CoreDriver;
use super::not_started::{NotStarted, cannot_run};
use super::ring::Driver;
use super::standstill::{self, Resumed};
use super::standstill_orders::CoreResume;
use super::stats::{StatsBoard, TICKS_TO_COPY};
use super::tokio::Tokio;
use super::turns::WakeRelay;
use super::watchdog::Beats;
use super::{ahead, clock, core_reach, fanout, forward, readiness};
use crate::acceptor::{Acceptor, Listening};
use crate::shard::{DrainTimes, Shard};
use crate::socket;
use crate::tasks;

/// How often a shard's timers are looked at; its wheel turns at the same pace.
const TICK: Duration = Duration::from_millis(64);
/// A timer that fires so much later than it was to says that the CPU was not to be had: on a calm machine it is 0.2 ms, and
/// up to one more since timers count in milliseconds.
const LATE: Duration = Duration::from_millis(2);
/// One that is so much later says that clients may have waited here for longer than anybody counts on: what they sent
/// meanwhile is read before it is said that their time is up. The shortest time that they have by default is ten seconds
/// (`head_timeout_ms`), of which this is no more than a network takes now and then. A core that is merely busy, or traced,
/// is late by a few milliseconds, with ten programs for each CPU by some tens: it does nothing of this.
const CATCH_UP_AFTER: Duration = Duration::from_millis(250);
/// How long requests may go on when the streams are closed.
const CALLS_GRACE_MS: u64 = 2_000;
/// For other nodes to notice that nothing is left here: each of them, and each of their cores, may rely for a second on what
/// it was told last. Until then their requests are answered; after it there are none that could be cut off.
const LEAVING_NOTICE: Duration = Duration::from_millis(2_500);

/// A node that was told to stop has ended by then, if its cores do anything at all.
pub(crate) fn ends_within(times: DrainTimes) -> Duration {
    let leaving = times.notice_ms + times.window_ms + CALLS_GRACE_MS;
    Duration::from_millis(leaving) + LEAVING_NOTICE
}
/// How often a node that drains says how far it is: about every second.
const TICKS_TO_PROGRESS: u32 = 16;

/// A core, what it accepts from, and whom it goes on with that were another process's.
type OpenCore = (Rc<Core>, Rc<[Acceptor]>, Resumed);

/// Why a core that ran cannot go on.
type CoreFault = Rc<Cell<Option<io::Error>>>;

/// What a thread takes with it.
pub(super) struct CoreSetup {
    pub(super) number: u16,
    pub(super) core_count: u16,
    pub(super) listening: Vec<Listening>,
    pub(super) driver: Driver,
    /// Test: every connection starts on a core drawn by lot.
    pub(super) place_at_random: bool,
    pub(super) pin_to: Option<core_affinity::CoreId>,
    pub(super) drain: DrainTimes,
    pub(super) departure: Arc<DrainBarrier>,
    pub(super) beats: Beats,
    pub(super) tokio: Tokio,
    pub(super) stats: StatsBoard,
    /// It takes the place of a core of another process.
    pub(super) resume: Option<CoreResume>,
}

/// Serves until the core is told to stop. `make_core` runs on this thread: nothing of a core is ever elsewhere. `report`
/// is called once: whether the core serves.
pub(super) fn run(
    mut core_setup: CoreSetup,
    make_core: impl FnOnce() -> Result<Core, NotStarted>,
    report: impl FnOnce(Result<(), NotStarted>),
) -> io::Result<()> {
    if let Some(cpu) = core_setup.pin_to
        && !core_affinity::set_for_current(cpu)
    {
        tracing::warn!(
            core = core_setup.number,
            "this thread could not be pinned to its CPU; it runs wherever the kernel likes"
        );
    }
    let tokio = core_setup.tokio.clone();
    let _entered = tokio.enter();
    let mut runtime = match core_setup.driver.runtime() {
        Ok(runtime) => runtime,
        Err(fault) => {
            report(Err(cannot_run(fault)));
            return Ok(());
        }
    };
    let (ended, end) = oneshot::channel();
    let work = || {
        runtime.block_on(tasks::run(async move {
            let listening = std::mem::take(&mut core_setup.listening);
            match open(listening, make_core, &core_setup) {
                Ok((core, acceptors, resumed)) => {
                    report(Ok(()));
                    // What it had is here, and not its own before that process says so.
                    let departure = &core_setup.departure;
                    let resume = core_setup.resume.as_ref();
                    let may_serve =
                        resume.is_none_or(|it| standstill::wait_for(&it.go, departure).is_some());
                    if !may_serve {
                        return Ok(());
                    }
                    resumed.begin(&core);
                    if let Some(resume) = resume {
                        // Who wants to know waits for a while.
                        let _ = resume.serves.send(clock::machine_ns());
                    }
                    let served = serve(core, acceptors, Rc::new(core_setup));
                    // A task like the others: nothing of a core is left if one of them panics.
                    tasks::spawn(async move { ended.send(served.await) });
                    end.await.unwrap_or(Ok(()))
                }
                Err(why) => {
                    report(Err(why));
                    Ok(())
                }
            }
        }))
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        // Whose connections it had is told by their end.
        runtime.block_on(tasks::end_after_panic());
        resume_unwind(panic)
    })
}

fn open(
    listening: Vec<Listening>,
    make_core: impl FnOnce() -> Result<Core, NotStarted>,
    core_setup: &CoreSetup,
) -> Result<OpenCore, NotStarted> {
    let core = Rc::new(make_core()?);
    let acceptors = listening.into_iter().map(Acceptor::new);
    let acceptors = acceptors.collect::<io::Result<Rc<[Acceptor]>>>();
    let acceptors = acceptors.map_err(cannot_run)?;
    let resumed = match &core_setup.resume {
        Some(resume) => standstill::resume(&core, resume, &core_setup.departure),
        None => Ok(Resumed::default()),
    };
    Ok((core, acceptors, resumed.map_err(cannot_run)?))
}

async fn serve(
    core: Rc<Core>,
    acceptors: Rc<[Acceptor]>,
    core_setup: Rc<CoreSetup>,
) -> io::Result<()> {
    tasks::spawn(fanout::run(core.clone()));
    let broken = CoreFault::default();
    tasks::spawn(watch(core.clone(), broken.clone(), read));
    tasks::spawn(watch(core.clone(), broken.clone(), pass_on));
    tasks::spawn(tick(core.clone(), core_setup.clone()));
    for number in 0..acceptors.len() {
        let place_among = core_setup.place_at_random.then_some(core_setup.core_count);
        tasks::spawn(accept(core.clone(), acceptors.clone(), number, place_among));
    }
    let (stop, stopped) = oneshot::channel();
    let messages = take_messages(core.clone(), acceptors.clone(), core_setup.clone(), stop);
    tasks::spawn(messages);
    // Messages are taken to the end: what is published meanwhile is heard by who is still here.
    let _ = stopped.await;
    finish(&core, &core_setup).await;
    for acceptor in &*acceptors {
        acceptor.close().await;
    }
    broken.take().map_or(Ok(()), Err)
}

async fn accept(
    core: Rc<Core>,
    acceptors: Rc<[Acceptor]>,
    number: usize,
    place_among: Option<u16>,
) {
    loop {
        let (stream, peer) = match acceptors[number].accept().await {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return,
            Err(fault) => {
                // Most likely out of descriptors: those who are here go on, and the next may leave soon.
                if let Some(unlogged) = core.may_log("accept") {
                    tracing::warn!(%fault, unlogged, "a connection could not be accepted; raise the limit on open files (ulimit -n)");
                }
                monoio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let stream = socket::off_the_ring(stream);
        let target = place_among.map_or(core.number, |count| (random() % u32::from(count)) as u16);
        if target == core.number {
            core.accept(stream, Some(peer.ip()));
        } else {
            let peer = Some(peer.ip());
            let message = CoreMessage::Accepted { stream, peer };
            core.publisher.mailbox(target.into()).post_beyond(message);
        }
    }
}

/// A core that cannot tell any more which of its connections have sent something is of no use, and must not be given
/// further ones: the node drains, and ends with the fault.
async fn watch<Work: Future<Output = io::Result<()>>>(
    core: Rc<Core>,
    broken: CoreFault,
    work: impl FnOnce(Rc<Core>) -> Work,
) {
    if let Err(fault) = work(core.clone()).await {
        tracing::error!(%fault, core = core.number, "a core can no longer tell which connections have sent something: the node ends");
        broken.set(Some(fault));
        core.publisher.stop_all();
    }
}

async fn read(core: Rc<Core>) -> io::Result<()> {
    let on_ready = |data| core.read_once(readiness::key_of(data));
    readiness::run(&core.readiness, &core.quiet, on_ready).await
}

async fn pass_on(core: Rc<Core>) -> io::Result<()> {
    let forwarding = core.forwarding.clone();
    forward::run(core, forwarding).await
}

fn random() -> u32 {
    getrandom::u32().expect("Linux has random bytes once it has booted")
}

async fn take_messages(
    core: Rc<Core>,
    acceptors: Rc<[Acceptor]>,
    core_setup: Rc<CoreSetup>,
    stop: oneshot::Sender<()>,
) {
    let mut stop = Some(stop);
    loop {
        let mailbox = core.publisher.mailbox(core.number.into());
        let mut messages = mailbox.collect().await.messages.into_iter();
        while let Some(message) = messages.next() {
            match message {
                CoreMessage::Drain => begin_drain(&core, &core_setup),
                CoreMessage::Stop => {
                    // A second one finds nobody who waits.
                    let _ = stop.take().map(|stop| stop.send(()));
                }
                CoreMessage::Quiesce(order) => {
                    standstill::quiesce(&core, &acceptors, order);
                }
                CoreMessage::GoOn => standstill::go_on(&core, &acceptors),
                CoreMessage::Freeze(order) => {
                    standstill::freeze(&core, &order, messages.len() > 0);
                }
                message => take_message(&core, message),
            }
        }
        core.pump();
    }
}

fn take_message(core: &Rc<Core>, message: CoreMessage) {
    let now = clock::now();
    match message {
        CoreMessage::Connection {
            stream,
            peer,
            bytes,
            ticket,
        } => core.adopt(stream, peer, &bytes, ticket),
        CoreMessage::Accepted { stream, peer } => core.accept(stream, peer),
        CoreMessage::MakeRoom { holds } => core.shard.borrow_mut().handle_make_room(now, holds),
        CoreMessage::Published(publications) => {
            let mut shard = core.shard.borrow_mut();
            publications
                .iter()
                .for_each(|publication| shard.handle_publication(publication));
        }
        CoreMessage::NotifySession {
            session,
            notice,
            answer,
        } => core_reach::notify_session((&**core, core.number), session, notice, answer),
        CoreMessage::NotifyAll { offset, notice } => {
            core.shard
                .borrow_mut()
                .handle_notice_to_all(now, offset, &notice);
        }
        CoreMessage::Gap { first } => core.shard.borrow_mut().handle_gap(first),
        CoreMessage::Available(availability) => {
            core.shard.borrow_mut().handle_availability(availability);
        }
        #[cfg(feature = "auth")]
        CoreMessage::Rules(rules) => core.shard.borrow_mut().handle_rules(rules),
        #[cfg(feature = "auth")]
        CoreMessage::Identified {
            connection,
            number,
            answer,
        } => {
            let mut shard = core.shard.borrow_mut();
            shard.handle_identified(now, connection, number, answer);
        }
        CoreMessage::View { question, answer } => {
            let told = core.shard.borrow_mut().handle_view(now, &question);
            let _ = answer.send(told);
        }
        CoreMessage::Trace { wish, sink, answer } => core.begin_trace(wish, sink, answer),
        CoreMessage::SearchForTrace { id, answer } => core.search_for_trace(id, answer),
        CoreMessage::EndTrace(id) => core.end_trace(id),
        CoreMessage::Announce => core.shard.borrow_mut().handle_announce(),
        CoreMessage::Verify => core.shard.borrow_mut().handle_verify(),
        CoreMessage::Adopt {
            session,
            fence,
            state,
            answer,
        } => {
            let mut shard = core.shard.borrow_mut();
            let _ = answer.send(shard.handle_adopt(now, session, fence, &state));
        }
        CoreMessage::LetGo(sessions) => core.shard.borrow_mut().handle_let_go(now, &sessions),
        CoreMessage::Lease(until) => core.shard.borrow_mut().handle_lease(now, until),
        CoreMessage::Report => report(core),
        CoreMessage::CopySockets(order) => ahead::copy(core, &order),
        CoreMessage::Drain
        | CoreMessage::Stop
        | CoreMessage::Quiesce(_)
        | CoreMessage::GoOn
        | CoreMessage::Freeze(_) => {}
    }
}

fn report(core: &Core) {
    let shard = core.shard.borrow();
    let (counts, progress) = (shard.counts(), shard.drain_progress());
    tracing::info!(
        core = core.number,
        ?counts,
        forwarded = core.forwarded(),
        drained = progress.done,
        "status"
    );
}

async fn tick(core: Rc<Core>, core_setup: Rc<CoreSetup>) {
    let relay = WakeRelay::start();
    for tick in (0..TICKS_TO_COPY).cycle() {
        if tick == 0 {
            core_setup.stats.write(&core);
        }
        let asked = Instant::now();
        monoio::time::sleep(TICK).await;
        assert!(core.is_sound(), "this core can carry out nothing any more");
        core_setup.beats.beat();
        log_endings(&core, false);
        core.calls.spans.hand_over();
        let late = asked.elapsed().saturating_sub(TICK);
        // First of all: what is read next may be signed for a time that is over.
        #[cfg(feature = "auth")]
        core.shard
            .borrow_mut()
            .handle_clock(clock::now(), clock::unix_ms());
        if late > CATCH_UP_AFTER && !core.quiet.is_shut() {
            catch_up(&core, &core_setup, &relay).await;
        }
        let impaired = core.publisher.is_impaired();
        let mut shard = core.shard.borrow_mut();
        shard.handle_impaired(impaired);
        shard.handle_timeout(clock::now());
        if late > LATE {
            shard.handle_late(clock::now());
        }
        drop(shard);
        if let Some(forwarding) = &core.forwarding {
            forwarding.handle_timeout();
        }
        core.pump();
    }
}

fn log_endings(core: &Core, is_last: bool) {
    let mut shard = core.shard.borrow_mut();
    core.endings.log(&mut shard, core.number, is_last);
}

/// Nobody's time is up for what this core had no time to read, or to write: those who wait for room have their turn too.
async fn catch_up(core: &Rc<Core>, core_setup: &CoreSetup, relay: &WakeRelay) {
    let count = core.shard.borrow().counts().connections;
    let read = |data| core.read_once(readiness::key_of(data));
    let others_turn = async || {
        core_setup.beats.beat();
        relay.to_the_back().await;
    };
    readiness::look_once(&core.readiness, count, read, others_turn).await;
}

/// Streams close in the time of a drain, and requests under way end. A core that has nothing left goes on serving until the
/// others have left too: any of them may read a request for a session of this one.
async fn finish(core: &Rc<Core>, core_setup: &Rc<CoreSetup>) {
    let (times, departure) = (core_setup.drain, &*core_setup.departure);
    begin_drain(core, core_setup);
    let until = clock::now() + times.notice_ms + times.window_ms + CALLS_GRACE_MS;
    let mut left = false;
    while !departure.is_over() && clock::now() < until {
        departure.note(&mut left, has_left(core));
        monoio::time::sleep(TICK).await;
    }
    if let Some(forwarding) = core
        .forwarding
        .as_ref()
        .filter(|_| !departure.is_abandoned())
    {
        forwarding.announce_leaving();
        monoio::time::sleep(LEAVING_NOTICE).await;
    }
    core.shard.borrow_mut().handle_end();
    core.pump();
    log_endings(core, true);
    core.calls.spans.hand_over_last();
    let counts = core.shard.borrow().counts();
    tracing::info!(core = core.number, ?counts, "stopped");
}

/// The node is not ready from now on; what it holds leaves by and by. A second time changes nothing.
fn begin_drain(core: &Rc<Core>, core_setup: &Rc<CoreSetup>) {
    let times = core_setup.drain;
    let began = core.shard.borrow_mut().handle_drain(clock::now(), times);
    core.pump();
    if !began {
        return;
    }
    tasks::spawn(report_progress(core.clone(), core_setup.clone()));
    if let Some(forwarding) = &core.forwarding {
        forwarding.handle_drain(times);
    }
}

fn has_left(core: &Core) -> bool {
    core.shard.borrow().drain_progress().done && core.forwarded() == 0
}

async fn report_progress(core: Rc<Core>, core_setup: Rc<CoreSetup>) {
    let mut ticks = 0;
    while !has_left(&core) {
        if ticks % TICKS_TO_PROGRESS == 0 {
            let progress = core.shard.borrow().drain_progress();
            tracing::info!(
                core = core.number,
                streams_left = progress.streams,
                requests_in_flight = progress.calls,
                forwarded = core.forwarded(),
                seconds_to_go = progress.left_ms.div_ceil(1_000),
                "draining"
            );
        }
        ticks += 1;
        monoio::time::sleep(TICK).await;
    }
    tracing::info!(
        core = core.number,
        "drained: no stream and no request is left"
    );
    core_setup.departure.note_drained();
}

impl CoreSetup {
    pub(super) fn shard_numbers(&self) -> (u16, u16) {
        (self.number, self.core_count)
    }
}

/// A core's shard, with the process's clock.
pub(super) fn shard(setup: crate::shard::ShardSetup) -> Shard {
    Shard::new(setup, clock::now())
}
