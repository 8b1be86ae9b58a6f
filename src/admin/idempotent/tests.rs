use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use super::*;
use crate::admin::Target;
use crate::app::call::{Availability, Topic};

/// Answers for prompts when it is told to, for everything else at once; remembers what it was asked, in order.
#[derive(Default)]
struct Scripted {
    asked: RefCell<Vec<Topic>>,
    slow: RefCell<Option<Receiver<PublishOutcome>>>,
    is_saturated: std::cell::Cell<bool>,
}

impl PublishBackend for Scripted {
    fn availability(&self) -> Availability {
        Availability::Ready
    }

    fn metrics(&self) -> String {
        "pinfold_sessions 0\n".to_owned()
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
    let desk = Rc::new(Scripted::default());
    (desk.clone(), IdempotentPublisher::new(desk))
}

fn make_slow(desk: &Scripted) -> Sender<PublishOutcome> {
    let (sender, receiver) = channel();
    desk.slow.replace(Some(receiver));
    sender
}

fn publish(
    clerk: &IdempotentPublisher,
    items: Vec<Result<PublishItem, PublishOutcome>>,
) -> Vec<(PublishOutcome, bool)> {
    let is_busy = clerk.desk().is_saturated();
    let replies = clerk
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
    let (desk, clerk) = open();
    let batch = || vec![item(Topic::Tools, Some("a")), item(Topic::Tools, Some("a"))];
    let first = publish(&clerk, batch());
    assert_eq!(first, [(accepted(1), false), (accepted(1), true)]);
    let again = publish(&clerk, batch());
    assert_eq!(again, [(accepted(1), true), (accepted(1), true)]);
    assert_eq!(desk.asked.borrow().len(), 1);
}

#[test]
fn a_key_whose_first_item_is_under_way() {
    let (desk, clerk) = open();
    let answer = make_slow(&desk);
    let batch = || vec![item(Topic::Prompts, Some("a"))];
    let mut first = Box::pin(clerk.publish(batch(), false));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(clerk.publish(batch(), false));
    assert!(second.as_mut().now_or_never().is_none());
    answer.send(accepted(9)).unwrap();
    let first = first.now_or_never().unwrap();
    assert_eq!(pairs(first), [(accepted(9), false)]);
    let second = second.now_or_never().unwrap();
    assert_eq!(pairs(second), [(accepted(9), true)]);
    assert_eq!(desk.asked.borrow().len(), 1);
}

#[test]
fn a_key_that_comes_again_with_another_item() {
    let (desk, clerk) = open();
    let answer = make_slow(&desk);
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
    let mut first = Box::pin(clerk.publish(one(), false));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(
        is_refused(&publish(&clerk, other())),
        "while it is under way"
    );
    answer.send(accepted(9)).unwrap();
    assert_eq!(pairs(first.now_or_never().unwrap()), [(accepted(9), false)]);
    assert!(is_refused(&publish(&clerk, other())), "and afterwards");
    assert_eq!(publish(&clerk, one()), [(accepted(9), true)]);
    assert_eq!(*desk.asked.borrow(), [Topic::Prompts]);
}

/// What was refused under a key does not stand for it.
#[test]
fn a_key_whose_first_item_was_refused() {
    let (desk, clerk) = open();
    desk.is_saturated.set(true);
    let refused = publish(&clerk, vec![item(Topic::Prompts, Some("a"))]);
    assert!(matches!(
        refused[0].0,
        PublishOutcome::Refused { reason: "busy", .. }
    ));
    desk.is_saturated.set(false);
    let other = publish(&clerk, vec![item(Topic::Tools, Some("a"))]);
    assert_eq!(other, [(accepted(1), false)]);
}

#[test]
fn a_publisher_that_is_gone_before_its_answer() {
    let (desk, clerk) = open();
    let _never = make_slow(&desk);
    let mut first = Box::pin(clerk.publish(vec![item(Topic::Prompts, Some("a"))], false));
    assert!(first.as_mut().now_or_never().is_none());
    drop(first);
    let again = publish(&clerk, vec![item(Topic::Tools, Some("a"))]);
    assert_eq!(again, [(accepted(2), false)]);
}

#[test]
fn a_slow_core_holds_up_only_its_group_and_changes_no_order() {
    let (desk, clerk) = open();
    let answer = make_slow(&desk);
    let group = vec![
        item(Topic::Tools, None),
        item(Topic::Prompts, None),
        item(Topic::Resources, None),
    ];
    let mut group = Box::pin(clerk.publish(group, false));
    assert!(group.as_mut().now_or_never().is_none());
    let asked = [Topic::Tools, Topic::Prompts, Topic::Resources];
    assert_eq!(*desk.asked.borrow(), asked);
    assert_eq!(publish(&clerk, vec![item(Topic::Tools, None)]).len(), 1);
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
    let (desk, clerk) = open();
    publish(&clerk, vec![item(Topic::Tools, Some("a"))]);
    desk.is_saturated.set(true);
    let replies = publish(
        &clerk,
        vec![item(Topic::Tools, Some("a")), item(Topic::Tools, Some("b"))],
    );
    assert_eq!(replies[0], (accepted(1), true));
    assert!(matches!(
        &replies[1].0,
        PublishOutcome::Refused { reason: "busy", .. }
    ));
    desk.is_saturated.set(false);
    let replies = publish(&clerk, vec![item(Topic::Tools, Some("b"))]);
    assert_eq!(replies, [(accepted(2), false)]);
}
