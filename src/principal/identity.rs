//! What is known of somebody who was let in: principal, scopes, how long that holds, and what the issuer says besides.

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::PrincipalId;

/// Seconds since 1970, as tokens count time.
pub type UnixSeconds = u64;

/// Whose requests those of mode `none` are.
const NOBODY: &str = "pinfold:anonymous";

/// Somebody who was let in. It never holds the token, and its `Debug` shows neither claims nor name.
#[derive(Clone)]
pub struct Identity {
    id: PrincipalId,
    issuer: Box<str>,
    subject: Box<str>,
    name: Option<Box<str>>,
    tenant: Option<Box<str>>,
    scopes: Scopes,
    valid_until: Option<UnixSeconds>,
    issued_at: Option<UnixSeconds>,
    claims: Option<Box<RawValue>>,
}

/// Scopes that somebody was granted, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(Arc<Vec<Box<str>>>);

impl Identity {
    /// Somebody without any scope, for as long as anybody asks.
    ///
    /// ```
    /// use pinfold::Identity;
    ///
    /// let alice = Identity::new("https://login.example", "alice").with_scopes("board:read board:write");
    /// assert!(alice.scopes().has("board:read") && !alice.scopes().has("board"));
    /// ```
    #[must_use]
    pub fn new(issuer: &str, subject: &str) -> Identity {
        Identity {
            id: PrincipalId::of(issuer, subject),
            issuer: issuer.into(),
            subject: subject.into(),
            name: None,
            tenant: None,
            scopes: Scopes::default(),
            valid_until: None,
            issued_at: None,
            claims: None,
        }
    }

    /// Everybody, where nobody is asked who they are: all are one principal, with no scope.
    #[must_use]
    pub fn anonymous() -> Identity {
        Identity::new(NOBODY, "")
    }

    /// Scopes with spaces between them.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &str) -> Identity {
        self.scopes = Scopes::of(scopes.split(' '));
        self
    }

    /// What people call them.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Identity {
        self.name = Some(name.into());
        self
    }

    /// The tenant that `{tenant}` in a policy stands for.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &str) -> Identity {
        self.tenant = Some(tenant.into());
        self
    }

    /// From this second on it is nobody any more.
    #[must_use]
    pub fn with_valid_until(mut self, until: UnixSeconds) -> Identity {
        self.valid_until = Some(until);
        self
    }

    /// When its credentials were made.
    #[must_use]
    pub fn with_issued_at(mut self, at: UnixSeconds) -> Identity {
        self.issued_at = Some(at);
        self
    }

    /// What the issuer says of them, as a JSON object.
    #[must_use]
    pub fn with_claims(mut self, claims: Box<RawValue>) -> Identity {
        self.claims = Some(claims);
        self
    }

    pub(crate) fn with_scope_set(mut self, scopes: Scopes) -> Identity {
        self.scopes = scopes;
        self
    }

    /// What sessions, streams and calls of theirs are bound to.
    #[must_use]
    pub fn id(&self) -> PrincipalId {
        self.id
    }

    /// Who vouches for them: `iss` of a token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Who they are to the issuer: `sub` of a token.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What people call them, if anybody said so. It proves nothing: two may have one name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The tenant that they belong to, by the claim that was configured for it.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What they were granted.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The first second in which nothing of this holds any more, leeway included. None: until it is revoked.
    #[must_use]
    pub fn valid_until(&self) -> Option<UnixSeconds> {
        self.valid_until
    }

    /// When their credentials were made, if those say so.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixSeconds> {
        self.issued_at
    }

    /// Whether that holds in this second.
    #[must_use]
    pub fn is_valid(&self, now: UnixSeconds) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    /// The claims of the token as they were signed: a JSON object.
    #[must_use]
    pub fn claims(&self) -> Option<&RawValue> {
        self.claims.as_deref()
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |it| it.len());
        let scopes: usize = self.scopes.iter().map(|it| it.len() + BLOCK_BYTES).sum();
        let claims = self.claims.as_ref().map_or(0, |it| it.get().len());
        let texts = text(&self.name) + text(&self.tenant);
        let own = size_of::<Identity>() + self.issuer.len() + self.subject.len();
        own + 5 * BLOCK_BYTES + texts + scopes + claims
    }
}

/// What a block of the allocator takes beside what is in it, and the place that names it.
const BLOCK_BYTES: usize = 32;

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("scopes", &self.scopes)
            .field("valid_until", &self.valid_until)
            .finish_non_exhaustive()
    }
}

impl Scopes {
    /// Texts that are empty are left out.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Scopes {
        let named = scopes.into_iter().filter(|it| !it.is_empty());
        let mut scopes: Vec<Box<str>> = named.map(Box::from).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes.shrink_to_fit();
        Scopes(Arc::new(scopes))
    }

    /// Whether this one is among them, to the letter.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.0.binary_search_by(|own| (**own).cmp(scope)).is_ok()
    }

    /// Each of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }

    /// Whether they are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// With spaces between them, as in a token and in a challenge.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// What a scope may consist of: RFC 6749, 3.3.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let is_nqchar = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.bytes().all(is_nqchar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_that_is_shown_with_what_is_nobodys_business() {
        let claims = RawValue::from_string(r#"{"email":"alice@example.com"}"#.into()).unwrap();
        let alice = Identity::new("https://login.example", "alice-subject")
            .with_name("Alice Liddell")
            .with_claims(claims);
        let shown = format!("{alice:?}");
        for secret in ["alice", "Liddell", "login"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_scope_that_is_part_of_another_one() {
        let scopes = Scopes::of(["b", "", "ab", "a", "b"]);
        assert_eq!(scopes.to_string(), "a ab b");
        assert!(scopes.has("ab") && !scopes.has("") && !scopes.has("abc"));
    }

    #[test]
    fn somebody_whose_time_has_come() {
        let short = Identity::new("i", "s").with_valid_until(100);
        assert!(short.is_valid(99) && !short.is_valid(100));
        assert!(Identity::anonymous().is_valid(u64::MAX));
    }

    #[test]
    fn a_scope_that_would_break_a_challenge() {
        assert!(is_scope("board:read") && is_scope("https://a/b"));
        for wrong in ["", "a b", "a\"b", "a\\b", "ä", "a\n"] {
            assert!(!is_scope(wrong), "{wrong}");
        }
    }
}
