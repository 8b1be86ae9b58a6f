//! Whether an access token is worth something here: RFC 9068, 4 and RFC 8725.
//!
//! What costs nothing is looked at first: length, form, algorithm, claims. Only a token of which all of that is right
//! is worth the 50 to 200 µs that a signature takes, or a question to its issuer for a key.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::claims::{self, Claims};
use super::jws::Jws;
use super::{Identity, JwtSettings, KeySet, Reason, UnixSeconds};
use crate::limits::TOKEN_BYTES_MAX;
use crate::wire::public_url::PublicUrl;

/// Verifies tokens of all issuers that are trusted, by the keys that are known of them. A plain value: who learns of new
/// keys makes another one ([`with_keys`](Verifier::with_keys)).
#[derive(Clone, Debug)]
pub struct Verifier {
    terms: Arc<Terms>,
    issuers: Vec<TrustedIssuer>,
}

/// What does not change with the keys.
#[derive(Debug)]
struct Terms {
    audiences: Vec<Audience>,
    scopes: Vec<Box<str>>,
    leeway_s: u64,
    tenant_claim: Option<String>,
}

#[derive(Debug)]
enum Audience {
    Text(String),
    Url(PublicUrl),
}

#[derive(Clone, Debug)]
struct TrustedIssuer {
    name: Box<str>,
    algorithms: Arc<[Algorithm]>,
    keys: Arc<KeySet>,
}

/// A token of which everything is right that its text says. Who signed it nobody has looked at yet.
pub struct UnverifiedToken<'a> {
    terms: &'a Terms,
    keys: &'a KeySet,
    /// By its place in the settings.
    issuer: usize,
    jws: Jws<'a>,
    claims: Claims,
}

/// What a token is worth.
#[derive(Debug)]
pub enum Verdict {
    Valid(Box<Identity>),
    Invalid(Reason),
    /// It says what it should, and no known key of this issuer (by its place in the settings) is the one that it names.
    /// Its issuer may have a new one.
    UnknownKey {
        issuer: usize,
        /// When it was signed at the latest, as far as clocks differ; 0 if it does not say.
        signed: UnixSeconds,
    },
}

impl Verifier {
    /// No key is known yet: every token that could be right is one of an unknown key.
    ///
    /// # Errors
    /// A sentence on what cannot be in the settings, or that nobody says whom tokens have to be for.
    pub fn new(settings: &JwtSettings, public: Option<&PublicUrl>) -> Result<Verifier, String> {
        settings.check()?;
        let named = settings.audiences.iter().map(|text| match text.parse() {
            Ok(url) => Audience::Url(url),
            Err(_) => Audience::Text(text.clone()),
        });
        let mut audiences: Vec<Audience> = named.collect();
        if let (true, Some(public)) = (audiences.is_empty(), public) {
            audiences.push(Audience::Url(public.clone()));
        }
        if audiences.is_empty() {
            return Err(
                "nobody says whom tokens have to be for: give the public URL, or audiences"
                    .to_owned(),
            );
        }
        let issuers = settings.issuers.iter().map(|issuer| TrustedIssuer {
            name: issuer.issuer.as_str().into(),
            algorithms: settings.algorithms_of(issuer).into(),
            keys: Arc::default(),
        });
        Ok(Verifier {
            terms: Arc::new(Terms {
                audiences,
                scopes: settings
                    .scopes
                    .iter()
                    .map(|scope| scope.as_str().into())
                    .collect(),
                leeway_s: settings.leeway_s,
                tenant_claim: settings.tenant_claim.clone(),
            }),
            issuers: issuers.collect(),
        })
    }

    /// The same, with these keys of an issuer.
    #[must_use]
    pub fn with_keys(&self, issuer: usize, keys: Arc<KeySet>) -> Verifier {
        let mut next = self.clone();
        if let Some(issuer) = next.issuers.get_mut(issuer) {
            issuer.keys = keys;
        }
        next
    }

