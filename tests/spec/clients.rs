//! What one client may take of a node, and that the others go on: a client is an address, also behind a proxy.

use std::net::IpAddr;

use pinfold::internals::clients::Client as ClientAddress;
use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Millis, TooMany};
use serde_json::json;

use crate::V11;
use crate::support::node::SocketId;
use crate::support::{Answer, Client, Item, Request};

/// What is idle may make room after this.
const IDLE_MS: u64 = 11_000;

fn address(number: u8) -> IpAddr {
    [203, 0, 113, number].into()
}

fn connect(client: &mut Client, number: u8) -> SocketId {
    let socket = client.node.connect(0, Some(address(number)));
    socket.expect("there is room")
}

/// Over a connection of its own from this address.
fn ask(client: &mut Client, number: u8, request: &Request) -> Answer {
    let socket = connect(client, number);
    let answer = client.exchange(socket, request);
    client.node.cut(socket);
    answer
}

fn session_of(client: &mut Client, number: u8) -> String {
    let answer = ask(client, number, &Request::initialize(V11));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.field("mcp-session-id").expect("an id").to_owned()
}

fn lives(client: &mut Client, session: &str) -> bool {
    client.ask(&Request::ping(session, 1)).status == 200
}

fn is_told(answer: &Answer, reason: &str, option: &str) {
    assert_eq!((answer.status, &*answer.reason()), (429, reason));
    assert!(answer.field("retry-after").is_some());
    assert!(answer.sentence().contains(option), "{answer:?}");
}

/// As a proxy on this machine passes it on.
fn named(request: Request, client: &str) -> Request {
    request.with("X-Forwarded-For", client)
}

fn proxy(client: &mut Client) -> SocketId {
    let local = IpAddr::from([127, 0, 0, 1]);
    client.node.connect(0, Some(local)).expect("there is room")
}

#[test]
fn one_client_that_has_the_sessions_of_others_ended() {
    let mut client = Client::with(Limits {
        sessions_max: 100,
        ..Limits::default()
    });
    let honest: Vec<String> = (1..=10).map(|it| session_of(&mut client, it)).collect();
    client.pass(IDLE_MS);
    let socket = connect(&mut client, 99);
    for number in 0..300 {
        let answer = client.exchange(socket, &Request::initialize(V11));
        match number < 25 {
            true => assert_eq!(answer.status, 200),
            false => is_told(&answer, "too_many_sessions", "--sessions-per-client-max"),
        }
        if number % 30 == 0 {
            session_of(&mut client, 100 + (number / 30) as u8);
        }
    }
    for session in &honest {
        assert!(lives(&mut client, session));
    }
    // What it left idle makes room for its own.
    client.pass(IDLE_MS);
    session_of(&mut client, 99);
    let greedy = Some(ClientAddress::of(address(99)));
    assert_eq!(client.node.commons.clients.sessions_of(greedy), 25);
}

#[test]
fn a_session_of_who_holds_few_ended_while_another_holds_many() {
    let mut client = Client::with(Limits {
        sessions_max: 8,
        sessions_per_client_max: Some(8),
        ..Limits::default()
    });
    let few: Vec<String> = (1..=2).map(|it| session_of(&mut client, it)).collect();
    client.pass(1_000);
    let many: Vec<String> = (0..6).map(|_| session_of(&mut client, 99)).collect();
    client.pass(IDLE_MS);
    session_of(&mut client, 3);
    session_of(&mut client, 4);
    let left = many.iter().filter(|it| lives(&mut client, it)).count();
    assert_eq!(left, 4, "the others made room");
    // Whoever asks holds most: nobody else's session ends for it, and its own were all used just now.
    let answer = ask(&mut client, 99, &Request::initialize(V11));
    assert_eq!((answer.status, &*answer.reason()), (503, "busy"));
    assert!(few.iter().all(|session| lives(&mut client, session)));
    client.pass(IDLE_MS);
    session_of(&mut client, 99);
    assert!(few.iter().all(|session| lives(&mut client, session)));
}

#[test]
fn one_client_that_opens_sessions_faster_than_it_may() {
    let mut client = Client::with(Limits {
        initialize_per_second_max: 40,
        ..Limits::default()
    });
    let statuses: Vec<u16> = (0..12)
        .map(|_| ask(&mut client, 1, &Request::initialize(V11)).status)
        .collect();
    assert_eq!(statuses, [[200; 10].as_slice(), &[429; 2]].concat());
    let answer = ask(&mut client, 1, &Request::initialize(V11));
    let option = "--initialize-per-second-per-client-max";
    is_told(&answer, "too_many_sessions", option);
    session_of(&mut client, 2);
    client.pass(1_000);
    session_of(&mut client, 1);
}

