//! A [`Bus`] that runs: two connections to Redis, the door that publishers post at, and the clock.
//!
//! All of it are tasks of one thread. Nobody holds a borrow of the bus across an await.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use monoio::time::sleep;

use super::ask::{BusRequest, BusResponse};
use super::commands::{BLOCK_MS, BusKeys, Unanswered, heard, placed};
use super::handle::{BusHandle, BusMessage};
use super::outbox::UnsentItems;
use super::{Add, Bus, BusCounts, BusSetup, BusState, LOADED_WITHIN_MS, Loaded, LocalLog, Placed};
use crate::app::call::{Notice, Topic};
use crate::cluster::ClusterGates;
use crate::cluster::task_signal::TaskSignal;
use crate::log_throttle::LogThrottles;
use crate::metrics::Metrics;
use crate::principal::PrincipalId;
use crate::redis::{RedisConnection, RedisError, RedisFault, RedisLink, Reply, Settings};
use crate::runtime::{Publisher, now, unix_ms};
use crate::shard::Millis;
use crate::tasks;

/// Entries that the stream keeps: those of a day or of an outage, at some hundred bytes each.
pub const ENTRIES_MAX: u64 = 100_000;

/// How often the bus looks at the clock: a fraction of what an item may take.
const TICK: Duration = Duration::from_millis(50);
/// How often the stream is trimmed, whoever adds to it.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// What is sent before its answers are waited for, about; one entry with contents may be more.
const ROUND_TRIP_BYTES: usize = 4 * 1024 * 1024;
/// After an answer that makes no sense, or a refusal.
const PAUSE: Duration = Duration::from_secs(1);
/// How the bus reaches Redis.
pub struct RedisSettings {
    /// The client's name is of the connection that adds; the one that reads has `-tail` at its end.
    pub redis: Settings,
    /// `mcp:`
    pub prefix: String,
    /// Of this node.
    pub metrics: Arc<Metrics>,
}

/// Makes all that `publisher` publishes go through the bus of `setup`. The future carries the bus and never ends; it
/// wants a monoio runtime with timers, on any thread but a core's.
pub fn open(
    settings: RedisSettings,
    setup: BusSetup,
    publisher: Publisher,
) -> (Arc<BusHandle>, impl Future<Output = ()>) {
    let handle = share(&publisher);
    let run = run(settings, setup, publisher, handle.clone());
    (handle, run)
}

/// From now on all that `publisher` publishes waits at the door for [`run`].
pub(crate) fn share(publisher: &Publisher) -> Arc<BusHandle> {
    let handle = Arc::new(BusHandle::default());
    publisher.share(handle.clone());
    handle
}

/// A bus at work.
pub(crate) struct RunningBus {
    pub(super) bus: RefCell<Bus>,
    gates: Rc<ClusterGates>,
    /// Collected at the door, and not taken in yet.
    pub(super) aside: RefCell<Vec<BusMessage>>,
    /// Some of it found no room there.
    pub(super) is_lost: Cell<bool>,
    here: Publisher,
    pub(super) handle: Arc<BusHandle>,
    metrics: Arc<Metrics>,
    keys: BusKeys,
    process: Box<str>,
    /// By the node's clock, which goes on in the next process.
    pub(super) began: Millis,
    /// Something may be there to be added.
    news: TaskSignal,
    /// Something may be there that others wait for.
    progress: TaskSignal,
    throttles: LogThrottles,
    /// By the code that Redis refuses with.
    refusals: LogThrottles,
    /// Who waits for the end of it, and until when.
    leaving: RefCell<Option<(mpsc::Sender<UnsentItems>, Instant)>>,
}

/// Carries the bus; see [`open`].
pub(crate) async fn run(
    settings: RedisSettings,
    setup: BusSetup,
    publisher: Publisher,
    handle: Arc<BusHandle>,
) {
    let gates = Rc::default();
    start(settings, setup, (publisher, handle), gates, None)
        .1
        .await;
}