    /// Scopes without which nothing is to be had.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.terms.scopes.iter().map(|scope| &**scope)
    }

    /// The names of the issuers, in the order of the settings.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|issuer| &*issuer.name)
    }

    /// What a token is worth.
    #[must_use]
    pub fn verify(&self, token: &str, now: UnixSeconds) -> Verdict {
        match self.read(token, now) {
            Ok(unverified) => unverified.verify(),
            Err(reason) => Verdict::Invalid(reason),
        }
    }

    /// All that can be said of a token without its signature.
    ///
    /// # Errors
    /// It is worth nothing, whoever signed it.
    pub fn read<'a>(
        &'a self,
        token: &'a str,
        now: UnixSeconds,
    ) -> Result<UnverifiedToken<'a>, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TooLong);
        }
        let jws = Jws::parse(token)?;
        let claims = Claims::parse(&jws.payload, self.terms.tenant_claim.as_deref())?;
        let is_its = |issuer: &&TrustedIssuer| *issuer.name == *claims.issuer;
        let index = self.issuers.iter().position(|issuer| is_its(&issuer));
        let index = index.ok_or(Reason::Issuer)?;
        let issuer = self.issuers.get(index).ok_or(Reason::Issuer)?;
        if !issuer.algorithms.contains(&jws.algorithm) {
            return Err(Reason::Algorithm);
        }
        self.terms.hold_for(&claims, now)?;
        Ok(UnverifiedToken {
            terms: &self.terms,
            keys: &issuer.keys,
            issuer: index,
            jws,
            claims,
        })
    }
}

impl UnverifiedToken<'_> {
    /// Costs what a signature does, if its key is known.
    #[must_use]
    pub fn verify(self) -> Verdict {
        let UnverifiedToken {
            terms,
            keys,
            issuer,
            jws,
            claims,
        } = self;
        let mut keys = keys.select(jws.key_id.as_deref(), jws.algorithm).peekable();
        if keys.peek().is_none() {
            let at_the_latest = |at: UnixSeconds| at.saturating_add(terms.leeway_s);
            return Verdict::UnknownKey {
                issuer,
                signed: claims.issued_at.map_or(0, at_the_latest),
            };
        }
        if !keys.any(|key| key.verifies(jws.algorithm, jws.signed, &jws.signature)) {
            return Verdict::Invalid(Reason::Signature);
        }
        let identity = terms.identity(claims, jws.payload);
        match terms
            .scopes
            .iter()
            .all(|scope| identity.scopes().has(scope))
        {
            true => Verdict::Valid(Box::new(identity)),
            false => Verdict::Invalid(Reason::Scope),
        }
    }
}

impl Terms {
    fn hold_for(&self, claims: &Claims, now: UnixSeconds) -> Result<(), Reason> {
        if claims.is_bound {
            return Err(Reason::Bound);
        }
        if !claims
            .audiences
            .iter()
            .any(|audience| self.are_meant_by(audience))
        {
            return Err(Reason::Audience);
        }
        if now >= claims.expires.saturating_add(self.leeway_s) {
            return Err(Reason::Expired);
        }
        let begins = claims.not_before.unwrap_or(0);
        match now.saturating_add(self.leeway_s) < begins {
            true => Err(Reason::NotYet),
            false => Ok(()),
        }
    }

    fn are_meant_by(&self, audience: &str) -> bool {
        self.audiences.iter().any(|own| match own {
            Audience::Text(text) => text == audience,
            Audience::Url(url) => url.is_meant_by(audience),
        })
    }

    fn identity(&self, claims: Claims, payload: String) -> Identity {
        let until = claims.expires.saturating_add(self.leeway_s);
        let mut identity = Identity::new(&claims.issuer, &claims.subject)
            .with_scope_set(claims.scopes)
            .with_valid_until(until);
        if let Some(name) = claims.name {
            identity = identity.with_name(&name);
        }
        if let Some(tenant) = claims.tenant {
            identity = identity.with_tenant(&tenant);
        }
        if let Some(at) = claims.issued_at {
            identity = identity.with_issued_at(at);
        }
        match claims::raw(payload) {
            Some(claims) => identity.with_claims(claims),
            None => identity,
        }
    }
}