/// Six that do all they may, with what a node has by default.
#[test]
fn a_storm_of_initialize_that_leaves_nothing_to_others() {
    let mut client = Client::with(Limits {
        initialize_per_second_max: 2_000,
        ..Limits::default()
    });
    client.node.unchecked = true;
    let sockets: Vec<SocketId> = (1..=6).map(|it| connect(&mut client, it)).collect();
    let mut refused = 0;
    for round in 0..600 {
        for &socket in &sockets {
            let answer = client.exchange(socket, &Request::initialize(V11));
            refused += usize::from(answer.status != 200);
        }
        if round % 10 == 0 {
            session_of(&mut client, 100 + (round / 10) as u8);
        }
        client.pass(1);
    }
    assert!(refused > 0, "it was no storm");
}

#[test]
fn one_client_that_takes_all_calls() {
    let mut client = Client::with(Limits {
        calls_per_client_max: 3,
        ..Limits::default()
    });
    let sessions = [session_of(&mut client, 1), session_of(&mut client, 2)];
    let tool = || Request::modern(7, "tools/call", json!({"name": "t"}));
    for request in [
        Request::tool(&sessions[0], 1),
        Request::tool(&sessions[1], 2),
        tool(),
    ] {
        let socket = connect(&mut client, 1);
        client.send(socket, &request);
    }
    for request in [Request::tool(&sessions[0], 3), tool()] {
        let answer = ask(&mut client, 1, &request);
        is_told(&answer, "too_many_calls", "--calls-per-client-max");
    }
    let batch =
        json!([{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}}]);
    let old = ask(&mut client, 1, &Request::initialize(crate::V03));
    let old = old.field("mcp-session-id").expect("an id").to_owned();
    let answer = ask(&mut client, 1, &Request::post(&batch).session(&old));
    is_told(&answer, "too_many_calls", "--calls-per-client-max");
    let other = connect(&mut client, 2);
    client.send(other, &tool());
    assert_eq!(client.node.calls.len(), 4);
    // One ends, one is given up, one goes with its session.
    let call = client.call();
    client.finish(&call, "{}");
    client.ask(&Request::delete(&sessions[1]));
    for _ in 0..2 {
        let socket = connect(&mut client, 1);
        client.send(socket, &tool());
        client.node.cut(socket);
        client.send(other, &tool());
    }
    let socket = connect(&mut client, 1);
    client.send(socket, &Request::tool(&sessions[0], 5));
    let arrived = client.node.calls.len();
    assert_eq!(
        arrived, 3,
        "its modern one and its last, and the other client's"
    );
}

#[test]
fn one_client_that_takes_all_connections() {
    let mut client = Client::with(Limits {
        connections_max: 8,
        ..Limits::default()
    });
    let sockets: Vec<SocketId> = (0..6).map(|_| connect(&mut client, 1)).collect();
    let now = client.node.now;
    let refused = client.node.cores[0]
        .shard
        .handle_open(now, Some(address(1)));
    assert_eq!(refused, Err(TooMany::OfClient));
    let text = std::str::from_utf8(TooMany::OfClient.answer()).expect("text");
    assert!(text.starts_with("HTTP/1.1 429 ") && text.contains("Retry-After: "));
    connect(&mut client, 2);
    client.node.cut(sockets[0]);
    connect(&mut client, 1);
}

/// A proxy sends requests of all its clients over a few connections, and opens as many as it needs.
/// A stream behind a proxy, which is held for a moment.
fn open(client: &mut Client, socket: SocketId, request: &Request) {
    client.send(socket, request);
    client.node.release(Millis::MAX);
    let first = client.items(socket).into_iter().next();
    assert!(
        matches!(&first, Some(Item::Answer(answer)) if answer.status == 200),
        "a stream was expected: {first:?}"
    );
}

