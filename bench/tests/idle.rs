//! Counted, not timed: what a shard keeps on the heap for each idle client, as the allocator sees it.
//!
//! A block costs what malloc of glibc makes of it. A connection has no task: what the runtime keeps besides is its place
//! in a table, which the test beside `SOCKET_BYTES` (src/runtime/sockets.rs) holds. What the kernel keeps is not here.

mod common;
#[allow(dead_code)] // forgers have no part in it
#[path = "../../src/auth/tests/issuer.rs"]
mod issuer;

use std::net::Ipv4Addr;
use std::sync::Arc;

use pinfold::internals::auth::{
    Identifier, IssuerSettings, JwtSettings, KeySet, Policy, Rules, VerifiedBounds, Verifier, Who,
};
use serde_json::json;

use self::common::{NOW, Rig, held};
use self::issuer::Issuer;

/// Bytes for each client at most, the slack of whatever grows by doubling included. Snapshots: a change that makes
/// one smaller writes the smaller one down, and one that makes it larger says why. Eight bytes of each are where a connection
/// keeps what it holds of the node's memory budget, which is nothing here.
/// Of these some thirty came when the first head's time began to run from the accept: the timer of each is armed twice;
/// a dozen went when connections had a wheel of their own, whose entries have no need to say what they are of. Eight came
/// to each listener, where it is said by what it hears, and went from each session; eight more where it is said for whom its
/// subscriptions are counted, in place of some thirty in a table beside it. Sixteen came to each listener and eight to each session
/// for operators: what was asked and told, since when a listen stream is there and what its client calls itself.
const KEEP_ALIVE: i64 = 167;
const MODERN_STREAM: i64 = 341;
const LEGACY_SESSION_WITH_STREAM: i64 = 614;

/// More, if each is another principal's and not just another address's: what the stream goes on by.
const OF_A_PRINCIPAL: i64 = 64;

const CLIENTS: usize = 10_000;
const ISSUER: &str = "https://login.example.com/realms/main";

#[test]
fn a_connection_between_requests() {
    let bytes = bytes_per_client(|rig, _| {
        let key = rig.connect();
        // One that has never asked anything is given up sooner.
        rig.answer(key, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    });
    assert_at_most(bytes, KEEP_ALIVE);
}

#[test]
fn a_listen_stream() {
    assert_at_most(bytes_per_client(Rig::open_modern_stream), MODERN_STREAM);
}

#[test]
fn a_session_with_its_stream() {
    let bytes = bytes_per_client(|rig, _| rig.open_legacy_stream());
    assert_at_most(bytes, LEGACY_SESSION_WITH_STREAM);
}

/// A stream that nobody sends anything on keeps nothing of the token that opened it, and not what the issuer said.
#[test]
fn ten_thousand_principals_whose_tokens_are_kept_with_their_streams() {
    let issuer = Issuer::ed25519("key");
    let of_address = |rig: &mut Rig, id: usize| {
        rig.peer = Some(Ipv4Addr::from_bits(0x0a00_0000 + id as u32).into());
    };
    let opens: [fn(&mut Rig, usize, &str); 2] = [
        |rig, id, shown| rig.open_modern_stream_with(id, shown),
        |rig, _, shown| rig.open_legacy_stream_with(shown),
    ];
    for open in opens {
        let without = bytes_per_client_of(Rig::new(), |rig, id| {
            of_address(rig, id);
            open(rig, id, "");
        });
        let of_principal = bytes_per_client_of(identified(&issuer), |rig, id| {
            of_address(rig, id);
            open(rig, id, &shown(&issuer, id));
        });
        let more = of_principal - without;
        assert!(more <= OF_A_PRINCIPAL, "{more} bytes more than {without}");
    }
}

fn identified(issuer: &Issuer) -> Rig {
    let settings = JwtSettings {
        issuers: vec![IssuerSettings::new(ISSUER)],
        audiences: vec!["mcp".into()],
        ..JwtSettings::default()
    };
    let keys = KeySet::parse(Issuer::key_set(&[issuer]).as_bytes()).expect("keys");
    let verifier = Verifier::new(&settings, None).expect("settings");
    let who = Who::Jwt(verifier.with_keys(0, Arc::new(keys)));
    let rules = Arc::new(Rules::new(who, Policy::default(), None));
    let mut rig = Rig::new();
    rig.identify_by(Identifier::new(
        rules,
        ([7; 16], 7),
        VerifiedBounds::default(),
    ));
    rig
}

/// The field of a request that shows a token of another principal for each number.
fn shown(issuer: &Issuer, number: usize) -> String {
    let token = issuer.token(&json!({
        "iss": ISSUER, "sub": format!("user-{number}"), "aud": "mcp", "iat": 1_800_000_000, "exp": 1_800_086_400,
        "scope": "board:read board:write", "email": "somebody@example.com", "name": "Somebody Whose Name Is Long",
    }));
    format!("Authorization: Bearer {token}\r\n")
}

/// After a minute in which nothing happened but keep-alives.
fn bytes_per_client(open: impl FnMut(&mut Rig, usize)) -> i64 {
    bytes_per_client_of(Rig::new(), open)
}

fn bytes_per_client_of(mut rig: Rig, mut open: impl FnMut(&mut Rig, usize)) -> i64 {
    open(&mut rig, 0);
    let before = held();
    for id in 1..=CLIENTS {
        open(&mut rig, id);
    }
    for now in (NOW..NOW + 60_000).step_by(64) {
        rig.shard.handle_timeout(now);
        rig.drain(now);
    }
    (held() - before) / CLIENTS as i64
}

fn assert_at_most(bytes: i64, limit: i64) {
    assert!(bytes <= limit, "{bytes} bytes, and {limit} were enough");
    assert!(
        bytes + 8 > limit,
        "{bytes} bytes are enough: write it down, {limit} is there"
    );
}
