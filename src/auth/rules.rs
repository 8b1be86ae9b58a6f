//! All that decides who is let in and what they may do, as one value: cores share it, and get another one when it
//! changes.

use std::net::IpAddr;
use std::sync::Arc;

use super::challenge::Challenges;
use super::revoked::Revoked;
use super::taken_away::{TakenAway, Withdrawn};
use super::{
    Identity, KeySet, Policy, PrincipalId, ProtectedResource, Proxy, PublicUrl, Reason, Refusal,
    ShownField, StaticTokens, UnixSeconds, Verifier,
};

/// How it is found out who asks.
#[derive(Clone, Debug)]
pub enum Who {
    /// Nobody is asked: all are one principal.
    Anybody,
    /// By a token that the operator gave out.
    Tokens(StaticTokens),
    /// By a token that an issuer signed.
    Jwt(Verifier),
    /// By what a proxy says.
    Proxy(Proxy),
    /// By what the program says that this library is in.
    Hook,
}

/// Who is let in, what they may do, and what the others are told. Never changed: the next one has a number of its own.
#[derive(Clone, Debug)]
pub struct Rules {
    who: Who,
    policy: Arc<Policy>,
    challenges: Challenges,
    resource: Option<Arc<ResourceDocument>>,
    revoked: Arc<Revoked>,
    /// Counts what was taken away: identities of an earlier epoch are looked at anew.
    epoch: u64,
}

/// What is served at the paths of RFC 9728.
#[derive(Debug)]
struct ResourceDocument {
    paths: Vec<String>,
    resource: ProtectedResource,
    json: String,
}

impl ResourceDocument {
    fn new(paths: Vec<String>, mut resource: ProtectedResource, scopes: &str) -> ResourceDocument {
        resource.scopes_supported = scopes.split(' ').map(str::to_owned).collect();
        resource.scopes_supported.retain(|scope| !scope.is_empty());
        ResourceDocument {
            paths,
            json: resource.to_json(),
            resource,
        }
    }
}

impl Rules {
    /// Everybody may do everything.
    #[must_use]
    pub fn open() -> Rules {
        Rules::new(Who::Anybody, Policy::default(), None)
    }

    /// With a public URL, clients are told where they get a token if some issuer is one that they can ask.
    #[must_use]
    pub fn new(who: Who, policy: Policy, public: Option<&PublicUrl>) -> Rules {
        let issuers: Vec<String> = match &who {
            Who::Jwt(verifier) => verifier.issuers().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let askable = issuers
            .into_iter()
            .filter(|it| crate::wire::public_url::is_safe_url(it));
        let described = ResourceSettings {
            authorization_servers: askable.collect(),
            ..ResourceSettings::default()
        };
        Rules::with_resource(who, policy, public, described)
    }

    /// The same, with what is told about this server besides. Without authorization servers nothing is told at all.
    #[must_use]
    pub fn with_resource(
        who: Who,
        policy: Policy,
        public: Option<&PublicUrl>,
        described: ResourceSettings,
    ) -> Rules {
        let scopes = first_scopes(&who, &policy);
        let is_told = !described.authorization_servers.is_empty();
        let public = public.filter(|_| is_told);
        let resource = public.map(|public| {
            let mut resource = ProtectedResource::new(public, described.authorization_servers);
            resource.resource_name = described.name;
            resource.resource_documentation = described.documentation;
            let paths = public.metadata_paths();
            Arc::new(ResourceDocument::new(paths, resource, &scopes))
        });
        let challenges = Challenges {
            metadata_url: public.map(|public| public.metadata_url().into()),
            scopes: scopes.into(),
        };
        Rules {
            who,
            policy: Arc::new(policy),
            challenges,
            resource,
            revoked: Arc::default(),
            epoch: 0,
        }
    }

    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Whether whoever is at this address may say who asks.
    #[must_use]
    pub fn is_proxy(&self, peer: IpAddr) -> bool {
        matches!(&self.who, Who::Proxy(proxy) if proxy.is_at(peer))
    }

    /// What a proxy says of who asks, as one text. None: nobody is asked, or it is said twice.
    pub fn proxy_words<'a>(&self, field: impl Fn(&str) -> ShownField<'a>) -> Option<String> {
        match &self.who {
            Who::Proxy(proxy) => proxy.words(field),
            _ => None,
        }
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The document at this path, if it is one of RFC 9728's: JSON, for anybody, from any page.
    #[must_use]
    pub fn metadata_at(&self, path: &str) -> Option<&str> {
        let resource = self.resource.as_ref()?;
        resource
            .paths
            .iter()
            .any(|own| own == path)
            .then_some(&*resource.json)
    }

    /// What somebody is told whose credentials are worth nothing.
    #[must_use]
    pub fn refusal(&self, reason: Reason) -> Refusal {
        self.challenges.refusal(reason)
    }

    /// What somebody is told who lacks these scopes, of [`Decision::MissingScope`](super::Decision::MissingScope).
    #[must_use]
    pub fn missing_scopes(&self, scopes: &str) -> Refusal {
        self.challenges.missing_scopes(scopes)
    }

    /// The same, of somebody with a token for other things. The challenge names also what they have of what matters here: older
    /// clients ask for what it names and no more, and would lose that (2025-11-25 authorization, "Scope Challenge Handling").
    #[must_use]
    pub fn missing_scopes_of(&self, identity: &Identity, scopes: &str) -> Refusal {
        let needed = || scopes.split(' ');
        let own = self.policy.scopes().filter(|it| identity.scopes().has(it));
        let more = own.filter(|it| needed().all(|needed| needed != *it));
        let all: Vec<&str> = needed().chain(more).collect();
        Refusal {
            scopes: Some(scopes.into()),
            ..self.missing_scopes(&all.join(" "))
        }
    }

    /// An issuer has other keys now. If one of those before is gone, what it signed counts no more.
    #[must_use]
    pub fn with_keys(&self, issuer: usize, before: &KeySet, keys: Arc<KeySet>) -> Rules {
        let was_taken_away = !keys.has_all_of(before);
        let who = match &self.who {
            Who::Jwt(verifier) => Who::Jwt(verifier.with_keys(issuer, keys)),
            Who::Proxy(proxy) => match proxy.verifier() {
                Some(verifier) => Who::Proxy(proxy.with_verifier(verifier.with_keys(issuer, keys))),
                None => Who::Proxy(proxy.clone()),
            },
            other => other.clone(),
        };
        self.next(who, was_taken_away)
    }

    /// The token file was read again.
    #[must_use]
    pub fn with_tokens(&self, tokens: StaticTokens) -> Rules {
        let was_taken_away = match &self.who {
            Who::Tokens(before) => !tokens.has_all_of(before),
            _ => return self.clone(),
        };
        self.next(Who::Tokens(tokens), was_taken_away)
    }

    /// Another policy; whoever was let in stays so.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Rules {
        let mut next = self.clone();
        let scopes = first_scopes(&next.who, &policy);
        next.resource = next.resource.map(|before| {
            let (paths, resource) = (before.paths.clone(), before.resource.clone());
            Arc::new(ResourceDocument::new(paths, resource, &scopes))
        });
        next.challenges.scopes = scopes.into();
        next.policy = Arc::new(policy);
        next
    }

