//! What those may do who get in: one word, or the table `[policy]` of the configuration file.

use clap::{Args, ValueEnum};

use super::authentication::{AuthMode, AuthenticationOptions};
use super::{ConfigError, Tables};
use crate::auth::{Policy, PolicySettings, Preset};

/// A policy by one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PolicyWord {
    /// Whoever was let in may do everything
    Open,
    /// List, read, subscribe, get prompts; no tools are called, nothing is published and nothing taken away
    ReadOnly,
    /// Nothing, but what the rules of a table [policy] give
    Closed,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What they may do")]
pub struct PolicyOptions {
    /// What those may do who get in, by one word; rules are in a table [policy] of the configuration file, which this one
    /// overrides [default: open]
    #[arg(long, env = "PINFOLD_POLICY", value_name = "PRESET")]
    pub policy: Option<PolicyWord>,
}

impl PolicyWord {
    fn preset(self) -> Preset {
        match self {
            PolicyWord::Open => Preset::Open,
            PolicyWord::ReadOnly => Preset::ReadOnly,
            PolicyWord::Closed => Preset::Closed,
        }
    }
}

/// The policy that was said, with rules that make sense for those who get in.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(
    options: &PolicyOptions,
    tables: &Tables,
    who: &AuthenticationOptions,
) -> Result<PolicySettings, ConfigError> {
    let settings = match options.policy {
        Some(word) => PolicySettings::of(word.preset()),
        None => tables.policy.clone(),
    };
    let refuse = |what: String| Err(ConfigError::missing("--policy", what));
    let policy = match Policy::new(&settings) {
        Ok(policy) => policy,
        Err(wrong) => return refuse(wrong.to_string()),
    };
    let mode = who.auth.unwrap_or(AuthMode::None);
    if mode == AuthMode::None && policy.asks_who() {
        return refuse(
            "has rules for scopes or for somebody's own, and nobody is asked who they are: give --auth token, jwt or proxy, or use \
             no words but \"anyone\" and \"nobody\""
                .to_owned(),
        );
    }
    if policy.names_tenants() && who.auth_tenant_claim.is_none() {
        return refuse(
            "has rules for {tenant}, and nobody has one: --auth-tenant-claim says which claim of a token (--auth jwt) names it"
                .to_owned(),
        );
    }
    Ok(settings)
}
