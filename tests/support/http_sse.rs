//! A client of HTTP+SSE, the transport of 2024-11-05, and a node that has it.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{HttpSsePaths, ShardSetup};
use serde_json::{Value, json};

use super::node::{Node, SocketId, setup};
use super::{Answer, Client, Request};

/// Of cores that speak it.
pub fn speaking(mut setup: ShardSetup) -> ShardSetup {
    setup.gate.http_sse = Some(HttpSsePaths::new("/mcp", None));
    setup
}

/// A session: its stream, and where its messages go to.
#[derive(Clone)]
pub struct HttpSse {
    pub stream: SocketId,
    pub messages: String,
}

impl HttpSse {
    pub fn id(&self) -> &str {
        let (_, id) = self.messages.split_once("?sessionId=").expect("a query");
        id
    }

    pub fn post(&self, body: &Value) -> Request {
        Request::post(body).target(&self.messages)
    }

    pub fn call(&self, id: u64, method: &str, params: Value) -> Request {
        self.post(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    pub fn tool(&self, id: u64) -> Request {
        self.call(id, "tools/call", json!({"name": "t"}))
    }

    pub fn ping(&self, id: u64) -> Request {
        self.call(id, "ping", json!({}))
    }

    pub fn initialize(&self) -> Request {
        Request::initialize("2024-11-05").target(&self.messages)
    }
}

pub fn get() -> Request {
    Request::new("GET")
        .with("Accept", "text/event-stream")
        .target("/mcp/sse")
}

impl Client {
    pub fn http_sse(limits: Limits) -> Client {
        let node = Node::with(2, |core| speaking(setup(core, 2, limits, 0x00b0_0700)));
        Client { node }
    }

    /// A session that knows nothing of its client yet.
    pub fn open_http_sse(&mut self, request: &Request) -> HttpSse {
        let stream = self.open(request);
        let frames = self.frames(stream);
        let [first] = frames.as_slice() else {
            panic!("one event was expected: {frames:?}");
        };
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        let messages = first.data.clone().expect("a reference");
        HttpSse { stream, messages }
    }

    pub fn session_http_sse(&mut self) -> HttpSse {
        let session = self.open_http_sse(&get());
        let answers = self.say(&session, &session.initialize());
        assert_eq!(
            answers[0]["result"]["protocolVersion"], "2024-11-05",
            "{answers:?}"
        );
        session
    }

    /// It is taken; what there is on the stream then.
    pub fn say(&mut self, session: &HttpSse, request: &Request) -> Vec<Value> {
        let taken = self.ask(request);
        assert_eq!((taken.status, &*taken.body), (202, ""), "{taken:?}");
        self.heard(session)
    }

    /// Messages on the stream, all called so and none with an id.
    pub fn heard(&mut self, session: &HttpSse) -> Vec<Value> {
        let frames = self.frames(session.stream);
        let messages = frames.iter().filter(|frame| frame.is_message());
        let read = messages.map(|frame| {
            assert_eq!(
                (frame.event.as_deref(), &frame.id),
                (Some("message"), &None)
            );
            frame.json()
        });
        read.collect()
    }

    /// It is not taken.
    pub fn refused(&mut self, request: &Request) -> (u16, Answer) {
        let answer = self.ask(request);
        assert!(answer.status >= 400, "{answer:?}");
        (answer.status, answer)
    }
}
