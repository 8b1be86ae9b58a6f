//! A running bus that stands still: what is posted meanwhile is put aside, and what there is can be written down.

use super::BusState;
use super::handle::BusMessage;
use super::outbox::OutboxItem;
use super::run::RunningBus;
use crate::mailbox::Collected;

impl RunningBus {
    /// Whether it is not known yet of some items if they are in the log.
    pub(crate) fn is_adding(&self) -> bool {
        self.bus.borrow().is_adding()
    }

    pub(super) fn put_aside(&self, collected: Collected<BusMessage>) {
        self.aside.borrow_mut().extend(collected.messages);
        self.is_lost.set(self.is_lost.get() | collected.lost);
    }

    /// What was put aside is posted.
    pub(super) fn take_aside(&self) {
        let messages = self.aside.take();
        let is_lost = self.is_lost.take();
        self.with_bus(|bus, now_ms, here| {
            for posted in messages {
                match posted {
                    BusMessage::Item(item, ticket) => bus.post(now_ms, item, ticket, here),
                    BusMessage::Leave(answer, at_most) => self.begin_leaving(answer, at_most),
                }
            }
            if is_lost {
                here.gap(0);
                bus.post(now_ms, OutboxItem::Everything, None, here);
            }
        });
    }

    /// What it has, with what waits at its door. Nothing is taken: it may go on with all of that itself.
    pub(crate) fn state(&self) -> BusState {
        let mut state = self.bus.borrow().state(self.now_ms());
        state.began = self.began;
        state.posted = items(&self.aside.borrow());
        let mut is_lost = self.is_lost.get();
        self.handle.mailbox.look(|waiting, lost| {
            state.posted.extend(items(waiting));
            is_lost |= lost;
        });
        if is_lost {
            state.posted.push(OutboxItem::Everything);
        }
        state
    }
}

fn items(messages: &[BusMessage]) -> Vec<OutboxItem> {
    let items = messages.iter().filter_map(|it| match it {
        BusMessage::Item(item, _) => Some(item.clone()),
        BusMessage::Leave(..) => None,
    });
    items.collect()
}
