//! What all clients of one test share: time, what runs in the background, what was published.
//!
//! One thread polls whatever was woken. When nothing is, time moves to the next timer. Without a timer the thread
//! waits for another to wake something (a test that uses tokio, or threads of its own), though not for ever.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;

use crate::app::call::Topic;
use crate::principal::PrincipalId;

/// What nobody wakes for so long nobody will.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    /// Milliseconds since the Unix epoch, as handlers see them.
    pub(crate) now_ms: Cell<u64>,
    pub(super) start_ms: u64,
    /// Timers take their time, from here on.
    real: Cell<Option<Instant>>,
    /// By when they are due; the number tells those apart that are due at once.
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timer_count: Cell<u64>,
    client_count: Cell<u32>,
    pub(crate) published: RefCell<Vec<Topic>>,
    pub(crate) published_to: RefCell<Vec<(PrincipalId, Topic)>>,
    pub(super) sealed: RefCell<HashMap<String, Vec<u8>>>,
    background: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    #[cfg(feature = "tokio")]
    tokio: std::cell::OnceCell<crate::tokio_threads::TokioThreads>,
}

impl Default for World {
    fn default() -> Self {
        World {
            now_ms: Cell::new(0),
            start_ms: 0,
            real: Cell::default(),
            timers: RefCell::default(),
            timer_count: Cell::default(),
            client_count: Cell::default(),
            published: RefCell::default(),
            published_to: RefCell::default(),
            sealed: RefCell::default(),
            background: RefCell::default(),
            #[cfg(feature = "tokio")]
            tokio: std::cell::OnceCell::new(),
        }
    }
}

impl World {
    pub(super) fn use_real_time(&self) {
        self.real.set(Some(Instant::now()));
    }

    #[cfg(feature = "tokio")]
    pub(super) fn use_tokio(&self) {
        self.tokio.get_or_init(|| {
            crate::tokio_threads::TokioThreads::start(1).expect("a test may have threads")
        });
    }

    pub(super) fn next_client(&self) -> u32 {
        let number = self.client_count.get();
        self.client_count.set(number + 1);
        number
    }

    pub(super) fn now_ms(&self) -> u64 {
        match self.real.get() {
            None => self.now_ms.get(),
            Some(start) => {
                let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.start_ms.saturating_add(ms).max(self.now_ms.get())
            }
        }
    }

    pub(super) fn sleep(self: &Rc<Self>, ms: u64) -> Sleep {
        let number = self.timer_count.get();
        self.timer_count.set(number + 1);
        Sleep {
            world: self.clone(),
            key: (self.now_ms().saturating_add(ms), number),
        }
    }

    pub(super) fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.background.borrow_mut().push(work);
    }

    pub(super) fn advance(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let until = self.now_ms().saturating_add(ms);
        while self.next_timer().is_some_and(|due| due <= until) {
            self.jump();
            self.poll_background();
        }
        self.now_ms.set(until);
        self.poll_background();
    }

    /// Polls a future, and what is in the background, until neither was woken.
    pub(super) fn poll<T>(&self, future: &mut LocalBoxFuture<'_, T>) -> Option<T> {
        let signal = ThreadSignal::of_this_thread();
        self.poll_with(&signal, future)
    }

    fn poll_with<T>(
        &self,
        signal: &Arc<ThreadSignal>,
        future: &mut LocalBoxFuture<'_, T>,
    ) -> Option<T> {
        #[cfg(feature = "tokio")]
        let _entered = self.tokio.get().map(|threads| threads.enter());
        let waker = Waker::from(signal.clone());
        loop {
            signal.woken.store(false, Ordering::Release);
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
            self.poll_background_with(&waker);
            if !signal.woken.load(Ordering::Acquire) {
                return None;
            }
        }
    }

    /// Runs a future to its end.
    pub(crate) fn run<T>(&self, mut future: LocalBoxFuture<'_, T>) -> T {
        let signal = ThreadSignal::of_this_thread();
        loop {
            if let Some(value) = self.poll_with(&signal, &mut future) {
                return value;
            }
            self.wait(&signal);
        }
    }

    pub(crate) fn finish_background(&self) {
        let all = std::future::poll_fn(|_| match self.background.borrow().is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        self.run(Box::pin(all));
    }

    /// Nothing is to be done now.
    fn wait(&self, signal: &ThreadSignal) {
        let next = self.next_timer();
        match (next, self.real.get()) {
            (Some(_), None) => self.jump(),
            (Some(due), Some(_)) => {
                signal.park(Duration::from_millis(due.saturating_sub(self.now_ms())));
                while self.next_timer().is_some_and(|due| due <= self.now_ms()) {
                    self.jump();
                }
            }
            (None, _) => assert!(
                signal.park(PATIENCE),
                "a handler waits for something that never comes: nothing has woken it for {PATIENCE:?}"
            ),
        }
    }

    fn next_timer(&self) -> Option<u64> {
        let timers = self.timers.borrow();
        timers.first_key_value().map(|((due, _), _)| *due)
    }

    /// It is as late as the next timer.
    fn jump(&self) {
        let first = self.timers.borrow_mut().pop_first();
        if let Some(((due, _), waker)) = first {
            self.now_ms.set(due.max(self.now_ms.get()));
            waker.wake();
        }
    }

    fn poll_background(&self) {
        let mut nothing: LocalBoxFuture<'_, ()> = Box::pin(std::future::pending());
        self.poll(&mut nothing);
    }

    fn poll_background_with(&self, waker: &Waker) {
        let mut works = self.background.take();
        let count = works.len();
        works.retain_mut(|work| {
            Pin::new(work)
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        });
        let mut background = self.background.borrow_mut();
        // What was spawned meanwhile is to be polled for the first time; who waits for what ended goes on.
        if works.len() < count || !background.is_empty() {
            waker.wake_by_ref();
        }
        works.append(&mut background);
        *background = works;
    }
}

pub(super) struct Sleep {
    world: Rc<World>,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.world.timers.borrow_mut();
        if self.key.0 <= self.world.now_ms() {
            timers.remove(&self.key);
            return Poll::Ready(());
        }
        timers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.timers.borrow_mut().remove(&self.key);
    }
}

struct ThreadSignal {
    woken: AtomicBool,
    thread: Thread,
}

impl ThreadSignal {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(ThreadSignal {
            woken: AtomicBool::new(false),
            thread: thread::current(),
        })
    }

    /// Whether it was woken.
    fn park(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        while !self.woken.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    }
}

impl Wake for ThreadSignal {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
