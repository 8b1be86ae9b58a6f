//! What holds for every input, whatever it is: the body of the fuzz targets. Each function panics where it does not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{
    Action, Decision, Identity, IssuerSettings, JwtSettings, KeySet, Policy, PolicySettings,
    StaticTokens, Verdict, Verifier,
};
use crate::limits::{ISSUER_KEYS_MAX, STATIC_TOKENS_MAX};

/// A key of which nobody here has the other half: RFC 8037, A.2.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

const NOW: u64 = 1_800_000_000;

/// No text is a valid token that nobody signed: neither the input, nor one with its first line as the header and the
/// others as the claims.
pub fn access_token(input: &[u8]) {
    let settings = JwtSettings {
        issuers: vec![IssuerSettings::new("https://login.example")],
        audiences: vec!["mcp".into()],
        ..JwtSettings::default()
    };
    let verifier = Verifier::new(&settings, None).expect("settings of which nothing is wrong");
    let keys = KeySet::parse(KEYS.as_bytes()).expect("a key");
    let verifier = verifier.with_keys(0, keys.into());
    let text = String::from_utf8_lossy(input);
    let (header, claims) = text.split_once('\n').unwrap_or((&text, ""));
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let signature = URL_SAFE_NO_PAD.encode([0; 64]);
    let made = format!("{}.{}.{signature}", encode(header), encode(claims));
    for token in [&*text, &made] {
        let verdict = verifier.verify(token, NOW);
        assert!(!matches!(verdict, Verdict::Valid(_)), "{token} is valid");
        let _ = super::bearer::bearer(token);
    }
}

/// What is read of a key set is no more than may be, and the same each time.
pub fn key_set(input: &[u8]) {
    let Ok(keys) = KeySet::parse(input) else {
        return;
    };
    assert!((1..=ISSUER_KEYS_MAX).contains(&keys.len()));
    let again = KeySet::parse(input).expect("the same");
    assert!(keys == again && keys.has_all_of(&again));
}

/// A token file is refused at one of its lines, or lets nobody in by what stands in it.
pub fn token_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match StaticTokens::parse(&text) {
        Ok(tokens) => {
            assert!(tokens.len() <= text.lines().count().min(STATIC_TOKENS_MAX));
            let words = text.split_ascii_whitespace().chain([&*text, ""]);
            words
                .into_iter()
                .for_each(|word| assert!(tokens.find(word).is_none(), "{word}"));
        }
        Err(wrong) => assert!((1..=text.lines().count()).contains(&wrong.line), "{wrong}"),
    }
}

/// A policy that is taken decides on anything, and what it asks for is enough.
pub fn policy(input: &[u8]) {
    let Ok(settings) = serde_json::from_slice::<PolicySettings>(input) else {
        return;
    };
    let Ok(policy) = Policy::new(&settings) else {
        return;
    };
    let text = String::from_utf8_lossy(input);
    for name in text.split('"').chain([&*text]) {
        let actions = [
            Action::CallTool(name),
            Action::GetPrompt(name),
            Action::ReadResource(name),
            Action::Publish(name),
            Action::Complete,
        ];
        for action in actions {
            let nobody = Identity::anonymous();
            if let Decision::MissingScope(scopes) = policy.allows(&nobody, action) {
                let somebody = nobody.clone().with_scopes(scopes);
                assert_eq!(
                    policy.allows(&somebody, action),
                    Decision::Allow,
                    "{action:?}"
                );
            }
        }
    }
}
