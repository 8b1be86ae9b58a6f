//! The tasks of a thread, and their end.
//!
//! monoio never drops a task that waits: what it waits for holds the task, and the task holds that. So a runtime that is
//! dropped leaves behind the sockets of all its tasks, listening ones included. What is spawned here is known to its
//! thread. [`run`] ends all of it together with the work that it was given, and returns when the kernel has let go of what the
//! tasks had under way. A task that panics ends all of it in the same way, and then its thread. Other threads see nothing
//! of this.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

/// What was cancelled is answered by the kernel in the ring's next turn, and the descriptor closed in the one after it.
const LAST_TURNS: usize = 3;
const TURN: Duration = Duration::from_millis(1);

thread_local! {
    /// Of the runtime that this thread is in.
    static TASKS: RefCell<Option<Rc<ThreadTasks>>> = const { RefCell::new(None) };
}

#[derive(Default)]
struct ThreadTasks {
    /// How to wake each; none before its first turn.
    wakers: RefCell<Slab<Option<Waker>>>,
    ending: Cell<bool>,
    /// What ended one of them, and is to end the thread.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Who waits for that, and then for the last of them.
    runner: Cell<Option<Waker>>,
}

/// One of them, for as long as it lives.
struct TaskSlot {
    tasks: Rc<ThreadTasks>,
    index: usize,
    has_waker: bool,
}

/// Starts a task of this thread's runtime. Inside of [`run`] it ends with that at the latest.
pub(crate) fn spawn<T: 'static>(work: impl Future<Output = T> + 'static) {
    let Some(tasks) = TASKS.with_borrow(Clone::clone) else {
        monoio::spawn(work);
        return;
    };
    if tasks.ending.get() {
        return;
    }
    let mut place = TaskSlot::new(tasks);
    monoio::spawn(async move {
        let mut work = pin!(work);
        poll_fn(|context| match place.is_over(context) {
            true => Poll::Ready(()),
            false => {
                let poll = || work.as_mut().poll(context).map(drop);
                catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
                    place.tasks.panic.set(Some(panic));
                    place.tasks.wake_runner();
                    Poll::Ready(())
                })
            }
        })
        .await;
    });
}

/// Does the work, then ends all that was spawned meanwhile. To be waited for in a monoio runtime with a timer.
pub(crate) async fn run<T>(work: impl Future<Output = T>) -> T {
    let tasks = Rc::<ThreadTasks>::default();
    let before = TASKS.replace(Some(tasks.clone()));
    let result = {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Some(panic) = tasks.panic.take() {
                return Poll::Ready(Err(panic));
            }
            tasks.runner.set(Some(context.waker().clone()));
            work.as_mut().poll(context).map(Ok)
        })
        .await
    };
    tasks.end().await;
    TASKS.set(before);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Ends what [`run`] had spawned when a panic came through it, from a task that was not spawned here. What was given to
/// `run` itself is beyond reach then, so that it should hold nothing that matters.
pub(crate) async fn end_after_panic() {
    let Some(tasks) = TASKS.take() else { return };
    tasks.begin_end();
    while !tasks.wakers.borrow().is_empty() {
        monoio::time::sleep(TURN).await;
    }
    last_turns().await;
}

async fn last_turns() {
    for _ in 0..LAST_TURNS {
        monoio::time::sleep(TURN).await;
    }
}

impl ThreadTasks {
    fn begin_end(&self) {
        self.ending.set(true);
        let wakers: Vec<Waker> = {
            let wakers = self.wakers.borrow();
            wakers.iter().filter_map(|(_, it)| it.clone()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn end(&self) {
        self.begin_end();
        poll_fn(|context| {
            if self.wakers.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.runner.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        last_turns().await;
    }

    fn wake_runner(&self) {
        if let Some(runner) = self.runner.take() {
            runner.wake();
        }
    }
}

impl TaskSlot {
    fn new(tasks: Rc<ThreadTasks>) -> Self {
        let index = tasks.wakers.borrow_mut().insert(None);
        TaskSlot {
            tasks,
            index,
            has_waker: false,
        }
    }

    /// Asked in each turn of the task. A task has one waker for all its life.
    fn is_over(&mut self, context: &Context<'_>) -> bool {
        if !std::mem::replace(&mut self.has_waker, true) {
            let waker = context.waker().clone();
            self.tasks.wakers.borrow_mut()[self.index] = Some(waker);
        }
        self.tasks.ending.get()
    }
}

impl Drop for TaskSlot {
    fn drop(&mut self) {
        let waker = self.tasks.wakers.borrow_mut().try_remove(self.index);
        drop(waker);
        let was_last = self.tasks.wakers.borrow().is_empty();
        if was_last && self.tasks.ending.get() {
            self.tasks.wake_runner();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener as StdListener;

    use monoio::net::TcpListener;

    use super::*;
    use crate::runtime::{Driver, run_alone};

    struct Raise(Rc<Cell<usize>>);

    impl Drop for Raise {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_task_that_waits_for_ever() {
        let dropped = Rc::new(Cell::new(0));
        let raise = || Raise(dropped.clone());
        let ended = run_alone(Driver::Epoll, async {
            run(async {
                let (first, second) = (raise(), raise());
                spawn(async move {
                    let _held = first;
                    std::future::pending::<()>().await;
                });
                spawn(async move {
                    // Spawns when it is dropped: that ends at once.
                    let _held = futures_util::future::ready(second).await;
                    monoio::time::sleep(Duration::from_secs(3_600)).await;
                });
                monoio::time::sleep(TURN).await;
                assert_eq!(dropped.get(), 0, "they wait");
                let never_began = raise();
                spawn(async move { drop(never_began) });
            })
            .await;
            assert_eq!(dropped.get(), 3);
        });
        ended.expect("a runtime");
    }

    #[test]
    fn a_task_that_panics_and_leaves_the_others_behind() {
        let dropped = Rc::new(Cell::new(0));
        let raise = Raise(dropped.clone());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            run_alone(Driver::Epoll, async {
                spawn(async move {
                    let _held = raise;
                    std::future::pending::<()>().await;
                });
                spawn(async { panic!("as a bug would") });
                std::future::pending::<()>().await;
            })
        }));
        let said = panics.expect_err("its thread ends");
        assert_eq!(said.downcast_ref(), Some(&"as a bug would"));
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn a_listening_socket_that_outlives_its_task() {
        for driver in Driver::all_here() {
            let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            let ended = run_alone(driver, async move {
                let nonblocking = monoio::utils::is_legacy();
                listener.set_nonblocking(nonblocking).expect("a socket");
                let listener = TcpListener::from_std(listener).expect("a runtime");
                spawn(async move { listener.accept().await.map(drop) });
                monoio::time::sleep(TURN).await;
            });
            ended.expect("a runtime");
            StdListener::bind(address).expect("nobody listens there any more");
        }
    }
}
