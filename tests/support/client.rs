//! A client that does one thing after the other over a network without delays: what most tests need.

use pinfold::app::call::{Notice, NotifyRefused, Outcome, Topic};
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Closed, Millis};
use pinfold::mcp::RpcError;
use serde_json::Value;

use super::node::{Arrived, Node, SocketId};
use super::reader::{Answer, Frame, Item};
use super::request::Request;

/// A node of one core and a client of it with any number of connections.
pub struct Client {
    pub node: Node,
}

impl Client {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn tiny() -> Self {
        Self::with(Limits::tiny())
    }

    pub fn with(limits: Limits) -> Self {
        Client {
            node: Node::new(1, limits),
        }
    }

    pub fn connect(&mut self) -> SocketId {
        self.connect_to(0)
    }

    pub fn connect_to(&mut self, core: usize) -> SocketId {
        self.node.connect(core, None).expect("there is room")
    }

    pub fn send(&mut self, socket: SocketId, request: &Request) {
        self.node.sockets[socket]
            .reader
            .expected
            .push_back(request.method == "HEAD");
        self.send_bytes(socket, &request.bytes());
    }

    pub fn send_bytes(&mut self, socket: SocketId, bytes: &[u8]) {
        self.node.sockets[socket].sent.extend(bytes);
        while self.node.receive(socket, usize::MAX) {}
        self.fan_out();
    }

    /// Sends nothing more on this connection.
    pub fn end(&mut self, socket: SocketId) {
        self.node.sockets[socket].ended = true;
        while self.node.receive(socket, usize::MAX) {}
        self.fan_out();
    }

    /// What arrived since the last time.
    pub fn items(&mut self, socket: SocketId) -> Vec<Item> {
        self.fan_out();
        self.node.take(socket, usize::MAX);
        while !self.node.sockets[socket].arrived.is_empty() {
            self.node.take(socket, usize::MAX);
        }
        self.fan_out();
        self.node.take(socket, usize::MAX);
        let socket = &mut self.node.sockets[socket];
        if socket.half_closed {
            assert!(socket.reader.finish(), "cut in the middle of an answer");
        }
        socket.reader.items.drain(..).collect()
    }

    /// The one answer that arrived: whole, or the head of a stream.
    pub fn answer(&mut self, socket: SocketId) -> Answer {
        let items = self.items(socket);
        match items.as_slice() {
            [Item::Answer(answer)] => answer.clone(),
            _ => panic!("one answer was expected: {items:?}"),
        }
    }

    pub fn exchange(&mut self, socket: SocketId, request: &Request) -> Answer {
        self.send(socket, request);
        self.answer(socket)
    }

    /// Over a connection of its own.
    pub fn ask(&mut self, request: &Request) -> Answer {
        let socket = self.connect();
        let answer = self.exchange(socket, request);
        self.node.cut(socket);
        answer
    }

    /// A new session of this revision.
    pub fn session(&mut self, version: &str) -> String {
        let answer = self.ask(&Request::initialize(version));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
            .field("mcp-session-id")
            .expect("a session id")
            .to_owned()
    }

    /// Opens a stream and returns its socket; the frames it opened with stay to be read.
    pub fn open(&mut self, request: &Request) -> SocketId {
        let socket = self.connect();
        self.open_on(socket, request);
        socket
    }

    pub fn open_on(&mut self, socket: SocketId, request: &Request) {
        self.send(socket, request);
        self.fan_out();
        self.node.take(socket, usize::MAX);
        let first = self.node.sockets[socket].reader.items.pop_front();
        assert!(
            matches!(&first, Some(Item::Answer(answer)) if answer.status == 200
                && answer.field("content-type") == Some("text/event-stream")),
            "a stream was expected: {first:?}"
        );
    }

    /// The frames that arrived since the last time, comments left out.
    pub fn frames(&mut self, socket: SocketId) -> Vec<Frame> {
        let frame = |item| match item {
            Item::Frame(frame) => Some(frame),
            Item::StreamEnd => None,
            Item::Answer(answer) => panic!("in the middle of a stream: {answer:?}"),
        };
        self.items(socket)
            .into_iter()
            .filter_map(frame)
            .filter(|frame| !frame.comment)
            .collect()
    }

    /// Those of them with a message.
    pub fn messages(&mut self, socket: SocketId) -> Vec<Value> {
        self.frames(socket)
            .iter()
            .filter(|frame| frame.is_message())
            .map(Frame::json)
            .collect()
    }

    /// What topics the events that arrived are of: methods without their prefix, or URIs.
    pub fn topics(&mut self, socket: SocketId) -> Vec<String> {
        self.messages(socket).iter().map(topic_of).collect()
    }

