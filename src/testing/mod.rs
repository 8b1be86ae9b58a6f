//! An application's tests without a network: [`TestServer`] is an engine of strings and cells, and a [`TestClient`] of
//! either era plays the client and remembers what it received.
//!
//! What runs is the application alone: its tools, resources and prompts, and what `Context` promises them. Framing,
//! sessions' ids, limits and who is let in are the engine's, which has tests of its own.
//!
//! ```
//! use pinfold::app::{Context, Error, Toolkit};
//! use pinfold::mcp::types::{ElicitRequest, ElicitSchema};
//! use pinfold::testing::TestServer;
//! use serde_json::json;
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Order {
//!     count: u32,
//! }
//!
//! async fn bake(order: Order, context: Context) -> Result<String, Error> {
//!     let form = ElicitSchema::new().choice("flour", &["rye", "wheat"]);
//!     let answer = context.elicit("flour", ElicitRequest::form("Which flour?", form)).await?;
//!     let flour = answer.text("flour").ok_or("No order then")?;
//!     context.sleep(Duration::from_secs(3600)).await; // in the oven
//!     context.progress(1.0, Some(1.0), Some("baked"));
//!     Ok(format!("{} loaves of {flour} bread", order.count))
//! }
//!
//! let server = TestServer::new(Toolkit::new("bakery", "1.0.0").tool("bake", "Bakes bread.", bake));
//! for client in server.both_eras() {
//!     client.will_answer(json!({ "action": "accept", "content": { "flour": "rye" } }));
//!     let result = client.call_tool("bake", json!({ "count": 2 })).unwrap();
//!     assert_eq!(result.first_text(), Some("2 loaves of rye bread"));
//!     assert_eq!(client.progress()[0].message.as_deref(), Some("baked"));
//! }
//! assert_eq!(server.elapsed(), Duration::from_secs(2 * 3600));
//! ```
//!
//! # Time
//! It stands still while there is something to do, and jumps to the next timer when there is not: an hour's sleep takes
//! none. To look at a call in its midst, [start](TestClient::start) it, [poll](TestCall::poll) it, and
//! [move time](TestServer::advance). A handler that waits for the world outside (an HTTP request, a database) as well as
//! for a timer wants [real time](TestServer::real_time).

mod client;
mod link;
mod world;

use std::rc::Rc;
use std::time::Duration;

pub use client::{TestCall, TestClient};
pub(crate) use link::TestLink;
pub use link::{Logged, Progressed};
pub(crate) use world::World;

use crate::app::call::{Handler, Topic};
use crate::app::{App, handler};
use crate::mcp::ProtocolVersion;
use crate::principal::PrincipalId;

/// One core with an application on it, and no sockets.
pub struct TestServer {
    handler: Rc<dyn Handler>,
    world: Rc<World>,
}

impl TestServer {
    /// Of an application, as one core has it.
    #[must_use]
    pub fn new(app: impl App + 'static) -> Self {
        TestServer::of(handler(app))
    }

    /// Of an application with its types erased.
    #[must_use]
    pub fn of(handler: Rc<dyn Handler>) -> Self {
        TestServer {
            handler,
            world: Rc::default(),
        }
    }

    /// Timers take their time. For handlers that wait for something outside of the test beside a timer, which would
    /// come first otherwise.
    #[must_use]
    pub fn real_time(self) -> Self {
        self.world.use_real_time();
        self
    }

    /// Crates that need tokio work in handlers, as with [`NodeBuilder::tokio`](crate::NodeBuilder::tokio).
    ///
    /// # Panics
    /// The system has no threads left.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn tokio(self) -> Self {
        self.world.use_tokio();
        self
    }

    /// A client with a session, of the newest revision that has them (2025-11-25).
    #[must_use]
    pub fn legacy(&self) -> TestClient {
        self.client(ProtocolVersion::LATEST_LEGACY)
    }

    /// A client of 2026-07-28.
    #[must_use]
    pub fn modern(&self) -> TestClient {
        self.client(ProtocolVersion::V2026_07_28)
    }

    /// One client of each era.
    #[must_use]
    pub fn both_eras(&self) -> [TestClient; 2] {
        [self.legacy(), self.modern()]
    }

    /// A client that declares all that may be asked of it, and wants all progress and log messages. If its revision has
    /// sessions, it opens one.
    #[must_use]
    pub fn client(&self, version: ProtocolVersion) -> TestClient {
        TestClient::new(self.handler.clone(), self.world.clone(), version)
    }

    /// What was published since this was last asked.
    #[must_use]
    pub fn published(&self) -> Vec<Topic> {
        self.world.published.take()
    }

    /// What was published for one principal alone since this was last asked.
    #[must_use]
    pub fn published_to(&self) -> Vec<(PrincipalId, Topic)> {
        self.world.published_to.take()
    }

    /// How much time has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.world.now_ms() - self.world.start_ms)
    }

    /// Moves time, and runs what that wakes in the background. Calls that were started are polled by whoever has them.
    pub fn advance(&self, time: Duration) {
        self.world.advance(time);
    }

    /// Runs what handlers spawned to its end.
    pub fn finish_background(&self) {
        self.world.finish_background();
    }
}
