//! Where a core finds out who asks: its share of the rules, and what it has found out before.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::bad_tokens::{BadTokens, NotNow};
use super::bearer::is_b64token;
use super::proxy::ProxyStatement;
use super::shown::{Searched, Shown, ShownField};
use super::{
    Identity, Proxy, Reason, Refusal, Rules, StaticTokens, UnixSeconds, Verdict, VerifiedBounds,
    VerifiedTokens, Verifier, Who,
};
use crate::clients::{Client, Millis};
use crate::limits::Limits;

/// One core's. Plain state: what comes goes in by `handle_*`, and [`identify`](Identifier::identify) never waits.
pub struct Identifier {
    rules: Arc<Rules>,
    verified: VerifiedTokens,
    bad: BadTokens,
    looked_at: u64,
    anonymous: Rc<Identity>,
}

/// Whether a request is served, and as whose.
#[derive(Debug)]
pub enum Finding {
    Known(Rc<Identity>),
    Refused(Refusal),
    /// Somebody has to be asked first; the request waits, and is identified anew with what came of it.
    Ask(AuthQuestion),
}

/// What a core cannot find out alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthQuestion {
    /// Whether this issuer has a key that is not known yet. Its answer comes behind the rules that have it.
    Key { issuer: usize },
    /// Who it is, by the program that this library is in ([`Identifier::handle_answer`]).
    Hook,
}

impl Identifier {
    /// Key and seed are random and known to nobody else, another one for each core.
    #[must_use]
    pub fn new(rules: Arc<Rules>, key: ([u8; 16], u64), bounds: VerifiedBounds) -> Identifier {
        Identifier {
            rules,
            verified: VerifiedTokens::new(key, bounds),
            bad: BadTokens::new(Limits::default().bad_tokens_per_second_per_client_max),
            looked_at: 0,
            anonymous: Rc::new(Identity::anonymous()),
        }
    }

    /// So many bad tokens a second are looked at of one client; 0: as many as come.
    pub fn limit_bad_tokens(&mut self, per_second_of_client: u32) {
        self.bad = BadTokens::new(per_second_of_client);
    }

    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The same, to be kept by somebody else as well.
    #[must_use]
    pub fn shared_rules(&self) -> Arc<Rules> {
        self.rules.clone()
    }

    /// Other rules hold from now on.
    pub fn handle_rules(&mut self, rules: Arc<Rules>) {
        match rules.epoch() == self.rules.epoch() {
            true => self.verified.retain(|identity| !rules.is_revoked(identity)),
            false => self.verified.clear(),
        }
        self.rules = rules;
    }

    /// Lets go of what nobody has asked for lately: called now and then, at best at each look at the timers.
    pub fn handle_timeout(&mut self, now: UnixSeconds) {
        self.verified.forget_unused(now);
    }

    /// Who asks. Costs a look at what was verified before, or the verification of a signature.
    pub fn identify<'a, F: Fn(&str) -> ShownField<'a>>(
        &mut self,
        shown: &Shown<'a, F>,
        now: UnixSeconds,
    ) -> Finding {
        let rules = &*self.rules;
        let mut look = Identification {
            verified: &mut self.verified,
            bad: &mut self.bad,
            looked_at: &mut self.looked_at,
            rules,
            searched: shown.searched,
            client: shown.client,
            at_ms: shown.at_ms,
            now,
        };
        let found = match rules.who() {
            Who::Anybody => return Finding::Known(self.anonymous.clone()),
            Who::Tokens(tokens) => shown.token().and_then(|token| look.by_file(token, tokens)),
            Who::Jwt(verifier) => shown
                .token()
                .and_then(|token| look.by_issuer(token, verifier)),
            Who::Proxy(proxy) => {
                let said = proxy.said(shown.is_from_proxy, &shown.field);
                said.and_then(|said| look.by_proxy(proxy, &said))
            }
            Who::Hook => look.by_hook(shown.token()),
        };
        found.unwrap_or_else(|reason| Finding::Refused(rules.refusal(reason)))
    }