    /// What this principal was given up to this second is worth nothing any more.
    #[must_use]
    pub fn with_revoked(&self, principal: PrincipalId, until: UnixSeconds) -> Rules {
        Rules {
            revoked: Arc::new(self.revoked.with(principal, until)),
            ..self.clone()
        }
    }

    /// The same of many.
    #[must_use]
    pub fn with_all_revoked(&self, all: &[(PrincipalId, UnixSeconds)]) -> Rules {
        let mut revoked = (*self.revoked).clone();
        for &(principal, until) in all {
            revoked.insert(principal, until);
        }
        Rules {
            revoked: Arc::new(revoked),
            ..self.clone()
        }
    }

    /// Whether somebody was let in by what was taken back since.
    #[must_use]
    pub fn is_revoked(&self, identity: &Identity) -> bool {
        self.revoked.has(identity.id(), identity.issued_at())
    }

    /// The same of what this principal was given at this second.
    #[must_use]
    pub fn is_taken_back(&self, principal: PrincipalId, issued_at: Option<UnixSeconds>) -> bool {
        self.revoked.has(principal, issued_at)
    }

    /// What was taken back: whose, and what they were given up to which second.
    pub fn revocations(&self) -> impl Iterator<Item = (PrincipalId, UnixSeconds)> + '_ {
        self.revoked.all()
    }

    /// Of a node that another process had, by rules up to this epoch: whoever they let in is looked at anew by these.
    #[must_use]
    pub(crate) fn after_epoch(&self, epoch: u64) -> Rules {
        Rules {
            epoch: self.epoch.max(epoch) + 1,
            ..self.clone()
        }
    }

    /// What those lose who were let in by the rules before.
    pub(crate) fn taken_away_since(&self, before: &Rules) -> TakenAway {
        TakenAway {
            is_other_policy: !Arc::ptr_eq(&self.policy, &before.policy),
            withdrawn: match (&before.who, &self.who) {
                _ if self.epoch == before.epoch => Withdrawn::None,
                (Who::Tokens(before), Who::Tokens(now)) if !now.has_all_of(before) => {
                    Withdrawn::Of(before.owners_beside(now).collect())
                }
                _ => Withdrawn::Unknown,
            },
            revoked: match Arc::ptr_eq(&self.revoked, &before.revoked) {
                true => Vec::new(),
                false => self.revoked.beside(&before.revoked).collect(),
            },
        }
    }

    /// Every identity is looked at anew.
    #[must_use]
    pub fn with_next_epoch(&self) -> Rules {
        self.next(self.who.clone(), true)
    }

    fn next(&self, who: Who, was_taken_away: bool) -> Rules {
        Rules {
            who,
            epoch: self.epoch + u64::from(was_taken_away),
            ..self.clone()
        }
    }
}

/// What is told about a server beside what it can tell by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSettings {
    pub authorization_servers: Vec<String>,
    pub name: Option<String>,
    pub documentation: Option<String>,
}

fn first_scopes(who: &Who, policy: &Policy) -> String {
    let mut scopes: Vec<String> = match who {
        Who::Jwt(verifier) => verifier.scopes().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    scopes.extend(policy.first_scopes().split(' ').map(str::to_owned));
    scopes.retain(|scope| !scope.is_empty());
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}
