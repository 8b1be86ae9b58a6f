//! What it costs to know who asks: a signature, a look at what was verified before, a decision of a policy.
//!
//! On one thread, in one process, without a socket: `cargo run --release -p pinfold-bench --bin auth`. Each number is the
//! median of seven rounds. A `tools/call` takes about 20 µs of CPU (PERF.md); what a request with a token costs more is the
//! lines that begin with "a look" and "a decision".

#[allow(dead_code)] // forgers have no part in it
#[path = "../../../src/auth/tests/issuer.rs"]
mod issuer;

use std::hint::black_box;
use std::sync::Arc;

use pinfold::internals::auth::{
    Action, Finding, Identifier, Identity, IssuerSettings, JwtSettings, KeySet, NewToken, Policy,
    PolicySettings, Reason, Rules, Shown, ShownField, StaticTokens, Verdict, VerifiedBounds,
    Verifier, Who,
};
use pinfold::internals::clients::TokenBucket;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use self::issuer::Issuer;

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 7;
const ISSUER: &str = "https://login.example.com/realms/main";
const PRINCIPALS: usize = 10_000;

/// As an identity provider of today makes them: with groups and the like, a kilobyte.
fn token(issuer: &Issuer, subject: &str) -> String {
    issuer.token(&json!({
        "iss": ISSUER, "sub": subject, "aud": ["https://mcp.example.com/mcp", "account"], "iat": NOW - 5, "exp": NOW + 300,
        "jti": "c2f8d4a0-7c7b-4a9e-9d0c-6f3a1b2c3d4e", "azp": "desktop", "sid": "5a1f0c4e-0b7d-4d7e-8c55-5f0a9d8e7c6b",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-main"]},
        "scope": "openid profile email board:read board:write", "email_verified": true, "name": "Alice Liddell",
        "preferred_username": "alice", "given_name": "Alice", "family_name": "Liddell", "email": "alice@example.com",
    }))
}

fn verifier(issuers: &[&Issuer]) -> Verifier {
    let settings = JwtSettings {
        issuers: vec![IssuerSettings::new(ISSUER)],
        audiences: vec!["https://mcp.example.com/mcp".into()],
        ..JwtSettings::default()
    };
    let keys = KeySet::parse(Issuer::key_set(issuers).as_bytes()).expect("keys");
    Verifier::new(&settings, None)
        .expect("settings")
        .with_keys(0, Arc::new(keys))
}

fn policy() -> Policy {
    let settings: PolicySettings = serde_json::from_value(json!({
        "read": "board:read", "subscribe": "board:read", "publish": "board:write", "remove": "board:admin",
        "tools": {"echo": "anyone", "search": "board:read", "admin_*": "board:admin", "*_internal": "nobody"},
        "resources": {"board://{subject}/*": "anyone", "board://public/*": {"read": "anyone"}},
        "implies": {"board:admin": ["board:write", "board:read"]},
    }))
    .expect("a policy");
    Policy::new(&settings).expect("a policy")
}

/// What this thread has had of a CPU: others on the machine cost less that way.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Nanoseconds of CPU for one, by the median of some rounds.
fn measure(what: &str, times: usize, mut work: impl FnMut(usize)) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = cpu_ns();
            (0..times).for_each(&mut work);
            (cpu_ns() - began) as f64 / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:<58}{:>12.0} ns", rounds[ROUNDS / 2]);
}

fn identify(identifier: &mut Identifier, bearer: &str) -> Finding {
    let shown = Shown {
        authorization: ShownField::Once(bearer),
        is_from_proxy: false,
        client: None,
        at_ms: 0,
        field: |_: &str| ShownField::Absent,
        searched: None,
    };
    identifier.identify(&shown, NOW)
}

fn is_known(finding: &Finding) -> bool {
    matches!(finding, Finding::Known(_))
}