    /// What the program says of somebody: [`AuthQuestion::Hook`]. If they showed a bearer token, and the answer says until when
    /// it holds, it is remembered.
    pub fn handle_answer<F>(
        &mut self,
        shown: &Shown<'_, F>,
        answer: Result<Identity, Reason>,
        now: UnixSeconds,
    ) -> Finding {
        let identity = match answer {
            Ok(identity) if self.rules.is_revoked(&identity) => {
                return Finding::Refused(self.rules.refusal(Reason::Revoked));
            }
            Ok(identity) if identity.is_valid(now) => Rc::new(identity),
            Ok(_) => return Finding::Refused(self.rules.refusal(Reason::Expired)),
            Err(reason) => {
                // To show nothing is how every client begins.
                if !matches!(reason, Reason::Missing | Reason::Unavailable) {
                    self.bad.count(shown.client, shown.at_ms);
                }
                return Finding::Refused(self.rules.refusal(reason));
            }
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

    /// How often it cost something to find out who asks: signatures, and looks into the file of tokens. For reports.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }
}

/// What one request is looked at with. Rules are borrowed: counting who has them would be seen by every core.
struct Identification<'d> {
    verified: &'d mut VerifiedTokens,
    bad: &'d mut BadTokens,
    looked_at: &'d mut u64,
    rules: &'d Rules,
    searched: Option<Searched>,
    client: Option<Client>,
    at_ms: Millis,
    now: UnixSeconds,
}

impl Identification<'_> {
    fn by_file(&mut self, token: &str, tokens: &StaticTokens) -> Result<Finding, Reason> {
        if let Some(known) = self.verified_before(token)? {
            return Ok(known);
        }
        self.may_look()?;
        let found = tokens.find(token).ok_or(Reason::UnknownToken);
        let found = found.and_then(|it| self.let_in(token.as_bytes(), Rc::new(it)));
        self.looked(found)
    }

    fn by_issuer(&mut self, token: &str, verifier: &Verifier) -> Result<Finding, Reason> {
        if let Some(known) = self.verified_before(token)? {
            return Ok(known);
        }
        let unverified = verifier.read(token, self.now)?;
        self.may_look()?;
        let found = match (unverified.verify(), self.searched) {
            (Verdict::Valid(identity), _) => self.let_in(token.as_bytes(), Rc::from(identity)),
            (Verdict::Invalid(reason), _) => Err(reason),
            (Verdict::UnknownKey { issuer, .. }, None) => {
                return Ok(Finding::Ask(AuthQuestion::Key { issuer }));
            }
            (Verdict::UnknownKey { signed, .. }, Some(searched)) => match searched {
                Searched::Done => Err(Reason::UnknownKey),
                // Its key would have been there.
                Searched::Before(asked) if signed < asked => Err(Reason::UnknownKey),
                Searched::Before(_) | Searched::CannotTell => Err(Reason::Unavailable),
            },
        };
        self.looked(found)
    }

    fn verified_before(&mut self, token: &str) -> Result<Option<Finding>, Reason> {
        match self.verified.find(token.as_bytes(), self.now) {
            Some(identity) => Ok(Some(Finding::Known(identity))),
            None if is_b64token(token) => Ok(None),
            None => Err(Reason::Malformed),
        }
    }

    /// Whether a token is looked at that may be a bad one: that costs something.
    fn may_look(&self) -> Result<(), Reason> {
        let checked = self.bad.check(self.client, self.at_ms);
        checked.map_err(|not_now| match not_now {
            NotNow::OfClient => Reason::TooManyBad,
            NotNow::OfAll => Reason::Unavailable,
        })
    }

    /// A token was looked at, with this result.
    fn looked(&mut self, found: Result<Finding, Reason>) -> Result<Finding, Reason> {
        *self.looked_at += 1;
        if matches!(found, Err(reason) if reason != Reason::Unavailable) {
            self.bad.count(self.client, self.at_ms);
        }
        found
    }

    fn by_hook(&mut self, token: Result<&str, Reason>) -> Result<Finding, Reason> {
        let known = match token {
            Ok(token) => self.verified.find(token.as_bytes(), self.now),
            Err(Reason::Missing) => None,
            Err(reason) => return Err(reason),
        };
        match (known, self.searched) {
            (Some(identity), _) => Ok(Finding::Known(identity)),
            (None, None) if token.is_ok_and(|token| !is_b64token(token)) => Err(Reason::Malformed),
            (None, None) => {
                self.may_look()?;
                Ok(Finding::Ask(AuthQuestion::Hook))
            }
            // It was asked, and did not say.
            (None, Some(_)) => Err(Reason::Unavailable),
        }
    }

    fn by_proxy(&mut self, proxy: &Proxy, said: &ProxyStatement<'_>) -> Result<Finding, Reason> {
        let now = self.now;
        match *said {
            ProxyStatement::Token(token) => {
                let verifier = proxy.verifier().ok_or(Reason::Missing)?;
                self.by_issuer(token, verifier)
            }
            ProxyStatement::Plain {
                subject,
                name,
                scopes,
            } => {
                // No field has a line end in it.
                let all = [subject, name, scopes, ""].join("\n");
                match self.verified.find(all.as_bytes(), now) {
                    Some(identity) => Ok(Finding::Known(identity)),
                    None => {
                        let identity = proxy.identity(subject, name, scopes);
                        self.let_in(all.as_bytes(), Rc::new(identity))
                    }
                }
            }
        }
    }

    fn let_in(&mut self, shown: &[u8], identity: Rc<Identity>) -> Result<Finding, Reason> {
        if !identity.is_valid(self.now) {
            return Err(Reason::Expired);
        }
        if self.rules.is_revoked(&identity) {
            return Err(Reason::Revoked);
        }
        self.verified.remember(shown, identity.clone(), self.now);
        Ok(Finding::Known(identity))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifier")
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}
