//! What a core makes of requests.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::{AUDIENCE, ISSUER, LEEWAY, NOW, claims, keys, public, settings, verifier, with};
use crate::auth::{
    AuthQuestion, Decision, Finding, Identifier, Identity, KeySet, NewToken, Policy, PrincipalId,
    Proxy, ProxySettings, Reason, Rules, Searched, Shown, ShownField, StaticTokens, VerifiedBounds,
    Verifier, Who,
};
use crate::clients::Client;

pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

fn field<'a>(fields: Fields<'a>, name: &str) -> ShownField<'a> {
    let mut named = fields
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name));
    match (named.next(), named.next()) {
        (None, _) => ShownField::Absent,
        (Some((_, value)), None) => ShownField::Once(value),
        (Some(_), Some(_)) => ShownField::Twice,
    }
}

pub(super) fn shown<'a>(
    fields: Fields<'a>,
    peer: &str,
    searched: Option<Searched>,
) -> Shown<'a, impl Fn(&str) -> ShownField<'a>> {
    Shown {
        authorization: field(fields, "authorization"),
        is_from_proxy: peer.starts_with("10."),
        client: peer.parse().ok().map(Client::of),
        at_ms: 0,
        field: move |name: &str| field(fields, name),
        searched,
    }
}

pub(super) fn identifier(who: Who) -> Identifier {
    let rules = Rules::new(who, Policy::default(), Some(&public()));
    Identifier::new(Arc::new(rules), ([1; 16], 1), VerifiedBounds::default())
}

fn identify(identifier: &mut Identifier, fields: Fields<'_>) -> Finding {
    identifier.identify(&shown(fields, "203.0.113.7", None), NOW)
}

pub(super) fn subject(finding: Finding) -> String {
    match finding {
        Finding::Known(identity) => identity.subject().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn reason(finding: Finding) -> Reason {
    match finding {
        Finding::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_without_a_token_or_with_two() {
    let issuer = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&issuer])));
    let bearer = format!("Bearer {}", issuer.token(&claims()));
    assert_eq!(reason(identify(&mut identifier, &[])), Reason::Missing);
    assert_eq!(
        reason(identify(&mut identifier, &[("X-Token", &bearer)])),
        Reason::Missing
    );
    let twice = [("Authorization", &*bearer), ("authorization", &*bearer)];
    assert_eq!(reason(identify(&mut identifier, &twice)), Reason::Doubled);
    assert_eq!(subject(identify(&mut identifier, &twice[..1])), "alice");
    let Finding::Refused(refusal) = identify(&mut identifier, &[]) else {
        panic!("let in")
    };
    let challenge = refusal.challenge.unwrap();
    assert!(challenge.contains("https://mcp.example.com/.well-known/oauth-protected-resource/mcp"));
}

#[test]
fn a_token_that_is_remembered_past_its_end() {
    let issuer = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&issuer])));
    let bearer = format!("Bearer {}", issuer.token(&claims()));
    let fields: Fields<'_> = &[("Authorization", &bearer)];
    let mut at = |now| identifier.identify(&shown(fields, "::1", None), now);
    assert_eq!(subject(at(NOW)), "alice");
    assert_eq!(subject(at(NOW + 300 + LEEWAY - 1)), "alice");
    assert_eq!(reason(at(NOW + 300 + LEEWAY)), Reason::Expired);
    assert_eq!(reason(at(NOW + 1_000_000)), Reason::Expired);
}

/// What is remembered is one value, so that a request costs a look.
#[test]
fn a_token_that_is_verified_for_each_request() {
    let issuer = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&issuer])));
    let bearer = format!("Bearer {}", issuer.token(&claims()));
    let mut once = || match identify(&mut identifier, &[("Authorization", &bearer)]) {
        Finding::Known(identity) => identity,
        other => panic!("{other:?}"),
    };
    assert!(std::rc::Rc::ptr_eq(&once(), &once()));
}

