//! From any thread to one: a list of messages, and one wake per batch. Posting never waits.
//!
//! The lock is held for a push or for a swap of two vectors, and only when something crosses threads. No request and no
//! delivery touches it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

pub(crate) struct Mailbox<T> {
    messages_max: usize,
    /// Something waits that is not to wait for long. Set and taken back under the lock.
    is_urgent: AtomicBool,
    inside: Mutex<MailboxState<T>>,
}

struct MailboxState<T> {
    messages: Vec<T>,
    /// Something found no room since the last time.
    lost: bool,
    /// Its reader has ended: what is posted is dropped.
    is_closed: bool,
    /// Set while the reader sleeps.
    reader: Option<Waker>,
}

impl<T> MailboxState<T> {
    fn take(&mut self, is_urgent: &AtomicBool) -> Collected<T> {
        is_urgent.store(false, Ordering::Relaxed);
        Collected {
            messages: std::mem::take(&mut self.messages),
            lost: std::mem::take(&mut self.lost),
        }
    }
}

/// All there was, in order.
pub(crate) struct Collected<T> {
    pub(crate) messages: Vec<T>,
    /// There was more, which found no room.
    pub(crate) lost: bool,
}

impl<T> Mailbox<T> {
    pub(crate) fn new(messages_max: usize) -> Self {
        Mailbox {
            messages_max,
            is_urgent: AtomicBool::new(false),
            inside: Mutex::new(MailboxState {
                messages: Vec::new(),
                lost: false,
                is_closed: false,
                reader: None,
            }),
        }
    }

    /// What finds no room is dropped, and the reader is told that something was.
    pub(crate) fn post(&self, messages: impl IntoIterator<Item = T>) {
        self.post_with(|inside| {
            for message in messages {
                if inside.messages.len() >= self.messages_max {
                    inside.lost = true;
                    break;
                }
                inside.messages.push(message);
            }
        });
    }

    /// For what must not be dropped. It is not bounded here: who calls this says what bounds it.
    pub(crate) fn post_beyond(&self, message: T) {
        self.post_with(|inside| inside.messages.push(message));
    }

    /// The same, for a reader whose thread may have so much else to do that it hears nothing for long.
    pub(crate) fn post_urgent(&self, message: T) {
        self.post_with(|inside| {
            inside.messages.push(message);
            self.is_urgent.store(true, Ordering::Relaxed);
        });
    }

    /// Whether such a message waits. Costs no lock: for whoever has much to do on the reader's thread.
    pub(crate) fn is_urgent(&self) -> bool {
        self.is_urgent.load(Ordering::Relaxed)
    }

    /// Whoever can wait or be refused had better be.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().messages.len() >= self.messages_max
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Nobody will read any more. What was on its way is dropped, and connections among it close.
    pub(crate) fn close(&self) {
        let mut inside = self.lock();
        inside.is_closed = true;
        let left = (std::mem::take(&mut inside.messages), inside.reader.take());
        drop(inside);
        drop(left);
    }

    /// Waits for something and takes all there is. Nothing is lost when the wait is given up.
    pub(crate) async fn collect(&self) -> Collected<T> {
        std::future::poll_fn(|context| {
            let mut inside = self.lock();
            if inside.messages.is_empty() && !inside.lost {
                inside.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(inside.take(&self.is_urgent))
        })
        .await
    }

    /// Takes all there is, which may be nothing. Whoever waits for something goes on waiting.
    pub(crate) fn take(&self) -> Collected<T> {
        self.lock().take(&self.is_urgent)
    }

    /// What waits, and whether there was more, is looked at and stays: its reader is woken as if nobody had.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&[T], bool) -> R) -> R {
        let inside = self.lock();
        look(&inside.messages, inside.lost)
    }

