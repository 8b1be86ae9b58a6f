//! Access tokens that say what does not hold here.

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::{
    AUDIENCE, ISSUER, LEEWAY, NOW, claims, keys, public, reason, settings, told_of, valid,
    verifier, with,
};
use crate::auth::{Reason, Verdict, Verifier};

#[test]
fn a_token_for_another_server() {
    for audience in [
        json!("https://other.example.com/mcp"),
        json!("https://mcp.example.com"),
        json!(["https://other.example.com/mcp", "account"]),
        json!([]),
        json!(""),
        Value::Null,
    ] {
        let verdict = told_of(&with("aud", audience.clone()));
        assert_eq!(reason(verdict), Reason::Audience, "{audience}");
    }
    assert_eq!(reason(told_of(&with("aud", json!(7)))), Reason::Claim);
    valid(told_of(&with("aud", json!(["account", AUDIENCE]))));
    valid(told_of(&with("aud", json!("HTTPS://MCP.EXAMPLE.COM/mcp"))));
}

#[test]
fn a_token_that_has_expired() {
    for (expires, told) in [
        (json!(NOW - LEEWAY + 1), None),
        (json!(NOW - LEEWAY), Some(Reason::Expired)),
        (
            json!(NOW as f64 - LEEWAY as f64 + 0.5),
            Some(Reason::Expired),
        ),
        (json!(0), Some(Reason::Expired)),
        (Value::Null, Some(Reason::Claim)),
        (json!("2099-01-01"), Some(Reason::Claim)),
        (json!((NOW + 300).to_string()), Some(Reason::Claim)),
        (json!(-1), Some(Reason::Claim)),
        (json!(1e300), None),
    ] {
        match (told_of(&with("exp", expires.clone())), told) {
            (Verdict::Valid(_), None) => {}
            (Verdict::Invalid(reason), Some(told)) if reason == told => {}
            (other, told) => panic!("{expires}: {other:?}, not {told:?}"),
        }
    }
}

#[test]
fn a_token_whose_time_is_still_to_come() {
    valid(told_of(&with("nbf", json!(NOW + LEEWAY))));
    for later in [
        json!(NOW + LEEWAY + 1),
        json!(NOW as f64 + LEEWAY as f64 + 0.5),
    ] {
        assert_eq!(reason(told_of(&with("nbf", later))), Reason::NotYet);
    }
    assert_eq!(reason(told_of(&with("nbf", json!("now")))), Reason::Claim);
}

#[test]
fn a_claim_that_comes_twice() {
    let right = Issuer::ed25519("k");
    let verifier = verifier(&[&right]);
    let honest = claims().to_string();
    for twice in [
        r#""sub":"admin","#,
        r#""exp":9999999999,"#,
        r#""s\u0075b":"admin","#,
        r#""aud":"x","#,
    ] {
        let payload = format!("{{{twice}{}", &honest[1..]);
        let token = right.sign(&right.header().to_string(), &payload);
        assert_eq!(
            reason(verifier.verify(&token, NOW)),
            Reason::DoubledMember,
            "{twice}"
        );
    }
    let header = r#"{"alg":"none","alg":"EdDSA","kid":"k"}"#;
    let token = right.sign(header, &honest);
    assert_eq!(reason(verifier.verify(&token, NOW)), Reason::DoubledMember);
}

#[test]
fn claims_of_the_wrong_kind() {
    for (name, wrong) in [
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("iss", json!([ISSUER])),
        ("scope", json!(7)),
        ("scp", json!({"a": 1})),
        ("iat", json!("yesterday")),
    ] {
        assert_eq!(
            reason(told_of(&with(name, wrong.clone()))),
            Reason::Claim,
            "{name}: {wrong}"
        );
    }
    let right = Issuer::ed25519("k");
    for payload in ["", "[]", "null", "{", "\u{feff}{}"] {
        let token = right.sign(&right.header().to_string(), payload);
        assert_eq!(
            reason(verifier(&[&right]).verify(&token, NOW)),
            Reason::Malformed,
            "{payload}"
        );
    }
}

#[test]
fn scopes_in_each_way_that_issuers_write_them() {
    for (scope, scp) in [
        (json!("a b"), Value::Null),
        (Value::Null, json!(["a", "b"])),
        (Value::Null, json!("b a")),
        (json!("a"), json!(["b"])),
        (json!(["a", "b"]), Value::Null),
    ] {
        let mut claims = with("scope", scope);
        claims["scp"] = scp;
        if claims["scp"].is_null() {
            claims.as_object_mut().unwrap().remove("scp");
        }
        assert_eq!(
            valid(told_of(&claims)).scopes().to_string(),
            "a b",
            "{claims}"
        );
    }
    assert!(
        valid(told_of(&with("scope", Value::Null)))
            .scopes()
            .is_empty()
    );
}

#[test]
fn a_token_without_the_scopes_that_everything_needs() {
    let issuer = Issuer::ed25519("k");
    let mut strict = settings();
    strict.scopes = vec!["board:read".into(), "mcp".into()];
    let strict = Verifier::new(&strict, Some(&public()))
        .unwrap()
        .with_keys(0, keys(&[&issuer]));
    assert_eq!(
        reason(strict.verify(&issuer.token(&claims()), NOW)),
        Reason::Scope
    );
    let enough = with("scope", json!("mcp board:read"));
    valid(strict.verify(&issuer.token(&enough), NOW));
    let forged = Issuer::ed25519("k").token(&claims());
    assert_eq!(
        reason(strict.verify(&forged, NOW)),
        Reason::Signature,
        "said to nobody else"
    );
}

#[test]
fn a_token_that_is_bound_to_a_key_of_its_client() {
    let bound = with(
        "cnf",
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    );
    assert_eq!(reason(told_of(&bound)), Reason::Bound);
}

#[test]
fn a_tenant_that_is_taken_from_another_claim() {
    let issuer = Issuer::ed25519("k");
    let mut settings = settings();
    settings.tenant_claim = Some("org".into());
    let verifier = Verifier::new(&settings, Some(&public()))
        .unwrap()
        .with_keys(0, keys(&[&issuer]));
    let alice = valid(verifier.verify(&issuer.token(&with("org", json!("acme"))), NOW));
    assert_eq!(alice.tenant(), Some("acme"));
    assert_eq!(
        valid(verifier.verify(&issuer.token(&claims()), NOW)).tenant(),
        None
    );
    let wrong = issuer.token(&with("org", json!(["acme", "other"])));
    assert_eq!(reason(verifier.verify(&wrong, NOW)), Reason::Claim);
}