#[test]
fn a_rotated_key_that_is_not_found() {
    let (old, new) = (Issuer::ed25519("old"), Issuer::ed25519("new"));
    let mut identifier = identifier(Who::Jwt(verifier(&[&old])));
    let bearer = format!("Bearer {}", new.token(&claims()));
    let fields: Fields<'_> = &[("Authorization", &bearer)];
    let asked = identify(&mut identifier, fields);
    assert!(
        matches!(asked, Finding::Ask(AuthQuestion::Key { issuer: 0 })),
        "{asked:?}"
    );
    let again = |identifier: &mut Identifier, searched| {
        identifier.identify(&shown(fields, "::1", Some(searched)), NOW)
    };
    assert_eq!(
        reason(again(&mut identifier, Searched::Done)),
        Reason::UnknownKey
    );
    assert_eq!(
        reason(again(&mut identifier, Searched::CannotTell)),
        Reason::Unavailable
    );
    let rules = identifier
        .rules()
        .with_keys(0, &keys(&[&old]), keys(&[&old, &new]));
    identifier.handle_rules(Arc::new(rules));
    assert_eq!(subject(again(&mut identifier, Searched::Done)), "alice");
}

/// Its issuer was asked a moment ago: that says something of tokens that were signed before, as far as clocks differ.
#[test]
fn a_key_that_may_have_come_since_the_issuer_was_asked() {
    let (known, new) = (Issuer::ed25519("known"), Issuer::ed25519("new"));
    let mut identifier = identifier(Who::Jwt(verifier(&[&known])));
    let mut told = |issued_at: Value| {
        let bearer = format!("Bearer {}", new.token(&with("iat", issued_at)));
        let fields: Fields<'_> = &[("Authorization", &bearer)];
        let shown = shown(fields, "::1", Some(Searched::Before(NOW)));
        reason(identifier.identify(&shown, NOW))
    };
    assert_eq!(told(json!(NOW - LEEWAY - 1)), Reason::UnknownKey);
    assert_eq!(told(json!(NOW - LEEWAY)), Reason::Unavailable);
    assert_eq!(told(json!(u64::MAX)), Reason::Unavailable);
    assert_eq!(
        told(Value::Null),
        Reason::UnknownKey,
        "it does not say when"
    );
}

#[test]
fn a_key_that_was_withdrawn_and_whose_tokens_are_remembered() {
    let (old, new) = (Issuer::ed25519("old"), Issuer::ed25519("new"));
    let mut identifier = identifier(Who::Jwt(verifier(&[&old])));
    let bearer = format!("Bearer {}", old.token(&claims()));
    let fields: Fields<'_> = &[("Authorization", &bearer)];
    assert_eq!(subject(identify(&mut identifier, fields)), "alice");
    let both = keys(&[&old, &new]);
    let rules = Arc::new(
        identifier
            .rules()
            .with_keys(0, &keys(&[&old]), both.clone()),
    );
    identifier.handle_rules(rules);
    assert_eq!(
        identifier.verified().len(),
        1,
        "one more key takes nothing away"
    );
    let rules = Arc::new(identifier.rules().with_keys(0, &both, keys(&[&new])));
    identifier.handle_rules(rules);
    assert!(matches!(identify(&mut identifier, fields), Finding::Ask(_)));
}

#[test]
fn a_static_token_that_was_taken_out_of_the_file() {
    let (one, other) = (NewToken::of([1; 32]), NewToken::of([2; 32]));
    let file = format!("{}\n{}", one.line("ci", "read"), other.line("bot", "read"));
    let mut identifier = identifier(Who::Tokens(StaticTokens::parse(&file).unwrap()));
    let bearer = format!("Bearer {}", one.token);
    let fields: Fields<'_> = &[("Authorization", &bearer)];
    assert_eq!(subject(identify(&mut identifier, fields)), "ci");
    let rules = identifier
        .rules()
        .with_tokens(StaticTokens::parse(&other.line("bot", "read")).unwrap());
    identifier.handle_rules(Arc::new(rules));
    let Finding::Refused(refusal) = identify(&mut identifier, fields) else {
        panic!("let in")
    };
    assert_eq!(refusal.reason, Reason::UnknownToken);
    assert!(
        !refusal.challenge.unwrap().contains("resource_metadata"),
        "nobody gives out such tokens"
    );
}

fn proxy(settings: ProxySettings) -> Identifier {
    identifier(Who::Proxy(Proxy::new(settings, Some(&public())).unwrap()))
}

