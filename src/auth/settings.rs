//! What an operator says about tokens of issuers, as it stands in a configuration file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::algorithm::{ALGORITHMS, Algorithm};
use crate::limits::{ISSUERS_MAX, LEEWAY_MAX_S};
use crate::principal::is_scope;
use crate::wire::public_url::is_safe_url;

/// Tokens that an authorization server signs. Only `issuers` has to be given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtSettings {
    /// Who is believed. Keys of one of them are worth nothing for tokens of another.
    pub issuers: Vec<IssuerSettings>,
    /// Whom tokens have to be for: one of these has to be in `aud`. Empty: the server's public URL.
    pub audiences: Vec<String>,
    /// What tokens may be signed by: RS256, PS256, ES256 and EdDSA unless it is given.
    pub algorithms: Vec<Algorithm>,
    /// Seconds that clocks may differ: a token is taken so long after `exp` and before `nbf`. 60; at most
    /// 300.
    pub leeway_s: u64,
    /// Scopes without which nothing is to be had.
    pub scopes: Vec<String>,
    /// The claim that `{tenant}` in the policy stands for, such as `tid` or `org_id`.
    pub tenant_claim: Option<String>,
}

/// One authorization server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerSettings {
    /// As it stands in `iss`, to the letter.
    pub issuer: String,
    /// An https URL, or a file. Where its own metadata say (RFC 8414, OpenID Connect Discovery) unless it is given.
    pub jwks: Option<String>,
    /// A file with a secret in place of keys, of at least 32 bytes: its tokens are signed by HS256, HS384 or HS512, and by
    /// nothing else.
    pub secret_file: Option<PathBuf>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// Its metadata say where.
    Discover,
    Url(String),
    File(PathBuf),
    /// A secret, in a file.
    Secret(PathBuf),
}

impl Default for JwtSettings {
    fn default() -> Self {
        JwtSettings {
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: ALGORITHMS.to_vec(),
            leeway_s: 60,
            scopes: Vec::new(),
            tenant_claim: None,
        }
    }
}

impl IssuerSettings {
    /// One whose metadata say where its keys are.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> IssuerSettings {
        IssuerSettings {
            issuer: issuer.into(),
            ..IssuerSettings::default()
        }
    }

    /// # Errors
    /// A sentence on what cannot be.
    pub(crate) fn source(&self) -> Result<KeySource, String> {
        match (&self.jwks, &self.secret_file) {
            (Some(_), Some(_)) => Err(format!(
                "the issuer {} has both jwks and secret_file: give one of them",
                self.issuer
            )),
            (None, Some(file)) => Ok(KeySource::Secret(file.clone())),
            (Some(place), None) if is_url(place) => match is_safe_url(place) {
                true => Ok(KeySource::Url(place.clone())),
                false => Err(format!(
                    "jwks {place} must be an https URL (http only on a loopback address), or a file"
                )),
            },
            (Some(place), None) => Ok(KeySource::File(Path::new(place).to_owned())),
            (None, None) if is_safe_url(&self.issuer) => Ok(KeySource::Discover),
            (None, None) => Err(format!(
                "the issuer {} is no https URL, so that its keys cannot be found: give its jwks",
                self.issuer
            )),
        }
    }
}

/// What is none is a file.
pub(crate) fn is_url(place: &str) -> bool {
    place.contains("://")
}

