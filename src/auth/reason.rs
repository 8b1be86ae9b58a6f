//! Why somebody is not let in, by whose fault: what a client is told, and what is counted.

/// Why credentials are worth nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There are none, or none of a kind that is taken here.
    Missing,
    /// The field came twice: two parties could read it in two ways.
    Doubled,
    /// Longer than 8 KiB.
    TooLong,
    /// No access token that anybody makes.
    Malformed,
    /// A JWE: it is for whoever can read it.
    Encrypted,
    /// Header or claims say something twice.
    DoubledMember,
    /// `alg` is not on the list, or is none.
    Algorithm,
    /// `crit` names what is to be understood, and nothing of the kind is here.
    Critical,
    /// `typ` is of something else than an access token.
    Type,
    /// Nobody published a key of this `kid`.
    UnknownKey,
    /// The signature is of another key, or of another text.
    Signature,
    /// A claim that is needed is not there, or is of the wrong type.
    Claim,
    /// Its issuer is not trusted here.
    Issuer,
    /// It was made for somebody else.
    Audience,
    /// Its time has come.
    Expired,
    /// `nbf` is still to come.
    NotYet,
    /// Whoever shows it has to prove that they have a key (`cnf`), and nobody here asks for that.
    Bound,
    /// None of the tokens in the file.
    UnknownToken,
    /// Somebody took it back.
    Revoked,
    /// Its client showed many bad ones, and this one was not looked at.
    TooManyBad,
    /// It is good, and lacks scopes that every request needs.
    Scope,
    /// Nobody can tell now: whoever would know does not answer, or was asked too lately. The client's credentials may be good.
    Unavailable,
}

impl Reason {
    /// All of them, for whoever counts.
    pub const ALL: [Reason; 22] = [
        Reason::Missing,
        Reason::Doubled,
        Reason::TooLong,
        Reason::Malformed,
        Reason::Encrypted,
        Reason::DoubledMember,
        Reason::Algorithm,
        Reason::Critical,
        Reason::Type,
        Reason::UnknownKey,
        Reason::Signature,
        Reason::Claim,
        Reason::Issuer,
        Reason::Audience,
        Reason::Expired,
        Reason::NotYet,
        Reason::Bound,
        Reason::UnknownToken,
        Reason::Revoked,
        Reason::TooManyBad,
        Reason::Scope,
        Reason::Unavailable,
    ];

    /// RFC 6750, 3.1.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Reason::Doubled => 400,
            Reason::Scope => 403,
            Reason::TooManyBad => 429,
            Reason::Unavailable => 503,
            _ => 401,
        }
    }

    /// Seconds until it may be otherwise without other credentials: until an issuer that does not answer is asked again, or until
    /// one more token is looked at, of at least one a second.
    #[must_use]
    pub fn retry_after_s(self) -> Option<u32> {
        match self {
            Reason::TooManyBad => Some(1),
            Reason::Unavailable => Some(5),
            _ => None,
        }
    }

    /// `error` of the challenge. RFC 6750, 3.1: none for somebody who has not shown anything.
    #[must_use]
    pub fn error(self) -> Option<&'static str> {
        match self {
            Reason::Missing | Reason::TooManyBad | Reason::Unavailable => None,
            Reason::Doubled => Some("invalid_request"),
            Reason::Scope => Some("insufficient_scope"),
            _ => Some("invalid_token"),
        }
    }

    /// For programs: in `data.reason` of an answer, and as a label of what is counted.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Reason::Missing => "unauthenticated",
            Reason::Doubled => "doubled_authorization",
            Reason::TooLong => "token_too_long",
            Reason::Malformed => "token_malformed",
            Reason::Encrypted => "token_encrypted",
            Reason::DoubledMember => "token_ambiguous",
            Reason::Algorithm => "token_algorithm",
            Reason::Critical => "token_critical",
            Reason::Type => "token_type",
            Reason::UnknownKey => "token_unknown_key",
            Reason::Signature => "token_signature",
            Reason::Claim => "token_claims",
            Reason::Issuer => "token_issuer",
            Reason::Audience => "token_audience",
            Reason::Expired => "token_expired",
            Reason::NotYet => "token_not_yet_valid",
            Reason::Bound => "token_bound",
            Reason::UnknownToken => "token_unknown",
            Reason::Revoked => "token_revoked",
            Reason::TooManyBad => "too_many_bad_tokens",
            Reason::Scope => "insufficient_scope",
            Reason::Unavailable => "authentication_unavailable",
        }
    }

    /// For people. Of characters that `error_description` may have: RFC 6750, 3.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Reason::Missing => {
                "This server wants to know who asks: send Authorization: Bearer and an access token."
            }
            Reason::Doubled => "There is more than one Authorization field: send one.",
            Reason::TooLong => "The access token is longer than this server reads.",
            Reason::Malformed => "What was sent as an access token is none.",
            Reason::Encrypted => {
                "The access token is encrypted, and this server has no key for it."
            }
            Reason::DoubledMember => {
                "The access token says the same thing twice, which could be read in two ways."
            }
            Reason::Algorithm => {
                "The access token is signed by an algorithm that is not taken here, or is not signed."
            }
            Reason::Critical => {
                "The access token asks for an extension (crit) that this server does not have."
            }
            Reason::Type => "What was sent is a token of another type than an access token.",
            Reason::UnknownKey => {
                "The access token is signed by a key that its issuer does not publish."
            }
            Reason::Signature => "The signature of the access token is wrong.",
            Reason::Claim => {
                "The access token lacks a claim that is needed (iss, sub, aud, exp), or has one of a wrong type."
            }
            Reason::Issuer => "The access token is of an issuer that this server does not trust.",
            Reason::Audience => "The access token was issued for another server.",
            Reason::Expired => "The access token has expired: get a new one.",
            Reason::NotYet => "The access token is not valid yet.",
            Reason::Bound => {
                "The access token is bound to a key of its client, which this server cannot check."
            }
            Reason::UnknownToken => "This server does not know the access token.",
            Reason::Revoked => "The access token was revoked: get a new one.",
            Reason::TooManyBad => {
                "This client has shown more bad access tokens than it may (--bad-tokens-per-second-per-client-max): wait before the next one."
            }
            Reason::Scope => "The access token lacks a scope that this needs.",
            Reason::Unavailable => "Who you are cannot be found out at the moment: try again.",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sentence_that_would_break_a_challenge() {
        for reason in Reason::ALL {
            let is_allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(reason.sentence().bytes().all(is_allowed), "{reason:?}");
            let has_error = reason.error().is_some();
            assert_eq!(
                has_error,
                !matches!(
                    reason,
                    Reason::Missing | Reason::TooManyBad | Reason::Unavailable
                )
            );
        }
    }

    #[test]
    fn two_reasons_that_programs_cannot_tell_apart() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|it| it.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
