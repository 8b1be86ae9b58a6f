//! What a node has for operators: the admin listener, with its options and its place on the control thread. The feature
//! `admin`; without it `unattended.rs` stands here.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::backend::NodeBackend;
use super::check::socket_address;
use super::cluster::{BusHandle, Membership};
use super::listen::bind_admin;
#[cfg(feature = "redis")]
use super::questions;
use super::watching::Watching;
use super::{Node, NodeBuilder, NodeError, Options};
use crate::acceptor::{Acceptor, Listening};
use crate::admin::{AdminPolicy, AdminServer, AdminTokens, LogControl, Token};
use crate::app::board::BoardLimits;
use crate::app::contents::ContentStore;
use crate::tasks;

/// Where `POST /publish`, `GET /readyz`, `GET /metrics` and the like are served, and what is asked for there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminOptions {
    /// None: only what [`admin_listener`](NodeBuilder::admin_listener) gives.
    pub address: Option<SocketAddr>,
    /// Of whoever may do everything there; needed unless the address is a loopback one.
    pub token: Option<Token>,
    /// Of whoever may publish, and see what there is; `token` is needed beside it.
    pub publish_token: Option<Token>,
    /// Of whoever may only see what there is: metrics, sessions, the cluster; `token` is needed beside it.
    pub read_token: Option<Token>,
    /// Bytes of the contents of one resource that `POST /publish` takes.
    pub content_bytes_max: usize,
}

impl Default for AdminOptions {
    fn default() -> Self {
        AdminOptions {
            address: None,
            token: None,
            publish_token: None,
            read_token: None,
            content_bytes_max: BoardLimits::default().entry_bytes_max,
        }
    }
}

/// What is given beside the options.
#[derive(Default)]
pub(super) struct OperatorParts {
    /// That somebody else made.
    listener: Option<TcpListener>,
    /// None: it is somebody else's.
    log: Option<Arc<dyn LogControl>>,
}

/// What a builder takes for operators: the feature `admin`.
impl NodeBuilder {
    /// Serves operators at `address:port`: `POST /publish`, `GET /metrics`, `/node`, `/sessions`, `/readyz`, `/healthz`, `POST /revoke`, `/drain`. Without it,
    /// or [`admin_listener`](NodeBuilder::admin_listener), there is nothing of that. An address that is not a loopback one
    /// needs a token.
    pub fn admin(mut self, address: impl ToString) -> Self {
        match socket_address("admin", &address.to_string()) {
            Ok(address) => self.options.admin.address = Some(address),
            Err(wrong) => self.note(wrong),
        }
        self
    }

    /// Operators may change how much is logged.
    pub(crate) fn log_control(mut self, log: Arc<dyn LogControl>) -> Self {
        self.operators.log = Some(log);
        self
    }

    /// The same on a listening TCP socket that somebody else made.
    pub fn admin_listener(mut self, listener: TcpListener) -> Self {
        self.operators.listener = Some(listener);
        self
    }

    /// The bearer token of operators, who may do everything at the admin listener: visible ASCII without spaces.
    pub fn admin_token(mut self, token: &str) -> Self {
        self.options.admin.token = self.token("admin", token);
        self
    }

    /// The bearer token of whoever may publish there, and see what there is. It needs
    /// [`admin_token`](NodeBuilder::admin_token) beside it.
    pub fn admin_publish_token(mut self, token: &str) -> Self {
        self.options.admin.publish_token = self.token("admin publish", token);
        self
    }

    /// The bearer token of whoever may only see what there is, such as metrics and sessions. It needs
    /// [`admin_token`](NodeBuilder::admin_token) beside it.
    pub fn admin_read_token(mut self, token: &str) -> Self {
        self.options.admin.read_token = self.token("admin read", token);
        self
    }

    fn token(&mut self, name: &str, token: &str) -> Option<Token> {
        let refuse = |allowed| NodeError::Option(format!("the {name} token {allowed}"));
        let parsed = Token::parse(token).map_err(refuse);
        parsed.map_err(|wrong| self.note(wrong)).ok()
    }
}

