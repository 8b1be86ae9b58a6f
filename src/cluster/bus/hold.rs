//! When clients are notified of what was read from the log: as soon as every node that counts has applied it, or when they
//! have waited long enough. It is always in the order of the log.
//!
//! So a client that is notified at one node reads the change at any other. A node may apply an entry so late that others
//! have notified of it already (it hung, it was cut off, it lost its place). It says so in the log once it has applied it. Then
//! all subscribers everywhere are notified *again*, and this time what is read at that node is new.

use serde::{Deserialize, Serialize};

use super::id::EntryId;
use super::outbox::{OutboxItem, Receipt, ReceiptSender};
use super::{Bus, LocalLog};
use crate::app::call::{KeptBy, Notice, Topic};
use crate::principal::PrincipalId;

/// How long what was read waits for the others at most. Far above what an answer takes nearby, and short enough that
/// nobody sees a pause; a node that hangs costs it until it does not count any more.
pub(super) const HOLD_MS: u64 = 200;
/// An entry that is applied within this was delivered nowhere before. Below [`HOLD_MS`] by more than clocks are off.
const TIMELY_MS: u64 = 120;
/// Held entries; of more the oldest are delivered at once.
const HELD_MAX: usize = 16_384;
/// Topics that are delivered again one by one; of more it is said that anything may have changed.
const AGAIN_MAX: usize = 1_024;

const _: () = assert!(TIMELY_MS < HOLD_MS);

/// What is to be delivered on this node.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Delivery {
    Publish(Vec<Topic>),
    PublishTo(PrincipalId, Topic),
    NotifyAll(Notice),
    /// A session of this node.
    NotifySession(Box<str>, Notice),
    Gap,
    /// Only whoever published it waits.
    Nothing,
}

pub(super) struct HeldDelivery {
    id: EntryId,
    since_ms: u64,
    delivery: Delivery,
    tickets: Vec<ReceiptSender>,
    kept: KeptBy,
}

/// As it is written down: nobody waits for it any more.
#[derive(Serialize, Deserialize)]
pub(super) struct HeldState {
    id: EntryId,
    since_ms: u64,
    delivery: Delivery,
    kept: KeptBy,
}

impl HeldState {
    pub(super) fn of(held: &HeldDelivery) -> HeldState {
        let HeldDelivery {
            id,
            since_ms,
            delivery,
            tickets: _,
            kept,
        } = held;
        HeldState {
            id: *id,
            since_ms: *since_ms,
            delivery: delivery.clone(),
            kept: *kept,
        }
    }
}

impl From<HeldState> for HeldDelivery {
    fn from(state: HeldState) -> HeldDelivery {
        HeldDelivery {
            id: state.id,
            since_ms: state.since_ms,
            delivery: state.delivery,
            tickets: Vec::new(),
            kept: state.kept,
        }
    }
}

/// Topics whose news came late.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Redeliveries {
    topics: Vec<Topic>,
    everything: bool,
}

impl Redeliveries {
    pub(super) fn add(&mut self, topics: Vec<Topic>) {
        for topic in topics {
            if self.topics.len() >= AGAIN_MAX {
                self.add_everything();
            }
            if !self.everything && !self.topics.contains(&topic) {
                self.topics.push(topic);
            }
        }
    }

    pub(super) fn add_everything(&mut self) {
        self.everything = true;
        self.topics = Vec::new();
    }
}

impl Bus {
    pub(super) fn hold(
        &mut self,
        now_ms: u64,
        id: EntryId,
        delivery: Delivery,
        (tickets, kept): (Vec<ReceiptSender>, KeptBy),
    ) {
        if matches!(delivery, Delivery::Nothing) && tickets.is_empty() {
            return;
        }
        self.held.push_back(HeldDelivery {
            id,
            since_ms: now_ms,
            delivery,
            tickets,
            kept,
        });
    }

    /// Tells what need not wait any more.
    pub(super) fn release(&mut self, now_ms: u64, here: &dyn LocalLog) {
        while let Some(held) = self.held.front() {
            // Without a board there is nothing to be read elsewhere.
            let is_everywhere = self.store.is_none() || self.peers.all_have(now_ms, held.id);
            let is_over = held.since_ms + HOLD_MS <= now_ms || self.held.len() > HELD_MAX;
            if !is_everywhere && !is_over {
                return;
            }
            self.counts.delivered_behind += u64::from(!is_everywhere);
            if let Some(held) = self.held.pop_front() {
                act(held, here);
            }
        }
    }

    /// Whether nobody can have told of this entry before this node has it, which is now.
    pub(super) fn is_timely(&self, now_ms: u64, id: EntryId) -> bool {
        let age_ms = self.clock.age_ms(now_ms, id);
        age_ms.is_some_and(|age_ms| age_ms < TIMELY_MS) && self.peers.counts_for(id)
    }

    /// Says in the log what came late to this node's board.
    pub(super) fn deliver_again(&mut self, now_ms: u64, here: &dyn LocalLog) {
        if self.is_loading() {
            return;
        }
        let again = std::mem::take(&mut self.again);
        if again.everything {
            self.counts.delivered_again += 1;
            self.post(now_ms, OutboxItem::Everything, None, here);
        }
        for topic in again.topics {
            self.counts.delivered_again += 1;
            let item = match topic {
                Topic::Resource(uri) => OutboxItem::Look(uri),
                list => OutboxItem::Changed(list),
            };
            self.post(now_ms, item, None, here);
        }
    }
}

fn act(held: HeldDelivery, here: &dyn LocalLog) {
    let floor = held.id.offset();
    let offset = match held.delivery {
        Delivery::Publish(topics) => here.publish(floor, topics),
        Delivery::PublishTo(principal, topic) => here.publish_to(floor, principal, topic),
        Delivery::NotifyAll(notice) => here.notify_all(floor, notice),
        Delivery::NotifySession(session, notice) => {
            here.notify_session(&session, notice);
            floor
        }
        Delivery::Gap => {
            here.gap(floor);
            floor
        }
        Delivery::Nothing => floor,
    };
    let receipt = Receipt {
        offset: Some(offset),
        kept: held.kept,
    };
    super::answer(held.tickets, receipt);
}
