//! Alerts about what the handlers of an application do: they compute without end, wait for something, or fail. The node runs in
//! the test, for none of the program's own applications does any of that.

use std::path::Path;
use std::time::{Duration, Instant};

use pinfold::Node;
use pinfold::app::{Context, NoArguments, Toolkit};
use pinfold::mcp::types::Resource;
use serde_json::json;

use super::prometheus::{Firing, Prometheus};
use crate::cluster::client::Session;
use crate::program::scratch_folder;

const SLOW: &str = "handlers://slow";
const BROKEN: &str = "handlers://broken";
/// More than the second that an answer may take.
const SLOW_FOR: Duration = Duration::from_millis(1_500);
/// Of a computation, before it lets others run.
const STEP: Duration = Duration::from_millis(100);

/// A node of one core with that application, and a Prometheus that looks at it.
struct Watched {
    node: Node,
    prometheus: Prometheus,
}

impl Watched {
    fn start(scratch: &Path) -> Watched {
        let node = Node::builder(application)
            .listen("127.0.0.1:0")
            .admin("127.0.0.1:0")
            .name("a")
            .cores(1)
            .pin(false)
            .drain_times(Duration::ZERO, Duration::ZERO);
        let node = node.start().expect("it starts");
        let admin = node.admin_address().expect("it has one").to_string();
        let prometheus = Prometheus::start(&[("a", &admin)], None, scratch);
        prometheus.wait_to_see("up == 1");
        Watched { node, prometheus }
    }

    fn session(&self) -> Session {
        Session::open(&format!("http://{}/mcp", self.node.address()))
    }

    fn fires_while(&self, alert: &str, act: impl FnMut()) -> Firing {
        let firing = self.prometheus.wait_to_fire(alert, "a", act);
        firing.expect_readable();
        firing
    }

    fn end(self) {
        self.node.stop();
        self.node.join_blocking().expect("it ends well");
    }
}

fn application() -> Toolkit {
    Toolkit::new("handlers", "1")
        .tool("compute", "Computes, and comes to no end.", compute)
        .resource(Resource::new(SLOW, "slow"), |context: Context| async move {
            context.sleep(SLOW_FOR).await;
            "at last"
        })
        .resource(Resource::new(BROKEN, "broken"), broken)
}

async fn compute(_: NoArguments, context: Context) -> &'static str {
    loop {
        let until = Instant::now() + STEP;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        context.sleep(Duration::from_millis(1)).await;
    }
}

async fn broken(_: Context) -> &'static str {
    panic!("broken on purpose")
}

#[test]
fn a_handler_that_computes_without_end() {
    let scratch = scratch_folder("observed/computes");
    let watched = Watched::start(&scratch);
    let session = watched.session();
    std::thread::scope(|scope| {
        // Answered once the node ends, if at all.
        scope.spawn(|| session.try_request("tools/call", json!({"name": "compute"})));
        let firing = watched.fires_while("PinfoldCoreBusy", || {});
        assert_eq!(firing.labels["core"], "0");
        watched.end();
    });
}

#[test]
fn a_handler_that_waits_for_something() {
    let scratch = scratch_folder("observed/slow");
    let watched = Watched::start(&scratch);
    let session = watched.session();
    watched.fires_while("PinfoldSlowAnswers", || {
        let answer = session.request("resources/read", json!({"uri": SLOW}), &[]);
        assert!(answer.body.contains("at last"), "{answer:?}");
    });
    watched.end();
}

#[test]
fn a_handler_that_panics() {
    let scratch = scratch_folder("observed/panics");
    let watched = Watched::start(&scratch);
    let session = watched.session();
    let firing = watched.fires_while("PinfoldInternalErrors", || {
        let answer = session.request("resources/read", json!({"uri": BROKEN}), &[]);
        assert!(answer.body.contains("-32603"), "{answer:?}");
    });
    assert_eq!(firing.labels["mcp_method_name"], "resources/read");
    watched.end();
}
