//! `requestState`: what a client of 2026-07-28 carries from one round of a request to the next.
//!
//! It is sealed, so it cannot be read or changed; it names the request it belongs to and the time it ends, so it
//! cannot be brought with another request, by another principal or much later (2026-07-28, multi round-trip requests, server
//! requirements 4 and 5). It can be brought twice: what must happen once only is for the application to see to.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::call::Link;
use crate::mcp::RpcError;
use crate::mcp::types::JsonObject;
use crate::principal::PrincipalId;

/// A user's time to answer all questions of one round.
const LIFETIME_MS: u64 = 10 * 60 * 1000;

/// What is worth carrying.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RequestState {
    /// What the client answered in earlier rounds, by key.
    pub(super) answers: JsonObject,
    /// What the handler asked to remember.
    pub(super) kept: JsonObject,
}

impl RequestState {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.kept.is_empty()
    }

    pub(super) fn seal(&self, request: String, link: &dyn Link) -> String {
        let state = SealedState {
            expires_ms: link.unix_ms() + LIFETIME_MS,
            request,
            memory: self.clone(),
        };
        let plain = serde_json::to_vec(&state).expect("keys are strings, values are JSON");
        link.seal(&plain)
    }

    pub(super) fn unseal(sealed: &str, request: &str, link: &dyn Link) -> Result<Self, RpcError> {
        let plain = link
            .unseal(sealed)
            .ok_or_else(|| RpcError::invalid_params("requestState was not made by this server"))?;
        let state: SealedState = serde_json::from_slice(&plain)
            .map_err(|_| RpcError::invalid_params("requestState is of another release"))?;
        if state.expires_ms <= link.unix_ms() {
            return Err(RpcError::invalid_params("requestState has expired"));
        }
        if state.request != request {
            return Err(RpcError::invalid_params(
                "requestState belongs to another request",
            ));
        }
        Ok(state.memory)
    }
}

#[derive(Serialize, Deserialize)]
struct SealedState {
    expires_ms: u64,
    request: String,
    memory: RequestState,
}

/// The params that make a request what it is; the others differ between its rounds.
#[derive(Default, Deserialize, Serialize)]
struct RequestIdentity {
    name: Option<String>,
    uri: Option<String>,
    #[serde(default)]
    arguments: Option<Value>,
}

/// Of a request of this principal: nobody else's is the same.
pub(super) fn request_digest(
    method: &str,
    params: Option<&RawValue>,
    principal: Option<PrincipalId>,
) -> Result<String, RpcError> {
    let mut salient: RequestIdentity = super::params::parse(params)?;
    let mut arguments = salient
        .arguments
        .take()
        .unwrap_or_else(|| JsonObject::new().into());
    arguments.sort_all_objects();
    salient.arguments = Some(arguments);
    let text = serde_json::to_vec(&(method, &salient)).expect("keys are strings");
    let mut digest = Sha256::new_with_prefix(text);
    if let Some(principal) = principal {
        digest.update(principal.to_bytes());
    }
    Ok(BASE64_STANDARD_NO_PAD.encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state names its request by this; nodes of two versions live in one cluster while it is replaced.
    #[test]
    fn a_request_that_the_release_before_takes_for_another() {
        let params = r#"{"name":"bake","arguments":{"count":2,"a":{"c":1,"b":[]}},"_meta":{}}"#;
        let params = RawValue::from_string(params.to_owned()).unwrap();
        let digest = request_digest("tools/call", Some(&params), None).unwrap();
        assert_eq!(digest, "mfnxb0LefoyJkdAxQe2rsqbAt14QGm5n09KA8e30rWw");
        let of = |subject| {
            let principal = PrincipalId::of("https://login.example", subject);
            request_digest("tools/call", Some(&params), Some(principal)).unwrap()
        };
        assert!(of("alice") != digest && of("alice") != of("bob"));
        assert_eq!(of("alice"), of("alice"));
    }
}