    /// Topics of events among whatever else arrived.
    pub fn topics_anywhere(&mut self, socket: SocketId) -> Vec<String> {
        let frames = self
            .items(socket)
            .into_iter()
            .filter_map(|item| match item {
                Item::Frame(frame) if frame.is_message() => Some(topic_of(&frame.json())),
                _ => None,
            });
        frames.collect()
    }

    /// The frames of a stream whose head has just arrived.
    pub fn frames_after_head(&mut self, socket: SocketId) -> Vec<Frame> {
        let mut items = self.items(socket).into_iter();
        assert!(matches!(items.next(), Some(Item::Answer(_))));
        let frame = |item| match item {
            Item::Frame(frame) => Some(frame),
            _ => None,
        };
        items.filter_map(frame).collect()
    }

    /// The same, and the id by which their client comes back.
    pub fn last_event_id(&mut self, socket: SocketId) -> String {
        let frames = self.frames_after_head(socket);
        let ids = frames.into_iter().rev().find_map(|it| it.id);
        ids.expect("an id")
    }

    /// The stream ended, with or without more frames; the connection may live on.
    pub fn stream_ended(&mut self, socket: SocketId) -> bool {
        self.items(socket).contains(&Item::StreamEnd)
    }

    pub fn publish(&mut self, topic: Topic) {
        self.node.publish(topic);
        self.fan_out();
    }

    pub fn tell(&mut self, session: &str, notice: &Notice) -> Result<(), NotifyRefused> {
        let now = self.node.now;
        // The client's sessions are on the core that it connects to.
        let delivered = self.node.cores[0].shard.handle_notice(now, session, notice);
        self.node.settle(0);
        self.fan_out();
        delivered
    }

    pub fn tell_all(&mut self, notice: &Notice) {
        self.node.offset += 1;
        let (now, offset) = (self.node.now, self.node.offset);
        for core in 0..self.node.cores.len() {
            self.node.cores[core]
                .shard
                .handle_notice_to_all(now, offset, notice);
            self.node.settle(core);
        }
        self.fan_out();
    }

    /// Something was lost between nodes.
    pub fn gap(&mut self) {
        self.node.gap();
        self.fan_out();
    }

    pub fn updated(&mut self, uri: &str) {
        self.publish(Topic::Resource(uri.into()));
    }

    pub fn call(&mut self) -> Arrived {
        self.node
            .calls
            .pop_front()
            .expect("a call reached the application")
    }

    pub fn finish(&mut self, call: &Arrived, result: &str) {
        self.node.outcome(
            call.core,
            call.key,
            &Outcome::Result {
                json: result.into(),
                caching: None,
            },
        );
    }

    pub fn fail(&mut self, call: &Arrived, error: RpcError) {
        self.node
            .outcome(call.core, call.key, &Outcome::Error(error));
    }

    pub fn notify(&mut self, call: &Arrived, number: usize) {
        let params = format!(r#"{{"progressToken":1,"progress":{number}}}"#);
        let now = self.node.now;
        self.node.cores[call.core].shard.handle_notify(
            now,
            call.key,
            "notifications/progress",
            &params,
        );
        self.node.settle(call.core);
    }

    pub fn ask_client(&mut self, call: &Arrived, method: &str) -> Option<u32> {
        let now = self.node.now;
        let ask = self.node.cores[call.core]
            .shard
            .handle_ask(now, call.key, method, "{}");
        self.node.settle(call.core);
        ask
    }

    pub fn close_stream(&mut self, call: &Arrived) {
        let now = self.node.now;
        self.node.cores[call.core]
            .shard
            .handle_close_stream(now, call.key);
        self.node.settle(call.core);
    }

    pub fn pass(&mut self, ms: Millis) {
        self.node.pass(ms);
    }

    pub fn closed(&self, socket: SocketId) -> Option<Closed> {
        self.node.sockets[socket].closed
    }

    pub(super) fn fan_out(&mut self) {
        for core in 0..self.node.cores.len() {
            while self.node.fan_out(core) {}
        }
    }
}

/// Of a notification about a topic.
pub fn topic_of(message: &Value) -> String {
    match message["method"].as_str() {
        Some("notifications/resources/updated") => {
            message["params"]["uri"].as_str().unwrap_or("").to_owned()
        }
        Some(method) => method.trim_start_matches("notifications/").to_owned(),
        None => panic!("no notification: {message}"),
    }
}

pub fn is_topic_event(message: &Value) -> bool {
    let method = message["method"].as_str().unwrap_or("");
    method.ends_with("/list_changed") || method == "notifications/resources/updated"
}
