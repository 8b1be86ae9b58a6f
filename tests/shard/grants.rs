//! How long somebody hears, and what: streams that outlive what they were opened by.

use std::sync::Arc;

use pinfold::app::call::{Notice, Topic};
use pinfold::internals::auth::{
    Identity, Policy, PolicySettings, Preset, Rules, StaticTokens, Who,
};
use pinfold::internals::limits::{Limits, WITHDRAWN_WITHIN_MS};
use pinfold::internals::shard::{Closed, IdentityAnswer};
use serde_json::json;

use crate::support::identified::{MIDNIGHT_MS, bearer, identify_by, rules, tokens};
use crate::support::node::SocketId;
use crate::support::{Client, Request};

pub(crate) const V11: &str = "2025-11-25";
/// The tests begin half a minute before midnight.
pub(crate) const START_S: u64 = MIDNIGHT_MS / 1000 - 30;

/// By tokens of a file.
pub(crate) fn identified(policy: &PolicySettings) -> (Client, Rules) {
    let rules = rules(Who::Tokens(tokens())).with_policy(compiled(policy));
    let mut client = Client::with(Limits::default());
    identify_by(&mut client.node, &Arc::new(rules.clone()));
    (client, rules)
}

/// By what a program says of each request.
pub(crate) fn by_hook(policy: &PolicySettings) -> (Client, Rules) {
    let rules = rules(Who::Hook).with_policy(compiled(policy));
    let mut client = Client::with(Limits::default());
    identify_by(&mut client.node, &Arc::new(rules.clone()));
    (client, rules)
}

pub(crate) fn compiled(policy: &PolicySettings) -> Policy {
    Policy::new(policy).expect("a policy")
}

pub(crate) fn open() -> PolicySettings {
    PolicySettings::of(Preset::Open)
}

pub(crate) fn tell(client: &mut Client, rules: &Rules) {
    for core in 0..client.node.cores.len() {
        let rules = Arc::new(rules.clone());
        client.node.cores[core].shard.handle_rules(rules);
        client.node.settle(core);
    }
}

pub(crate) fn listen(uris: &[&str]) -> Request {
    let filter = json!({ "resourceSubscriptions": uris, "toolsListChanged": true });
    Request::listen(1, filter)
}

pub(crate) fn alice() -> Identity {
    Identity::new("hook", "alice").with_scopes("board:read")
}

pub(crate) fn issued(at: u64) -> Identity {
    alice()
        .with_issued_at(START_S + at)
        .with_valid_until(START_S + at + 60)
}

/// Sends a request that is this identity's.
pub(crate) fn send_as(client: &mut Client, socket: SocketId, request: &Request, who: &Identity) {
    client.send(socket, request);
    let (core, sender) = client.node.who.pop_front().expect("somebody was asked");
    let (now, answer) = (client.node.now, IdentityAnswer::Hook(Ok(who.clone())));
    let shard = &mut client.node.cores[core].shard;
    shard.handle_identified(now, sender.connection, sender.number, answer);
    client.node.settle(core);
}

pub(crate) fn session_as(client: &mut Client, who: &Identity) -> String {
    let socket = client.connect();
    send_as(client, socket, &Request::initialize(V11), who);
    let answer = client.answer(socket);
    answer.field("mcp-session-id").expect("an id").to_owned()
}

pub(crate) fn get_as(client: &mut Client, session: &str, who: &Identity) -> SocketId {
    let socket = client.connect();
    send_as(client, socket, &Request::get(session), who);
    client.frames_after_head(socket);
    socket
}

pub(crate) fn ask_as(client: &mut Client, request: &Request, who: &Identity) -> u16 {
    let socket = client.connect();
    send_as(client, socket, request, who);
    client.answer(socket).status
}

pub(crate) fn is_open(client: &mut Client, socket: SocketId) -> bool {
    client.closed(socket).is_none() && !client.stream_ended(socket)
}

