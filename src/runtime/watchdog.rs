//! A thread that dies or hangs takes the node's readiness with it.
//!
//! Each thread of a node *beats*: a few times a second, from a task that it has anyway, it counts up a number of its own.
//! One more thread, the watchdog, looks at those numbers.
//!
//! | a thread | the node |
//! |---|---|
//! | hangs: no beat for five seconds | is not ready, and is again when the thread goes on: it may be starved, or have been stopped |
//! | is gone: it panicked, or could not run | is not ready, drains and ends with an error, for whoever starts it again: what the thread had is lost, be it sessions or the way to the other nodes |
//!
//! Time is counted in looks and not by the clock: a process that was stopped, or a machine that slept, did not hang.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::clock;
use super::publisher::Publisher;
use crate::limits::{THREAD_HANGS_AFTER_LOOKS, THREAD_LOOK_EVERY_MS};

const LOOK_EVERY: Duration = Duration::from_millis(THREAD_LOOK_EVERY_MS);
/// How often a thread beats that has nothing else to do so often.
pub(crate) const BEAT_EVERY: Duration = Duration::from_millis(THREAD_LOOK_EVERY_MS / 2);
/// How often a thread that hangs on purpose looks whether that is over.
const STALL_STEP: Duration = Duration::from_millis(10);

/// Test: the thread that fails on SIGUSR2, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakThread {
    /// `core-0`, `control`, `signals`.
    pub thread: String,
    /// It hangs until SIGUSR2 comes again; else it panics.
    pub stalls: bool,
}

/// The threads of a node, as any of them may hold it.
#[derive(Clone)]
pub(crate) struct Watch {
    shared: Arc<WatchInner>,
}

struct WatchInner {
    lives: Mutex<Vec<Arc<Life>>>,
    /// A thread has come to its end.
    changed: Condvar,
    publisher: Publisher,
    /// Somebody wants the process to end; told by the signal's handler itself.
    end_asked: Arc<AtomicBool>,
    broken: Option<PlannedBreak>,
}

/// One thread, as the others see it. Nothing else is on the cache line that it writes to.
#[repr(align(128))]
struct Life {
    name: Box<str>,
    is_core: bool,
    beats: AtomicU64,
    /// When the last of them was, by the clock of the shards.
    beat_at: AtomicU64,
    state: AtomicU8,
    /// The watchdog's opinion.
    hangs: AtomicBool,
}

const RUNS: u8 = 0;
const ENDED: u8 = 1;
const GONE: u8 = 2;

#[derive(Clone)]
struct PlannedBreak {
    plan: BreakThread,
    now: Arc<AtomicBool>,
}

/// Held by a thread for as long as it runs. Dropped otherwise than by [`ended`](Alive::ended), the thread is gone.
pub(crate) struct Alive {
    life: Arc<Life>,
    watch: Watch,
}

/// What a thread beats with.
pub(crate) struct Beats {
    life: Arc<Life>,
    broken: Option<PlannedBreak>,
}

impl Watch {
    /// # Errors
    /// The kernel refuses the handler of a signal.
    pub(crate) fn new(publisher: Publisher, plan: Option<BreakThread>) -> io::Result<Self> {
        let broken = plan.map(|plan| PlannedBreak {
            plan,
            now: Arc::default(),
        });
        if let Some(broken) = &broken {
            signal_hook::flag::register(signal_hook::consts::SIGUSR2, broken.now.clone())?;
        }
        let shared = WatchInner {
            lives: Mutex::default(),
            changed: Condvar::new(),
            publisher,
            end_asked: Arc::default(),
            broken,
        };
        Ok(Watch {
            shared: Arc::new(shared),
        })
    }

    /// Watches from now on. `on_end` is called when the last core has come to its end; from when the node is told to
    /// stop, a core that hangs is given up after `ends_within`.
    ///
    /// # Errors
    /// Out of threads.
    pub(crate) fn start(
        &self,
        ends_within: Duration,
        on_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = self.clone();
        let dog = thread::Builder::new().name("watchdog".into());
        let run = move || {
            watch.run(ends_within);
            on_end();
        };
        dog.spawn(run).map(drop)
    }

    /// For a thread that is about to start, and without which the node is of no use.
    pub(crate) fn thread(&self, name: &str) -> Alive {
        self.add(name, false)
    }

    pub(crate) fn core(&self, name: &str) -> Alive {
        self.add(name, true)
    }

