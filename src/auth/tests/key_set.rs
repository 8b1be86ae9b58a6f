//! Key sets that no honest issuer publishes.

use serde_json::{Value, json};

use super::issuer::Issuer;
use crate::auth::algorithm::Algorithm;
use crate::auth::{BadKeySet, KeySet};
use crate::limits::{ISSUER_KEYS_MAX, KEY_SET_BYTES_MAX, KEYS_TRIED_MAX};

fn parse(keys: &[Value]) -> Result<KeySet, BadKeySet> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
}

#[test]
fn ten_thousand_keys() {
    let key = Issuer::ed25519("k").jwk();
    let small = vec![json!({"kty": "OKP"}); 10_000];
    let refused = parse(&small).unwrap_err();
    assert_eq!(refused, BadKeySet::TooMany(10_000));
    assert!(
        refused
            .to_string()
            .contains("has 10000 keys, and at most 256 are taken")
    );
    let most = vec![key.clone(); ISSUER_KEYS_MAX];
    assert_eq!(parse(&most).unwrap().len(), ISSUER_KEYS_MAX);
    let padded = vec![key; 10_000];
    assert!(matches!(
        parse(&padded),
        Err(BadKeySet::TooMany(_) | BadKeySet::TooLong)
    ));
}

#[test]
fn a_key_set_of_100_mb() {
    let long = format!("{{\"keys\":[{}]}}", " ".repeat(KEY_SET_BYTES_MAX));
    assert_eq!(KeySet::parse(long.as_bytes()), Err(BadKeySet::TooLong));
}

#[test]
fn a_document_that_is_no_key_set() {
    for wrong in [
        "",
        "<html>",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":7}"#,
        "\u{1}\u{2}",
    ] {
        assert_eq!(
            KeySet::parse(wrong.as_bytes()),
            Err(BadKeySet::NotAKeySet),
            "{wrong}"
        );
    }
    for none in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[7, null, "a", []]}"#,
    ] {
        assert_eq!(
            KeySet::parse(none.as_bytes()),
            Err(BadKeySet::NoneUsable),
            "{none}"
        );
    }
}

#[test]
fn a_key_that_is_of_no_use_and_takes_the_others_with_it() {
    let changed = |name: &str, value: Value| {
        let mut key = Issuer::rsa("odd").jwk();
        key[name] = value;
        key
    };
    let right = Issuer::ed25519("right").jwk();
    for odd in [
        changed("use", json!("enc")),
        changed("key_ops", json!(["encrypt"])),
        changed("alg", json!("RSA-OAEP")),
        changed("alg", json!("ES256")),
        changed("alg", json!("HS256")),
        changed("kty", json!("AKP")),
        changed("n", json!("AQAB")),
        changed("n", json!("not base64!")),
        changed("n", json!(7)),
        changed("e", json!("AQABAQABAQAB")),
        changed("e", json!("")),
        changed("kid", json!(7)),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": right["x"]}),
    ] {
        let set = parse(&[odd.clone(), right.clone()]).unwrap();
        assert_eq!(set.len(), 1, "{odd}");
        assert_eq!(
            set.select(Some("odd"), Algorithm::Rs256).count(),
            0,
            "{odd}"
        );
    }
    let kept = [
        changed("use", Value::Null),
        changed("alg", json!("RS256")),
        changed("key_ops", json!(["verify"])),
        changed("x5c", json!(["AAAA"])),
    ];
    assert_eq!(parse(&kept).unwrap().len(), kept.len());
}

#[test]
fn a_key_for_one_algorithm_that_is_used_for_another() {
    let mut key = Issuer::rsa("r").jwk();
    key["alg"] = json!("PS256");
    let set = parse(&[key]).unwrap();
    assert_eq!(set.select(Some("r"), Algorithm::Ps256).count(), 1);
    assert_eq!(set.select(Some("r"), Algorithm::Rs256).count(), 0);
}

/// Each key that is tried costs as much as a signature.
#[test]
fn a_token_without_a_name_of_its_key_that_costs_as_much_as_256() {
    let key = Issuer::ed25519("k").jwk();
    let set = parse(&vec![key; 200]).unwrap();
    for id in [None, Some("k")] {
        assert_eq!(set.select(id, Algorithm::EdDsa).count(), KEYS_TRIED_MAX);
    }
    assert_eq!(set.select(Some("other"), Algorithm::EdDsa).count(), 0);
}

#[test]
fn a_key_that_was_withdrawn_and_is_not_missed() {
    let (one, other) = (Issuer::ed25519("1").jwk(), Issuer::ed25519("2").jwk());
    let both = parse(&[one.clone(), other]).unwrap();
    let single = parse(&[one]).unwrap();
    assert!(both.has_all_of(&single) && !single.has_all_of(&both));
    let replaced = parse(&[Issuer::ed25519("1").jwk()]).unwrap();
    assert!(
        !replaced.has_all_of(&single),
        "of the same name, and another one"
    );
}

/// As for a number with a sign.
#[test]
fn a_modulus_with_a_zero_in_front() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut key = Issuer::rsa("r").jwk();
    let modulus = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    let plain = parse(&[key.clone()]).unwrap();
    key["n"] = json!(URL_SAFE_NO_PAD.encode([vec![0], modulus].concat()));
    assert_eq!(parse(&[key]).unwrap(), plain);
}
