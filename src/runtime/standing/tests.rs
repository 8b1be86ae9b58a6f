use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;
use crate::app::Toolkit;
use crate::node::Node;

/// Far above what anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both orders are there when the core comes to its messages.
#[test]
fn a_core_that_is_told_to_go_on_before_it_is_quiet_and_never_does() {
    let node = Node::builder(|| Toolkit::new("quiet", "1.0.0"));
    let node = node.listen("127.0.0.1:0").cores(1);
    let node = node.start().expect("it starts");
    let mailbox = &node.publisher().mailboxes()[0];
    let ((answer, answers), (thaw, thawed)) = (channel(), channel());
    mailbox.post_beyond(CoreMessage::Freeze(FreezeOrder {
        core: 0,
        ahead: Arc::default(),
        answer,
        thaw: thawed,
    }));
    let (_, frozen) = answers.recv_timeout(PATIENCE).expect("an answer");
    assert!(frozen.is_ok(), "nothing is under way");
    mailbox.post_beyond(CoreMessage::Quiesce(QuiesceOrder {
        within: Duration::ZERO,
        answer: channel().0,
    }));
    mailbox.post_beyond(CoreMessage::GoOn);
    drop((frozen, thaw));
    let mut client = TcpStream::connect(node.address()).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request).expect("the kernel takes it");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("it is answered");
    assert_eq!(&answer, b"HTTP/1.1 404");
    node.stop();
    node.join_blocking().expect("it ends well");
}

#[test]
fn a_core_that_is_thawed_before_it_was_told_to_go_on() {
    let publisher = Publisher::new();
    publisher.open_mailboxes(1);
    let (thaw, thawed) = channel::<()>();
    let (ready, readies) = channel();
    let mailboxes = publisher.clone();
    let core = std::thread::spawn(move || {
        ready.send(()).expect("the test waits");
        assert!(thawed.recv().is_err(), "nothing is said, it is closed");
        mailboxes.mailboxes()[0].len()
    });
    readies.recv().expect("it waits");
    drop(Standing {
        publisher: &publisher,
        cores: Vec::new(),
        thaws: vec![thaw],
        since_ns: 0,
        last_offset: publisher.lock(),
    });
    assert_eq!(core.join().expect("it counts"), 1);
}