impl JwtSettings {
    /// # Errors
    /// A sentence on the first thing that cannot be.
    pub fn check(&self) -> Result<(), String> {
        if self.issuers.is_empty() {
            return Err("no issuer is given: tokens of nobody would be taken".to_owned());
        }
        if self.issuers.len() > ISSUERS_MAX {
            return Err(format!(
                "{} issuers are given, and at most {ISSUERS_MAX} are taken",
                self.issuers.len()
            ));
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            if issuer.issuer.is_empty() {
                return Err("an issuer has an empty name".to_owned());
            }
            let before = self.issuers.iter().take(index);
            if before
                .into_iter()
                .any(|other| other.issuer == issuer.issuer)
            {
                return Err(format!("the issuer {} is given twice", issuer.issuer));
            }
            self.check_algorithms(issuer)?;
        }
        if let Some(scope) = self.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(format!(
                "\"{scope}\" is no scope: visible ASCII without spaces, quotes and backslashes"
            ));
        }
        if self.leeway_s > LEEWAY_MAX_S {
            return Err(format!(
                "a leeway of {} s is more than clocks differ: at most {LEEWAY_MAX_S} s",
                self.leeway_s
            ));
        }
        Ok(())
    }

    /// Secrets and published keys are never taken for one another.
    fn check_algorithms(&self, issuer: &IssuerSettings) -> Result<(), String> {
        let is_secret = matches!(issuer.source()?, KeySource::Secret(_));
        let fits = |algorithm: &Algorithm| algorithm.is_symmetric() == is_secret;
        if self.algorithms_of(issuer).iter().any(fits) {
            return Ok(());
        }
        let needed = if is_secret {
            "HS256"
        } else {
            "RS256 or another one for public keys"
        };
        Err(format!(
            "no algorithm on the list is for the keys of {}: {needed} would be",
            issuer.issuer
        ))
    }

    /// What tokens of this issuer may be signed by. A list that says nothing of secrets means HS256 for one that has one.
    #[must_use]
    pub fn algorithms_of(&self, issuer: &IssuerSettings) -> Vec<Algorithm> {
        let is_secret = issuer.secret_file.is_some();
        let kept = self
            .algorithms
            .iter()
            .filter(|it| it.is_symmetric() == is_secret);
        let kept: Vec<Algorithm> = kept.copied().collect();
        match kept.is_empty() && is_secret && self.algorithms == ALGORITHMS {
            true => vec![Algorithm::Hs256],
            false => kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: IssuerSettings) -> JwtSettings {
        JwtSettings {
            issuers: vec![issuer],
            ..JwtSettings::default()
        }
    }

    #[test]
    fn settings_by_which_anybody_would_be_believed() {
        let with = |jwks: &str| IssuerSettings {
            jwks: Some(jwks.into()),
            ..IssuerSettings::new("https://login.example")
        };
        for wrong in [
            JwtSettings::default(),
            settings(IssuerSettings::new("")),
            settings(IssuerSettings::new("login.example")),
            settings(IssuerSettings::new("http://login.example")),
            settings(with("http://login.example/keys")),
            settings(with("ftp://login.example/keys")),
            JwtSettings {
                leeway_s: 86_400,
                ..settings(with("keys.json"))
            },
            JwtSettings {
                algorithms: vec![Algorithm::Hs256],
                ..settings(with("keys.json"))
            },
            JwtSettings {
                scopes: vec!["a b".into()],
                ..settings(with("keys.json"))
            },
            JwtSettings {
                issuers: vec![with("a.json"), with("b.json")],
                ..JwtSettings::default()
            },
            settings(IssuerSettings {
                secret_file: Some("secret".into()),
                ..with("keys.json")
            }),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        for right in [
            settings(with("keys.json")),
            settings(with("https://login.example/keys")),
            settings(with("http://127.0.0.1:9000/keys")),
            settings(IssuerSettings::new("https://login.example")),
        ] {
            assert_eq!(right.check(), Ok(()));
        }
    }

    #[test]
    fn a_secret_for_which_public_keys_algorithms_are_taken() {
        let issuer = IssuerSettings {
            secret_file: Some("secret".into()),
            ..IssuerSettings::new("mine")
        };
        let settings = settings(issuer.clone());
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.algorithms_of(&issuer), [Algorithm::Hs256]);
        let public = IssuerSettings::new("https://login.example");
        assert_eq!(settings.algorithms_of(&public), ALGORITHMS);
    }

    #[test]
    fn an_algorithm_in_the_file_that_is_none() {
        let read = |json: &str| serde_json::from_str::<JwtSettings>(json);
        let right =
            read(r#"{"issuers": [{"issuer": "https://a"}], "algorithms": ["ES256", "EdDSA"]}"#);
        assert_eq!(
            right.unwrap().algorithms,
            [Algorithm::Es256, Algorithm::EdDsa]
        );
        for wrong in [
            r#"{"algorithms": ["none"]}"#,
            r#"{"algorithms": ["es256"]}"#,
            r#"{"issuer": "a"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