impl AdminOptions {
    pub(crate) fn tokens(&self) -> AdminTokens {
        AdminTokens {
            operate: self.token.clone(),
            publish: self.publish_token.clone(),
            read: self.read_token.clone(),
        }
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
        let refuse =
            |(role, allowed)| NodeError::Option(format!("the admin {role} token {allowed}"));
        self.admin.tokens().check().map_err(refuse)?;
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
pub(super) struct Operators {
    listening: Listening,
    log: Option<Arc<dyn LogControl>>,
    /// Keys under which items were published, as another process wrote them down.
    keys: Vec<u8>,
}

impl Operators {
    /// None: nobody asked for it.
    ///
    /// # Errors
    /// The port is in use, the kernel refuses the address, or anybody could publish there.
    pub(super) fn open(
        options: &Options,
        parts: OperatorParts,
        inherited: Option<Listening>,
    ) -> Result<Option<Self>, NodeError> {
        let OperatorParts { listener, log } = parts;
        if let Some(listening) = inherited {
            return Ok(Some(Operators::new(listening, log)));
        }
        let Some(given) = listener else {
            let bound = options.admin.address.map(bind_admin).transpose()?;
            let listening = bound.map(Listening::Own);
            return Ok(listening.map(|it| Operators::new(it, log)));
        };
        let unusable = |fault| NodeError::system("the admin listener cannot be used", fault);
        options.check_admin_address(given.local_addr().map_err(unusable)?)?;
        let listening = Listening::Given(given);
        Ok(Some(Operators::new(listening, log)))
    }

    fn new(listening: Listening, log: Option<Arc<dyn LogControl>>) -> Self {
        Operators {
            listening,
            log,
            keys: Vec::new(),
        }
    }

    /// Goes on with what another process had.
    pub(super) fn resume(&mut self, keys: Vec<u8>) {
        self.keys = keys;
    }

    pub(super) fn listening(&self) -> &Listening {
        &self.listening
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listening.address().ok()
    }

    /// What is left for the control thread.
    pub(super) fn work(
        self,
        node: &Node,
        store: Option<Arc<dyn ContentStore>>,
        bus: Option<Arc<BusHandle>>,
        membership: Option<Arc<Membership>>,
    ) -> Option<OperatorsWork> {
        #[cfg(not(feature = "redis"))]
        let _ = membership;
        let shared = &node.shared;
        let policy = shared.admin_address.map(|address| {
            let admin = &node.options().admin;
            let uri_bytes_max = node.options().limits.uri_bytes_max;
            AdminPolicy::new(address, admin.tokens(), uri_bytes_max)
                .for_contents(admin.content_bytes_max)
        });
        Some(OperatorsWork {
            listening: self.listening,
            keys: self.keys,
            policy: policy?,
            backend: NodeBackend {
                node: node.clone(),
                publisher: shared.publisher.clone(),
                store,
                bus,
                #[cfg(feature = "redis")]
                asker: questions::asker(node, membership.clone()),
                #[cfg(feature = "redis")]
                membership,
                metrics: shared.counters.metrics(),
                watching: Watching::new(shared.publisher.clone(), self.log),
                #[cfg(feature = "auth")]
                credentials: shared.credentials.clone(),
            },
        })
    }
}

/// What the control thread does for them.
pub(super) struct OperatorsWork {
    listening: Listening,
    keys: Vec<u8>,
    policy: AdminPolicy,
    backend: NodeBackend,
}

impl OperatorsWork {
    pub(super) fn start(self) -> Option<Serving> {
        match Acceptor::new(self.listening) {
            Ok(acceptor) => {
                let backend = Rc::new(self.backend);
                #[cfg(feature = "redis")]
                if let Some(membership) = backend.membership.clone() {
                    tasks::spawn(questions::answer(backend.clone(), membership));
                }
                let server = AdminServer::new(acceptor, backend, self.policy);
                server.resume(&self.keys);
                tasks::spawn(server.clone().serve());
                Some(Serving(server))
            }
            Err(fault) => {
                tracing::error!(%fault, "the admin listener ended: nobody can publish from outside");
                #[cfg(feature = "redis")]
                if let Some(membership) = &self.backend.membership {
                    membership.close_questions();
                }
                None
            }
        }
    }
}

/// The listener at work.
#[derive(Clone)]
pub(super) struct Serving(Rc<AdminServer>);

impl Serving {
    pub(super) async fn close(self) {
        self.0.close().await;
    }

    /// No requests are begun from now on; what holds up a hand-over when the time is over.
    pub(super) async fn quiesce(&self, until: Instant, insists: bool) -> Option<String> {
        let held_up = self.0.quiesce(until, insists).await;
        (held_up > 0).then(|| format!("{held_up} × a request of an operator is under way"))
    }

    /// The keys under which items were published.
    pub(super) fn state(&self) -> Vec<u8> {
        self.0.state()
    }

    pub(super) fn go_on(&self) {
        self.0.go_on();
    }
}
