//! Counted, not timed: what a shard allocates for a request and for a delivered event, once everything is warm.
//!
//! The figures are snapshots: a change that makes one smaller writes the smaller one down, and one that makes it
//! larger says why. What the runtime allocates is not here: nothing for a `ping` or an event, and the task of a call.

mod common;

use std::sync::Arc;

use pinfold::app::Topic;
use pinfold::internals::auth::{
    Identifier, Need, NewToken, Policy, PolicySettings, ResourceNeeds, Rules, StaticTokens,
    VerifiedBounds, Who,
};
use pinfold::internals::shard::{ConnectionKey, Publication};

use self::common::{NOW, Rig, allocations, call_without_a_session, post};

/// Allocations for one `ping` in a session, from its bytes to the bytes of the answer.
const PER_PING: u64 = 2;
/// Allocations for a whole broadcast, however many streams there are.
const PER_BROADCAST: u64 = 0;
/// Allocations for one `tools/call` of a tool that says hello: those of the shard, and those of the application, which
/// decodes the arguments, runs the tool and encodes its result. One is for the head, of which a handler may read the fields.
const PER_CALL_LEGACY: [u64; 2] = [7, 8];
const PER_CALL_MODERN: [u64; 2] = [15, 9];

/// The future of such a call, at most, without that of the tool itself, which is in a box of its own. Between requests a
/// client has none.
const CALL_FUTURE_BYTES_MAX: usize = 392;

const STREAMS: usize = 1_000;

#[test]
fn a_ping() {
    let mut rig = Rig::new();
    let (key, session) = rig.open_session();
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    let counted = allocations_of(&mut rig, key, &post(&session, body));
    let answered = rig.text();
    let right = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    assert!(answered.ends_with(right), "{answered}");
    assert_eq!(counted, [PER_PING, 0]);
}

#[test]
fn a_call_of_a_tool_in_a_session() {
    let mut rig = Rig::with_a_tool();
    let (key, session) = rig.open_session();
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hello","arguments":{}}}"#;
    let counted = allocations_of(&mut rig, key, &post(&session, body));
    assert_says_hello(&rig);
    assert_eq!(counted, PER_CALL_LEGACY);
    assert_future_is_small(&rig);
}

/// A token that is known costs nothing more: neither a `ping` nor a call.
#[test]
fn a_token_that_allocates_each_time_it_is_shown() {
    for (with_tool, body, right) in [
        (
            false,
            r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#,
            [PER_PING, 0],
        ),
        (
            true,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hello","arguments":{}}}"#,
            PER_CALL_LEGACY,
        ),
    ] {
        let mut rig = if with_tool {
            Rig::with_a_tool()
        } else {
            Rig::new()
        };
        assert_eq!(counted_as_alice(&mut rig, Policy::default(), body), right);
    }
}

/// Nor does a policy of three rules, for whoever may do what they ask for. (Reading a resource takes one for its spelling.)
#[test]
fn a_policy_that_allocates_each_time_it_is_asked() {
    let settings = PolicySettings {
        call: Some(one_of("call")),
        tools: [("hello".to_owned(), one_of("greet"))].into(),
        resources: [("board://{subject}/*".to_owned(), needs())].into(),
        ..PolicySettings::default()
    };
    let policy = Policy::new(&settings).expect("a policy");
    for (body, right) in [
        (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, [PER_PING, 0]),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"hello","arguments":{}}}"#,
            PER_CALL_LEGACY,
        ),
    ] {
        let mut rig = Rig::with_a_tool();
        assert_eq!(counted_as_alice(&mut rig, policy.clone(), body), right);
    }
}

fn one_of(scope: &str) -> Need {
    Need::OneOf(vec![vec![scope.to_owned()]])
}

fn needs() -> ResourceNeeds {
    ResourceNeeds {
        read: Some(Need::Anyone),
        ..ResourceNeeds::default()
    }
}

/// What it takes if somebody sends it who is let in by a token, and may do what it asks for.
fn counted_as_alice(rig: &mut Rig, policy: Policy, body: &str) -> [u64; 2] {
    let token = NewToken::of([1; 32]);
    let tokens = StaticTokens::parse(&token.line("alice", "greet")).expect("a line");
    let rules = Rules::new(Who::Tokens(tokens), policy, None);
    rig.identify_by(Identifier::new(
        Arc::new(rules),
        ([7; 16], 7),
        VerifiedBounds::default(),
    ));
    let shown = format!("Authorization: Bearer {}\r\n", token.token);
    let (key, session) = rig.open_session_with(&shown);
    let counted = allocations_of(rig, key, &post(&(session + &shown), body));
    assert!(rig.text().contains(r#""result""#), "{}", rig.text());
    counted
}

#[test]
fn a_call_of_a_tool_without_a_session() {
    let mut rig = Rig::with_a_tool();
    let key = rig.connect();
    let counted = allocations_of(&mut rig, key, &call_without_a_session());
    assert_says_hello(&rig);
    assert_eq!(counted, PER_CALL_MODERN);
    assert_future_is_small(&rig);
}

#[test]
fn a_broadcast_to_legacy_streams() {
    let mut rig = Rig::new();
    for _ in 0..STREAMS {
        rig.open_legacy_stream();
    }
    assert_eq!(broadcasts(&mut rig), PER_BROADCAST);
}

#[test]
fn a_broadcast_to_modern_streams() {
    let mut rig = Rig::new();
    for id in 0..STREAMS {
        rig.open_modern_stream(id);
    }
    assert_eq!(broadcasts(&mut rig), PER_BROADCAST);
}

/// Of the shard and of the application, for the last of a few such requests.
fn allocations_of(rig: &mut Rig, key: ConnectionKey, request: &str) -> [u64; 2] {
    for _ in 0..10 {
        rig.answer(key, request);
    }
    rig.allocations_of_calls = 0;
    let all = allocations(|| rig.answer(key, request));
    [all - rig.allocations_of_calls, rig.allocations_of_calls]
}

fn assert_says_hello(rig: &Rig) {
    let answered = rig.text();
    assert!(answered.contains(r#""text":"hello""#), "{answered}");
}

fn assert_future_is_small(rig: &Rig) {
    let bytes = rig.call_future_bytes;
    assert!(bytes <= CALL_FUTURE_BYTES_MAX, "{bytes} bytes");
}

/// Allocations of the last of a few broadcasts.
fn broadcasts(rig: &mut Rig) -> u64 {
    let (shard, bytes) = (&mut rig.shard, &mut rig.written);
    let mut last = 0;
    // Offsets take more digits as they grow: the last is as long as the one before it.
    for offset in 1..=8 {
        let topic = Topic::Resource("board://bench".into());
        let publication = Publication {
            offset,
            published: NOW,
            topic,
            principal: None,
        };
        last = allocations(|| {
            shard.handle_publication(&publication);
            let mut delivered = 0;
            while shard.poll_fanout(NOW, bytes).is_some() {
                delivered += 1;
            }
            assert_eq!(delivered, STREAMS);
        });
    }
    last
}
