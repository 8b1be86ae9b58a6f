//! Bad tokens over and over, and what they cost: how often a signature is looked at is counted.

use serde_json::json;

use super::identifier::{identifier, reason, shown, subject};
use super::issuer::Issuer;
use super::{NOW, claims, keys, verifier, with};
use crate::auth::{
    AuthQuestion, Finding, Identifier, Identity, NewToken, Reason, Searched, StaticTokens, Who,
};

const BAD: &str = "203.0.113.7";
const HONEST: &str = "203.0.113.8";

/// What becomes of a token that somebody shows at this time.
fn show(identifier: &mut Identifier, peer: &str, token: &str, at_ms: u64) -> Finding {
    let bearer = format!("Bearer {token}");
    let fields = [("Authorization", &*bearer)];
    let mut request = shown(&fields, peer, None);
    request.at_ms = at_ms;
    identifier.identify(&request, NOW)
}

/// Tokens of somebody who has no key of the issuer's, each another one.
fn forged(count: u64) -> Vec<String> {
    let forger = Issuer::ed25519("k");
    let one = |number| forger.token(&with("jti", json!(number)));
    (0..count).map(one).collect()
}

#[test]
fn a_thousand_forged_tokens_that_take_a_core_from_the_others() {
    let right = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&right])));
    let forged = forged(1_000);
    let told = |identifier: &mut Identifier, at_ms| {
        let each = forged
            .iter()
            .map(|token| reason(show(identifier, BAD, token, at_ms)));
        each.filter(|reason| *reason == Reason::TooManyBad).count()
    };
    assert_eq!(
        (told(&mut identifier, 0), identifier.looked_at()),
        (936, 64)
    );
    assert_eq!(
        (told(&mut identifier, 100), identifier.looked_at()),
        (994, 70)
    );
    let Finding::Refused(refusal) = show(&mut identifier, BAD, &forged[0], 100) else {
        panic!("let in")
    };
    assert_eq!((refusal.status(), refusal.retry_after_s()), (429, Some(1)));
    assert_eq!(refusal.challenge, None, "another token would not help");
    let honest = right.token(&claims());
    assert_eq!(
        subject(show(&mut identifier, HONEST, &honest, 100)),
        "alice"
    );
}

/// Somebody bad behind the same address: it has no more than what is new.
#[test]
fn a_neighbour_whose_bad_tokens_end_what_others_have() {
    let right = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&right])));
    identifier.limit_bad_tokens(10);
    let (before, after) = (
        right.token(&claims()),
        right.token(&with("sub", json!("bob"))),
    );
    assert_eq!(subject(show(&mut identifier, BAD, &before, 0)), "alice");
    for token in forged(20) {
        show(&mut identifier, BAD, &token, 0);
    }
    assert_eq!(subject(show(&mut identifier, BAD, &before, 0)), "alice");
    assert_eq!(
        reason(show(&mut identifier, BAD, &after, 0)),
        Reason::TooManyBad
    );
    assert_eq!(subject(show(&mut identifier, HONEST, &after, 0)), "bob");
}

#[test]
fn a_token_that_is_refused_by_its_text_and_costs_a_signature() {
    let (right, other) = (Issuer::ed25519("k"), Issuer::ed25519("other"));
    let mut identifier = identifier(Who::Jwt(verifier(&[&right])));
    identifier.limit_bad_tokens(1);
    let cheap = [
        ("no token".to_owned(), Reason::Malformed),
        ("a.b.c".to_owned(), Reason::Malformed),
        (right.token(&with("exp", json!(1))), Reason::Expired),
        (
            right.token(&with("nbf", json!(NOW + 1_000))),
            Reason::NotYet,
        ),
        (right.token(&with("aud", json!("other"))), Reason::Audience),
        (
            other.token(&with("iss", json!("https://evil.example"))),
            Reason::Issuer,
        ),
        (Issuer::secret(&[7; 32]).token(&claims()), Reason::Algorithm),
    ];
    for (token, why) in cheap.iter().cycle().take(100) {
        assert_eq!(
            reason(show(&mut identifier, BAD, token, 0)),
            *why,
            "{token}"
        );
    }
    assert_eq!(identifier.looked_at(), 0);
    assert_eq!(
        subject(show(&mut identifier, BAD, &right.token(&claims()), 0)),
        "alice"
    );
}