#[test]
fn somebody_who_says_what_only_the_proxy_may() {
    let mut identifier = proxy(ProxySettings {
        from: "10.0.0.0/8".parse().unwrap(),
        scopes_field: Some("x-groups".into()),
        scopes: vec!["all".into()],
        ..ProxySettings::default()
    });
    let fields: Fields<'_> = &[("X-Forwarded-User", "alice"), ("X-Groups", "dev,ops")];
    let outside = identifier.identify(&shown(fields, "203.0.113.7", None), NOW);
    assert_eq!(reason(outside), Reason::Missing);
    let inside = identifier.identify(&shown(fields, "10.1.2.3", None), NOW);
    let Finding::Known(alice) = inside else {
        panic!("{inside:?}")
    };
    assert_eq!(
        (alice.subject(), alice.scopes().to_string()),
        ("alice", "all dev ops".into())
    );
    let mut from_proxy =
        |fields: Fields<'_>| identifier.identify(&shown(fields, "10.1.2.3", None), NOW);
    assert_eq!(reason(from_proxy(&[("X-Groups", "ops")])), Reason::Missing);
    let twice = [("X-Forwarded-User", "alice"), ("X-Forwarded-User", "bob")];
    assert_eq!(reason(from_proxy(&twice)), Reason::Doubled);
    assert_eq!(subject(from_proxy(&[("X-Forwarded-User", "bob")])), "bob");
}

#[test]
fn a_proxy_whose_word_is_signed_by_somebody_else() {
    let (right, forger) = (Issuer::p256("k"), Issuer::p256("k"));
    let signed = ProxySettings {
        signed_field: Some("x-forwarded-access-token".into()),
        signed: settings(),
        ..ProxySettings::default()
    };
    let mut identifier = proxy(signed);
    let rules = identifier
        .rules()
        .with_keys(0, &KeySet::default(), keys(&[&right]));
    identifier.handle_rules(Arc::new(rules));
    let mut said = |token: &str| {
        identify(
            &mut identifier,
            &[
                ("X-Forwarded-Access-Token", token),
                ("X-Forwarded-User", "admin"),
            ],
        )
    };
    assert_eq!(subject(said(&right.token(&claims()))), "alice");
    assert_eq!(reason(said(&forger.token(&claims()))), Reason::Signature);
    assert_eq!(reason(said("alice")), Reason::Malformed);
}

