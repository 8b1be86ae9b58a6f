//! Tokens that are not worth anything here, each named for its misdeed: status, challenge, reason and sentence; and what happens to
//! somebody with an honest one meanwhile: nothing.

use serde_json::{Value, json};

use super::issuer::now;
use super::protected::{Protected, bearer, wait_until};
use super::signer::{Issuer, Signer};

/// One test for each token that is refused.
macro_rules! tokens_that_are_refused {
    ($($name:ident: $reason:literal, $sentence:literal, $forge:expr;)*) => {
        $(#[test] fn $name() {
            let server = Protected::start(concat!(module_path!(), "::", stringify!($name)));
            // The issuer has answered.
            server.serves();
            let forge: fn(&Protected) -> Vec<String> = $forge;
            for token in forge(&server) {
                server.refuses(&token, $reason, $sentence);
            }
            server.stop();
        })*
    };
}

tokens_that_are_refused! {
    a_token_that_has_expired: "token_expired", "The access token has expired: get a new one.",
        |it| vec![it.key.token(&it.claims_with("exp", json!(now() - 1)))];
    a_token_that_never_expires: "token_claims",
        "The access token lacks a claim that is needed (iss, sub, aud, exp), or has one of a wrong type.",
        |it| vec![it.key.token(&it.claims_with("exp", Value::Null))];
    a_token_that_is_not_valid_yet: "token_not_yet_valid", "The access token is not valid yet.",
        |it| vec![it.key.token(&it.claims_with("nbf", json!(now() + 3600)))];
    a_token_that_was_issued_for_another_server: "token_audience", "The access token was issued for another server.",
        |it| others_urls(&it.url()).iter().map(|url| it.key.token(&it.claims_with("aud", json!(url)))).collect();
    a_token_of_an_issuer_that_is_not_trusted: "token_issuer",
        "The access token is of an issuer that this server does not trust.",
        |it| [it.issuer.name() + "/", "https://login.example".to_owned()]
            .iter().map(|name| it.key.token(&it.claims_with("iss", json!(name)))).collect();
    a_token_that_nobody_signed: "token_algorithm",
        "The access token is signed by an algorithm that is not taken here, or is not signed.",
        |it| ["none", "None", "NONE"].iter().flat_map(|name| unsigned(it, name)).collect();
    a_token_that_is_signed_with_the_public_key_for_a_secret: "token_algorithm",
        "The access token is signed by an algorithm that is not taken here, or is not signed.",
        |it| public_as_secret(it);
    a_token_of_a_key_that_nobody_published: "token_unknown_key",
        "The access token is signed by a key that its issuer does not publish.",
        |it| vec![Issuer::p256("never published").token(&it.claims())];
    a_token_that_somebody_else_signed_in_a_known_keys_name: "token_signature",
        "The signature of the access token is wrong.",
        |it| vec![Issuer::p256("first").token(&it.claims())];
    a_token_that_was_changed_on_its_way: "token_signature", "The signature of the access token is wrong.",
        |it| vec![with_other_claims(&it.token(), &it.claims_with("sub", json!("root")))];
    a_token_that_is_for_logging_somebody_out: "token_type",
        "What was sent is a token of another type than an access token.",
        |it| vec![it.key.sign(&header(it, "typ", "logout+jwt"), &it.claims().to_string())];
    a_token_that_is_none: "token_malformed", "What was sent as an access token is none.",
        |_| ["letmein", "left.right.middle", "letmein.....", "e30.e30.e30.e30"].map(str::to_owned).to_vec();
    a_token_of_9_kb: "token_too_long", "The access token is longer than this server reads.",
        |it| vec![it.key.token(&it.claims_with("padding", json!("p".repeat(9 * 1024))))];
}

/// Near misses.
fn others_urls(url: &str) -> Vec<String> {
    let origin = url.strip_suffix("/mcp").expect("the endpoint");
    let other_port = url.replace("127.0.0.1:", "127.0.0.1:1");
    let other_host = url.replace("127.0.0.1", "127.0.0.2");
    vec![
        origin.to_owned(),
        format!("{url}2"),
        format!("{origin}/MCP"),
        other_port,
        other_host,
        "*".to_owned(),
    ]
}

fn header(server: &Protected, name: &str, value: &str) -> String {
    let mut header = server.key.header();
    header[name] = json!(value);
    header.to_string()
}

/// Without a signature, with the one of another token, and with one of zeros.
fn unsigned(server: &Protected, algorithm: &str) -> Vec<String> {
    let header = header(server, "alg", algorithm);
    let claims = server.claims().to_string();
    let honest = server.key.sign(&header, &claims);
    let nobody = |signature: Vec<u8>| Issuer {
        key_id: "first".to_owned(),
        signer: Signer::Nothing(signature),
    };
    vec![
        nobody(Vec::new()).sign(&header, &claims),
        nobody(vec![0; 64]).sign(&header, &claims),
        honest,
    ]
}

