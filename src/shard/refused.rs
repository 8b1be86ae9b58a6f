//! Refusals: both halves of a shard speak so.

use std::borrow::Cow;

use serde_json::json;

#[cfg(feature = "auth")]
use crate::auth::Refusal;
use crate::mcp::RpcError;

/// What the endpoint takes, for 405 and CORS.
pub(super) const METHODS: &str = "POST, GET, DELETE, OPTIONS";

/// The field that says how to get in.
pub(super) const CHALLENGE: &str = "WWW-Authenticate";

/// Well formed, but not to be served: the status and, for people and programs, why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) error: RpcError,
    /// The methods that are allowed, if it was for the method.
    pub(super) allow: Option<&'static str>,
    pub(super) retry_after_s: Option<u32>,
    /// For a body in a coding: there is none here.
    pub(super) accept_encoding: bool,
    /// How to get in, for somebody who is not let in.
    pub(super) challenge: Option<Box<str>>,
}

impl Refused {
    pub(super) fn new(status: u16, sentence: impl Into<Cow<'static, str>>) -> Self {
        Refused::rpc(status, RpcError::invalid_request(sentence))
    }

    pub(super) fn with_reason(
        status: u16,
        reason: &str,
        sentence: impl Into<Cow<'static, str>>,
    ) -> Self {
        let error = RpcError::invalid_request(sentence).with_data(json!({ "reason": reason }));
        Refused::rpc(status, error)
    }

    pub(super) fn rpc(status: u16, error: RpcError) -> Self {
        Refused {
            status,
            error,
            allow: None,
            retry_after_s: None,
            accept_encoding: false,
            challenge: None,
        }
    }

    /// Who asks is not known, or may not do this.
    #[cfg(feature = "auth")]
    pub(super) fn unidentified(refusal: &Refusal) -> Self {
        let mut data = json!({ "reason": refusal.reason.code() });
        if let Some(scopes) = &refusal.scopes {
            data["scopes"] = (**scopes).into();
        }
        let error = RpcError::invalid_request(refusal.sentence()).with_data(data);
        Refused {
            retry_after_s: refusal.retry_after_s(),
            challenge: refusal.challenge.clone(),
            ..Refused::rpc(refusal.status(), error)
        }
    }

    pub(super) fn method_not_allowed(sentence: impl Into<Cow<'static, str>>) -> Self {
        Refused::only(METHODS, sentence)
    }

    /// 405, of a path with other methods than the endpoint.
    pub(super) fn only(methods: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Refused {
            allow: Some(methods),
            ..Self::new(405, sentence)
        }
    }

    pub(super) fn busy(sentence: &'static str, retry_after_s: u32) -> Self {
        Refused {
            retry_after_s: Some(retry_after_s),
            ..Self::with_reason(503, "busy", sentence)
        }
    }

    /// One client has its share.
    pub(super) fn too_many(reason: &str, sentence: &'static str, retry_after_s: u32) -> Self {
        Refused {
            retry_after_s: Some(retry_after_s),
            ..Refused::with_reason(429, reason, sentence)
        }
    }

    /// The header fields of its answer.
    pub(super) fn with_fields<T>(&self, work: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let retry_after = self.retry_after_s.map(|seconds| seconds.to_string());
        let mut fields = Vec::new();
        if let Some(methods) = self.allow {
            fields.push(("Allow", methods));
        }
        if self.accept_encoding {
            // RFC 9110, 12.5.3: it tells this 415 from that for a media type.
            fields.push(("Accept-Encoding", "identity"));
        }
        if let Some(challenge) = &self.challenge {
            fields.push((CHALLENGE, challenge));
        }
        if let Some(seconds) = &retry_after {
            fields.push(("Retry-After", seconds));
        }
        work(&fields)
    }
}
