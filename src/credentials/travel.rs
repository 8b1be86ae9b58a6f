//! Who gets in, as it is written down for the process that goes on in this one's place.
//!
//! | what | how it travels |
//! |---|---|
//! | what was taken back | here, before any core goes on: a token that was revoked is worth nothing in the next process either |
//! | issuers' keys that were fetched | here: their issuer may be away at that moment. Newer ones that the next process has fetched itself stand, and those of an issuer whose keys are to come from elsewhere by its configuration are not taken |
//! | the epoch of the rules | here: streams that were let in by them are looked at anew, since files may be others by now |
//! | tokens, policy, secrets, what cores remember of tokens | not: they are the new configuration's, and found out anew |

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::CredentialStore;
use crate::auth::{IssuerSettings, KeySet, KeySource, PrincipalId, UnixSeconds};

/// What a store knew.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RulesState {
    epoch: u64,
    revoked: Vec<(PrincipalId, UnixSeconds)>,
    fetched: Vec<FetchedState>,
}

/// What an issuer answered.
#[derive(Debug, Serialize, Deserialize)]
struct FetchedState {
    issuer: String,
    /// Where its keys are. None: where its metadata say.
    url: Option<String>,
    body: serde_bytes::ByteBuf,
}

impl FetchedState {
    /// Whether this issuer's keys would be asked for in the same place.
    fn is_of(&self, issuer: &IssuerSettings) -> bool {
        let url = match issuer.source() {
            Ok(KeySource::Discover) => None,
            Ok(KeySource::Url(url)) => Some(url),
            Ok(KeySource::File(_) | KeySource::Secret(_)) | Err(_) => return false,
        };
        self.issuer == issuer.issuer && self.url == url
    }
}

impl CredentialStore {
    pub(crate) fn state(&self) -> RulesState {
        let rules = self.rules();
        let fetched = self.shared.fetched.lock();
        let fetched = fetched.unwrap_or_else(PoisonError::into_inner);
        let issuers = self.authenticator.issuers().iter();
        let answers = issuers.filter_map(|issuer| {
            Some(FetchedState {
                issuer: issuer.issuer.clone(),
                url: issuer.jwks.clone(),
                body: fetched.bodies.get(&issuer.issuer)?.clone().into(),
            })
        });
        RulesState {
            epoch: rules.epoch(),
            revoked: rules.revocations().collect(),
            fetched: answers.collect(),
        }
    }

    /// Goes on with what another process knew, before anybody is let in.
    pub(crate) fn resume(&self, state: RulesState) {
        let RulesState {
            epoch,
            revoked,
            fetched: before,
        } = state;
        self.shared
            .change(|rules| rules.with_all_revoked(&revoked).after_epoch(epoch));
        let fetched = self.shared.fetched.lock();
        let mut fetched = fetched.unwrap_or_else(PoisonError::into_inner);
        for (index, issuer) in self.authenticator.issuers().iter().enumerate() {
            if fetched.bodies.contains_key(&issuer.issuer) {
                continue;
            }
            let before = before.iter().find(|it| it.is_of(issuer));
            let parsed = before.and_then(|it| Some((&it.body, KeySet::parse(&it.body).ok()?)));
            if let Some((body, parsed)) = parsed {
                let parsed = Arc::new(parsed);
                let none = KeySet::default();
                self.shared
                    .change(|rules| rules.with_keys(index, &none, parsed.clone()));
                fetched.bodies.insert(issuer.issuer.clone(), body.to_vec());
                fetched.inherited.insert(index, parsed);
            }
        }
    }
}
