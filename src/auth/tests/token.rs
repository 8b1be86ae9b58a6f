//! Access tokens that are not what they say: keys, algorithms, form.

use serde_json::{Value, json};

use super::issuer::{Issuer, Signer};
use super::{
    ISSUER, LEEWAY, NOW, claims, keys, public, reason, settings, told_of, valid, verifier, with,
};
use crate::auth::algorithm::{Algorithm, Material};
use crate::auth::key_set::KeySet;
use crate::auth::{IssuerSettings, JwtSettings, PrincipalId, Reason, Verdict, Verifier};
use crate::limits::TOKEN_BYTES_MAX;

#[test]
fn an_honest_token_of_each_kind() {
    let issuers = [Issuer::rsa("r"), Issuer::p256("p"), Issuer::ed25519("e")];
    let verifier = verifier(&issuers.each_ref());
    for issuer in &issuers {
        let alice = valid(verifier.verify(&issuer.token(&claims()), NOW));
        assert_eq!(alice.id(), PrincipalId::of(ISSUER, "alice"));
        assert_eq!((alice.subject(), alice.name()), ("alice", Some("Alice")));
        assert_eq!(alice.scopes().to_string(), "board:read board:write");
        assert_eq!(alice.valid_until(), Some(NOW + 300 + LEEWAY));
        assert_eq!(alice.issued_at(), Some(NOW - 10));
        let told: Value = serde_json::from_str(alice.claims().unwrap().get()).unwrap();
        assert_eq!(told, claims());
    }
    let pss = issuers[0].sign(r#"{"alg":"PS256","kid":"r"}"#, &claims().to_string());
    valid(verifier.verify(&pss, NOW));
    let newer = issuers[2].sign(
        r#"{"alg":"Ed25519","kid":"e","typ":"JWT"}"#,
        &claims().to_string(),
    );
    valid(verifier.verify(&newer, NOW));
}

#[test]
fn alg_none_is_refused() {
    let right = Issuer::rsa("r");
    let verifier = verifier(&[&right]);
    for alg in ["none", "None", "NONE", "", "rs256"] {
        for signature in [vec![], vec![0; 256]] {
            let nobody = Issuer {
                key_id: "r".into(),
                signer: Signer::Nothing(signature),
            };
            let header = json!({"alg": alg, "kid": "r"}).to_string();
            let token = nobody.sign(&header, &claims().to_string());
            assert_eq!(
                reason(verifier.verify(&token, NOW)),
                Reason::Algorithm,
                "{alg}"
            );
        }
    }
}

#[test]
fn hs256_with_the_public_key_as_the_secret() {
    let right = Issuer::rsa("r");
    let mut everything = settings();
    everything.algorithms = vec![Algorithm::Rs256, Algorithm::Hs256, Algorithm::Hs512];
    let lax = Verifier::new(&everything, Some(&public()))
        .unwrap()
        .with_keys(0, keys(&[&right]));
    let modulus = right.jwk()["n"].as_str().unwrap().to_owned();
    let texts = [modulus, right.jwk().to_string(), Issuer::key_set(&[&right])];
    for text in texts {
        let forger = Issuer::secret(text.as_bytes());
        let token = forger.sign(r#"{"alg":"HS256","kid":"r"}"#, &claims().to_string());
        for verifier in [&verifier(&[&right]), &lax] {
            assert_eq!(reason(verifier.verify(&token, NOW)), Reason::Algorithm);
        }
    }
}

#[test]
fn a_secret_that_is_published_in_a_key_set() {
    let secret = Issuer::secret(&[7; 32]);
    let right = Issuer::ed25519("e");
    let set = keys(&[&secret, &right]);
    assert_eq!(set.len(), 1);
    let only = Issuer::key_set(&[&secret]);
    assert!(KeySet::parse(only.as_bytes()).is_err());
}

#[test]
fn a_secret_that_was_configured_and_an_algorithm_that_is_not_its() {
    let secret = [7; 32];
    let settings = JwtSettings {
        issuers: vec![IssuerSettings {
            secret_file: Some("secret".into()),
            ..IssuerSettings::new("mine")
        }],
        ..JwtSettings::default()
    };
    let verifier = Verifier::new(&settings, Some(&public())).unwrap();
    let verifier = verifier.with_keys(0, KeySet::of_secret(&secret).unwrap().into());
    let claims = with("iss", json!("mine"));
    valid(verifier.verify(&Issuer::secret(&secret).token(&claims), NOW));
    let wrong = Issuer::secret(&[8; 32]).token(&claims);
    assert_eq!(reason(verifier.verify(&wrong, NOW)), Reason::Signature);
    let asymmetric = Issuer::ed25519("e").token(&claims);
    assert_eq!(reason(verifier.verify(&asymmetric, NOW)), Reason::Algorithm);
    assert!(KeySet::of_secret(&[7; 31]).is_err());
}

#[test]
fn a_token_of_an_issuer_that_nobody_trusts() {
    for other in [
        "https://login.example/",
        "https://LOGIN.example",
        "https://evil.example",
    ] {
        assert_eq!(
            reason(told_of(&with("iss", json!(other)))),
            Reason::Issuer,
            "{other}"
        );
    }
    assert_eq!(reason(told_of(&with("iss", Value::Null))), Reason::Claim);
}

/// Each vouches for its own.
#[test]
fn a_token_of_one_issuer_that_another_one_signed() {
    let (one, other) = (Issuer::ed25519("k"), Issuer::ed25519("k"));
    let mut two = settings();
    two.issuers
        .push(IssuerSettings::new("https://other.example"));
    let verifier = Verifier::new(&two, Some(&public())).unwrap();
    let verifier = verifier
        .with_keys(0, keys(&[&one]))
        .with_keys(1, keys(&[&other]));
    valid(verifier.verify(&one.token(&claims()), NOW));
    assert_eq!(
        reason(verifier.verify(&other.token(&claims()), NOW)),
        Reason::Signature
    );
    let own = with("iss", json!("https://other.example"));
    let known = valid(verifier.verify(&other.token(&own), NOW));
    assert_ne!(known.id(), PrincipalId::of(ISSUER, "alice"));
}

#[test]
fn a_token_of_a_key_that_nobody_knows() {
    let (known, unknown) = (Issuer::ed25519("known"), Issuer::ed25519("unknown"));
    let verifier = verifier(&[&known]);
    let token = unknown.token(&claims());
    assert!(matches!(
        verifier.verify(&token, NOW),
        Verdict::UnknownKey { issuer: 0, .. }
    ));
    // The issuer is not asked for what is worth nothing anyway.
    let expired = unknown.token(&with("exp", json!(1)));
    assert_eq!(reason(verifier.verify(&expired, NOW)), Reason::Expired);
    let foreign = unknown.token(&with("aud", json!("other")));
    assert_eq!(reason(verifier.verify(&foreign, NOW)), Reason::Audience);
    let found = verifier.with_keys(0, keys(&[&known, &unknown]));
    valid(found.verify(&token, NOW));
}

#[test]
fn a_signature_of_another_text_or_another_key() {
    let (right, forger) = (Issuer::p256("k"), Issuer::p256("k"));
    let verifier = verifier(&[&right]);
    assert_eq!(
        reason(verifier.verify(&forger.token(&claims()), NOW)),
        Reason::Signature
    );
    let honest = right.token(&claims());
    let promoted = right.token(&with("scope", json!("admin")));
    let part = |token: &str, index: usize| token.split('.').nth(index).unwrap().to_owned();
    let swapped = format!(
        "{}.{}.{}",
        part(&honest, 0),
        part(&promoted, 1),
        part(&honest, 2)
    );
    assert_eq!(reason(verifier.verify(&swapped, NOW)), Reason::Signature);
    for cut in 1..honest.len() {
        let verdict = verifier.verify(&honest[..cut], NOW);
        assert!(matches!(verdict, Verdict::Invalid(_)), "cut at {cut}");
    }
}

/// One token has one text: two would have two places in a cache, and two readings.
#[test]
fn a_token_with_its_text_changed_and_its_meaning_not() {
    let right = Issuer::ed25519("k");
    let verifier = verifier(&[&right]);
    let token = right.token(&claims());
    valid(verifier.verify(&token, NOW));
    for changed in [
        format!("{token}="),
        format!("{token}.") + "",
        token.replacen('.', "=.", 1),
        token.replacen('.', "..", 1),
        format!(" {token}"),
        format!("{token}\n"),
    ] {
        assert!(
            matches!(verifier.verify(&changed, NOW), Verdict::Invalid(_)),
            "{changed}"
        );
    }
    // 64 bytes leave four bits of the last character that mean nothing.
    let last = token.chars().next_back().unwrap();
    let others = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars();
    for other in others.filter(|other| *other != last) {
        let changed = format!("{}{other}", &token[..token.len() - 1]);
        assert!(
            matches!(verifier.verify(&changed, NOW), Verdict::Invalid(_)),
            "{other}"
        );
    }
}

#[test]
fn a_header_that_asks_for_what_is_not_here() {
    let right = Issuer::ed25519("k");
    let verifier = verifier(&[&right]);
    let told = |header: &Value| {
        reason(verifier.verify(&right.sign(&header.to_string(), &claims().to_string()), NOW))
    };
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
        let header = json!({"alg": "EdDSA", "kid": "k", "crit": crit, "b64": false});
        assert_eq!(told(&header), Reason::Critical);
    }
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", ""] {
        let header = json!({"alg": "EdDSA", "kid": "k", "typ": typ});
        assert_eq!(told(&header), Reason::Type, "{typ}");
    }
    for wrong in [
        json!({"kid": "k"}),
        json!({"alg": 7, "kid": "k"}),
        json!({"alg": "EdDSA", "kid": 7}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(told(&wrong), Reason::Malformed, "{wrong}");
    }
}

#[test]
fn a_key_in_the_token_that_would_vouch_for_it() {
    let (right, forger) = (Issuer::ed25519("k"), Issuer::ed25519("f"));
    let verifier = verifier(&[&right]);
    let claims = claims().to_string();
    for kid in ["k", "f"] {
        let header = json!({
            "alg": "EdDSA", "kid": kid, "jwk": forger.jwk(), "jku": "https://evil.example/keys",
            "x5u": "https://evil.example/cert", "x5c": ["AAAA"],
        });
        let verdict = verifier.verify(&forger.sign(&header.to_string(), &claims), NOW);
        assert!(
            matches!(
                verdict,
                Verdict::Invalid(Reason::Signature) | Verdict::UnknownKey { .. }
            ),
            "{verdict:?}"
        );
    }
    let unnamed = json!({"alg": "EdDSA", "jwk": forger.jwk()});
    let verdict = verifier.verify(&forger.sign(&unnamed.to_string(), &claims), NOW);
    assert_eq!(reason(verdict), Reason::Signature);
}

#[test]
fn a_token_of_100_kb_that_is_decoded() {
    let issuer = Issuer::ed25519("k");
    let large = issuer.token(&with("large", json!("x".repeat(75_000))));
    assert!(large.len() > 100_000);
    assert_eq!(
        reason(verifier(&[&issuer]).verify(&large, NOW)),
        Reason::TooLong
    );
    let nested = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
    let deep = format!("{{\"deep\":{nested},{}", &claims().to_string()[1..]);
    let deep = issuer.sign(&issuer.header().to_string(), &deep);
    assert!(
        deep.len() > TOKEN_BYTES_MAX / 2,
        "deep, and no longer than a token may be"
    );
    let verdict = verifier(&[&issuer]).verify(&deep, NOW);
    assert!(matches!(verdict, Verdict::Valid(_) | Verdict::Invalid(_)));
}

#[test]
fn an_encrypted_token() {
    assert_eq!(
        reason(verifier(&[&Issuer::p256("k")]).verify("a.b.c.d.e", NOW)),
        Reason::Encrypted
    );
}

/// RFC 8037, A.4: what another implementation signed.
#[test]
fn a_signature_of_rfc_8037_that_is_not_understood() {
    let jwk = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_signed(jwk, Algorithm::EdDsa, signed, signature);
}

/// RFC 7515, A.3.
#[test]
fn a_signature_of_rfc_7515_that_is_not_understood() {
    let jwk = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let signed = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_signed(jwk, Algorithm::Es256, signed, signature);
}

fn assert_signed(jwk: &str, algorithm: Algorithm, signed: &[u8], signature: &str) {
    use base64::Engine as _;
    let set = KeySet::parse(jwk.as_bytes()).unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(signature)
        .unwrap();
    let verifies = |key: &Material| key.verifies(algorithm, signed, &signature);
    assert!(set.select(None, algorithm).any(verifies));
    let other = |key: &Material| key.verifies(algorithm, b"another text", &signature);
    assert!(!set.select(None, algorithm).any(other));
}
