//! Where a core finds out who asks: its share of the rules, and what it has found out before.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::proxy::Said;
use super::shown::{Field, Searched, Shown};
use super::{
    Identity, PrincipalId, Proxy, Reason, Refusal, Rules, UnixSeconds, Verdict, VerifiedBounds,
    VerifiedTokens, Verifier, Who,
};

/// One core's. Plain state: what comes goes in by `handle_*`, and [`identify`](Desk::identify) never waits.
pub struct Desk {
    rules: Arc<Rules>,
    verified: VerifiedTokens,
    anonymous: Rc<Identity>,
}

/// Whether a request is served, and as whose.
#[derive(Debug)]
pub enum Finding {
    Known(Rc<Identity>),
    Refused(Refusal),
    /// Somebody has to be asked first; the request waits, and is identified anew with what came of it.
    Ask(Question),
}

/// What a core cannot find out alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether this issuer has a key that is not known yet. Its answer comes behind the rules that have it.
    Key { issuer: usize },
    /// Who it is, by the program that this library is in ([`Desk::handle_answer`]).
    Hook,
}

impl Desk {
    /// The key is random and known to nobody else, another one for each core.
    #[must_use]
    pub fn new(rules: Arc<Rules>, key: [u8; 16], bounds: VerifiedBounds) -> Desk {
        Desk {
            rules,
            verified: VerifiedTokens::new(key, bounds),
            anonymous: Rc::new(Identity::anonymous()),
        }
    }

    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Other rules hold from now on.
    pub fn handle_rules(&mut self, rules: Arc<Rules>) {
        if rules.epoch() != self.rules.epoch() {
            self.verified.clear();
        }
        self.rules = rules;
    }

    /// A principal's credentials were taken back: those that are still good are verified anew.
    pub fn handle_revoked(&mut self, principal: PrincipalId) {
        self.verified.forget(principal);
    }

    /// Who asks. Costs a look at what was verified before, or the verification of a signature.
    pub fn identify<'a, F: Fn(&str) -> Field<'a>>(
        &mut self,
        shown: &Shown<'a, F>,
        now: UnixSeconds,
    ) -> Finding {
        let rules = self.rules.clone();
        let found = match rules.who() {
            Who::Anybody => return Finding::Known(self.anonymous.clone()),
            Who::Tokens(tokens) => self.by_token(shown, now, |token| {
                tokens
                    .find(token)
                    .map(Box::new)
                    .map_or(Verdict::Invalid(Reason::UnknownToken), Verdict::Valid)
            }),
            Who::Jwt(verifier) => self.by_token(shown, now, |token| verifier.verify(token, now)),
            Who::Proxy(proxy) => self.by_proxy(proxy, shown, now),
            Who::Hook => self.by_hook(shown, now),
        };
        found.unwrap_or_else(|reason| Finding::Refused(rules.refusal(reason)))
    }

    /// What the program says of somebody: [`Question::Hook`]. If they showed a bearer token, and the answer says until when
    /// it holds, it is remembered.
    pub fn handle_answer<F>(
        &mut self,
        shown: &Shown<'_, F>,
        answer: Result<Identity, Reason>,
        now: UnixSeconds,
    ) -> Finding {
        let identity = match answer {
            Ok(identity) if identity.is_valid(now) => Rc::new(identity),
            Ok(_) => return Finding::Refused(self.rules.refusal(Reason::Expired)),
            Err(reason) => return Finding::Refused(self.rules.refusal(reason)),
        };
        if let (Ok(token), Some(_)) = (shown.token(), identity.valid_until()) {
            self.verified
                .remember(token.as_bytes(), identity.clone(), now);
        }
        Finding::Known(identity)
    }

    /// What is remembered, for reports.
    #[must_use]
    pub fn verified(&self) -> &VerifiedTokens {
        &self.verified
    }

    fn by_token<F>(
        &mut self,
        shown: &Shown<'_, F>,
        now: UnixSeconds,
        verify: impl FnOnce(&str) -> Verdict,
    ) -> Result<Finding, Reason> {
        let token = shown.token()?;
        self.remembered_or(token, shown.searched, now, verify)
    }

    fn by_hook<F>(&mut self, shown: &Shown<'_, F>, now: UnixSeconds) -> Result<Finding, Reason> {
        let known = match shown.token() {
            Ok(token) => self.verified.find(token.as_bytes(), now),
            Err(Reason::Missing) => None,
            Err(reason) => return Err(reason),
        };
        match (known, shown.searched) {
            (Some(identity), _) => Ok(Finding::Known(identity)),
            (None, None) => Ok(Finding::Ask(Question::Hook)),
            // It was asked, and did not say.
            (None, Some(_)) => Err(Reason::Unavailable),
        }
    }

    fn by_proxy<'a, F: Fn(&str) -> Field<'a>>(
        &mut self,
        proxy: &Proxy,
        shown: &Shown<'a, F>,
        now: UnixSeconds,
    ) -> Result<Finding, Reason> {
        match proxy.said(shown.peer, &shown.field)? {
            Said::Token(token) => {
                let verify = |token: &str| {
                    let verify = |verifier: &Verifier| verifier.verify(token, now);
                    proxy
                        .verifier()
                        .map_or(Verdict::Invalid(Reason::Missing), verify)
                };
                self.remembered_or(token, shown.searched, now, verify)
            }
            Said::Plain {
                subject,
                name,
                scopes,
            } => {
                // No field has a line end in it.
                let all = [subject, name, scopes].join("\n");
                let known = self.verified.find(all.as_bytes(), now);
                let identity = known.unwrap_or_else(|| {
                    let identity = Rc::new(proxy.identity(subject, name, scopes));
                    self.verified
                        .remember(all.as_bytes(), identity.clone(), now);
                    identity
                });
                Ok(Finding::Known(identity))
            }
        }
    }

    fn remembered_or(
        &mut self,
        token: &str,
        searched: Option<Searched>,
        now: UnixSeconds,
        verify: impl FnOnce(&str) -> Verdict,
    ) -> Result<Finding, Reason> {
        if let Some(identity) = self.verified.find(token.as_bytes(), now) {
            return Ok(Finding::Known(identity));
        }
        match (verify(token), searched) {
            (Verdict::Valid(identity), _) if identity.is_valid(now) => {
                let identity = Rc::from(identity);
                self.verified
                    .remember(token.as_bytes(), Rc::clone(&identity), now);
                Ok(Finding::Known(identity))
            }
            (Verdict::Valid(_), _) => Err(Reason::Expired),
            (Verdict::Invalid(reason), _) => Err(reason),
            (Verdict::UnknownKey { issuer }, None) => Ok(Finding::Ask(Question::Key { issuer })),
            (Verdict::UnknownKey { .. }, Some(Searched::Done)) => Err(Reason::UnknownKey),
            (Verdict::UnknownKey { .. }, Some(Searched::CannotTell)) => Err(Reason::Unavailable),
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}
