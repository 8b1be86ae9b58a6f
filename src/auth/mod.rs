//! Who asks, and what they may do: access tokens, keys of issuers, what a proxy says, policy, and what the others are told.
//!
//! Plain values, as in `shard`: the time is an argument, nothing waits, nothing is fetched. What waits is
//! [`credentials`](crate::credentials). An OAuth 2.1 resource server by the authorization chapters of MCP 2025-06-18,
//! 2025-11-25 and 2026-07-28, by RFC 6750, 7515 to 7519, 8707, 8725, 9068 and 9728.
//!
//! | | |
//! |---|---|
//! | [`Rules`] | who is let in and what they may do: one value for a node, never changed, replaced by the next one |
//! | [`Identifier`] | a core's: finds out who asks ([`Identifier::identify`]), remembers whom it has verified |
//! | [`Identity`], [`PrincipalId`] | who it is; the sixteen bytes that sessions, streams and calls are bound to |
//! | [`Verifier`], [`KeySet`] | whether a token is worth something, by which keys |
//! | [`StaticTokens`], [`Proxy`] | the other ways to be known |
//! | [`Policy`], [`Action`], [`Decision`] | what somebody may do |
//! | [`Refusal`], [`Reason`] | status, challenge and sentence for somebody who is not let in |
//! | [`Refresh`], [`keys_url`], [`max_age_s`] | when an issuer is asked for its keys, and where |
//!
//! # Where it goes
//! ```text
//!               CredentialStore (credentials): rules ── message to every core ──▶ Identifier::handle_rules
//!                  ▲                                                       │
//! bytes ─▶ head ─▶ admission: Identifier::identify(Shown, now) ─▶ Known(identity) ─▶ Request { identity, … } ─▶ engine
//!                  │    ▲                                ─▶ Refused(refusal) ─▶ status, WWW-Authenticate, sentence
//!                  │    └── word: Searched ◀── message ── CredentialStore::search
//!                  └──────────────────────── Ask(question): the request waits, unread beyond its head
//! ```
//!
//! **Node.** [`CredentialStore::start`](crate::credentials::CredentialStore::start) takes the configuration and a closure that posts
//! `Arc<Rules>` as a message to every core; each core begins with a [`identifier`](crate::credentials::identifier) on
//! [`CredentialStore::rules`](crate::credentials::CredentialStore::rules). SIGHUP is [`CredentialStore::reload`](crate::credentials::CredentialStore::reload). No request
//! touches what cores share.
//!
//! **Admission** (`shard/http/admit.rs`), where a request is `Admitted` today, after path, `Host` and `Origin`, and before it is
//! asked whose session it is: [`Identifier::identify`] gets `Authorization` (a place of its own in `shard/fields.rs`, among those whose
//! doubling is noticed: [`ShownField::Twice`]), the connection's address, and a look at the other fields for [`Proxy`]
//! (`HeadView::single`). `Known` goes into `exchange::Request`; of a connection that goes on with the same token a core may keep the
//! `Rc` and compare. `Refused` is an answer by [`Refusal::status`], [`Refusal::challenge`] (`WWW-Authenticate`),
//! [`Refusal::retry_after_s`] and [`Refusal::sentence`], with [`Reason::code`] as its `data.reason`. `Ask` is `Admission::Wait`: an
//! effect has the runtime call [`CredentialStore::search`](crate::credentials::CredentialStore::search) or
//! [`Authenticate`](crate::credentials::Authenticate), whose answer comes back as the request's word;
//! then it is identified anew with [`Shown::searched`], or by [`Identifier::handle_answer`]. `OPTIONS`, probes, and
//! `GET` at [`Rules::metadata_at`] are served to anybody, the last one with `Access-Control-Allow-Origin: *`.
//!
//! **Time** is Unix seconds; a shard counts milliseconds from its start: it is given once what second that was, and again when the
//! clock of the machine is set.
//!
//! **Engine.** A session, a stream and a call keep their [`PrincipalId`]; whoever names one of another principal gets the
//! answer for one that never was. [`Policy::allows`] is asked at dispatch, where tool and URI are known:
//! [`Decision::MissingScope`] is [`Rules::missing_scopes`] (403), [`Decision::Unknown`] the answer for what is not there; a list
//! leaves out what is not [`Decision::Allow`]. [`Identity::valid_until`] arms the timer that ends a stream. What rules take away
//! from those who were let in by the ones before has every stream looked at again (`shard/engine/life.rs`).
//!
//! **Other nodes.** A request that is passed on takes its `Authorization` along, and is identified there anew. What a proxy says takes a
//! proof along that the node which passes it on has heard it from the proxy (`shard/http/proxied.rs`): the peer there is a node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

mod algorithm;
mod bad_tokens;
mod bearer;
mod challenge;
mod claims;
mod discovery;
mod identifier;
mod json_members;
mod jws;
mod key_set;
mod metadata;
mod policy;
mod proxy;
mod reason;
mod refresh;
mod revoked;
mod rules;
mod settings;
mod shown;
mod static_tokens;
mod taken_away;
mod verified;
mod verifier;

#[doc(hidden)]
pub mod properties;
#[cfg(test)]
pub(crate) mod tests;

pub use self::algorithm::{ALGORITHMS, Algorithm};
pub use self::challenge::Refusal;
pub use self::discovery::{keys_url, metadata_urls};
pub use self::identifier::{AuthQuestion, Finding, Identifier};
pub use self::key_set::{BadKeySet, KeySet};
pub use self::metadata::ProtectedResource;
pub use self::policy::{
    Action, BadPolicy, Decision, Holder, ListKind, Need, Policy, PolicySettings, Preset,
    ResourceNeeds,
};
pub use self::proxy::{PROXY_ISSUER, Proxy, ProxySettings};
pub use self::reason::Reason;
pub use self::refresh::{Refresh, Search, max_age_s};
pub use self::rules::{ResourceSettings, Rules, Who};
pub use self::settings::{IssuerSettings, JwtSettings};
pub(crate) use self::settings::{KeySource, is_url};
pub use self::shown::{Searched, Shown, ShownField};
pub use self::static_tokens::{BadTokenFile, NewToken, StaticTokens, TOKEN_FILE_ISSUER};
pub(crate) use self::taken_away::Withdrawn;
pub use self::verified::{VerifiedBounds, VerifiedTokens};
pub use self::verifier::{UnverifiedToken, Verdict, Verifier};
pub use crate::principal::{Identity, PrincipalId, Scopes, UnixSeconds, is_scope};
pub use crate::wire::public_url::{NotAPublicUrl, PublicUrl};
