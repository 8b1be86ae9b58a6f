//! A server inside of a program: a node of one's own application, with an admin listener, Redis if there is one, and
//! publishing and counts from `main`, which also ends it. `cargo run --example embedded [address [redis-url]]`
//!
//! The program is a thermometer: it measures ten times, tells whoever subscribed, and ends. What is measured lives in
//! the program; each core's application reads it there. A program with a runtime of its own (tokio, say) waits with
//! `node.join().await`, and everything else here is the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use pinfold::app::{Toolkit, Topic};
use pinfold::mcp::types::Resource;
use pinfold::prometheus::IntCounter;
use pinfold::prometheus::Registry;
use pinfold::{Node, NodeError};

const TEMPERATURE: &str = "thermometer://celsius";
const MEASUREMENTS: usize = 10;

fn main() -> Result<(), NodeError> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next();
    let redis = arguments.next();

    // State that all cores share is made once, outside of the application.
    let celsius = Arc::new(AtomicI64::new(20));
    let of_app = Arc::clone(&celsius);
    // What the program counts itself stands on the node's page.
    let registry = Registry::new();
    let measured =
        IntCounter::new("thermometer_measured_total", "Measurements.").expect("a sound name");
    let counted = registry.register(Box::new(measured.clone()));
    counted.expect("nobody else counts there");

    let mut builder = Node::builder(move || thermometer(Arc::clone(&of_app)))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
        .admin("127.0.0.1:0")
        .registry(registry)
        .drain_times(Duration::ZERO, Duration::from_secs(1))
        .cores(2);
    if let Some(url) = &redis {
        // Each node has a name of its own, and all of them know the secret, which a real program keeps in a file.
        builder = builder
            .redis(url)
            .name("thermometer")
            .peer_secret("no secret at all, but long enough");
    }
    // Every core serves when this returns.
    let node = builder.start()?;
    println!("clients: http://{}/mcp", node.address());
    if let Some(admin) = node.admin_address() {
        println!("admin:   http://{admin}");
    }

    for _ in 0..MEASUREMENTS {
        thread::sleep(Duration::from_secs(1));
        celsius.fetch_add(1, Ordering::Relaxed);
        measured.inc();
        if let Err(busy) = node
            .publisher()
            .publish(Topic::Resource(TEMPERATURE.into()))
        {
            eprintln!("{busy}"); // the next measurement tells as much
        }
        println!("{} sessions", node.counts().sessions);
    }

    // Streams close within a second, then the sockets, then the threads.
    node.stop();
    node.join_blocking()
}

/// The application of one core.
fn thermometer(celsius: Arc<AtomicI64>) -> Toolkit {
    let resource = Resource::new(TEMPERATURE, "Temperature").mime_type("text/plain");
    Toolkit::new("thermometer", "1.0.0").resource(resource, move |_| {
        let celsius = celsius.load(Ordering::Relaxed);
        async move { format!("{celsius} °C") }
    })
}
