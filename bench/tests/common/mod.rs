//! What counted tests share: an allocator that counts, a shard with an application, and the driver of both, all without a
//! socket.
//!
//! A client is opened by the same bytes that a real one sends. The allocator counts for each thread by itself, since
//! tests run side by side.
#![allow(unsafe_code)]
#![allow(dead_code, unused_imports)] // each of the tests uses a part

mod counting;
mod no_link;

use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use pinfold::app::call::{Call, Handler, Link, Outcome};
use pinfold::app::{Context, NoArguments, Toolkit, handler};
use pinfold::internals::auth::Identifier;
use pinfold::internals::clients::{Commons, Networks};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{ConnectionKey, Effect, RequestPolicy, Shard, ShardSetup};
use pinfold::internals::wire::session_id::NodeName;
use pinfold::mcp::types::Resource;

pub(crate) use self::counting::{allocations, held};

pub(crate) const NOW: u64 = 1_000;

/// A shard, and the application whose calls it starts.
pub(crate) struct Rig {
    pub(crate) shard: Shard,
    /// Where connections come from next.
    pub(crate) peer: Option<IpAddr>,
    handler: Rc<dyn Handler>,
    /// One for all calls: each has one of its own in the runtime.
    link: Rc<dyn Link>,
    /// Allocations of the application, which are no fault of the shard.
    pub(crate) allocations_of_calls: u64,
    /// What the application keeps of a call while it works on it, in the task that the runtime has for it.
    pub(crate) call_future_bytes: usize,
    /// What was written last.
    pub(crate) written: Vec<u8>,
}

impl Rig {
    /// With one resource and nothing else: each kind of list is one more topic that a session hears of.
    pub(crate) fn new() -> Self {
        let nothing = |_context| async { "nothing" };
        let app = Toolkit::new("test", "0");
        Rig::of(app.resource(Resource::new("board://bench", "bench"), nothing))
    }

    pub(crate) fn with_a_tool() -> Self {
        Rig::of(Toolkit::new("test", "0").tool("hello", "Says hello.", hello))
    }

    fn of(app: Toolkit) -> Self {
        let handler = handler(app);
        let setup = ShardSetup {
            node: NodeName::new("node").expect("letters are allowed"),
            core: 0,
            core_count: 1,
            incarnation: 1,
            limits: Limits::default(),
            commons: Commons::new(&Limits::default(), Networks::private()),
            gate: RequestPolicy {
                path: "/mcp".into(),
                http_sse: None,
                loopback: true,
                hosts: Vec::new(),
                origins: Vec::new(),
            },
            cluster: None,
            adoption: false,
            server_info: Arc::new(handler.server_info()),
            card: None,
            accepts: Box::new(|uri| Ok(Some(uri.into()))),
            spelling: Box::new(|uri| Ok(Some(uri.into()))),
            secrets: Box::new(|| [7; 16]),
        };
        Rig {
            shard: Shard::new(setup, NOW),
            peer: None,
            handler,
            link: no_link::new(),
            allocations_of_calls: 0,
            call_future_bytes: 0,
            written: Vec::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> ConnectionKey {
        let peer = self.peer;
        self.shard.handle_open(NOW, peer).expect("there is room")
    }

    /// What a driver does for one request whose answer is ready at once.
    pub(crate) fn answer(&mut self, key: ConnectionKey, request: &str) {
        self.shard.handle_bytes(NOW, key, request.as_bytes());
        self.drain(NOW);
    }

    /// Carries out what the shard wants done. Of what is written the last piece is kept.
    pub(crate) fn drain(&mut self, now: u64) {
        while let Some(effect) = self.shard.poll_effect() {
            if let Effect::Start { call, request } = effect {
                let mut outcome = None;
                let link = self.link.clone();
                let count = allocations(|| outcome = Some(self.call(request, link)));
                self.allocations_of_calls += count;
                let outcome = outcome.expect("the call was made");
                self.shard.handle_outcome(now, call, &outcome);
            }
        }
        while let Some(key) = self.shard.poll_transmit(&mut self.written) {
            self.shard.handle_written(now, key, 0);
        }
    }

    fn call(&mut self, request: Call, link: Rc<dyn Link>) -> Outcome {
        let future = self.handler.clone().call(request, link);
        self.call_future_bytes = size_of_val(&*future);
        let mut context = TaskContext::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the application waits for something"),
        }
    }

    /// What was written last, for a look at it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    /// A session, by the header fields that a request in it has.
    pub(crate) fn open_session(&mut self) -> (ConnectionKey, String) {
        self.open_session_with("")
    }

    /// From now on it is asked who sends a request.
    pub(crate) fn identify_by(&mut self, identifier: Identifier) {
        self.shard.identify_by(identifier, 1_800_000_000_000);
    }

    /// The same with these fields in its first request.
    pub(crate) fn open_session_with(&mut self, fields: &str) -> (ConnectionKey, String) {
        let key = self.connect();
        let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
        self.answer(key, &post(fields, initialize));
        let answered = self.text();
        let id = answered
            .lines()
            .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
            .expect("initialize is answered with a session");
        let fields = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        (key, fields)
    }

    /// A session with a subscription and its GET stream.
    pub(crate) fn open_legacy_stream(&mut self) {
        self.open_legacy_stream_with("");
    }

    /// The same with these fields in each request.
    pub(crate) fn open_legacy_stream_with(&mut self, fields: &str) {
        let (key, session) = self.open_session_with(fields);
        let session = session + fields;
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"board://bench"}}"#;
        self.answer(key, &post(&session, subscribe));
        let get = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{session}\r\n"
        );
        self.answer(key, &get);
        let answered = self.text();
        assert!(answered.contains("text/event-stream"), "{answered}");
    }

    pub(crate) fn open_modern_stream(&mut self, id: usize) {
        self.open_modern_stream_with(id, "");
    }

    pub(crate) fn open_modern_stream_with(&mut self, id: usize, fields: &str) {
        let key = self.connect();
        let listen = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{{META},"notifications":{{"resourceSubscriptions":["board://bench"]}}}}}}"#
        );
        let fields = format!(
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n{fields}"
        );
        self.answer(key, &post(&fields, &listen));
        let answered = self.text();
        assert!(answered.contains("acknowledged"), "{answered}");
    }
}

pub(crate) const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A call of the tool that [`Rig::with_a_tool`] has, by a client of 2026-07-28.
pub(crate) fn call_without_a_session() -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"hello","arguments":{{}},{META}}}}}"#
    );
    let fields =
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: hello\r\n";
    post(fields, &body)
}

async fn hello(_: NoArguments, _: Context) -> &'static str {
    "hello"
}

pub(crate) fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
