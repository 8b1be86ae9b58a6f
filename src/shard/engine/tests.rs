//! The engine alone, on a wire that only writes down what it is asked for: one request or one thing that happened, then
//! exactly what came of it.

use super::*;
use crate::app::call::{Outcome, Topic};
use crate::budget::Pool;
use crate::clients::Networks;
use crate::shard::arena::Key;
use crate::shard::exchange::{EndpointMethod, Unwritten};
use serde_json::json;

/// Says what was asked of it, each with its exchange, and takes events as they are.
#[derive(Default)]
struct Tape {
    said: Vec<String>,
    blocked: bool,
}

impl Tape {
    fn say(&mut self, exchange: Exchange, what: &str) {
        self.said.push(format!("{}: {what}", exchange.index));
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

impl Wire<ExchangeOwner> for Tape {
    type Frame = Exchange;

    fn answer(&mut self, exchange: Exchange, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let names = fields.iter().map(|(name, _)| format!(" {name}"));
        let names: String = names.collect();
        let body = String::from_utf8_lossy(body);
        self.say(exchange, &format!("{status}{names} {body}"));
    }

    fn expect_answer(&mut self, exchange: Exchange, owner: ExchangeOwner) {
        self.say(exchange, &format!("waits for {owner:?}"));
    }

    fn open_stream(&mut self, exchange: Exchange) {
        self.say(exchange, "stream");
    }

    fn set_owner(&mut self, exchange: Exchange, owner: ExchangeOwner) {
        self.say(exchange, &format!("is {owner:?}"));
    }

    fn emit_events(&mut self, exchange: Exchange, events: &[u8]) {
        self.say(exchange, &String::from_utf8_lossy(events));
    }

    fn end_stream(&mut self, exchange: Exchange) {
        self.say(exchange, "end");
    }

    fn abort(&mut self, exchange: Exchange, reason: Closed) {
        self.say(exchange, &format!("aborted, {reason:?}"));
    }

    fn end_after_answer(&mut self, exchange: Exchange) {
        self.say(exchange, "last");
    }

    fn count_stream(&mut self, _: Exchange) -> Result<(), Refused> {
        Ok(())
    }

    fn may_write(&self, _: Exchange) -> bool {
        !self.blocked
    }

    fn is_held(&self, _: Exchange) -> bool {
        false
    }

    fn begin_held(&mut self, _: Exchange) {}

    fn begin_write(&mut self, exchange: Exchange, bytes: &mut Vec<u8>) -> Option<Exchange> {
        bytes.clear();
        (!self.blocked).then_some(exchange)
    }

    fn emit_frame(_: Exchange, events: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(events);
    }

    fn end_slow(&mut self, _: usize) -> bool {
        false
    }

    fn unwritten(&self, _: Exchange) -> Unwritten {
        Unwritten::default()
    }
}

fn engine() -> Engine {
    let limits = Limits::default();
    let capabilities = json!({ "tools": {"listChanged": true}, "resources": {"subscribe": true} });
    let setup = ShardSetup {
        node: NodeName::new("node-a").expect("a valid name"),
        core: 0,
        core_count: 2,
        incarnation: 1,
        limits,
        commons: Commons::new(&limits, Networks::private()),
        gate: crate::shard::RequestPolicy {
            path: "/mcp".into(),
            http_sse: None,
            loopback: true,
            hosts: Vec::new(),
            origins: Vec::new(),
        },
        cluster: None,
        adoption: false,
        server_info: Arc::new(ServerInfoJson {
            implementation: json!({"name": "test", "version": "0"}),
            instructions: None,
            legacy_capabilities: capabilities.clone(),
            modern_capabilities: capabilities,
            sees_credentials: false,
            portable_sessions: false,
        }),
        card: None,
        accepts: Box::new(|uri| Ok(Some(uri.into()))),
        spelling: Box::new(|uri| Ok(Some(uri.into()))),
        secrets: Box::new(|| [7; 16]),
    };
    Engine::new(setup, Memory::new(&Pool::new(1 << 20), 1), 1_000)
}

const GET: u32 = 90;

fn exchange(index: u32) -> Exchange {
    Key::from_parts(index, 1)
}

fn send(engine: &mut Engine, wire: &mut Tape, index: u32, fields: &[(&str, &str)], body: &str) {
    let mut read = RequestFields::default();
    for (name, value) in fields {
        read.take(name.as_bytes(), value.as_bytes());
    }
    let request = Request {
        exchange: exchange(index),
        method: match index {
            GET.. => EndpointMethod::Get,
            _ => EndpointMethod::Post,
        },
        client: None,
        identity: None,
        address: None,
        word: None,
        fields: read,
        body: body.as_bytes(),
    };
    engine.handle_request(wire, &request, ReceivedBody::Text(request.body));
    engine.invariants();
}

fn happens(
    engine: &mut Engine,
    wire: &mut Tape,
    index: u32,
    owner: ExchangeOwner,
    what: ExchangeChange,
) {
    let event = ExchangeEvent {
        exchange: exchange(index),
        owner,
        what,
    };
    engine.handle_event(wire, event);
    engine.invariants();
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn open_session(engine: &mut Engine, wire: &mut Tape) -> String {
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    send(engine, wire, 1, &[JSON], body);
    let said = wire.take();
    assert!(said[0].starts_with("1: 200 Mcp-Session-Id "), "{said:?}");
    let (key, _) = engine.sessions.iter().next().expect("one was opened");
    let mut text = String::new();
    engine.session_id(key).emit(&mut text);
    let told = engine.poll_output();
    assert!(matches!(
        told,
        Some(EngineOutput::Lifecycle(Lifecycle::Opened(_)))
    ));
    text
}

fn owners(engine: &Engine) -> Vec<(u32, ExchangeOwner)> {
    engine
        .owned()
        .map(|(it, owner)| (it.index, owner))
        .collect()
}

#[test]
fn a_ping_is_one_answer_and_nothing_else() {
    let (mut engine, mut wire) = (engine(), Tape::default());
    let session = open_session(&mut engine, &mut wire);
    let fields = [JSON, ("mcp-session-id", &session)];
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    send(&mut engine, &mut wire, 2, &fields, ping);
    let answered = r#"2: 200 {"jsonrpc":"2.0","id":7,"result":{}}"#;
    assert_eq!(wire.take(), [answered]);
    assert!(engine.poll_output().is_none() && owners(&engine).is_empty());
}

#[test]
fn a_stream_is_told_when_its_wire_can_take_it_and_not_before() {
    let (mut engine, mut wire) = (engine(), Tape::default());
    let session = open_session(&mut engine, &mut wire);
    send(
        &mut engine,
        &mut wire,
        GET,
        &[("mcp-session-id", &session)],
        "",
    );
    let said = wire.take();
    assert_eq!(said[0], format!("{GET}: stream"));
    let [(_, owner)] = owners(&engine)[..] else {
        panic!("one stream is open");
    };
    wire.blocked = true;
    let publication = Publication {
        offset: 1,
        published: 0,
        topic: Topic::Tools,
        principal: None,
    };
    engine.handle_publication(&publication);
    let mut bytes = Vec::new();
    assert_eq!(engine.poll_fanout(&mut wire, &mut bytes), None);
    wire.blocked = false;
    assert_eq!(
        engine.poll_fanout(&mut wire, &mut bytes),
        None,
        "not asked again"
    );
    happens(&mut engine, &mut wire, GET, owner, ExchangeChange::Writable);
    let told = engine.poll_fanout(&mut wire, &mut bytes);
    assert_eq!(told, Some(exchange(GET)));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("tools/list_changed"), "{text}");
}

fn modern_call(engine: &mut Engine, wire: &mut Tape) -> CallKey {
    let fields = [
        JSON,
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/list"),
    ];
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    send(engine, wire, 3, &fields, body);
    match engine.poll_output() {
        Some(EngineOutput::Start { call, .. }) => call,
        _ => panic!("a call starts"),
    }
}

#[test]
fn a_modern_call_whose_client_is_gone_is_cancelled() {
    let (mut engine, mut wire) = (engine(), Tape::default());
    let call = modern_call(&mut engine, &mut wire);
    assert_eq!(wire.take(), [format!("3: waits for Call({call:?})")]);
    happens(
        &mut engine,
        &mut wire,
        3,
        ExchangeOwner::Call(call),
        ExchangeChange::Lost(Closed::PeerLeft),
    );
    assert!(matches!(engine.poll_output(), Some(EngineOutput::Cancel(it)) if it == call));
    let late = Outcome::Result {
        json: "{}".into(),
        caching: None,
    };
    engine.handle_outcome(&mut wire, call, &late);
    assert!(wire.take().is_empty(), "nobody waits for it");
}

#[test]
fn a_call_that_is_quiet_becomes_a_stream_and_is_answered_on_it() {
    let (mut engine, mut wire) = (engine(), Tape::default());
    let call = modern_call(&mut engine, &mut wire);
    wire.take();
    happens(
        &mut engine,
        &mut wire,
        3,
        ExchangeOwner::Call(call),
        ExchangeChange::Quiet,
    );
    let [(3, ExchangeOwner::Stream(stream))] = owners(&engine)[..] else {
        panic!("a stream has the exchange");
    };
    let opened = [
        "3: stream".into(),
        format!("3: is Stream({stream:?})"),
        "3: :\n\n".into(),
    ];
    assert_eq!(wire.take(), opened);
    let outcome = Outcome::Other { json: "{}".into() };
    engine.handle_outcome(&mut wire, call, &outcome);
    engine.invariants();
    let said = wire.take();
    assert!(
        said[0].contains(r#"data: {"jsonrpc":"2.0","id":7,"result":{}}"#),
        "{said:?}"
    );
    assert_eq!((&*said[1], said.len()), ("3: end", 2));
    assert!(owners(&engine).is_empty());
}

#[test]
fn an_exchange_that_was_lost_before_its_stream_left_it_takes_nothing_along() {
    let (mut engine, mut wire) = (engine(), Tape::default());
    let session = open_session(&mut engine, &mut wire);
    let fields = [("mcp-session-id", &*session)];
    for index in [GET, GET + 1, GET + 2] {
        send(&mut engine, &mut wire, index, &fields, "");
    }
    let [(_, owner @ ExchangeOwner::Stream(stream)), ..] = owners(&engine)[..] else {
        panic!("a stream is open");
    };
    // The wire may have lost the second while the third was still being served.
    happens(
        &mut engine,
        &mut wire,
        GET + 1,
        owner,
        ExchangeChange::Lost(Closed::PeerLeft),
    );
    assert_eq!(owners(&engine), [(GET + 2, ExchangeOwner::Stream(stream))]);
}

#[test]
fn a_request_for_another_core_or_node_is_told_by_its_head() {
    let mut engine = engine();
    let own = SessionId {
        node: engine.node,
        locator: crate::wire::session_id::Locator {
            core: 1,
            slot: 0,
            generation: 1,
            incarnation: 1,
        },
        secret: [7; 16],
    };
    let place = |engine: &Engine, id: &SessionId, version: &str| {
        let mut text = String::new();
        id.emit(&mut text);
        let mut fields = RequestFields::default();
        fields.take(b"mcp-session-id", text.as_bytes());
        fields.take(b"mcp-protocol-version", version.as_bytes());
        engine.place(&fields)
    };
    assert_eq!(place(&engine, &own, "2025-06-18"), Destination::Core(1));
    assert_eq!(place(&engine, &own, "2026-07-28"), Destination::Here);
    let node = NodeName::new("node-b").expect("a valid name");
    let other = SessionId { node, ..own };
    assert_eq!(
        place(&engine, &other, "2025-06-18"),
        Destination::Here,
        "alone"
    );
    engine.is_clustered = true;
    assert_eq!(place(&engine, &other, "2025-06-18"), Destination::Elsewhere);
}
