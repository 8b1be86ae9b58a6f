//! A resource that changes every second, and tells its subscribers. `cargo run --example ticker [address]`
//!
//! What changes lives outside of the server: any thread may publish. Contents are fetched by those who want
//! them, when they have been told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use pinfold::Node;
use pinfold::app::{Toolkit, Topic};
use pinfold::mcp::types::Resource;

const COUNT: &str = "ticker://count";

fn main() -> Result<(), pinfold::NodeError> {
    let address = std::env::args().nth(1);
    let ticks = Arc::new(AtomicU64::new(0));

    let of_app = Arc::clone(&ticks);
    let node = Node::builder(move || ticker(Arc::clone(&of_app)))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"));

    let publisher = node.publisher();
    thread::spawn(move || {
        while !publisher.is_stopping() {
            thread::sleep(Duration::from_secs(1));
            ticks.fetch_add(1, Ordering::Relaxed);
            if let Err(busy) = publisher.publish(Topic::Resource(COUNT.into())) {
                eprintln!("{busy}"); // the next tick tells as much
            }
        }
    });
    node.run()
}

/// The application of one core; all of them read the same count.
fn ticker(ticks: Arc<AtomicU64>) -> Toolkit {
    let count = Resource::new(COUNT, "Ticks")
        .description("Seconds since the start")
        .mime_type("text/plain");
    Toolkit::new("ticker", "1.0.0").resource(count, move |_| {
        let ticks = ticks.load(Ordering::Relaxed);
        async move { ticks.to_string() }
    })
}
