//! What the process does when it is sent a signal: a thread waits for them, and does what each asks for before anything
//! is said about it.
//!
//! | signal | what it does |
//! |---|---|
//! | SIGTERM, SIGINT | ends the node cleanly; the second one ends the process now, in the handler itself: whatever state anything is in |
//! | SIGHUP | reads again what can be read again |
//! | SIGUSR1 | says in the log how much of everything there is |
//! | SIGUSR2, SIGALRM, … | nothing: what is sent by mistake must not end a node |
//!
//! If the thread is gone, or hangs, the watchdog ends the node instead. SIGQUIT and SIGABRT still leave a core dump.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
};
use signal_hook::flag;
use signal_hook::low_level::pipe;

use super::clock;
use super::publisher::Publisher;
use super::watchdog::{BEAT_EVERY, Beats, Watch};
use crate::log_throttle::LogThrottle;

const ENDING: [i32; 2] = [SIGTERM, SIGINT];
/// Those whose default is to kill, and that nobody here waits for.
const MEANINGLESS: [i32; 7] = [
    SIGUSR2,
    SIGALRM,
    SIGVTALRM,
    SIGPROF,
    SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];

/// Reads again what can be, and says what came of it.
pub(crate) type Reload = Box<dyn FnMut() + Send>;

/// For the time before somebody waits for signals: a SIGHUP is lost then, and does not kill.
///
/// # Errors
/// The kernel refuses the handler.
pub fn survive_hangups() -> io::Result<()> {
    flag::register(SIGHUP, Arc::default()).map(drop)
}

struct SignalFlags {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
    nothing: Arc<AtomicBool>,
}

/// Says that the node begins to end.
pub(crate) type Stopping = Box<dyn FnOnce() + Send>;

pub(crate) fn watch(
    watch: &Watch,
    publisher: Publisher,
    reload: Reload,
    stopping: Stopping,
) -> io::Result<()> {
    let (woken, wake) = UnixStream::pair()?;
    woken.set_read_timeout(Some(BEAT_EVERY))?;
    let asked = SignalFlags {
        end: watch.end_asked().clone(),
        reload: Arc::default(),
        report: Arc::default(),
        nothing: Arc::default(),
    };
    for signal in ENDING {
        // In this order: the first one finds that nobody has asked before.
        flag::register_conditional_shutdown(signal, 128 + signal, asked.end.clone())?;
        flag::register(signal, asked.end.clone())?;
    }
    flag::register(SIGHUP, asked.reload.clone())?;
    flag::register(SIGUSR1, asked.report.clone())?;
    for signal in MEANINGLESS {
        flag::register(signal, asked.nothing.clone())?;
    }
    // A log that has become too large a file. Said by the write that fails, and not in the log.
    flag::register(libc::SIGXFSZ, Arc::default())?;
    let all = ENDING.into_iter().chain([SIGHUP, SIGUSR1]);
    for signal in all.chain(MEANINGLESS) {
        pipe::register(signal, wake.try_clone()?)?;
    }
    let alive = watch.thread("signals");
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let beats = alive.beats();
            wait(&beats, woken, &asked, &publisher, reload, stopping);
            alive.ended();
        })?;
    Ok(())
}

fn wait(
    beats: &Beats,
    mut woken: UnixStream,
    asked: &SignalFlags,
    publisher: &Publisher,
    mut reload: Reload,
    stopping: Stopping,
) {
    let mut stopping = Some(stopping);
    let mut throttle = LogThrottle::default();
    let mut logged_end = false;
    let take = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
    loop {
        if asked.end.load(Ordering::Relaxed) && !logged_end {
            publisher.stop_all();
            logged_end = true;
            tracing::info!("stopping; once more to stop at once");
        }
        if publisher.is_stopping()
            && let Some(stopping) = stopping.take()
        {
            stopping();
        }
        if take(&asked.reload) {
            reload();
        }
        if take(&asked.report) {
            publisher.report_all();
        }
        if take(&asked.nothing)
            && let Some(unlogged) = throttle.admit(clock::now())
        {
            tracing::info!(unlogged, "a signal that means nothing here was ignored");
        }
        if publisher.has_ended() {
            return;
        }
        beats.beat();
        match woken.read(&mut [0; 64]) {
            Ok(count) if count > 0 => {}
            Err(fault)
                if matches!(
                    fault.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            // It cannot happen, and must not become a loop that never waits.
            Ok(_) | Err(_) => thread::sleep(BEAT_EVERY),
        }
    }
}