/// Ends that are hours off are on no wheel until they are near, whoever looks at the timers and how often.
#[test]
fn streams_that_outlive_tokens_of_an_hour() {
    let grace_ms = Limits::default().auth_grace_ms;
    for step_ms in [640, 20_000, 400_000] {
        let (mut client, _) = by_hook(&open());
        let streams: Vec<(u64, SocketId)> = (0..40)
            .map(|number| {
                let until = 3_600 + 20 * number;
                let who = alice().with_valid_until(START_S + until);
                let socket = client.connect();
                send_as(&mut client, socket, &listen(&["board://a"]), &who);
                client.frames_after_head(socket);
                (until * 1_000 + grace_ms, socket)
            })
            .collect();
        let began = client.node.now;
        while client.node.now < began + 5_000_000 {
            client.pass(step_ms);
            let passed = client.node.now - began;
            // A timer is never early, and at most a tick late.
            for &(end, socket) in &streams {
                if passed < end {
                    assert!(is_open(&mut client, socket), "{step_ms}: {passed} of {end}");
                } else if passed >= end + 64 {
                    assert!(
                        !is_open(&mut client, socket),
                        "{step_ms}: {passed} of {end}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_stream_that_outlives_its_token() {
    let (mut client, _) = identified(&open());
    let session = client.session_of("carol", V11);
    let get = client.open(&Request::get(&session).shown_by("carol"));
    let listening = client.open(&listen(&["board://a"]).shown_by("carol"));
    let other = client.open(&listen(&["board://a"]).shown_by("alice"));
    client.pass(30_000 + Limits::default().auth_grace_ms - 1);
    assert!(is_open(&mut client, get) && is_open(&mut client, listening));
    client.pass(100);
    // One that ends in good order is not asked for again.
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
    let frames = client.frames(get);
    assert!(frames.iter().any(|it| it.retry.is_some()), "{frames:?}");
    assert_eq!(client.closed(get), None, "its connection may be used again");
    assert_eq!(client.node.ended, [Closed::TokenExpired; 2]);
    assert_eq!(client.node.cores[0].shard.counts().listeners, 2);
    client.updated("board://a");
    assert!(client.topics(other).contains(&"board://a".into()));
    let back = client.ask(&Request::get(&session).shown_by("carol"));
    assert_eq!((back.status, back.reason()), (401, "token_expired".into()));
}

#[test]
fn a_grace_that_is_given_to_whoever_gives_none() {
    let mut client = Client::with(Limits {
        auth_grace_ms: 0,
        ..Limits::default()
    });
    identify_by(&mut client.node, &Arc::new(rules(Who::Tokens(tokens()))));
    let listening = client.open(&listen(&[]).shown_by("carol"));
    client.pass(29_999);
    assert!(is_open(&mut client, listening));
    client.pass(100);
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
}

#[test]
fn a_stream_that_ends_although_its_token_was_refreshed() {
    let (mut client, _) = by_hook(&open());
    let session = session_as(&mut client, &issued(0));
    let get = get_as(&mut client, &session, &issued(0));
    client.pass(50_000);
    assert_eq!(
        ask_as(&mut client, &Request::ping(&session, 1), &issued(50)),
        200
    );
    client.pass(89_000);
    assert!(
        is_open(&mut client, get),
        "the newer one is good for so long"
    );
    // An older one takes nothing away.
    ask_as(
        &mut client,
        &Request::ping(&session, 2),
        &issued(0).with_valid_until(START_S + 140),
    );
    client.pass(900);
    assert!(is_open(&mut client, get));
    client.pass(200);
    assert!(client.stream_ended(get));
    let again = get_as(&mut client, &session, &issued(140));
    client.publish(Topic::Tools);
    assert_eq!(client.topics(again), ["tools/list_changed"]);
}

#[test]
fn an_answer_that_breaks_off_with_its_token() {
    let (mut client, _) = by_hook(&open());
    let session = session_as(&mut client, &issued(0));
    let socket = client.connect();
    send_as(&mut client, socket, &Request::tool(&session, 1), &issued(0));
    let call = client.call();
    client.notify(&call, 1);
    client.pass(100_000);
    client.finish(&call, r#"{"content":[]}"#);
    let frames = client.frames_after_head(socket);
    let answers = frames.iter().filter(|it| it.is_message());
    assert!(answers.map(|it| it.json()).any(|it| it["id"] == 1));
}

#[test]
fn a_clock_that_is_set_on_while_a_stream_sleeps() {
    let (mut client, _) = identified(&open());
    let listening = client.open(&listen(&[]).shown_by("carol"));
    let now = client.node.now;
    let shard = &mut client.node.cores[0].shard;
    shard.handle_clock(now, MIDNIGHT_MS + 3_600_000);
    client.pass(200);
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
}

#[test]
fn a_clock_that_is_set_back_and_ends_a_stream_too_soon() {
    let (mut client, _) = identified(&open());
    let listening = client.open(&listen(&[]).shown_by("carol"));
    let now = client.node.now;
    let shard = &mut client.node.cores[0].shard;
    shard.handle_clock(now, MIDNIGHT_MS - 600_000);
    client.pass(600_000);
    assert!(is_open(&mut client, listening));
    client.pass(30_100);
    assert_eq!(client.closed(listening), Some(Closed::TokenExpired));
}

#[test]
fn a_revoked_principal_that_goes_on_listening() {
    let (mut client, rules) = by_hook(&open());
    let session = session_as(&mut client, &issued(0));
    let get = get_as(&mut client, &session, &issued(0));
    let listening = client.connect();
    send_as(&mut client, listening, &listen(&["board://a"]), &issued(0));
    let bob = Identity::new("hook", "bob").with_issued_at(START_S);
    let others = client.connect();
    send_as(&mut client, others, &listen(&["board://a"]), &bob);
    let rules = rules.with_revoked(alice().id(), START_S + 10);
    tell(&mut client, &rules);
    // Before anybody has looked at the timers.
    client.updated("board://a");
    client.tell_all(&Notice::Changed(Topic::Tools));
    client.pass(100);
    assert_eq!(client.closed(listening), Some(Closed::TokenRevoked));
    assert!(
        client
            .topics_anywhere(listening)
            .iter()
            .all(|it| it != "board://a")
    );
    let items = client.frames(get);
    assert!(items.iter().all(|it| !it.is_message()), "{items:?}");
    assert!(client.topics_anywhere(others).contains(&"board://a".into()));
    assert_eq!(client.node.ended, [Closed::TokenRevoked; 2]);
    // Its session is there for a token that was issued later, and for no other.
    let ping = Request::ping(&session, 1);
    assert_eq!(ask_as(&mut client, &ping, &issued(9)), 401);
    assert_eq!(ask_as(&mut client, &ping, &issued(11)), 200);
    let again = get_as(&mut client, &session, &issued(11));
    client.publish(Topic::Tools);
    assert!(client.topics(again).contains(&"tools/list_changed".into()));
}

#[test]
fn a_call_of_a_revoked_principal_that_is_still_worked_on() {
    let (mut client, rules) = by_hook(&open());
    let session = session_as(&mut client, &issued(0));
    let bob = Identity::new("hook", "bob").with_issued_at(START_S);
    let requests = [
        Request::tool(&session, 1),
        Request::modern(2, "tools/call", json!({"name": "echo"})),
    ];
    let waiting = requests.map(|request| {
        let socket = client.connect();
        send_as(&mut client, socket, &request, &issued(0));
        socket
    });
    let streaming = client.connect();
    send_as(
        &mut client,
        streaming,
        &Request::tool(&session, 3),
        &issued(0),
    );
    let call = client.node.calls.pop_back().expect("a call");
    client.notify(&call, 1);
    let others = client.connect();
    let request = Request::modern(4, "tools/call", json!({"name": "echo"}));
    send_as(&mut client, others, &request, &bob);
    tell(&mut client, &rules.with_revoked(alice().id(), START_S));
    assert_eq!(client.node.cancelled.len(), 3);
    for socket in waiting {
        let answer = client.answer(socket);
        assert_eq!(
            (answer.status, answer.reason()),
            (401, "token_revoked".into())
        );
        assert!(answer.field("www-authenticate").is_some());
    }
    let frames = client.frames_after_head(streaming);
    let last = frames.last().expect("an answer").json();
    assert_eq!(last["error"]["data"]["reason"], "token_revoked");
    assert!(client.items(others).is_empty());
    assert_eq!(client.node.cores[0].shard.counts().calls, 1);
}

#[test]
fn a_token_that_left_the_file_and_by_which_somebody_listens() {
    let (mut client, rules) = identified(&open());
    let gone = client.open(&listen(&[]).shown_by("bob"));
    let stays = client.open(&listen(&[]).shown_by("alice"));
    let lines: Vec<String> = [(1, "alice"), (2, "alice")]
        .map(|(number, name)| {
            let token = pinfold::internals::auth::NewToken::of([number; 32]);
            token.line(name, "board:read")
        })
        .to_vec();
    let fewer = StaticTokens::parse(&lines.join("\n")).expect("a file");
    tell(&mut client, &rules.with_tokens(fewer));
    client.pass(2 * WITHDRAWN_WITHIN_MS + Limits::default().auth_grace_ms);
    assert_eq!(client.closed(gone), Some(Closed::TokenRevoked));
    assert!(is_open(&mut client, stays));
}

/// Its head was let in, and its body comes when the token is gone.
#[test]
fn a_request_that_waits_until_its_token_is_gone() {
    let (mut client, rules) = identified(&open());
    let bytes = listen(&[]).shown_by("bob").bytes();
    let (socket, last) = (client.connect(), bytes.len() - 1);
    let reader = &mut client.node.sockets[socket].reader;
    reader.expected.push_back(false);
    client.send_bytes(socket, &bytes[..last]);
    let token = pinfold::internals::auth::NewToken::of([1; 32]);
    let fewer = StaticTokens::parse(&token.line("alice", "board:read")).expect("a file");
    tell(&mut client, &rules.with_tokens(fewer));
    client.pass(100);
    client.send_bytes(socket, &bytes[last..]);
    let answer = client.answer(socket);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.field("retry-after").is_some());
    assert_eq!(client.node.cores[0].shard.counts().listeners, 0);
    let again = client.ask(&listen(&[]).shown_by("bob"));
    assert_eq!(again.status, 401);
}

#[test]
fn streams_of_a_key_that_was_withdrawn_that_go_on_or_end_in_one_moment() {
    let (mut client, rules) = identified(&open());
    client.node.unchecked = true;
    let streams: Vec<SocketId> = (0..200)
        .map(|_| client.open(&listen(&[]).shown_by("alice")))
        .collect();
    let session = client.session_of("bob", V11);
    let get = client.open(&Request::get(&session).shown_by("bob"));
    tell(&mut client, &rules.with_next_epoch());
    let mut open = vec![streams.len()];
    for _ in 0..10 {
        client.pass(WITHDRAWN_WITHIN_MS / 10);
        let left = streams.iter().filter(|it| client.closed(**it).is_none());
        open.push(left.count());
        // Whoever shows a token that still counts goes on.
        let ping = Request::ping(&session, 1).shown_by("bob");
        assert_eq!(client.ask(&ping).status, 200);
    }
    let at_once = open.windows(2).map(|pair| pair[0] - pair[1]).max();
    assert!(at_once < Some(streams.len() / 2), "{open:?}");
    client.pass(1_100);
    assert!(streams.iter().all(|it| client.closed(*it).is_some()));
    assert!(is_open(&mut client, get));
    let late = client.open(&listen(&[]).shown_by("alice"));
    client.pass(200_000);
    assert!(is_open(&mut client, late), "it was let in afterwards");
}

#[test]
fn a_token_that_is_shown_where_nobody_is_asked() {
    let mut client = Client::new();
    let session = client.session(V11);
    let ping = Request::ping(&session, 1).with("Authorization", &bearer("alice"));
    assert_eq!(client.ask(&ping).status, 200);
}
