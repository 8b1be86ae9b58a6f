use futures_channel::oneshot;

use super::*;
use crate::app::call::Notice;
use crate::app::contents::{Body, Change, Contents};
use crate::principal::PrincipalId;

fn changed(uri: &str) -> OutboxItem {
    OutboxItem::Changed(Topic::Resource(uri.into()))
}

fn contents(text: &str) -> Contents {
    Contents {
        mime_type: None,
        name: None,
        description: None,
        body: Body::Text(text.into()),
    }
}

fn put(uri: &str, text: &str) -> OutboxItem {
    OutboxItem::Contents {
        uri: uri.into(),
        carried: ContentSource::Given(Some(contents(text))),
        owed: Change::NONE,
        changed: false,
    }
}

fn all(number: usize) -> OutboxItem {
    OutboxItem::All(Notice::Message {
        level: 1,
        params: number.to_string().into(),
    })
}

/// Redis is there.
fn calm() -> Outbox {
    let mut outbox = Outbox::default();
    outbox.connected(0);
    outbox.followed(0);
    assert!(!outbox.is_alone());
    outbox
}

fn numbers(batch: &[Adding]) -> Vec<u64> {
    batch.iter().map(|adding| adding.number).collect()
}

fn items(deliveries: Vec<LocalDelivery>) -> Vec<OutboxItem> {
    deliveries.into_iter().map(|it| it.item).collect()
}

#[test]
fn an_item_told_before_it_has_its_place_in_the_log() {
    let mut outbox = calm();
    let (ticket, mut answer) = oneshot::channel();
    assert!(
        outbox
            .post(0, changed("a:1"), Accepted::default(), Some(ticket))
            .is_none()
    );
    let batch = outbox.take_batch();
    assert_eq!(
        batch,
        [Adding {
            number: 1,
            item: changed("a:1"),
            accepted: Accepted::default(),
            is_delivered: false,
        }]
    );
    assert!(outbox.added(&[true]).is_empty());
    let delivery = outbox
        .heard(10, 1)
        .expect("it was added")
        .expect("it was not told");
    assert_eq!((delivery.item, delivery.tickets.len()), (changed("a:1"), 1));
    assert!(outbox.heard(10, 1).is_none());
    assert!(
        answer.try_recv().is_ok_and(|it| it.is_none()),
        "whoever tells it answers"
    );
}

#[test]
fn an_item_that_waits_for_a_redis_that_is_not_there() {
    let mut outbox = Outbox::default();
    let delivery = outbox
        .post(0, put("a:1", "x"), Accepted::default(), None)
        .expect("at once");
    assert_eq!(delivery.item, put("a:1", "x"));
    assert!(outbox.is_pending("a:1") && !outbox.is_pending("a:2"));
    outbox.connected(1_000);
    outbox.followed(1_000);
    let stored = OutboxItem::Contents {
        uri: "a:1".into(),
        carried: ContentSource::Stored,
        owed: Change::NONE,
        changed: false,
    };
    assert_eq!(
        outbox.take_batch(),
        [Adding {
            number: 1,
            item: stored,
            accepted: Accepted::default(),
            is_delivered: true,
        }]
    );
    assert!(outbox.is_pending("a:1"), "on its way");
    assert!(outbox.added(&[true]).is_empty());
    assert!(!outbox.is_pending("a:1"));
    assert!(outbox.is_alone());
    assert!(
        outbox.heard(1_001, 1).expect("ours").is_none(),
        "told twice"
    );
    assert!(!outbox.is_alone());
}

#[test]
fn an_item_whose_answer_does_not_come() {
    let mut outbox = calm();
    outbox.post(0, changed("a:1"), Accepted::default(), None);
    outbox.take_batch();
    outbox.post(100, changed("a:2"), Accepted::default(), None);
    assert!(outbox.overdue(PATIENCE_MS - 1).is_empty());
    assert_eq!(
        items(outbox.overdue(PATIENCE_MS)),
        [changed("a:1"), changed("a:2")]
    );
    assert!(
        outbox
            .post(PATIENCE_MS, changed("a:3"), Accepted::default(), None)
            .is_some()
    );
    // It comes after all.
    assert!(outbox.added(&[true]).is_empty());
    assert!(outbox.heard(500, 1).expect("ours").is_none());
    assert_eq!(numbers(&outbox.take_batch()), [2, 3]);
}