/// The same, in parts: the bus, and what carries it. `resumed` is what the process had in whose place this one goes on.
pub(crate) fn start(
    settings: RedisSettings,
    setup: BusSetup,
    (publisher, handle): (Publisher, Arc<BusHandle>),
    gates: Rc<ClusterGates>,
    resumed: Option<BusState>,
) -> (Rc<RunningBus>, impl Future<Output = ()>) {
    let process = setup.process().into();
    let (bus, began, posted) = match resumed {
        None => (Bus::new(setup, unix_ms()), now(), Vec::new()),
        Some(mut state) => {
            let (began, posted) = (state.began, std::mem::take(&mut state.posted));
            let unix_ms = unix_ms().saturating_sub(now().saturating_sub(began));
            (Bus::resumed(setup, unix_ms, state), began, posted)
        }
    };
    let posted = posted.into_iter().map(|it| BusMessage::Item(it, None));
    let running = Rc::new(RunningBus {
        process,
        bus: RefCell::new(bus),
        gates,
        aside: RefCell::new(posted.collect()),
        is_lost: Cell::new(false),
        here: publisher,
        handle,
        metrics: settings.metrics.clone(),
        keys: BusKeys::new(&settings.prefix),
        began,
        news: TaskSignal::default(),
        progress: TaskSignal::default(),
        leaving: RefCell::default(),
        throttles: LogThrottles::default(),
        refusals: LogThrottles::default(),
    });
    (running.clone(), carry(running, settings))
}

async fn carry(running: Rc<RunningBus>, settings: RedisSettings) {
    let mut reader = settings.redis.clone();
    reader.client_name.push_str("-tail");
    let writer = RedisLink::start(settings.redis, settings.metrics.clone());
    let reader = RedisLink::start(reader, settings.metrics);
    tasks::spawn(take_in(running.clone()));
    tasks::spawn(read(running.clone(), reader));
    tasks::spawn(tick(running.clone()));
    tasks::spawn(report_progress(running.clone(), writer.clone()));
    write(&running, &writer).await;
}

impl RunningBus {
    pub(super) fn now_ms(&self) -> u64 {
        now().saturating_sub(self.began)
    }

    fn may_log(&self, kind: &'static str) -> Option<u64> {
        self.throttles.admit(kind, self.now_ms())
    }

    fn log_refusal(&self, error: &RedisError) {
        if let Some(unlogged) = self.refusals.admit(&error.code, self.now_ms()) {
            let advice = error.advice();
            tracing::warn!(code = %error.code, message = %error.message, unlogged, "Redis refuses what the bus wants; until it does not, other nodes hear nothing new of this one: {advice}");
        }
    }

    pub(super) fn begin_leaving(&self, answer: mpsc::Sender<UnsentItems>, at_most: Duration) {
        *self.leaving.borrow_mut() = Some((answer, Instant::now() + at_most));
    }

    pub(super) fn with_bus<T>(&self, act: impl FnOnce(&mut Bus, u64, &dyn LocalLog) -> T) -> T {
        act(&mut self.bus.borrow_mut(), self.now_ms(), &self.here)
    }
}

/// What other threads post.
async fn take_in(running: Rc<RunningBus>) {
    loop {
        running.take_aside();
        running.news.give();
        let collected = running.handle.mailbox.collect().await;
        running.put_aside(collected);
        running.gates.answers.pass().await;
    }
}

async fn tick(running: Rc<RunningBus>) {
    let mut counted = BusCounts::default();
    let mut logged = BusCounts::default();
    loop {
        sleep(TICK).await;
        running.gates.work.pass().await;
        let (full, queued, counts, loaded) = running.with_bus(|bus, now_ms, here| {
            bus.handle_timeout(now_ms, here);
            running.handle.note_seen(bus.seen(now_ms));
            let (full, queued) = (bus.is_full(), bus.queued_count());
            (full, queued, bus.counts(), bus.loaded())
        });
        running.handle.full.store(full, Ordering::Relaxed);
        running.note_loaded(loaded);
        running.leave_if_done();
        running.metrics.bus_queued.set(queued as i64);
        counts.add_to(&running.metrics, &counted);
        counted = counts;
        running.log(&counts, &mut logged);
        running.news.give();
        running.progress.give();
    }
}

impl RunningBus {
    /// What an operator should know of what happened, and has not been told.
    fn log(&self, now: &BusCounts, logged: &mut BusCounts) {
        if let Some(dropped) = self.news("dropped", now.dropped, &mut logged.dropped) {
            tracing::warn!(
                dropped,
                "messages for sessions were dropped before the bus could take them: other nodes will not hear of them"
            );
        }
        if let Some(overtaken) = self.news("overtaken", now.overtaken, &mut logged.overtaken) {
            tracing::warn!(
                overtaken,
                "writes of this node came to Redis after others that were accepted later, which stand"
            );
        }
        if let Some(put_back) = self.news("put back", now.put_back, &mut logged.put_back) {
            tracing::warn!(
                put_back,
                "resources that Redis had lost, or had in an older state, were put back"
            );
        }
    }

