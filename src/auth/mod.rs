//! Who asks, and what they may do.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![deny(clippy::iter_over_hash_type)]

mod algorithm;
mod bearer;
mod challenge;
mod claims;
mod desk;
mod discovery;
mod identity;
mod json_members;
mod jws;
mod key_set;
mod metadata;
mod policy;
mod principal;
mod proxy;
mod public_url;
mod reason;
mod refresh;
mod rules;
mod settings;
mod shown;
mod static_tokens;
mod token_bucket;
mod verified;
mod verifier;

#[doc(hidden)]
pub mod properties;
#[cfg(test)]
mod tests;

pub use self::algorithm::{ALGORITHMS, Algorithm};
pub use self::challenge::Refusal;
pub use self::desk::{Desk, Finding, Question};
pub use self::discovery::{keys_url, metadata_urls};
pub use self::identity::{Identity, Scopes, UnixSeconds, is_scope};
pub use self::key_set::{BadKeySet, KeySet};
pub use self::metadata::ProtectedResource;
pub use self::policy::{
    Action, BadPolicy, Decision, ListKind, Need, Policy, PolicySettings, Preset, ResourceNeeds,
};
pub use self::principal::PrincipalId;
pub use self::proxy::{PROXY_ISSUER, Proxy, ProxySettings};
pub use self::public_url::{NotAPublicUrl, PublicUrl};
pub use self::reason::Reason;
pub use self::refresh::{Refresh, Search, max_age_s};
pub use self::rules::{ResourceSettings, Rules, Who};
pub use self::settings::{IssuerSettings, JwtSettings, KeySource};
pub use self::shown::{Field, Searched, Shown};
pub use self::static_tokens::{BadTokenFile, NewToken, StaticTokens, TOKEN_FILE_ISSUER};
pub use self::token_bucket::{RetryAfter, TokenBucket};
pub use self::verified::{VerifiedBounds, VerifiedTokens};
pub use self::verifier::{Verdict, Verifier};