/// The public key in the forms that libraries have taken for a secret.
fn public_as_secret(server: &Protected) -> Vec<String> {
    let jwk = server.key.jwk();
    let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    let set = Issuer::key_set(&[&server.key]);
    let forms = [jwk.to_string(), text("x"), text("x") + &text("y"), set];
    let sign = |form: &String| {
        let mut forger = Issuer::secret(form.as_bytes());
        forger.key_id = "first".to_owned();
        forger.token(&server.claims())
    };
    forms.iter().map(sign).collect()
}

/// Header and signature of one token around the claims of another.
fn with_other_claims(token: &str, claims: &Value) -> String {
    let forged = Issuer::secret(b"any").token(claims);
    let part = |token: &str, index| token.split('.').nth(index).map(str::to_owned);
    let parts = [part(token, 0), part(&forged, 1), part(token, 2)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(".")
}

#[test]
fn a_request_without_a_token() {
    let server = Protected::start("auth/no_token");
    for fields in ["", "Authorization: Basic YTpi\r\n", "Cookie: token=a\r\n"] {
        let told = server.ask_with(fields);
        assert_eq!(
            (told.status, told.reason.as_str()),
            (401, "unauthenticated"),
            "{told:?}"
        );
        let metadata = server.metadata_url();
        let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
        assert_eq!(told.challenge, Some(challenge));
        assert_eq!(
            told.sentence,
            "This server wants to know who asks: send Authorization: Bearer and an access token."
        );
    }
    server.serves();
    server.stop();
}

#[test]
fn two_tokens_of_which_each_party_could_read_another() {
    let server = Protected::start("auth/two_tokens");
    let honest = bearer(&server.token());
    for fields in [
        honest.repeat(2),
        honest.clone() + "authorization: Bearer a\r\n",
    ] {
        let told = server.ask_with(&fields);
        assert_eq!(
            (told.status, told.reason.as_str()),
            (400, "doubled_authorization"),
            "{told:?}"
        );
    }
    server.serves();
    server.stop();
}

#[test]
fn a_token_of_100_kb() {
    let server = Protected::start("auth/token_of_100_kb");
    let long = server.claims_with("padding", json!("p".repeat(75 * 1024)));
    let told = server.ask(&server.key.token(&long));
    // Longer than a head may be: it is not read to its end.
    assert_eq!(told.status, 431, "{told:?}");
    server.serves();
    server.stop();
}

/// What was verified once is remembered no longer than it is good.
#[test]
fn a_token_that_was_good_a_moment_ago() {
    let server = Protected::start("auth/good_a_moment_ago");
    let is_let_in = |lifetime: u64| {
        let token = server
            .key
            .token(&server.claims_with("exp", json!(now() + lifetime)));
        (server.ask(&token).status == 200).then_some(token)
    };
    // On a busy machine the first ones are old before they are used.
    let token = [2, 8, 32].into_iter().find_map(is_let_in);
    let token = token.expect("one of them is used in time");
    wait_until("it expires", || server.ask(&token).status != 200);
    let sentence = "The access token has expired: get a new one.";
    server.refuses(&token, "token_expired", sentence);
    server.stop();
}

#[test]
fn a_token_that_lacks_a_scope_that_everything_needs() {
    let options = ["--auth-scopes", "board:read"];
    let server = Protected::start_with("auth/lacks_a_scope", &options);
    for scope in ["", "board", "board:read:all", "BOARD:READ", "board:write"] {
        let told = server.ask(&server.key.token(&server.claims_with("scope", json!(scope))));
        assert_eq!(
            (told.status, told.reason.as_str()),
            (403, "insufficient_scope"),
            "{scope}: {told:?}"
        );
        let challenge = told.challenge.as_deref().unwrap_or_default();
        for part in [
            "Bearer error=\"insufficient_scope\"",
            "scope=\"board:read\"",
            &format!("resource_metadata=\"{}\"", server.metadata_url()),
        ] {
            assert!(challenge.contains(part), "{challenge}");
        }
        assert!(told.sentence.contains("board:read"), "{told:?}");
    }
    let enough = server.claims_with("scope", json!("openid board:read"));
    assert_eq!(server.ask(&server.key.token(&enough)).status, 200);
    server.stop();
}

/// Of each kind that is taken, and of one that is not on this server's list.
#[test]
fn a_token_whose_algorithm_is_not_on_the_list() {
    let options = ["--auth-algorithms", "RS256,EdDSA"];
    let server = Protected::start_with("auth/algorithms", &options);
    let (rsa, edwards) = (Issuer::rsa("rsa"), Issuer::ed25519("edwards"));
    server.issuer.publish(&[&server.key, &rsa, &edwards]);
    for good in [&rsa, &edwards] {
        let told = server.ask(&good.token(&server.claims()));
        assert_eq!(told.status, 200, "{told:?}");
    }
    let told = server.ask(&server.token());
    assert_eq!(
        (told.status, told.reason.as_str()),
        (401, "token_algorithm"),
        "{told:?}"
    );
    server.stop();
}
