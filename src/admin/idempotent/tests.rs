use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use super::*;
use crate::admin::{PublishBackend, Revocation, RevokeOutcome, Target};
use crate::app::call::{Availability, Topic};

/// Answers for prompts when it is told to, for everything else at once; remembers what it was asked, in order.
#[derive(Default)]
struct Scripted {
    asked: RefCell<Vec<Topic>>,
    slow: RefCell<Option<Receiver<PublishOutcome>>>,
    is_saturated: std::cell::Cell<bool>,
}

impl OperatorBackend for Scripted {}

impl PublishBackend for Scripted {
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    fn metrics(&self) -> String {
        "pinfold_sessions 0\n".to_owned()
    }

    fn revoke(&self, _: Revocation) -> LocalBoxFuture<'_, Option<RevokeOutcome>> {
        unreachable!("nobody takes tokens back here")
    }

    fn drain(&self) {}

    fn is_saturated(&self) -> bool {
        self.is_saturated.get()
    }

    fn publish(&self, item: PublishItem) -> LocalBoxFuture<'_, PublishOutcome> {
        let Target::Topic(topic) = item.target else {
            panic!("only topics here");
        };
        self.asked.borrow_mut().push(topic.clone());
        let offset = self.asked.borrow().len() as u64;
        if topic == Topic::Prompts
            && let Some(slow) = self.slow.take()
        {
            return Box::pin(async { slow.await.expect("the test answers") });
        }
        Box::pin(ready(accepted(offset)))
    }
}

fn accepted(offset: u64) -> PublishOutcome {
    PublishOutcome::Accepted {
        offset: Some(offset),
        kept: None,
    }
}

fn item(topic: Topic, key: Option<&str>) -> Result<PublishItem, PublishOutcome> {
    Ok(PublishItem {
        target: Target::Topic(topic),
        contents: None,
        key: key.map(Into::into),
    })
}

fn open() -> (Rc<Scripted>, IdempotentPublisher) {
    let backend = Rc::new(Scripted::default());
    (backend.clone(), IdempotentPublisher::new(backend))
}

fn make_slow(backend: &Scripted) -> Sender<PublishOutcome> {
    let (sender, receiver) = channel();
    backend.slow.replace(Some(receiver));
    sender
}

fn publish(
    publisher: &IdempotentPublisher,
    items: Vec<Result<PublishItem, PublishOutcome>>,
) -> Vec<(PublishOutcome, bool)> {
    let is_busy = publisher.backend().is_saturated();
    let replies = publisher
        .publish(items, is_busy)
        .now_or_never()
        .expect("nobody is slow");
    pairs(replies)
}

fn pairs(replies: Vec<PublishReply>) -> Vec<(PublishOutcome, bool)> {
    let pair = |reply: PublishReply| (reply.answer, reply.duplicate);
    replies.into_iter().map(pair).collect()
}

#[test]
fn a_key_twice_in_one_batch_and_again() {
    let (backend, publisher) = open();
    let batch = || vec![item(Topic::Tools, Some("a")), item(Topic::Tools, Some("a"))];
    let first = publish(&publisher, batch());
    assert_eq!(first, [(accepted(1), false), (accepted(1), true)]);
    let again = publish(&publisher, batch());
    assert_eq!(again, [(accepted(1), true), (accepted(1), true)]);
    assert_eq!(backend.asked.borrow().len(), 1);
}

#[test]
fn a_key_whose_first_item_is_under_way() {
    let (backend, publisher) = open();
    let answer = make_slow(&backend);
    let batch = || vec![item(Topic::Prompts, Some("a"))];
    let mut first = Box::pin(publisher.publish(batch(), false));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(publisher.publish(batch(), false));
    assert!(second.as_mut().now_or_never().is_none());
    answer.send(accepted(9)).unwrap();
    let first = first.now_or_never().unwrap();
    assert_eq!(pairs(first), [(accepted(9), false)]);
    let second = second.now_or_never().unwrap();
    assert_eq!(pairs(second), [(accepted(9), true)]);
    assert_eq!(backend.asked.borrow().len(), 1);
}

