//! An outbox as it is written down: what waits, and what may come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{Accepted, Outbox, OutboxItem, PostedItem, Stage};
use crate::cluster::bus::id::EntryId;

/// What an outbox had.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxState {
    items: Vec<PostedState>,
    in_flight: Vec<u64>,
    next_number: u64,
    alone: bool,
    dropped: u64,
    left_out: Vec<(Box<str>, EntryId)>,
}

#[derive(Serialize, Deserialize)]
struct PostedState {
    number: u64,
    item: OutboxItem,
    stage: Stage,
    is_delivered: bool,
    posted_ms: u64,
    accepted: Accepted,
    #[serde(default)]
    uncertain: bool,
}

impl Outbox {
    /// Without those who wait for their items.
    #[must_use]
    pub fn state(&self) -> OutboxState {
        let Outbox {
            items,
            // All three are found again by the items.
            queued: _,
            keys: _,
            notices: _,
            in_flight,
            next_number,
            // The next process has its own connections.
            up: _,
            following: _,
            alone,
            dropped,
            left_out,
        } = self;
        let posted = |(&number, posted): (&u64, &PostedItem)| PostedState {
            number,
            item: posted.item.clone(),
            stage: posted.stage,
            is_delivered: posted.is_delivered,
            posted_ms: posted.posted_ms,
            accepted: posted.accepted,
            uncertain: posted.uncertain,
        };
        OutboxState {
            items: items.iter().map(posted).collect(),
            in_flight: in_flight.clone(),
            next_number: *next_number,
            alone: *alone,
            dropped: *dropped,
            left_out: left_out.clone(),
        }
    }
}

impl From<OutboxState> for Outbox {
    /// Whether the log has what was under way is not known: it is added once more.
    fn from(state: OutboxState) -> Outbox {
        let OutboxState {
            items,
            in_flight,
            next_number,
            alone,
            dropped,
            left_out,
        } = state;
        let mut outbox = Outbox {
            next_number: next_number.max(1),
            alone,
            dropped,
            left_out,
            items: BTreeMap::new(),
            queued: BTreeSet::new(),
            keys: HashMap::new(),
            notices: BTreeSet::new(),
            in_flight: Vec::new(),
            // Of the connections to Redis, which are new.
            up: false,
            following: false,
        };
        for state in items {
            let PostedState {
                number,
                item,
                stage,
                is_delivered,
                posted_ms,
                accepted,
                uncertain,
            } = state;
            if stage == Stage::Queued {
                outbox.queued.insert(number);
                match item.key() {
                    Some(key) => drop(outbox.keys.insert(key, number)),
                    None => drop(outbox.notices.insert(number)),
                }
            }
            outbox.next_number = outbox.next_number.max(number.saturating_add(1));
            let posted = PostedItem {
                item,
                stage,
                is_delivered,
                posted_ms,
                accepted,
                tickets: Vec::new(),
                uncertain,
            };
            outbox.items.insert(number, posted);
        }
        for number in in_flight {
            outbox.requeue(number, false);
        }
        outbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::call::{Notice, Topic};
    use crate::app::contents::{Change, Contents};
    use crate::cluster::bus::outbox::ContentSource;

    fn again(outbox: &Outbox) -> Outbox {
        let bytes = rmp_serde::to_vec_named(&outbox.state()).expect("it is written");
        let state: OutboxState = rmp_serde::from_slice(&bytes).expect("it is read");
        Outbox::from(state)
    }

    fn post(outbox: &mut Outbox, item: OutboxItem) {
        drop(outbox.post(0, item, Accepted::default(), None));
    }

    #[test]
    fn what_was_under_way_and_is_lost_or_has_another_number() {
        let mut outbox = Outbox::default();
        outbox.connected(0);
        outbox.followed(0);
        let contents = Contents {
            mime_type: None,
            name: None,
            description: None,
            body: crate::app::contents::Body::Blob(vec![0, 255]),
        };
        post(&mut outbox, OutboxItem::Changed(Topic::Tools));
        assert_eq!(outbox.take_batch().len(), 1);
        assert!(outbox.added(&[true]).is_empty());
        post(
            &mut outbox,
            OutboxItem::Contents {
                uri: "board://a".into(),
                carried: ContentSource::Given(Some(contents)),
                owed: Change::NONE,
                changed: true,
            },
        );
        let under_way = outbox.take_batch();
        let message = Notice::Message {
            level: 3,
            params: "{}".into(),
        };
        post(&mut outbox, OutboxItem::All(message));
        post(&mut outbox, OutboxItem::Changed(Topic::Resources));

        let mut next = again(&outbox);
        assert!(next.take_batch().is_empty(), "there is no connection yet");
        next.connected(1);
        next.followed(1);
        let batch = next.take_batch();
        assert_eq!(batch[0], under_way[0], "under its number, once more");
        assert_eq!(batch.len(), 3);
        assert!(
            next.heard(2, 1).is_some_and(|it| it.is_some()),
            "it comes back"
        );
        post(&mut next, OutboxItem::Changed(Topic::Prompts));
        assert!(next.added(&[true; 3]).is_empty());
        let number = next.take_batch()[0].number;
        assert!(batch.iter().all(|it| it.number < number));
    }

    #[test]
    fn a_state_that_knows_more_or_less_than_this_program() {
        let nothing: OutboxState = rmp_serde::from_slice(&[0x80]).expect("an empty map");
        assert_eq!(Outbox::from(nothing).next_number, 1);
        let strange = std::collections::BTreeMap::from([("next_number", 7), ("newer", 1)]);
        let bytes = rmp_serde::to_vec_named(&strange).expect("it is written");
        let state: OutboxState = rmp_serde::from_slice(&bytes).expect("it is read");
        assert_eq!(Outbox::from(state).next_number, 7);
    }
}
