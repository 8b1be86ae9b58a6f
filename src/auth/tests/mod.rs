//! Misdeeds, each by its name: tokens that are made to look right, key sets, identifiers.

mod bad_tokens;
mod claims;
mod identifier;
pub(crate) mod issuer;
mod key_set;
mod token;

use std::sync::Arc;

use serde_json::{Value, json};

use self::issuer::Issuer;
use super::{Identity, IssuerSettings, JwtSettings, KeySet, PublicUrl, Reason, Verdict, Verifier};

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "https://mcp.example.com/mcp";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 60;

fn public() -> PublicUrl {
    AUDIENCE.parse().unwrap()
}

/// Claims of which nothing is wrong.
fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "alice",
        "aud": AUDIENCE,
        "iat": NOW - 10,
        "exp": NOW + 300,
        "scope": "board:read board:write",
        "name": "Alice",
    })
}

fn settings() -> JwtSettings {
    JwtSettings {
        issuers: vec![IssuerSettings::new(ISSUER)],
        ..JwtSettings::default()
    }
}

fn keys(issuers: &[&Issuer]) -> Arc<KeySet> {
    let parsed = KeySet::parse(Issuer::key_set(issuers).as_bytes());
    Arc::new(parsed.expect("keys"))
}

/// A verifier that knows the keys of these.
fn verifier(issuers: &[&Issuer]) -> Verifier {
    let verifier = Verifier::new(&settings(), Some(&public())).unwrap();
    verifier.with_keys(0, keys(issuers))
}

fn valid(verdict: Verdict) -> Box<Identity> {
    match verdict {
        Verdict::Valid(identity) => identity,
        other => panic!("{other:?}"),
    }
}

fn reason(verdict: Verdict) -> Reason {
    match verdict {
        Verdict::Invalid(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// The honest claims with one that is other, or missing if it is null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    match value {
        Value::Null => drop(members.remove(name)),
        value => drop(members.insert(name.to_owned(), value)),
    }
    claims
}

/// What becomes of a token with these claims, signed as it should be.
fn told_of(claims: &Value) -> Verdict {
    let issuer = Issuer::ed25519("a");
    verifier(&[&issuer]).verify(&issuer.token(claims), NOW)
}