fn signatures() {
    let issuers = [Issuer::rsa("r"), Issuer::p256("p"), Issuer::ed25519("e")];
    let verifier = verifier(&issuers.each_ref());
    for issuer in &issuers {
        let token = token(issuer, "alice");
        let what = format!("{}: a token of {} bytes", issuer.algorithm(), token.len());
        measure(&what, 2_000, |_| {
            let verdict = verifier.verify(black_box(&token), NOW);
            assert!(matches!(verdict, Verdict::Valid(_)));
        });
    }
    let expired = token(&issuers[0], "alice");
    measure("an expired one: no signature is looked at", 5_000, |_| {
        let verdict = verifier.verify(black_box(&expired), NOW + 10_000);
        assert!(matches!(verdict, Verdict::Invalid(Reason::Expired)));
    });
}

fn looks() {
    let issuer = Issuer::ed25519("e");
    let rules = Rules::new(Who::Jwt(verifier(&[&issuer])), Policy::default(), None);
    let mut identifier = Identifier::new(Arc::new(rules), ([7; 16], 7), VerifiedBounds::default());
    let one = format!("Bearer {}", token(&issuer, "alice"));
    assert!(is_known(&identify(&mut identifier, &one)));
    measure("a look: one token, again and again", 1_000_000, |_| {
        assert!(is_known(&identify(&mut identifier, black_box(&one))));
    });
    let tokens: Vec<String> = (0..PRINCIPALS)
        .map(|number| format!("Bearer {}", token(&issuer, &format!("user-{number}"))))
        .collect();
    for token in &tokens {
        assert!(is_known(&identify(&mut identifier, token)));
    }
    let bytes = identifier.verified().bytes() / identifier.verified().len();
    measure("a look: 10,000 tokens in turn", 200_000, |number| {
        let token = &tokens[number * 7_919 % PRINCIPALS];
        assert!(is_known(&identify(&mut identifier, black_box(token))));
    });
    println!("{:<58}{bytes:>12} bytes", "what a core remembers of each");
}

fn static_tokens() {
    let new = |number: usize| {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&number.to_be_bytes());
        NewToken::of(random)
    };
    let lines: Vec<String> = (0..1_000)
        .map(|number| new(number).line("ci", "read"))
        .collect();
    let tokens = StaticTokens::parse(&lines.join("\n")).expect("a file");
    let wrong = new(5_000).token;
    measure("an unknown static token, among 1,000", 2_000, |_| {
        assert!(tokens.find(black_box(&wrong)).is_none());
    });
    let rules = Rules::new(Who::Tokens(tokens), Policy::default(), None);
    let mut identifier = Identifier::new(Arc::new(rules), ([7; 16], 7), VerifiedBounds::default());
    let right = format!("Bearer {}", new(900).token);
    measure("a look: a static token", 1_000_000, |_| {
        assert!(is_known(&identify(&mut identifier, black_box(&right))));
    });
}

fn decisions() {
    let policy = policy();
    let alice =
        Identity::new(ISSUER, "alice").with_scopes("openid profile email board:read board:write");
    let actions = [
        (
            "a decision: a tool with a rule of its own",
            Action::CallTool("search"),
        ),
        (
            "a decision: a tool with none, past two patterns",
            Action::CallTool("weather"),
        ),
        (
            "a decision: a resource of one's own",
            Action::ReadResource("board://alice/lunch"),
        ),
        (
            "a decision: a resource that needs a scope",
            Action::ReadResource("notes://lunch"),
        ),
        (
            "a decision: a resource for which a scope is missing",
            Action::Remove("notes://lunch"),
        ),
    ];
    for (what, action) in actions {
        measure(what, 1_000_000, |_| {
            black_box(policy.allows(black_box(&alice), black_box(action)));
        });
    }
    let mut bucket = TokenBucket::new(1_000_000, 1_000);
    measure("a token out of a bucket", 1_000_000, |now| {
        let _ = black_box(bucket.take(black_box(now as u64), 1));
    });
}

fn main() {
    signatures();
    looks();
    static_tokens();
    decisions();
}
