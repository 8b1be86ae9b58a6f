//! Where an issuer says that its keys are: RFC 8414 and OpenID Connect Discovery 1.0.

use serde::Deserialize;

use crate::wire::public_url::is_safe_url;

const OAUTH: &str = ".well-known/oauth-authorization-server";
const OPENID: &str = ".well-known/openid-configuration";

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

/// Where an issuer's metadata may be, in the order of 2026-07-28 authorization server discovery, "Authorization Server
/// Metadata Discovery".
#[must_use]
pub fn metadata_urls(issuer: &str) -> Vec<String> {
    let after_scheme = issuer.find("://").map_or(0, |at| at + 3);
    let slash = issuer.get(after_scheme..).and_then(|rest| rest.find('/'));
    let (origin, path) = issuer.split_at(slash.map_or(issuer.len(), |at| after_scheme + at));
    let path = path.trim_end_matches('/');
    match path {
        "" => vec![format!("{origin}/{OAUTH}"), format!("{origin}/{OPENID}")],
        path => vec![
            format!("{origin}/{OAUTH}{path}"),
            format!("{origin}/{OPENID}{path}"),
            format!("{origin}{path}/{OPENID}"),
        ],
    }
}

/// Where the keys are, by a document of this issuer.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with where it is from.
pub fn keys_url(document: &[u8], issuer: &str) -> Result<String, String> {
    let metadata: Metadata = serde_json::from_slice(document)
        .map_err(|_| "is no authorization server's metadata".to_owned())?;
    // MUST, RFC 8414, 3.3: identical, or another one speaks for it.
    if metadata.issuer != issuer {
        return Err(format!("is of another issuer than {issuer}"));
    }
    match metadata.jwks_uri {
        // One that is fetched in the clear is anybody's on the way.
        Some(url) if is_safe_url(&url) => Ok(url),
        Some(_) => Err("has a jwks_uri that is no https URL".to_owned()),
        None => Err("does not say where the keys are (jwks_uri)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_whose_metadata_are_looked_for_in_the_wrong_place() {
        assert_eq!(
            metadata_urls("https://auth.example.com/tenant1"),
            [
                "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example.com/.well-known/openid-configuration/tenant1",
                "https://auth.example.com/tenant1/.well-known/openid-configuration",
            ]
        );
        for bare in ["https://auth.example.com", "https://auth.example.com/"] {
            assert_eq!(
                metadata_urls(bare),
                [
                    "https://auth.example.com/.well-known/oauth-authorization-server",
                    "https://auth.example.com/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn metadata_that_speak_for_another_issuer() {
        let read = |json: &str| keys_url(json.as_bytes(), "https://login.example");
        let right = r#"{"issuer":"https://login.example","jwks_uri":"https://cdn.example/keys"}"#;
        assert_eq!(read(right).as_deref(), Ok("https://cdn.example/keys"));
        for wrong in [
            "",
            "[]",
            r#"{"jwks_uri":"https://cdn.example/keys"}"#,
            r#"{"issuer":"https://login.example"}"#,
            r#"{"issuer":"https://login.example/","jwks_uri":"https://cdn.example/keys"}"#,
            r#"{"issuer":"https://evil.example","jwks_uri":"https://cdn.example/keys"}"#,
            r#"{"issuer":"https://login.example","jwks_uri":"http://cdn.example/keys"}"#,
            r#"{"issuer":"https://login.example","jwks_uri":"file:///etc/passwd"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
