//! Who gets in, as it is written down for the process that goes on in this one's place.
//!
//! | what | how it travels |
//! |---|---|
//! | what was taken back | here, before any core goes on: a token that was revoked is worth nothing in the next process either |
//! | issuers' keys that were fetched | here: their issuer may be away at that moment. Newer ones that the next process has fetched itself stand |
//! | the epoch of the rules | here: streams that were let in by them are looked at anew, since files may be others by now |
//! | tokens, policy, secrets, what cores remember of tokens | not: they are the new configuration's, and found out anew |

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::CredentialStore;
use crate::auth::{KeySet, PrincipalId, UnixSeconds};

/// What a store knew.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RulesState {
    epoch: u64,
    revoked: Vec<(PrincipalId, UnixSeconds)>,
    /// By the issuer's name, as it was fetched.
    keys: Vec<(String, serde_bytes::ByteBuf)>,
}

impl CredentialStore {
    pub(crate) fn state(&self) -> RulesState {
        let rules = self.rules();
        let fetched = self.shared.fetched.lock();
        let fetched = fetched.unwrap_or_else(PoisonError::into_inner);
        let keys = fetched.bodies.iter();
        RulesState {
            epoch: rules.epoch(),
            revoked: rules.revocations().collect(),
            keys: keys
                .map(|(name, body)| (name.clone(), serde_bytes::ByteBuf::from(body.clone())))
                .collect(),
        }
    }

    /// Goes on with what another process knew, before anybody is let in.
    pub(crate) fn resume(&self, state: RulesState) {
        let RulesState {
            epoch,
            revoked,
            keys,
        } = state;
        self.shared
            .change(|rules| rules.with_all_revoked(&revoked).after_epoch(epoch));
        let fetched = self.shared.fetched.lock();
        let mut fetched = fetched.unwrap_or_else(PoisonError::into_inner);
        for (index, issuer) in self.authenticator.issuers().iter().enumerate() {
            if fetched.bodies.contains_key(&issuer.issuer) {
                continue;
            }
            let body = keys.iter().find(|(name, _)| *name == issuer.issuer);
            let parsed = body.and_then(|(_, body)| Some((body, KeySet::parse(body).ok()?)));
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
