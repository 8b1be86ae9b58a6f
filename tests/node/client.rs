//! A client of plain HTTP, and applications for it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pinfold::app::{Context, NoArguments, Toolkit};
use pinfold::mcp::types::Resource;
use pinfold::{Driver, Node, NodeBuilder};
use serde_json::{Value, json};

/// Far above what anything takes here, on however busy a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// The trace that all requests belong to.
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An application with two tools, which say whose it is, and which trace the request belongs to.
pub(crate) fn named(name: &'static str) -> impl Fn() -> Toolkit + Send + Sync + 'static {
    move || {
        let say = move |_: NoArguments, _| async move { name };
        let traced = |_: NoArguments, context: Context| async move {
            let trace = context.trace_context().map(|it| it.to_string());
            trace.unwrap_or_default()
        };
        Toolkit::new(name, "1.0.0")
            .resource(
                Resource::new("own://name", "Name"),
                move |_| async move { name },
            )
            .tool("whoami", "Says whose it is.", say)
            .tool("trace", "Says which trace it is of.", traced)
            .subscribable(|_| true)
    }
}

/// Two cores, any port, an end at once.
pub(crate) fn small(builder: NodeBuilder) -> NodeBuilder {
    builder
        .listen(ANY_PORT)
        .cores(2)
        .drain_times(Duration::ZERO, Duration::ZERO)
}

/// What this machine has: epoll everywhere, io_uring where it is allowed.
pub(crate) fn drivers() -> Vec<Driver> {
    let probe = small(Node::builder(named("probe"))).cores(1).start();
    let probe = probe.expect("it falls back to epoll");
    probe.stop();
    probe.join_blocking().expect("it ends");
    let mut drivers = vec![probe.driver(), Driver::Epoll];
    drivers.dedup();
    drivers
}

pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

type Answer = ureq::http::Response<ureq::Body>;

fn post(at: SocketAddr, (user, session): (Option<&str>, Option<&str>), message: &Value) -> Answer {
    let mut request = ureq::post(format!("http://{at}/mcp"))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream")
        .header("traceparent", TRACE);
    if let Some(session) = session {
        request = request.header("Mcp-Session-Id", session);
    }
    if let Some(user) = user {
        request = request.header(USER, user);
    }
    let limited = request.config().timeout_global(Some(LIMIT));
    let request = limited.http_status_as_error(false).build();
    request.send(message.to_string()).expect("an answer")
}

/// A session of 2025-11-25; each request is a connection of its own.
pub(crate) struct Session {
    pub(crate) at: SocketAddr,
    pub(crate) id: String,
    user: Option<&'static str>,
}

/// Who asks, for a node that believes it.
pub(crate) const USER: &str = "X-User";

impl Session {
    pub(crate) fn open(at: SocketAddr) -> Session {
        Session::open_by(at, None)
    }

    pub(crate) fn open_as(at: SocketAddr, user: &'static str) -> Session {
        Session::open_by(at, Some(user))
    }

    fn open_by(at: SocketAddr, user: Option<&'static str>) -> Session {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let answer = post(at, (user, None), &message);
        let id = answer.headers().get("mcp-session-id").expect("a session");
        let id = id.to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(post(at, (user, Some(&id)), &initialized).status(), 202);
        Session { at, id, user }
    }

    /// The same session, through another node.
    pub(crate) fn at(&self, at: SocketAddr) -> Session {
        Session {
            at,
            id: self.id.clone(),
            user: self.user,
        }
    }

    /// The answer, its `result` or its `error`.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = post(self.at, (self.user, Some(&self.id)), &message);
        let text = answer.into_body().read_to_string().expect("a body");
        let text = text
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .unwrap_or(&text);
        serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    pub(crate) fn whoami(&self) -> Value {
        self.said("whoami")
    }

    /// What a tool says that wants to know nothing.
    pub(crate) fn said(&self, tool: &str) -> Value {
        let answer = self.call("tools/call", &json!({"name": tool, "arguments": {}}));
        answer["result"]["content"][0]["text"].clone()
    }

    pub(crate) fn subscribe(&self, uri: &str) -> Value {
        self.call("resources/subscribe", &json!({ "uri": uri }))
    }

    /// What comes on the session's own stream, until it ends.
    pub(crate) fn stream(&self) -> impl Iterator<Item = Value> + use<> {
        let mut request = ureq::get(format!("http://{}/mcp", self.at))
            .header("Accept", "text/event-stream")
            .header("Mcp-Session-Id", &self.id);
        if let Some(user) = self.user {
            request = request.header(USER, user);
        }
        let limited = request.config().timeout_global(Some(LIMIT)).build();
        let answer = limited.call().expect("a stream");
        assert_eq!(answer.status(), 200);
        let lines = BufReader::new(answer.into_body().into_reader()).lines();
        lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
    }
}

/// Nobody listens there.
pub(crate) fn is_closed(address: SocketAddr) -> bool {
    std::net::TcpStream::connect(address).is_err()
}