    /// Some: so many more of this kind are to be told of now.
    fn news(&self, kind: &'static str, now: u64, logged: &mut u64) -> Option<u64> {
        let more = now - *logged;
        if more == 0 {
            return None;
        }
        self.may_log(kind)?;
        *logged = now;
        Some(more)
    }

    fn note_loaded(&self, loaded: Loaded) {
        let before = self.handle.loaded.swap(loaded as u8, Ordering::Relaxed);
        if before == loaded as u8 {
            return;
        }
        self.metrics
            .board_loaded
            .set((loaded == Loaded::Yes).into());
        if loaded == Loaded::GivenUp {
            tracing::warn!(
                "this node takes clients without what the others have published: Redis did not show its board within \
                 {LOADED_WITHIN_MS} ms"
            );
        }
        self.here.set_availability(loaded.availability());
    }

    /// The node ends: it waits for Redis to take what was published here, until its time is over.
    fn leave_if_done(&self) {
        let mut leaving = self.leaving.borrow_mut();
        let is_over = |(_, until): &mut (mpsc::Sender<UnsentItems>, Instant)| {
            self.bus.borrow().unsent().count == 0 || Instant::now() >= *until
        };
        if let Some((answer, _)) = leaving.take_if(is_over) {
            self.bus.borrow_mut().leave();
            // Whoever waited may have given up.
            let _ = answer.send(self.bus.borrow().unsent());
        }
    }
}

/// Says how far this node's board is, on the connection that adds: others wait for it before they tell their clients.
async fn report_progress(running: Rc<RunningBus>, link: RedisLink) {
    loop {
        running.progress.wait().await;
        running.gates.work.pass().await;
        let Ok(connection) = link.connection() else {
            continue;
        };
        while let Some(applied) = running.with_bus(|bus, now_ms, _| bus.poll_applied(now_ms)) {
            let command = running.keys.applied(&running.process, &applied);
            let reply = connection.call(command).await;
            if let Ok(Some(error)) = reply.as_ref().map(Reply::error) {
                running.log_refusal(error);
            }
            let id = reply.ok().and_then(|reply| placed(&reply));
            let id = id.map(|placed| placed.id);
            running.gates.answers.pass().await;
            running.with_bus(|bus, now_ms, _| bus.handle_applied(now_ms, id));
            running.gates.work.pass().await;
            if id.is_none() {
                sleep(PAUSE).await;
                break;
            }
        }
    }
}

async fn write(running: &RunningBus, link: &RedisLink) {
    let mut seen = 0;
    loop {
        seen = link.came_up(seen).await;
        running.gates.answers.pass().await;
        running.with_bus(|bus, now_ms, _| bus.handle_writer_up(now_ms));
        if let Ok(connection) = link.connection() {
            write_while_it_lasts(running, &connection).await;
        }
        running.gates.answers.pass().await;
        running.with_bus(|bus, _, here| bus.handle_writer_lost(here));
    }
}

async fn write_while_it_lasts(running: &RunningBus, connection: &RedisConnection) {
    let mut trimmed = Instant::now();
    while connection.is_open() {
        running.gates.work.pass().await;
        let adds = running.with_bus(|bus, now_ms, _| bus.poll_add(now_ms));
        if adds.is_empty() {
            if trimmed.elapsed() > TRIM_EVERY {
                trimmed = Instant::now();
                // Whatever is wrong with that, the next entry will tell.
                let _ = connection.call(running.keys.trim(ENTRIES_MAX)).await;
            }
            running.news.wait().await;
            continue;
        }
        let Some(taken) = add_all(running, connection, &adds).await else {
            return connection.close();
        };
        running.gates.answers.pass().await;
        running.with_bus(|bus, now_ms, here| bus.handle_added(now_ms, &taken, here));
    }
}

