//! How a node finds out who asks: its options, and the store that all cores are told by. The feature `auth`.

use std::sync::Arc;

use super::{Node, NodeBuilder, NodeError, Options};
use crate::auth::{Policy, PrincipalId, UnixSeconds};
use crate::credentials::{Authenticator, CredentialStore};
use crate::runtime::Publisher;

/// Who gets in. By default nobody is asked who they are; see [`Options::anybody`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthOptions {
    /// How it is found out who asks.
    pub authenticator: Authenticator,
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

/// None: nobody is asked.
///
/// # Errors
/// Options that cannot be used, and files that cannot be read.
pub(super) fn start(
    options: &Options,
    publisher: &Publisher,
) -> Result<Option<Arc<CredentialStore>>, NodeError> {
    let AuthOptions { authenticator } = &options.auth;
    if matches!(authenticator, Authenticator::None) {
        return Ok(None);
    }
    let publisher = publisher.clone();
    let store = CredentialStore::start(
        authenticator.clone(),
        Policy::default(),
        options.public_url.as_ref(),
        move |rules| publisher.tell_rules(rules),
    );
    let store = store.map_err(|why| NodeError::Option(format!("authentication: {why}")))?;
    Ok(Some(Arc::new(store)))
}