#[test]
fn what_was_under_way_when_the_connection_broke() {
    let mut outbox = calm();
    (1..=3).for_each(|n| drop(outbox.post(0, all(n), Accepted::default(), None)));
    assert_eq!(numbers(&outbox.take_batch()), [1, 2, 3]);
    outbox.post(0, all(4), Accepted::default(), None);
    assert_eq!(items(outbox.lost()), [all(1), all(2), all(3), all(4)]);
    assert!(outbox.take_batch().is_empty(), "there is nobody to take it");
    // The log had the first one.
    outbox.connected(10);
    assert!(outbox.heard(10, 1).expect("ours").is_none());
    assert_eq!(
        numbers(&outbox.take_batch()),
        [2, 3, 4],
        "in order, under their numbers"
    );
}

#[test]
fn a_refused_item_that_others_would_take_for_an_old_one() {
    let mut outbox = calm();
    (1..=3).for_each(|n| drop(outbox.post(0, all(n), Accepted::default(), None)));
    outbox.take_batch();
    assert_eq!(items(outbox.added(&[true, false, true])).len(), 3);
    assert!(outbox.is_alone());
    assert_eq!(numbers(&outbox.take_batch()), [4]);
}

#[test]
fn two_changes_of_one_topic_and_the_older_of_them() {
    let mut outbox = calm();
    let (first, second) = (oneshot::channel(), oneshot::channel());
    outbox.post(0, put("a:1", "old"), Accepted::default(), Some(first.0));
    outbox.post(0, changed("a:1"), Accepted::default(), None);
    outbox.post(0, put("a:1", "new"), Accepted::default(), Some(second.0));
    let batch = outbox.take_batch();
    let owed = Change {
        list: false,
        contents: true,
    };
    let merged = OutboxItem::Contents {
        uri: "a:1".into(),
        carried: ContentSource::Given(Some(contents("new"))),
        owed,
        changed: true,
    };
    assert_eq!(
        batch,
        [Adding {
            number: 1,
            item: merged,
            accepted: Accepted::default(),
            is_delivered: false,
        }]
    );
    assert!(outbox.added(&[true]).is_empty());
    let delivery = outbox.heard(0, 1).flatten().expect("not told yet");
    assert_eq!(delivery.tickets.len(), 2);
}

#[test]
fn an_older_change_that_comes_back_to_the_queue_after_a_newer_one() {
    let mut outbox = calm();
    outbox.post(0, put("a:1", "old"), Accepted::default(), None);
    outbox.take_batch();
    outbox.post(0, put("a:1", "new"), Accepted::default(), None);
    let delivered = items(outbox.lost());
    assert_eq!(delivered, [put("a:1", "new")]);
    outbox.connected(0);
    assert_eq!(numbers(&outbox.take_batch()), [2]);
    assert!(
        outbox.heard(0, 1).is_none(),
        "the older one is known no more"
    );
}

#[test]
fn more_topics_than_are_kept() {
    let mut outbox = Outbox::default();
    for number in 0..=KEYS_MAX {
        outbox.post(
            0,
            changed(&format!("a:{number}")),
            Accepted::default(),
            None,
        );
    }
    assert_eq!(outbox.queued_count(), 1);
    outbox.connected(0);
    assert_eq!(outbox.take_batch()[0].item, OutboxItem::Everything);
}

#[test]
fn more_messages_than_are_kept() {
    let mut outbox = Outbox::default();
    for number in 0..NOTICES_MAX + 2 {
        outbox.post(0, all(number), Accepted::default(), None);
    }
    assert!(outbox.is_full());
    assert_eq!(
        (outbox.queued_count(), outbox.take_dropped()),
        (NOTICES_MAX, 2)
    );
    outbox.connected(0);
    assert_eq!(outbox.take_batch()[0].item, all(2));
}