#[test]
fn a_key_that_comes_again_with_another_item() {
    let (backend, publisher) = open();
    let answer = make_slow(&backend);
    let one = || vec![item(Topic::Prompts, Some("a"))];
    let other = || vec![item(Topic::Tools, Some("a"))];
    let is_refused = |replies: &[(PublishOutcome, bool)]| {
        let reply = &replies[0];
        matches!(
            &reply.0,
            PublishOutcome::Refused {
                reason: "key_reused",
                ..
            }
        ) && !reply.1
    };
    let mut first = Box::pin(publisher.publish(one(), false));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(
        is_refused(&publish(&publisher, other())),
        "while it is under way"
    );
    answer.send(accepted(9)).unwrap();
    assert_eq!(pairs(first.now_or_never().unwrap()), [(accepted(9), false)]);
    assert!(is_refused(&publish(&publisher, other())), "and afterwards");
    assert_eq!(publish(&publisher, one()), [(accepted(9), true)]);
    assert_eq!(*backend.asked.borrow(), [Topic::Prompts]);
}

/// What was refused under a key does not stand for it.
#[test]
fn a_key_whose_first_item_was_refused() {
    let (backend, publisher) = open();
    backend.is_saturated.set(true);
    let refused = publish(&publisher, vec![item(Topic::Prompts, Some("a"))]);
    assert!(matches!(
        refused[0].0,
        PublishOutcome::Refused { reason: "busy", .. }
    ));
    backend.is_saturated.set(false);
    let other = publish(&publisher, vec![item(Topic::Tools, Some("a"))]);
    assert_eq!(other, [(accepted(1), false)]);
}

#[test]
fn a_publisher_that_is_gone_before_its_answer() {
    let (backend, publisher) = open();
    let _never = make_slow(&backend);
    let mut first = Box::pin(publisher.publish(vec![item(Topic::Prompts, Some("a"))], false));
    assert!(first.as_mut().now_or_never().is_none());
    drop(first);
    let again = publish(&publisher, vec![item(Topic::Tools, Some("a"))]);
    assert_eq!(again, [(accepted(2), false)]);
}

#[test]
fn a_slow_core_holds_up_only_its_group_and_changes_no_order() {
    let (backend, publisher) = open();
    let answer = make_slow(&backend);
    let group = vec![
        item(Topic::Tools, None),
        item(Topic::Prompts, None),
        item(Topic::Resources, None),
    ];
    let mut group = Box::pin(publisher.publish(group, false));
    assert!(group.as_mut().now_or_never().is_none());
    let asked = [Topic::Tools, Topic::Prompts, Topic::Resources];
    assert_eq!(*backend.asked.borrow(), asked);
    assert_eq!(publish(&publisher, vec![item(Topic::Tools, None)]).len(), 1);
    answer.send(accepted(7)).unwrap();
    let group: Vec<PublishOutcome> = group
        .now_or_never()
        .unwrap()
        .into_iter()
        .map(|reply| reply.answer)
        .collect();
    assert_eq!(group, [accepted(1), accepted(7), accepted(3)]);
}

#[test]
fn a_node_that_is_saturated() {
    let (backend, publisher) = open();
    publish(&publisher, vec![item(Topic::Tools, Some("a"))]);
    backend.is_saturated.set(true);
    let replies = publish(
        &publisher,
        vec![item(Topic::Tools, Some("a")), item(Topic::Tools, Some("b"))],
    );
    assert_eq!(replies[0], (accepted(1), true));
    assert!(matches!(
        &replies[1].0,
        PublishOutcome::Refused { reason: "busy", .. }
    ));
    backend.is_saturated.set(false);
    let replies = publish(&publisher, vec![item(Topic::Tools, Some("b"))]);
    assert_eq!(replies, [(accepted(2), false)]);
}