    pub(crate) fn end_asked(&self) -> &Arc<AtomicBool> {
        &self.shared.end_asked
    }

    /// What became of a core's thread can be asked without waiting for it.
    pub(super) fn has_come_to_its_end(&self, core: usize) -> bool {
        let lives = self.lives();
        let core = lives.iter().filter(|life| life.is_core).nth(core);
        core.is_none_or(|life| !life.runs())
    }

    /// The first thread that is gone.
    pub(super) fn first_gone(&self) -> Option<String> {
        let lives = self.lives();
        let gone = lives.iter().find(|life| life.is(GONE));
        gone.map(|life| life.name.to_string())
    }

    /// Threads that run, and for how long each has been silent.
    pub(crate) fn silent_for(&self) -> Vec<(String, Duration)> {
        let (lives, now) = (self.lives(), clock::now());
        let running = lives.iter().filter(|life| !life.is(ENDED));
        let silent = running.map(|life| {
            let since = now.saturating_sub(life.beat_at.load(Ordering::Relaxed));
            (life.name.to_string(), Duration::from_millis(since))
        });
        silent.collect()
    }

    fn add(&self, name: &str, is_core: bool) -> Alive {
        let life = Arc::new(Life {
            name: name.into(),
            is_core,
            beats: AtomicU64::new(0),
            beat_at: AtomicU64::new(clock::now()),
            state: AtomicU8::new(RUNS),
            hangs: AtomicBool::new(false),
        });
        self.lives().push(life.clone());
        let watch = self.clone();
        Alive { life, watch }
    }

    fn lives(&self) -> MutexGuard<'_, Vec<Arc<Life>>> {
        let lives = self.shared.lives.lock();
        lives.unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, ends_within: Duration) {
        let mut looks: Vec<ThreadObservation> = Vec::new();
        let mut stopping: Option<Instant> = None;
        let publisher = &self.shared.publisher;
        loop {
            let (lives, is_time) = self.wait();
            let mut cores = lives.iter().filter(|life| life.is_core);
            if publisher.is_stopping() {
                let since = *stopping.get_or_insert_with(Instant::now);
                let given_up = |life: &Arc<Life>| !life.runs() || life.hangs();
                if since.elapsed() > ends_within && cores.clone().all(given_up) {
                    return;
                }
            }
            if !cores.any(|life| life.runs()) {
                return;
            }
            looks.resize_with(lives.len(), ThreadObservation::default);
            let mut impaired = false;
            for (life, look) in lives.iter().zip(&mut looks) {
                self.judge(life, look, is_time);
                impaired |= life.hangs() || life.is(GONE);
            }
            publisher.set_impaired(impaired);
            // The thread that should have done this hangs, or is gone.
            if is_time && self.shared.end_asked.load(Ordering::Relaxed) && !publisher.is_stopping()
            {
                publisher.stop_all();
            }
        }
    }

    /// All threads, and whether it is time for a look: one of them may have come to its end before. The end of the last core
    /// is not waited for twice.
    fn wait(&self) -> (Vec<Arc<Life>>, bool) {
        let lives = self.lives();
        if !lives.iter().any(|life| life.is_core && life.runs()) {
            return (lives.clone(), false);
        }
        let waited = self.shared.changed.wait_timeout(lives, LOOK_EVERY);
        let (lives, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (lives.clone(), timeout.timed_out())
    }

    fn judge(&self, life: &Life, look: &mut ThreadObservation, is_time: bool) {
        let name = &*life.name;
        if life.is(GONE) && !std::mem::replace(&mut look.logged_gone, true) {
            self.shared.publisher.set_impaired(true);
            self.shared.publisher.stop_all();
            tracing::error!(
                thread = name,
                "a thread is gone: the node takes its leave, and ends"
            );
        }
        if !is_time || !life.runs() {
            return;
        }
        let hangs = look.hangs(life.beats.load(Ordering::Relaxed));
        match (life.hangs.swap(hangs, Ordering::Relaxed), hangs) {
            (false, true) => tracing::error!(
                thread = name,
                "a thread does nothing any more: the node is not ready until it goes on"
            ),
            (true, false) => tracing::warn!(thread = name, "the thread goes on"),
            _ => {}
        }
    }
}

/// What the watchdog remembers of a thread.
#[derive(Default)]
struct ThreadObservation {
    beats: u64,
    /// Looks in a row without a beat between them.
    quiet: u32,
    logged_gone: bool,
}

