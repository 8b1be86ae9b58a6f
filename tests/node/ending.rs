//! After the end nothing goes on: ports are free, sockets closed, and all that the application held is dropped.

use std::net::TcpListener;
use std::sync::Arc;

use pinfold::internals::runtime::run_alone;
use pinfold::{Driver, Node};

use crate::client::{ANY_PORT, Session, drivers, is_closed, named, small, wait_until};

#[test]
fn a_port_that_listens_for_good() {
    for driver in drivers() {
        let state = Arc::new(());
        let of_app = state.clone();
        let app = move || {
            let held = of_app.clone();
            named("first")().tool(
                "waits",
                "For ever, if it may.",
                move |_: pinfold::app::NoArguments, _| {
                    let held = held.clone();
                    async move {
                        std::future::pending::<()>().await;
                        drop(held);
                        "never"
                    }
                },
            )
        };
        let builder = small(Node::builder(app)).driver(driver).admin(ANY_PORT);
        let node = builder.start().expect("it starts");
        let (address, admin) = (node.address(), node.admin_address().expect("it has one"));
        let session = Session::open(address);
        let mut stream = session.stream();
        // Connections that say nothing.
        let idle: Vec<_> = (0..8)
            .map(|_| std::net::TcpStream::connect(address).expect("it listens"))
            .collect();
        let waits = std::thread::spawn(move || {
            let call = serde_json::json!({"name": "waits", "arguments": {}});
            let answered = std::panic::catch_unwind(|| session.call("tools/call", &call));
            answered.is_ok_and(|answer| answer.get("result").is_some())
        });
        // Its own, one for each core, and that of the call.
        wait_until("the call does not come", || Arc::strong_count(&state) == 4);
        node.stop();
        node.join_blocking().expect("it ends well");
        assert!(node.has_ended() && !node.is_ready());
        assert!(stream.next().is_none(), "the stream has ended");
        assert!(!waits.join().expect("it is caught"), "it waited for ever");
        assert!(is_closed(address) && is_closed(admin), "{driver:?}");
        assert_eq!(
            Arc::strong_count(&state),
            1,
            "{driver:?}: nothing holds the application"
        );
        drop(idle);

        let again = small(Node::builder(named("second"))).driver(driver);
        let again = again.start().expect("it starts");
        again.stop();
        again.join_blocking().expect("it ends");
        let same_port = Node::builder(named("third"))
            .listen(address)
            .cores(2)
            .driver(driver);
        let same_port = same_port.start().expect("the port is free");
        assert_eq!(Session::open(address).whoami(), "third");
        same_port.stop();
        same_port.join_blocking().expect("it ends");
    }
}

#[test]
fn only_whoever_started_it_can_stop_it() {
    let node = small(Node::builder(named("shared")))
        .start()
        .expect("it starts");
    let waits: Vec<_> = (0..2)
        .map(|number| {
            let node = node.clone();
            std::thread::spawn(move || match number {
                0 => node.join_blocking(),
                _ => run_alone(Driver::Epoll, node.join()).expect("a runtime"),
            })
        })
        .collect();
    let handle = node.clone();
    std::thread::spawn(move || handle.stop())
        .join()
        .expect("it stops");
    for waiting in waits {
        waiting
            .join()
            .expect("it waits")
            .expect("the node ends well");
    }
    node.join_blocking().expect("and once more");
    let refused = node.publisher().publish(pinfold::app::Topic::Tools);
    assert!(refused.is_err(), "nobody is left to be told");
}

#[test]
fn a_drain_that_nobody_can_wait_for() {
    let node = small(Node::builder(named("leaves")))
        .start()
        .expect("it starts");
    let session = Session::open(node.address());
    let mut stream = session.stream();
    node.drain_blocking();
    assert!(stream.next().is_none(), "its stream was closed");
    assert!(!node.is_ready() && !node.has_ended());
    assert!(!is_closed(node.address()), "it goes on");
    node.stop();
    run_alone(Driver::Epoll, async {
        node.join().await.expect("it ends well");
        node.drain().await;
    })
    .expect("a runtime");
}

#[test]
fn a_socket_that_was_only_lent() {
    for driver in drivers() {
        let owner = TcpListener::bind(ANY_PORT).expect("a port");
        let address = owner.local_addr().expect("it is bound");
        let lent = owner.try_clone().expect("a descriptor");
        let builder = Node::builder(named("guest")).listener(lent).cores(2);
        let node = builder.driver(driver).start().expect("it starts");
        assert_eq!(node.addresses(), [address], "and not the default one");
        for _ in 0..8 {
            assert_eq!(Session::open(address).whoami(), "guest");
        }
        assert_eq!(node.counts().sessions, 8);
        node.stop();
        node.join_blocking().expect("it ends");
        let late = std::net::TcpStream::connect(address).expect("the owner listens on");
        owner.set_nonblocking(false).expect("a socket");
        let (_, peer) = owner.accept().expect("nobody else takes it");
        assert_eq!(peer, late.local_addr().expect("it is connected"));
    }
}

#[test]
fn two_addresses_of_which_one_is_forgotten() {
    let builder = Node::builder(named("both"))
        .listen(ANY_PORT)
        .listen(ANY_PORT)
        .cores(2);
    let node = builder.start().expect("it starts");
    assert_eq!(node.addresses().len(), 2);
    for address in node.addresses() {
        assert_eq!(Session::open(*address).whoami(), "both");
    }
    node.stop();
    node.join_blocking().expect("it ends");
    assert!(node.addresses().iter().all(|address| is_closed(*address)));
}
