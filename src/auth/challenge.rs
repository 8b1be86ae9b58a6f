//! What somebody is told who is not let in: a status, and a challenge that says how to get in.
//!
//! RFC 6750, 3 and RFC 9728, 5.1; MCP 2025-06-18, 2025-11-25 and 2026-07-28, authorization: 401 names the metadata of this
//! server and the scopes to ask for, 403 the scopes that this takes, all of them at once.

use std::fmt::Write as _;

use super::Reason;

/// An answer to somebody who is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// `WWW-Authenticate`. None: no credentials would help.
    pub challenge: Option<Box<str>>,
    /// What is missing, with spaces between them: of [`Reason::Scope`] only.
    pub scopes: Option<Box<str>>,
}

impl Refusal {
    /// 400, 401, 403, 429 or 503.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reason.status()
    }

    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.scopes {
            Some(scopes) => format!("This takes an access token with the scope {scopes}."),
            None => self.reason.sentence().to_owned(),
        }
    }

    /// `Retry-After`, where waiting helps.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.reason.retry_after_s()
    }
}

/// What all challenges of a server have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenges {
    /// None: tokens are none of OAuth, and clients cannot get one by themselves.
    pub(super) metadata_url: Option<Box<str>>,
    /// What to ask for at first.
    pub(super) scopes: Box<str>,
}

impl Challenges {
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        let scopes = (reason == Reason::Scope).then(|| self.scopes.clone());
        Refusal {
            reason,
            // Where waiting helps, other credentials do not.
            challenge: reason
                .retry_after_s()
                .is_none()
                .then(|| self.text(reason, &self.scopes).into()),
            scopes,
        }
    }

    /// A token that is good for other things than this.
    pub(super) fn missing_scopes(&self, scopes: &str) -> Refusal {
        Refusal {
            reason: Reason::Scope,
            challenge: Some(self.text(Reason::Scope, scopes).into()),
            scopes: Some(scopes.into()),
        }
    }

    /// Nothing in it needs escaping: URLs, scopes and sentences have neither quotes nor backslashes.
    fn text(&self, reason: Reason, scopes: &str) -> String {
        let mut text = String::from("Bearer ");
        let mut add = |name: &str, value: &str| {
            let comma = if text.ends_with(' ') { "" } else { ", " };
            let _ = write!(text, "{comma}{name}=\"{value}\"");
        };
        if let Some(error) = reason.error() {
            add("error", error);
            add("error_description", reason.sentence());
        }
        if let Some(url) = &self.metadata_url {
            add("resource_metadata", url);
        }
        if !scopes.is_empty() {
            add("scope", scopes);
        }
        // RFC 9110, 11.6.1 lets a scheme stand alone; RFC 6750, 3 does not.
        if text.ends_with(' ') {
            text.push_str("realm=\"mcp\"");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenges() -> Challenges {
        Challenges {
            metadata_url: Some(
                "https://mcp.example.com/.well-known/oauth-protected-resource/mcp".into(),
            ),
            scopes: "board:read".into(),
        }
    }

    /// MUST, 2025-11-25 authorization, "Protected Resource Metadata Discovery Requirements".
    #[test]
    fn a_client_without_a_token_that_does_not_learn_where_to_get_one() {
        let refusal = challenges().refusal(Reason::Missing);
        assert_eq!(refusal.status(), 401);
        assert_eq!(
            refusal.challenge.as_deref(),
            Some(
                "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", \
                 scope=\"board:read\""
            )
        );
    }

    /// SHOULD, 2025-11-25 authorization, "Runtime Insufficient Scope Errors".
    #[test]
    fn a_client_with_too_little_that_does_not_learn_what_is_missing() {
        let refusal = challenges().missing_scopes("board:write board:read");
        assert_eq!(refusal.status(), 403);
        let challenge = refusal.challenge.clone().unwrap();
        for part in [
            "Bearer error=\"insufficient_scope\", ",
            "scope=\"board:write board:read\"",
            "resource_metadata=\"https://",
        ] {
            assert!(challenge.contains(part), "{challenge}");
        }
        assert!(refusal.sentence().contains("board:write board:read"));
    }

    #[test]
    fn a_bad_token_that_is_answered_like_none() {
        let refusal = challenges().refusal(Reason::Expired);
        assert_eq!(refusal.status(), 401);
        let challenge = refusal.challenge.unwrap();
        assert!(challenge.starts_with(
            "Bearer error=\"invalid_token\", error_description=\"The access token has expired"
        ));
        assert_eq!(challenges().refusal(Reason::Doubled).status(), 400);
        let unavailable = challenges().refusal(Reason::Unavailable);
        let told = (
            unavailable.status(),
            unavailable.retry_after_s(),
            unavailable.challenge,
        );
        assert_eq!(told, (503, Some(5), None));
    }

    #[test]
    fn a_challenge_with_nothing_in_it() {
        let refusal = Challenges::default().refusal(Reason::Missing);
        assert_eq!(refusal.challenge.as_deref(), Some("Bearer realm=\"mcp\""));
    }
}