    fn post_with(&self, post: impl FnOnce(&mut MailboxState<T>)) {
        let reader = {
            let mut inside = self.lock();
            if inside.is_closed {
                return;
            }
            post(&mut inside);
            inside.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MailboxState<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use futures_util::FutureExt;

    use super::*;

    fn collected<T>(mailbox: &Mailbox<T>) -> Option<(Vec<T>, bool)> {
        let collected = mailbox.collect().now_or_never();
        collected.map(|it| (it.messages, it.lost))
    }

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        (woken.clone(), Waker::from(woken))
    }

    /// Who takes what is there, and does not wait, leaves the one asleep who does.
    #[test]
    fn a_reader_that_is_not_woken_because_another_one_looked() {
        let mailbox = Mailbox::new(3);
        let (woken, waker) = counted();
        let mut collect = pin!(mailbox.collect());
        let mut context = Context::from_waker(&waker);
        assert!(collect.as_mut().poll(&mut context).is_pending());
        assert!(mailbox.take().messages.is_empty());
        mailbox.post([1]);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(mailbox.take().messages, [1]);
        assert!(collect.as_mut().poll(&mut context).is_pending());
        mailbox.post([2]);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_urgent_message_that_waits_for_all_that_its_reader_has_to_do() {
        let mailbox = Mailbox::new(1);
        mailbox.post([1]);
        assert!(!mailbox.is_urgent());
        mailbox.post_urgent(2);
        assert!(mailbox.is_urgent());
        assert_eq!(mailbox.take().messages, [1, 2], "in its turn");
        assert!(!mailbox.is_urgent());
        mailbox.post_urgent(3);
        assert_eq!(collected(&mailbox), Some((vec![3], false)));
        assert!(!mailbox.is_urgent());
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_that_is_told() {
        let mailbox = Mailbox::new(3);
        assert_eq!(collected(&mailbox), None);
        mailbox.post([1, 2]);
        assert!(!mailbox.is_full());
        mailbox.post([3, 4]);
        assert!(mailbox.is_full());
        mailbox.post_beyond(5);
        assert_eq!(collected(&mailbox), Some((vec![1, 2, 3, 5], true)));
        assert_eq!(collected(&mailbox), None);
    }

    #[test]
    fn a_reader_that_is_woken_for_each_message_or_for_none() {
        let (woken, waker) = counted();
        let mut context = Context::from_waker(&waker);
        let mailbox = Mailbox::new(1);
        let mut wait = pin!(mailbox.collect());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        mailbox.post([1]);
        mailbox.post_beyond(2);
        mailbox.post([3]);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(collected) = wait.poll(&mut context) else {
            panic!("there is something");
        };
        assert_eq!((collected.messages, collected.lost), (vec![1, 2], true));
    }

    #[test]
    fn a_reader_that_sleeps_on_because_somebody_else_looked() {
        let mailbox = Mailbox::new(1);
        let mut wait = pin!(mailbox.collect());
        let (woken, waker) = counted();
        let mut context = Context::from_waker(&waker);
        assert!(wait.as_mut().poll(&mut context).is_pending());
        assert_eq!(
            mailbox.look(|waiting, lost| (waiting.len(), lost)),
            (0, false)
        );
        mailbox.post([1, 2]);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let seen = mailbox.look(|waiting, lost| (waiting.to_vec(), lost));
        assert_eq!(seen, (vec![1], true));
        let Poll::Ready(collected) = wait.poll(&mut context) else {
            panic!("it is still there");
        };
        assert_eq!((collected.messages, collected.lost), (vec![1], true));
    }

    #[test]
    fn a_message_that_is_kept_for_a_reader_that_has_ended() {
        let (mailbox, message) = (Mailbox::new(8), Rc::new(()));
        mailbox.post([message.clone()]);
        mailbox.close();
        mailbox.post([message.clone()]);
        mailbox.post_beyond(message.clone());
        assert_eq!(Rc::strong_count(&message), 1);
        assert_eq!(collected(&mailbox), None);
    }
}
