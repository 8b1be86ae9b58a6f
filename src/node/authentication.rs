//! How a node finds out who asks: its options, and the store that all cores are told by. The feature `auth`.

use std::sync::Arc;

use super::{Node, NodeBuilder, NodeError, Options};
use crate::app::Topic;
use crate::auth::{Policy, PolicySettings, PrincipalId, UnixSeconds};
use crate::credentials::{Authenticator, CredentialStore};
use crate::runtime::Publisher;

/// Who gets in. By default nobody is asked who they are; see [`Options::anybody`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthOptions {
    /// How it is found out who asks.
    pub authenticator: Authenticator,
    /// What they may do. By default everything.
    pub policy: PolicySettings,
}

/// What a builder can be told of who gets in: the feature `auth`.
impl NodeBuilder {
    /// Asks who sends a request, and answers nobody else: by a file of tokens, by tokens that issuers sign, by a proxy's word, or
    /// by code of your own. [`Authenticator::None`] is the same as [`let_anybody_in`](NodeBuilder::let_anybody_in). Sessions, streams and what clients carry (`requestState`) are bound to the issuer and the
    /// subject that it finds; handlers see them by [`Context::identity`](crate::app::Context::identity).
    ///
    /// ```
    /// use pinfold::app::Toolkit;
    /// use pinfold::{Authenticator, Identity, Node, Presented, Reason};
    ///
    /// async fn look_up(key: &str) -> Option<String> {
    ///     // A database, another service.
    ///     (key == "k-4711").then(|| "alice".to_owned())
    /// }
    ///
    /// let by_key = |presented: Presented| async move {
    ///     let key = presented.field("x-api-key").ok_or(Reason::Missing)?;
    ///     let user = look_up(key).await.ok_or(Reason::UnknownToken)?;
    ///     Ok(Identity::new("my-users", &user).with_scopes("notes:read"))
    /// };
    /// let node = Node::builder(|| Toolkit::new("notes", "1.0.0"))
    ///     .listen("127.0.0.1:0")
    ///     .cores(1)
    ///     .authenticate(Authenticator::hook(by_key))
    ///     .start()?;
    /// node.stop();
    /// node.join_blocking()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    pub fn authenticate(mut self, authenticator: Authenticator) -> Self {
        // Said, and not left out.
        self.options.anybody = matches!(authenticator, Authenticator::None);
        self.options.auth.authenticator = authenticator;
        self
    }

    /// What those may do who get in: scopes that tools, prompts and resources take, before any handler is called. Lists show
    /// what somebody may use, and no more. A word will do ([`Preset`](crate::Preset)); the settings also are what serde reads
    /// of the program's table `[policy]`.
    ///
    /// ```
    /// use pinfold::app::Toolkit;
    /// use pinfold::{Authenticator, Need, Node, PolicySettings, Preset};
    ///
    /// let tokens = std::env::temp_dir().join("pinfold-example-tokens");
    /// std::fs::write(&tokens, "")?;
    /// // Reading is everybody's, one tool takes a scope, and everybody has notes of their own.
    /// let mut policy = PolicySettings::of(Preset::ReadOnly);
    /// policy.tools.insert("archive".into(), Need::scopes("notes:write"));
    /// policy.resources.insert("notes://{subject}/*".into(), Need::Anyone.into());
    /// let node = Node::builder(|| Toolkit::new("notes", "1.0.0"))
    ///     .listen("127.0.0.1:0")
    ///     .cores(1)
    ///     .authenticate(Authenticator::Token(tokens))
    ///     .policy(policy)
    ///     .start()?;
    ///
    /// node.set_policy(Preset::ReadOnly)?; // at any time, for whoever is there already, too
    /// node.stop();
    /// node.join_blocking()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(mut self, policy: impl Into<PolicySettings>) -> Self {
        self.options.auth.policy = policy.into();
        self
    }
}

impl Node {
    /// Reads the file of tokens again, or asks issuers for their keys. Other tokens hold from now on; who has none of them any
    /// more is asked for one with the next request.
    ///
    /// # Errors
    /// A sentence on what is wrong with the file: everything stays as it was.
    pub fn reload_credentials(&self) -> Result<String, String> {
        match &self.shared.credentials {
            Some(store) => store.reload(),
            None => Ok("nobody is asked who they are".to_owned()),
        }
    }

    /// Another policy holds, on each core from its next turn on, also for sessions and streams that are open; it is this node's
    /// alone, other nodes have their own. Clients of this node that listen are notified that the lists may be others.
    ///
    /// # Errors
    /// A sentence on what is wrong with it, and the one before stays; so it does on a node that began without a policy and
    /// asks nobody who they are.
    pub fn set_policy(&self, policy: impl Into<PolicySettings>) -> Result<(), String> {
        let AuthOptions { authenticator, .. } = &self.shared.options.auth;
        let policy = compiled(&policy.into(), authenticator)?;
        let Some(store) = &self.shared.credentials else {
            return Err("this node was started without authentication and without a policy, and asks nobody".to_owned());
        };
        store.set_policy(policy);
        let lists = vec![Topic::Tools, Topic::Prompts, Topic::Resources];
        self.shared.publisher.publish_on_this_node(lists);
        Ok(())
    }
}

impl Node {
    /// Takes back what a principal was given up to this second: tokens that were issued by then are answered 401, streams that
    /// were opened by them end, and calls of this principal are cancelled, on this node and on all that share its Redis. Sessions
    /// stay, for a token that is issued later. Of tokens that do not say when they were issued all are taken back.
    ///
    /// A node that is alone knows it until it ends; several know it for thirty days.
    pub fn revoke(&self, principal: PrincipalId, issued_up_to: UnixSeconds) {
        if let Some(store) = &self.shared.credentials {
            // Nobody waits here until the others can hear of it.
            drop(store.revoke(principal, issued_up_to));
        }
    }
}

fn compiled(settings: &PolicySettings, who: &Authenticator) -> Result<Policy, String> {
    let policy = Policy::new(settings).map_err(|wrong| format!("the policy {wrong}"))?;
    match who {
        Authenticator::None if policy.asks_who() => Err(
            "the policy has rules for scopes or for somebody's own, and nobody is asked who they are: `authenticate` says how"
                .to_owned(),
        ),
        _ => Ok(policy),
    }
}

/// None: nobody is asked, and everybody may do everything.
///
/// # Errors
/// Options that cannot be used, and files that cannot be read.
pub(super) fn start(
    options: &Options,
    publisher: &Publisher,
) -> Result<Option<Arc<CredentialStore>>, NodeError> {
    let AuthOptions {
        authenticator,
        policy,
    } = &options.auth;
    let policy = compiled(policy, authenticator).map_err(NodeError::Option)?;
    if matches!(authenticator, Authenticator::None) && policy.is_open() {
        return Ok(None);
    }
    let publisher = publisher.clone();
    let store = CredentialStore::start(
        authenticator.clone(),
        policy,
        options.public_url.as_ref(),
        move |rules| publisher.tell_rules(rules),
    );
    let store = store.map_err(|why| NodeError::Option(format!("authentication: {why}")))?;
    Ok(Some(Arc::new(store)))
}