#[test]
fn a_limit_for_one_that_a_proxy_turns_into_a_limit_for_all() {
    let mut client = Client::with(Limits {
        connections_max: 40,
        connections_per_client_max: Some(2),
        sessions_per_client_max: Some(2),
        ..Limits::default()
    });
    let socket = proxy(&mut client);
    let initialize = |who: &str| named(Request::initialize(V11), who);
    for who in ["203.0.113.1", "203.0.113.2:4711", "2001:db8:1::1"] {
        for _ in 0..2 {
            assert_eq!(
                client.exchange(socket, &initialize(who)).status,
                200,
                "{who}"
            );
        }
        let answer = client.exchange(socket, &initialize(who));
        is_told(&answer, "too_many_sessions", "--sessions-per-client-max");
    }
    // What stands before the address that the proxy saw is an invention, and an IPv6 client has its whole network.
    for who in ["203.0.113.77, 203.0.113.1", "[2001:db8:1::2]:443"] {
        assert_eq!(
            client.exchange(socket, &initialize(who)).status,
            429,
            "{who}"
        );
    }
    let listen = Request::listen(1, json!({"toolsListChanged": true}));
    let mut streams = Vec::new();
    for who in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        for _ in 0..2 {
            let socket = proxy(&mut client);
            open(&mut client, socket, &named(listen.clone(), who));
            streams.push(socket);
        }
        let answer = client.exchange(socket, &named(listen.clone(), who));
        is_told(
            &answer,
            "too_many_connections",
            "--connections-per-client-max",
        );
    }
    client.node.cut(streams[0]);
    open(&mut client, socket, &named(listen, "203.0.113.1"));
    // Who names nobody counts by itself, and a stranger is not believed.
    let stranger = connect(&mut client, 9);
    for who in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        let status = client.exchange(stranger, &initialize(who)).status;
        assert_eq!(status, if who.ends_with('3') { 429 } else { 200 });
    }
}

#[test]
fn a_stream_that_counts_for_its_client_after_it_has_ended() {
    let mut client = Client::with(Limits {
        connections_per_client_max: Some(1),
        ..Limits::default()
    });
    let session = session_of(&mut client, 1);
    let get = named(Request::get(&session), "203.0.113.1");
    let first = proxy(&mut client);
    client.open_on(first, &get);
    let second = proxy(&mut client);
    let answer = client.exchange(second, &get);
    is_told(
        &answer,
        "too_many_connections",
        "--connections-per-client-max",
    );
    client.node.cut(first);
    client.open_on(second, &get);
    client.ask(&Request::delete(&session));
    assert!(client.stream_ended(second));
    let holders = client.node.commons.clients.holders();
    assert!(holders.is_empty(), "{holders:?}");
}

/// All land on one core of two: the other one's share is theirs too.
#[test]
fn a_core_that_refuses_while_the_node_has_room() {
    let limits = Limits {
        connections_max: 8,
        sessions_max: 6,
        subscription_bytes_max: 2_000,
        ..Limits::default()
    };
    let mut client = Client::new();
    client.node = crate::support::node::Node::new(2, limits);
    let sockets: Vec<SocketId> = (0..8).map(|_| client.connect()).collect();
    assert_eq!(client.node.connect(1, None), None, "it has eight");
    let mut sessions = Vec::new();
    for _ in 0..6 {
        let answer = client.exchange(sockets[0], &Request::initialize(V11));
        assert_eq!(answer.status, 200);
        sessions.push(answer.field("mcp-session-id").expect("an id").to_owned());
    }
    let answer = client.exchange(sockets[0], &Request::initialize(V11));
    assert_eq!(answer.status, 503);
    let fits = |client: &mut Client, count: usize| {
        let uri = format!("a:{}", "x".repeat(count));
        let answer = client.exchange(sockets[1], &Request::subscribe(&sessions[0], &uri));
        answer.json().get("error").is_none()
    };
    assert!(fits(&mut client, 600), "more than half of it");
    assert!(!fits(&mut client, 601));
}

/// The sessions that could end are on the other core.
#[test]
fn a_core_that_makes_no_room_where_it_has_nothing_idle() {
    let limits = Limits {
        sessions_max: 6,
        sessions_per_client_max: Some(6),
        ..Limits::default()
    };
    let mut client = Client::new();
    client.node = crate::support::node::Node::new(2, limits);
    let initialize = |client: &mut Client, core: usize, number: u8| {
        let socket = client.node.connect(core, Some(address(number)));
        let answer = client.exchange(socket.expect("room"), &Request::initialize(V11));
        (
            answer.status,
            answer.field("mcp-session-id").map(str::to_owned),
        )
    };
    let few = initialize(&mut client, 0, 1).1.expect("an id");
    for _ in 0..5 {
        assert_eq!(initialize(&mut client, 1, 99).0, 200);
    }
    client.pass(IDLE_MS);
    // The one who holds most has nothing here: the other core is asked, and the client comes again.
    assert_eq!(initialize(&mut client, 0, 2).0, 503);
    assert_eq!(initialize(&mut client, 0, 2).0, 200);
    assert!(lives(&mut client, &few));
    let most = Some(ClientAddress::of(address(99)));
    assert_eq!(client.node.commons.clients.sessions_of(most), 4);
}