#[test]
fn what_was_added_and_will_never_come_back() {
    let mut outbox = calm();
    outbox.post(0, changed("a:1"), Accepted::default(), None);
    outbox.take_batch();
    assert!(outbox.added(&[true]).is_empty());
    outbox.post(0, changed("a:2"), Accepted::default(), None);
    assert_eq!(items(outbox.gap()), [changed("a:1")]);
    assert_eq!(numbers(&outbox.take_batch()), [2]);
    // Nor does this one, and nobody says so.
    assert!(outbox.added(&[true]).is_empty());
    assert_eq!(items(outbox.overdue(PATIENCE_MS)), [changed("a:2")]);
    assert!(outbox.overdue(REMEMBERED_MS).is_empty());
    assert!(!outbox.is_alone());
}

#[test]
fn a_change_that_is_taken_for_the_echo_of_an_older_one() {
    let mut outbox = calm();
    outbox.post(0, changed("a:1"), Accepted::default(), None);
    outbox.take_batch();
    assert_eq!(outbox.lost().len(), 1);
    assert!(
        outbox
            .post(0, put("a:1", "new"), Accepted::default(), None)
            .is_some()
    );
    // The log has the older one after all.
    outbox.connected(0);
    assert!(outbox.heard(0, 1).is_none());
    assert_eq!(numbers(&outbox.take_batch()), [2]);
}

#[test]
fn what_is_lost_with_a_node_that_ends() {
    let mut outbox = calm();
    let post = |outbox: &mut Outbox, item| drop(outbox.post(0, item, Accepted::default(), None));
    post(&mut outbox, put("a:1", "x"));
    outbox.take_batch();
    post(&mut outbox, put("a:2", "x"));
    post(&mut outbox, all(1));
    // Nobody published this.
    post(&mut outbox, OutboxItem::Look("a:3".into()));
    let unsent = outbox.unsent();
    assert_eq!(unsent.count, 3, "the first may have arrived, or not");
    let uris = |unsent: UnsentItems| unsent.uris.join(" ");
    assert_eq!(uris(unsent), "a:1 a:2");
    assert!(outbox.added(&[true]).is_empty());
    assert_eq!(outbox.unsent().count, 2);
    assert_eq!(uris(outbox.unsent()), "a:2");
}

#[test]
fn a_later_write_that_is_ordered_before_the_one_it_replaces() {
    let mut outbox = calm();
    let accepted = |ms| Accepted {
        at: EntryId { ms, seq: 0 },
        after: EntryId::ZERO,
    };
    outbox.post(0, put("a:1", "old"), accepted(5), None);
    outbox.take_batch();
    outbox.post(0, put("a:1", "new"), accepted(9), None);
    // The first came to Redis at 12, which the second one was before.
    let placed = EntryId { ms: 12, seq: 3 };
    assert!(outbox.succeeds("a:1", placed) && !outbox.succeeds("a:2", placed));
    assert!(outbox.added(&[true]).is_empty());
    let batch = outbox.take_batch();
    assert_eq!(batch[0].accepted.after, placed.next());
    // A look at a resource whose contents wait is no write of its own.
    outbox.post(0, put("a:2", "x"), accepted(20), None);
    outbox.post(0, OutboxItem::Look("a:2".into()), Accepted::default(), None);
    assert!(outbox.added(&[true]).is_empty());
    let batch = outbox.take_batch();
    assert_eq!(batch[0].accepted, accepted(20));
    assert!(matches!(
        batch[0].item,
        OutboxItem::Contents { changed: true, .. }
    ));
}

/// Neither one that is for all and one that is for a principal, nor those of two.
#[test]
fn items_for_different_people_that_become_one() {
    let mut outbox = Outbox::default();
    let directed = |subject: &str| {
        let principal = PrincipalId::of("i", subject);
        OutboxItem::Directed(principal, Topic::Resource("a:1".into()))
    };
    let posted = [
        directed("a"),
        changed("a:1"),
        directed("b"),
        put("a:1", "x"),
    ];
    for item in posted.into_iter().chain([directed("a"), directed("b")]) {
        let delivered = outbox.post(0, item.clone(), Accepted::default(), None);
        assert_eq!(delivered.map(|it| it.item), Some(item), "Redis is away");
    }
    outbox.connected(0);
    let batch = outbox.take_batch().into_iter().map(|it| it.item);
    let batch: Vec<OutboxItem> = batch.collect();
    assert_eq!(batch.len(), 3, "{batch:?}");
    assert!(batch.contains(&directed("a")) && batch.contains(&directed("b")));
    assert_eq!(outbox.unsent().uris.len(), 3);
}