#[test]
fn a_proxy_that_could_be_anybody() {
    for wrong in [
        ProxySettings::default(),
        ProxySettings {
            from: "10.0.0.1".parse().unwrap(),
            subject_field: "no name".into(),
            ..ProxySettings::default()
        },
        ProxySettings {
            signed_field: Some("x-token".into()),
            ..ProxySettings::default()
        },
    ] {
        assert!(
            Proxy::new(wrong.clone(), Some(&public())).is_err(),
            "{wrong:?}"
        );
    }
    let read = |json: &str| serde_json::from_str::<ProxySettings>(json);
    let list = read(r#"{"from": ["10.0.0.1", "fd00::/8"]}"#).unwrap();
    assert_eq!(list, read(r#"{"from": "10.0.0.1,fd00::/8"}"#).unwrap());
    assert!(read(r#"{"from": "proxy.example"}"#).is_err());
}

#[test]
fn a_program_that_is_asked_again_and_again() {
    let mut identifier = identifier(Who::Hook);
    let fields: Fields<'_> = &[("Authorization", "Bearer opaque")];
    assert!(matches!(
        identify(&mut identifier, fields),
        Finding::Ask(AuthQuestion::Hook)
    ));
    let request = shown(fields, "::1", Some(Searched::Done));
    let short = Identity::new("users", "alice").with_valid_until(NOW + 10);
    assert_eq!(
        subject(identifier.handle_answer(&request, Ok(short), NOW)),
        "alice"
    );
    assert_eq!(subject(identify(&mut identifier, fields)), "alice");
    let refused = identifier.handle_answer(&request, Err(Reason::UnknownToken), NOW);
    assert_eq!(reason(refused), Reason::UnknownToken);
    let other: Fields<'_> = &[("X-Api-Key", "key")];
    assert!(matches!(
        identify(&mut identifier, other),
        Finding::Ask(AuthQuestion::Hook)
    ));
    let silent = identifier.identify(&shown(other, "::1", Some(Searched::CannotTell)), NOW);
    assert_eq!(reason(silent), Reason::Unavailable);
}

#[test]
fn a_node_that_asks_nobody_and_looks_at_fields() {
    let looks = Cell::new(0);
    let mut identifier = Identifier::new(
        Arc::new(Rules::open()),
        ([1; 16], 1),
        VerifiedBounds::default(),
    );
    let request = Shown {
        authorization: ShownField::Twice,
        is_from_proxy: false,
        field: |_: &str| {
            looks.set(looks.get() + 1);
            ShownField::Absent
        },
        client: None,
        at_ms: 0,
        searched: None,
    };
    let Finding::Known(anybody) = identifier.identify(&request, NOW) else {
        panic!("refused")
    };
    assert_eq!(looks.get(), 0);
    assert!(anybody.scopes().is_empty() && anybody.is_valid(u64::MAX));
}

#[test]
fn metadata_that_name_no_authorization_server() {
    let issuer = Issuer::ed25519("k");
    let identifier = identifier(Who::Jwt(verifier(&[&issuer])));
    let told = identifier
        .rules()
        .metadata_at("/.well-known/oauth-protected-resource/mcp")
        .unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["resource"], json!(AUDIENCE));
    assert_eq!(told["authorization_servers"], json!([ISSUER]));
    assert!(
        identifier
            .rules()
            .metadata_at("/.well-known/oauth-protected-resource")
            .is_some()
    );
    assert!(
        identifier
            .rules()
            .metadata_at("/.well-known/oauth-protected-resource/other")
            .is_none()
    );
    let secret = Rules::new(Who::Anybody, Policy::default(), Some(&public()));
    assert!(
        secret
            .metadata_at("/.well-known/oauth-protected-resource")
            .is_none()
    );
}

#[test]
fn a_first_challenge_that_asks_for_too_little_or_too_much() {
    let policy = r#"{"read": "board:read", "publish": "board:write", "remove": "board:admin"}"#;
    let policy = Policy::new(&serde_json::from_str(policy).unwrap()).unwrap();
    let mut settings = settings();
    settings.scopes = vec!["mcp".into()];
    let verifier = Verifier::new(&settings, Some(&public())).unwrap();
    let rules = Rules::new(Who::Jwt(verifier), policy, Some(&public()));
    let refusal = rules.refusal(Reason::Missing);
    assert!(
        refusal
            .challenge
            .unwrap()
            .ends_with("scope=\"board:read mcp\"")
    );
    let alice = Identity::new(ISSUER, "alice").with_scopes("board:read mcp");
    let decision = rules
        .policy()
        .allows(&alice, crate::auth::Action::Publish("board://a"));
    let Decision::MissingScope(scopes) = decision else {
        panic!("{decision:?}")
    };
    let refusal = rules.missing_scopes(scopes);
    assert_eq!(
        (refusal.status(), refusal.scopes.as_deref()),
        (403, Some("board:write"))
    );
}

#[test]
fn a_token_that_was_taken_back() {
    let issuer = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&issuer])));
    let bearer = |subject: &str, issued_at: u64| {
        let mut claims = claims();
        claims["sub"] = json!(subject);
        claims["iat"] = json!(issued_at);
        format!("Bearer {}", issuer.token(&claims))
    };
    let [before, after, bob] = [
        bearer("alice", NOW - 10),
        bearer("alice", NOW + 1),
        bearer("bob", NOW - 10),
    ];
    let told = |identifier: &mut Identifier, token: &str| match identify(
        identifier,
        &[("Authorization", token)],
    ) {
        Finding::Known(identity) => Ok(identity.subject().to_owned()),
        Finding::Refused(refusal) => Err(refusal.reason),
        Finding::Ask(question) => panic!("{question:?}"),
    };
    for token in [&before, &bob] {
        assert!(told(&mut identifier, token).is_ok());
    }
    let alice = PrincipalId::of(ISSUER, "alice");
    identifier.handle_rules(Arc::new(identifier.rules().with_revoked(alice, NOW)));
    assert_eq!(identifier.verified().len(), 1, "of nobody else");
    assert_eq!(told(&mut identifier, &before), Err(Reason::Revoked));
    assert_eq!(
        told(&mut identifier, &after),
        Ok("alice".to_owned()),
        "a new one"
    );
    assert_eq!(told(&mut identifier, &bob), Ok("bob".to_owned()));
}