/// Each of them is a question to its issuer, and good ones wait in the same line.
#[test]
fn tokens_of_unknown_keys_that_have_the_issuer_asked_without_end() {
    let right = Issuer::ed25519("k");
    let mut identifier = identifier(Who::Jwt(verifier(&[&right])));
    identifier.limit_bad_tokens(10);
    let unknown = Issuer::ed25519("unknown").token(&claims());
    let bearer = format!("Bearer {unknown}");
    let fields = [("Authorization", &*bearer)];
    let mut asked = 0;
    for _ in 0..100 {
        match show(&mut identifier, BAD, &unknown, 0) {
            Finding::Ask(AuthQuestion::Key { .. }) => asked += 1,
            other => {
                assert_eq!(reason(other), Reason::TooManyBad);
                continue;
            }
        }
        let answered = identifier.identify(&shown(&fields, BAD, Some(Searched::Done)), NOW);
        assert_eq!(reason(answered), Reason::UnknownKey);
    }
    assert_eq!(asked, 10);
    // An issuer that does not answer is nobody's fault.
    for _ in 0..100 {
        let silent = Some(Searched::CannotTell);
        let answered = identifier.identify(&shown(&fields, HONEST, silent), NOW);
        assert_eq!(reason(answered), Reason::Unavailable);
    }
    let rules = identifier
        .rules()
        .with_keys(0, &keys(&[&right]), keys(&[&right]));
    identifier.handle_rules(rules.into());
    assert_eq!(
        subject(show(&mut identifier, HONEST, &right.token(&claims()), 0)),
        "alice"
    );
}

#[test]
fn guesses_at_a_token_of_the_file_without_end() {
    let right = NewToken::of([1; 32]);
    let tokens = StaticTokens::parse(&right.line("ci", "read")).unwrap();
    let mut identifier = identifier(Who::Tokens(tokens));
    let guess = |number: u32| format!("pf_{number}");
    let told = (0..1_000).map(|it| reason(show(&mut identifier, BAD, &guess(it), 0)));
    assert_eq!(told.filter(|it| *it == Reason::UnknownToken).count(), 64);
    assert_eq!(identifier.looked_at(), 64);
    assert_eq!(
        subject(show(&mut identifier, HONEST, &right.token, 0)),
        "ci"
    );
}

#[test]
fn a_program_that_is_asked_about_bad_tokens_without_end() {
    let mut identifier = identifier(Who::Hook);
    identifier.limit_bad_tokens(10);
    let fields = [("Authorization", "Bearer bad")];
    let request = shown(&fields, BAD, None);
    let mut asked = 0;
    while let Finding::Ask(AuthQuestion::Hook) = identifier.identify(&request, NOW) {
        let answer = Err(Reason::UnknownToken);
        assert_eq!(
            reason(identifier.handle_answer(&request, answer, NOW)),
            Reason::UnknownToken
        );
        asked += 1;
    }
    assert_eq!(asked, 10);
    let honest = shown(&fields, HONEST, None);
    for _ in 0..100 {
        // A client that shows nothing begins as all do.
        identifier.handle_answer(&honest, Err(Reason::Missing), NOW);
    }
    assert!(matches!(identifier.identify(&honest, NOW), Finding::Ask(_)));
    let alice = Identity::new("users", "alice");
    assert_eq!(
        subject(identifier.handle_answer(&honest, Ok(alice), NOW)),
        "alice"
    );
}
