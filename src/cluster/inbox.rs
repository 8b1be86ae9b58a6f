//! From any thread to the control thread: a bounded list, one wake per batch, and nobody waits to put something in.

use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

pub(super) struct Inbox<T> {
    items_max: usize,
    inside: Mutex<InboxState<T>>,
}

struct InboxState<T> {
    items: Vec<T>,
    /// Something found no room since the last time.
    lost: bool,
    /// Set while the reader sleeps.
    reader: Option<Waker>,
}

/// All there was, in order.
pub(super) struct InboxContents<T> {
    pub(super) items: Vec<T>,
    /// There was more, which found no room.
    pub(super) lost: bool,
}

impl<T> Inbox<T> {
    pub(super) fn new(items_max: usize) -> Self {
        Inbox {
            items_max,
            inside: Mutex::new(InboxState {
                items: Vec::new(),
                lost: false,
                reader: None,
            }),
        }
    }

    /// What finds no room is dropped.
    pub(super) fn post(&self, items: impl IntoIterator<Item = T>) {
        let reader = {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            for item in items {
                if inside.items.len() >= self.items_max {
                    inside.lost = true;
                    break;
                }
                inside.items.push(item);
            }
            inside.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Waits for something and takes all there is. Nothing is lost when the wait is given up.
    pub(super) async fn collect(&self) -> InboxContents<T> {
        std::future::poll_fn(|context| {
            let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
            if inside.items.is_empty() && !inside.lost {
                inside.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(InboxContents {
                items: std::mem::take(&mut inside.items),
                lost: std::mem::take(&mut inside.lost),
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_that_is_told() {
        let inbox = Inbox::new(3);
        assert!(inbox.collect().now_or_never().is_none());
        inbox.post([1, 2]);
        inbox.post([3, 4]);
        let collected = inbox.collect().now_or_never().unwrap();
        assert_eq!((collected.items, collected.lost), (vec![1, 2, 3], true));
        assert!(inbox.collect().now_or_never().is_none());
    }
}