impl ThreadObservation {
    fn hangs(&mut self, beats: u64) -> bool {
        self.quiet = match beats == self.beats {
            true => self.quiet.saturating_add(1),
            false => 0,
        };
        self.beats = beats;
        self.quiet >= THREAD_HANGS_AFTER_LOOKS
    }
}

impl Life {
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) == state
    }

    fn runs(&self) -> bool {
        self.is(RUNS)
    }

    fn hangs(&self) -> bool {
        self.hangs.load(Ordering::Relaxed) && self.runs()
    }
}

impl Alive {
    pub(crate) fn beats(&self) -> Beats {
        let broken = self.watch.shared.broken.as_ref();
        let broken = broken.filter(|broken| *broken.plan.thread == *self.life.name);
        Beats {
            life: self.life.clone(),
            broken: broken.cloned(),
        }
    }

    /// As it should.
    pub(crate) fn ended(self) {
        self.life.state.store(ENDED, Ordering::Release);
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let state = &self.life.state;
        // Fails for a thread that has ended, as it should.
        let _ = state.compare_exchange(RUNS, GONE, Ordering::AcqRel, Ordering::Acquire);
        // With the lock: whoever is about to wait for this has not looked yet, or waits already.
        drop(self.watch.lives());
        self.watch.shared.changed.notify_all();
    }
}

impl Beats {
    /// Only the thread itself calls this.
    pub(crate) fn beat(&self) {
        let beats = &self.life.beats;
        beats.store(beats.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.life.beat_at.store(clock::now(), Ordering::Relaxed);
        if let Some(broken) = &self.broken
            && broken.now.swap(false, Ordering::Relaxed)
        {
            broken.carry_out();
        }
    }
}

impl PlannedBreak {
    fn carry_out(&self) {
        assert!(self.plan.stalls, "broken on purpose (--break-thread)");
        while !self.now.swap(false, Ordering::Relaxed) {
            thread::sleep(STALL_STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let publisher = Publisher::new();
        publisher.open_mailboxes(1);
        Watch::new(publisher, None).expect("no signal is asked for")
    }

    /// Resolves when the watchdog has seen the last core's end.
    fn start(watch: &Watch) -> impl Fn() {
        let (tell, told) = std::sync::mpsc::channel();
        let on_end = move || tell.send(()).expect("the test waits");
        watch
            .start(Duration::from_secs(60), on_end)
            .expect("a thread");
        move || told.recv().expect("the watchdog does not panic")
    }

    #[test]
    fn a_thread_that_hangs_and_one_that_is_only_late() {
        let mut look = ThreadObservation::default();
        for beat in 1..100 {
            assert!(!look.hangs(beat));
            for _ in 1..THREAD_HANGS_AFTER_LOOKS {
                assert!(!look.hangs(beat), "late");
            }
        }
        assert!(look.hangs(99));
        assert!(look.hangs(99));
        assert!(!look.hangs(100), "it goes on");
    }

    #[test]
    fn a_core_that_panics_and_is_missed_at_once() {
        let watch = watch();
        let publisher = watch.shared.publisher.clone();
        let (first, second) = (watch.core("core-0"), watch.core("core-1"));
        let wait_for_the_end = start(&watch);
        let dies = thread::spawn(move || {
            let _alive = first;
            panic!("as a bug would");
        });
        // It waits for the others to end.
        while !publisher.is_stopping() {
            thread::yield_now();
        }
        assert!(publisher.is_impaired() && !publisher.is_ready());
        second.ended();
        wait_for_the_end();
        assert!(dies.join().is_err());
        assert_eq!(watch.first_gone().as_deref(), Some("core-0"));
    }

    #[test]
    fn a_thread_beside_the_cores_that_could_not_run() {
        let watch = watch();
        let core = watch.core("core-0");
        let wait_for_the_end = start(&watch);
        drop(watch.thread("control"));
        while !watch.shared.publisher.is_stopping() {
            thread::yield_now();
        }
        core.ended();
        wait_for_the_end();
        assert_eq!(watch.first_gone().as_deref(), Some("control"));
    }

    #[test]
    fn sigterm_while_the_thread_that_waits_for_it_is_gone() {
        let watch = watch();
        let _core = watch.core("core-0");
        let _watched = start(&watch);
        watch.end_asked().store(true, Ordering::Relaxed);
        while !watch.shared.publisher.is_stopping() {
            thread::yield_now();
        }
    }
}
