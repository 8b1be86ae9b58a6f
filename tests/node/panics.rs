//! What an application does wrong, and what it takes with it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use pinfold::app::call::{Call, Handler, Link, Outcome, ServerInfoJson};
use pinfold::app::{NoArguments, Toolkit, handler};
use pinfold::{Node, NodeError};

use crate::client::{Session, is_closed, named, small};
use crate::ports::free_port;

/// A node that does not start, and the address that it would have had.
fn refused(app: impl Fn() -> Toolkit + Send + Sync + 'static) -> NodeError {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let builder = Node::builder(app).listen(address).cores(2);
    let wrong = builder.start().expect_err("it does not start");
    assert!(is_closed(address), "nothing is left of it");
    wrong
}

#[test]
fn a_factory_that_panics_and_a_node_that_says_it_runs() {
    let wrong = refused(|| panic!("there is no database"));
    assert!(matches!(wrong, NodeError::Application(_)));
    let said = wrong.to_string();
    assert!(
        said.contains("panicked") && said.contains("there is no database"),
        "{said}"
    );
}

#[test]
fn an_application_that_only_one_core_has() {
    let made = AtomicUsize::new(0);
    let wrong = refused(move || {
        assert_eq!(made.fetch_add(1, Ordering::Relaxed), 0, "only once");
        named("first")()
    });
    assert!(wrong.to_string().contains("only once"), "{wrong}");
}

#[test]
fn a_factory_that_fails_and_is_not_asked_why() {
    let app = || Err::<Toolkit, _>("the licence has expired");
    let wrong = small(Node::builder(app))
        .start()
        .expect_err("it does not start");
    assert_eq!(
        wrong.to_string(),
        "the application could not be made: the licence has expired"
    );
}

/// Panics wherever it is asked about something bad.
struct Fragile(Rc<dyn Handler>);

impl Handler for Fragile {
    fn server_info(&self) -> ServerInfoJson {
        self.0.server_info()
    }

    fn accepts_subscription(&self, uri: &str) -> bool {
        assert!(!uri.ends_with("bad"), "as a bug would");
        true
    }

    fn call(self: Rc<Self>, call: Call, link: Rc<dyn Link>) -> LocalBoxFuture<'static, Outcome> {
        assert_ne!(&*call.method, "tools/list", "before there is a future");
        self.0.clone().call(call, link)
    }
}

#[test]
fn a_panic_that_half_of_all_connections_hang_from() {
    let app = || Rc::new(Fragile(handler(named("fragile")()))) as Rc<dyn Handler>;
    let node = small(Node::builder(app)).start().expect("it starts");
    // On both cores.
    let sessions: Vec<_> = (0..16).map(|_| Session::open(node.address())).collect();
    for session in &sessions {
        let answer = session.subscribe("fragile://bad");
        assert!(answer["error"]["code"].is_number(), "{answer}");
        let answer = session.call("tools/list", &serde_json::json!({}));
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        assert!(session.subscribe("fragile://good")["result"].is_object());
        assert_eq!(session.whoami(), "fragile");
    }
    assert!(node.is_ready());
    node.stop();
    node.join_blocking().expect("no core is gone");
}

#[test]
fn a_core_that_is_gone_and_nobody_is_told() {
    // Around all walls: a task that the node knows nothing of.
    let break_core = |_: NoArguments, _| async {
        monoio::spawn(async { panic!("on purpose") });
        "broken"
    };
    let app = move || named("broken")().tool("break", "Breaks its core.", break_core);
    let node = small(Node::builder(app)).start().expect("it starts");
    let session = Session::open(node.address());
    let call = serde_json::json!({"name": "break", "arguments": {}});
    let _ = std::panic::catch_unwind(|| session.call("tools/call", &call));
    let failed = node.join_blocking().expect_err("a core is gone");
    assert!(matches!(failed, NodeError::Failed(_)));
    assert!(failed.to_string().contains("thread core-"), "{failed}");
    assert!(!node.is_ready() && node.has_ended());
    assert!(is_closed(node.address()));
}

#[test]
fn a_job_that_outlives_its_node() {
    let (begun, is_begun) = std::sync::mpsc::channel();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let app = move || {
        let (begun, held) = (begun.clone(), held.clone());
        let work = move |_: NoArguments, context: pinfold::app::Context| {
            let (begun, held) = (begun.clone(), held.clone());
            async move {
                let job = move || {
                    begun.send(()).expect("the test waits");
                    let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(120));
                };
                context.blocking(job).await.map(|()| "done")
            }
        };
        Toolkit::new("slow", "1.0.0").tool("work", "Takes long.", work)
    };
    let node = small(Node::builder(app)).start().expect("it starts");
    let session = Session::open(node.address());
    let call = serde_json::json!({"name": "work", "arguments": {}});
    let calls = std::thread::spawn(move || {
        drop(std::panic::catch_unwind(|| {
            session.call("tools/call", &call)
        }));
    });
    is_begun.recv().expect("it begins");
    node.stop();
    node.join_blocking()
        .expect("it is left behind, and the log says so");
    drop(hold);
    calls.join().expect("its connection was closed");
}
