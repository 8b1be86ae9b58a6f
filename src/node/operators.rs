//! What a node has for operators: the admin listener, with its options and its place on the control thread. The feature
//! `admin`; without it `unattended.rs` stands here.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use super::backend::NodeBackend;
use super::check::socket_address;
use super::cluster::BusHandle;
use super::listen::bind_admin;
use super::{Node, NodeBuilder, NodeError, Options};
use crate::acceptor::{Acceptor, Listening};
use crate::admin::{AdminPolicy, Token, serve_admin};
use crate::app::board::BoardLimits;
use crate::app::contents::ContentStore;
use crate::tasks;

/// Where `POST /publish`, `GET /readyz`, `GET /metrics` and the like are served, and what is asked for there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminOptions {
    /// None: only what [`admin_listener`](NodeBuilder::admin_listener) gives.
    pub address: Option<SocketAddr>,
    /// What publishing and metrics ask for; needed unless the address is a loopback one.
    pub token: Option<Token>,
    /// Bytes of the contents of one resource that `POST /publish` takes.
    pub content_bytes_max: usize,
}

impl Default for AdminOptions {
    fn default() -> Self {
        AdminOptions {
            address: None,
            token: None,
            content_bytes_max: BoardLimits::default().entry_bytes_max,
        }
    }
}

/// A listener that somebody else made.
#[derive(Default)]
pub(super) struct OperatorParts(Option<TcpListener>);

/// What a builder takes for operators: the feature `admin`.
impl NodeBuilder {
    /// Serves operators at `address:port`: `POST /publish`, `GET /metrics`, `/readyz`, `/healthz`, `/sessions`, `POST /revoke`, `/drain`. Without it,
    /// or [`admin_listener`](NodeBuilder::admin_listener), there is nothing of that. An address that is not a loopback one
    /// needs a token.
    pub fn admin(mut self, address: impl ToString) -> Self {
        match socket_address("admin", &address.to_string()) {
            Ok(address) => self.options.admin.address = Some(address),
            Err(wrong) => self.note(wrong),
        }
        self
    }

    /// The same on a listening TCP socket that somebody else made.
    pub fn admin_listener(mut self, listener: TcpListener) -> Self {
        self.operators.0 = Some(listener);
        self
    }

    /// The bearer token that publishing and metrics ask for: visible ASCII without spaces.
    pub fn admin_token(mut self, token: &str) -> Self {
        match Token::parse(token) {
            Ok(token) => self.options.admin.token = Some(token),
            Err(allowed) => self.note(NodeError::Option(format!("the admin token {allowed}"))),
        }
        self
    }
}

impl Node {
    /// Where operators connect, as bound. The feature `admin`.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.shared.admin_address
    }
}

impl Options {
    /// # Errors
    /// What cannot be used.
    pub(super) fn check_admin(&self) -> Result<(), NodeError> {
        if self.admin.content_bytes_max == 0 {
            return Err(NodeError::option(
                "content_bytes_max",
                0,
                "must be at least 1",
            ));
        }
        let Some(address) = self.admin.address else {
            return Ok(());
        };
        self.check_admin_address(address)?;
        if self.listen.contains(&address) && address.port() != 0 {
            let allowed = "must not be an address for clients";
            return Err(NodeError::option("admin", address, allowed));
        }
        Ok(())
    }

    /// # Errors
    /// Anybody could publish there.
    fn check_admin_address(&self, address: SocketAddr) -> Result<(), NodeError> {
        if self.admin.token.is_none() && !address.ip().is_loopback() {
            let allowed = "must be a loopback address, such as 127.0.0.1:9464, unless there is a token to ask for";
            return Err(NodeError::option("admin", address, allowed));
        }
        Ok(())
    }
}

/// The listener, before anything runs.
pub(super) struct Operators(Listening);

impl Operators {
    /// None: nobody asked for it.
    ///
    /// # Errors
    /// The port is in use, the kernel refuses the address, or anybody could publish there.
    pub(super) fn open(options: &Options, parts: OperatorParts) -> Result<Option<Self>, NodeError> {
        let Some(given) = parts.0 else {
            let bound = options.admin.address.map(bind_admin).transpose()?;
            return Ok(bound.map(|it| Operators(Listening::Own(it))));
        };
        let unusable = |fault| NodeError::system("the admin listener cannot be used", fault);
        options.check_admin_address(given.local_addr().map_err(unusable)?)?;
        Ok(Some(Operators(Listening::Given(given))))
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.0.address().ok()
    }

    /// What is left for the control thread.
    pub(super) fn work(
        self,
        node: &Node,
        store: Option<Arc<dyn ContentStore>>,
        bus: Option<Arc<BusHandle>>,
    ) -> Option<OperatorsWork> {
        let shared = &node.shared;
        let policy = shared.admin_address.map(|address| {
            let AdminOptions {
                token,
                content_bytes_max,
                ..
            } = node.options().admin.clone();
            AdminPolicy::new(address, token, node.options().limits.uri_bytes_max)
                .for_contents(content_bytes_max)
        });
        Some(OperatorsWork {
            listening: self.0,
            policy: policy?,
            backend: NodeBackend {
                node: node.clone(),
                publisher: shared.publisher.clone(),
                store,
                bus,
                metrics: shared.counters.metrics(),
                #[cfg(feature = "auth")]
                credentials: shared.credentials.clone(),
            },
        })
    }
}

/// What the control thread does for them.
pub(super) struct OperatorsWork {
    listening: Listening,
    policy: AdminPolicy,
    backend: NodeBackend,
}

impl OperatorsWork {
    pub(super) fn start(self) -> Option<Serving> {
        match Acceptor::new(self.listening).map(Rc::new) {
            Ok(acceptor) => {
                let backend = Rc::new(self.backend);
                tasks::spawn(serve_admin(acceptor.clone(), backend, self.policy));
                Some(Serving(acceptor))
            }
            Err(fault) => {
                tracing::error!(%fault, "the admin listener ended: nobody can publish from outside");
                None
            }
        }
    }
}

/// The listener at work.
pub(super) struct Serving(Rc<Acceptor>);

impl Serving {
    pub(super) async fn close(self) {
        self.0.close().await;
    }
}