/// Where the stream has the entries, if it does; `None`: nobody knows.
async fn add_all(
    running: &RunningBus,
    connection: &RedisConnection,
    adds: &[Add],
) -> Option<Vec<Option<Placed>>> {
    let mut taken = Vec::with_capacity(adds.len());
    let mut adds = adds.iter().peekable();
    while adds.peek().is_some() {
        let mut commands = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND_TRIP_BYTES
            && let Some(add) = adds.next()
        {
            let command = running.keys.add(add, ENTRIES_MAX);
            bytes += command.size();
            commands.push(command);
        }
        let replies = match connection.call_all(&commands).await {
            Ok(replies) => replies,
            Err(fault @ RedisFault::Busy) => {
                if let Some(unlogged) = running.may_log("too large") {
                    tracing::warn!(
                        bytes,
                        unlogged,
                        "{fault}: contents of this size cannot go through the bus"
                    );
                }
                taken.extend(commands.iter().map(|_| None));
                continue;
            }
            Err(_) => return None,
        };
        for error in replies.iter().filter_map(Reply::error) {
            running.log_refusal(error);
            if &*error.code == "READONLY" {
                // The name may lead to another server by now, one that can be written to.
                connection.close();
            }
        }
        for reply in &replies {
            let placed = placed(reply);
            if placed.is_none() && reply.error().is_none() {
                // It may be there, under an id that nobody understands.
                return None;
            }
            taken.push(placed);
        }
    }
    Some(taken)
}

async fn read(running: Rc<RunningBus>, link: RedisLink) {
    loop {
        link.came_up(0).await;
        running.gates.answers.pass().await;
        running.with_bus(|bus, now_ms, _| bus.handle_reader_up(now_ms));
        let Ok(connection) = link.connection() else {
            continue;
        };
        let unanswered = read_while_it_lasts(&running, &connection).await;
        running.gates.answers.pass().await;
        running.with_bus(|bus, _, here| bus.handle_reader_lost(here));
        match unanswered {
            // The link says why, and waits as long as it should.
            None => continue,
            Some(Unanswered::Refused(error)) => running.log_refusal(&error),
            Some(Unanswered::Strange) => {
                if let Some(unlogged) = running.may_log("strange") {
                    tracing::warn!(
                        unlogged,
                        "Redis answered the bus with something else than it was asked for; asking again"
                    );
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// `None`: the connection is over.
async fn read_while_it_lasts(
    running: &RunningBus,
    connection: &RedisConnection,
) -> Option<Unanswered> {
    loop {
        running.gates.work.pass().await;
        let ask = running.bus.borrow().poll_ask()?;
        let answer = ask_redis(running, connection, &ask).await;
        running.gates.answers.pass().await;
        match answer {
            Ok(Ok(heard)) => {
                running.with_bus(|bus, now_ms, here| bus.handle_heard(now_ms, heard, here));
            }
            Ok(Err(unanswered)) => return Some(unanswered),
            Err(RedisFault::TooLarge) => {
                running.bus.borrow_mut().handle_too_large();
                return None;
            }
            Err(_) => return None,
        }
        // What was published by what was told, and what others wait for.
        running.news.give();
        running.progress.give();
    }
}

async fn ask_redis(
    running: &RunningBus,
    connection: &RedisConnection,
    ask: &BusRequest,
) -> Result<Result<BusResponse, Unanswered>, RedisFault> {
    // Another one each time: a Redis that was emptied shall not get the one back that it had.
    let token = format!("{:016x}", getrandom::u64().unwrap_or_default());
    let commands = running.keys.ask(ask, &token);
    if commands.is_empty() {
        return Ok(heard(ask, Vec::new()));
    }
    let replies = match ask {
        BusRequest::Read { .. } => {
            let limit = Duration::from_millis(BLOCK_MS) + Duration::from_secs(2);
            connection.call_all_within(&commands, limit).await?
        }
        _ => connection.call_all(&commands).await?,
    };
    Ok(heard(ask, replies))
}

impl LocalLog for Publisher {
    fn publish(&self, floor: u64, topics: Vec<Topic>) -> u64 {
        self.publish_here(floor, topics).end - 1
    }

    fn publish_to(&self, floor: u64, principal: PrincipalId, topic: Topic) -> u64 {
        self.publish_to_here(floor, principal, topic)
    }

    fn notify_all(&self, floor: u64, notice: Notice) -> u64 {
        self.notify_all_here(floor, notice)
    }

    fn notify_session(&self, session: &str, notice: Notice) {
        // Whoever published it was told that it is on its way, and nothing more.
        let _ = self.notify_session_here(session, notice);
    }

    fn gap(&self, floor: u64) {
        self.gap_here(floor);
    }
}
