//! A fleet: Redis, three nodes, Traefik, and a small web site beside them.

use std::path::{Path, PathBuf};

use super::node::{ENDING, Node};
use super::redis::Redis;
use super::site::RestOfTheSite;
use super::traefik::Traefik;
use crate::ports::free_port;
use crate::program::scratch_folder;
use crate::server::{App, Placement};
use crate::tally::Tally;

pub(super) const NODES: [&str; 3] = ["a", "b", "c"];

/// One test for each client, and for each way to route it: `run(client, way, name of the test)`.
macro_rules! however_clients_are_routed {
    (mod $how:ident $affinity:tt {$($name:ident => $client:expr;)*}) => {
        mod $how {
            use super::*;
            $(#[test] fn $name() {
                run($client, $affinity, concat!(module_path!(), "::", stringify!($name)));
            })*
        }
    };
    ($($how:ident $affinity:tt),* => $clients:tt) => {
        $(however_clients_are_routed! { mod $how $affinity $clients })*
    };
}
pub(super) use however_clients_are_routed;

/// In place of a way to keep clients at their node: `pinfold traefik` is not asked.
pub(super) const PLAIN: &str = "plain";

/// What one test needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) test: &'static str,
    pub(super) app: App,
    pub(super) placement: Placement,
    /// Of `pinfold traefik`: node, cookie, none.
    pub(super) affinity: &'static str,
    pub(super) tls: bool,
    /// The nodes know of each other; else each is alone behind the proxy.
    pub(super) joined: bool,
    /// Traefik is as everybody has one, and not as `pinfold traefik` has it.
    pub(super) plain: bool,
    /// Traefik says when it has read its routers, and is not asked for anything before.
    pub(super) says_when: bool,
    /// More options of each node.
    pub(super) node_options: &'static [&'static str],
    /// More options of `pinfold traefik`.
    pub(super) proxy_options: &'static [&'static str],
    /// Where the issuer listens whose tokens are taken, for the proxy's URL. None: everybody is let in.
    pub(super) issuer: Option<u16>,
}

/// Ended from the proxy inwards.
pub(super) struct Fleet {
    pub(super) traefik: Traefik,
    pub(super) nodes: Vec<Node>,
    redis: Option<Redis>,
    _rest: RestOfTheSite,
    pub(super) scratch: PathBuf,
}

impl Plan {
    pub(super) const fn new(test: &'static str) -> Plan {
        Plan {
            test,
            app: App::Board,
            placement: Placement::OneCore,
            affinity: "node",
            tls: false,
            joined: true,
            plain: false,
            says_when: false,
            node_options: &[],
            proxy_options: &[],
            issuer: None,
        }
    }

    /// Sessions end with their node.
    pub(super) const fn ending(self) -> Plan {
        Plan {
            node_options: &ENDING,
            ..self
        }
    }

    /// For clients that are routed so, over TLS; or `PLAIN`, without.
    pub(super) fn routed(test: &'static str, app: App, affinity: &'static str) -> Plan {
        let plain = affinity == PLAIN;
        Plan {
            app,
            affinity,
            tls: !plain,
            plain,
            ..Plan::new(test)
        }
    }

    /// All checks of a client's script, which gets the endpoint, an admin listener, what is to be trusted, and the scratch folder.
    pub(super) fn run(self, check: impl FnOnce(&str, &str, &[(&str, &Path)], &Path) -> Tally) {
        let fleet = self.start();
        let certificate = fleet.traefik.certificate();
        let trust = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"].map(|it| (it, certificate.as_path()));
        let trust = if self.tls { trust.as_slice() } else { &[] };
        let (mcp, admin) = (fleet.traefik.mcp(), fleet.node("a").admin());
        let tally = check(&mcp, &admin, trust, &fleet.scratch);
        fleet.stop();
        tally.conclude(self.test);
    }

    pub(super) fn start(self) -> Fleet {
        let scratch = scratch_folder(self.test);
        let redis = self.joined.then(|| Redis::start(&scratch));
        let port = free_port();
        let own = self.options(port);
        let more: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain(self.node_options.iter().copied())
            .collect();
        let start = |name: &&str| {
            Node::start_placed(
                name,
                self.app,
                self.placement,
                redis.as_ref(),
                &more,
                &scratch,
            )
        };
        let nodes: Vec<Node> = NODES.iter().map(start).collect();
        let rest = RestOfTheSite::start();
        let traefik = match self.plain {
            true => Traefik::plain(port, &nodes, &scratch),
            false => Traefik::start(port, &self, &nodes, &rest.urls(), &scratch),
        };
        Fleet {
            traefik,
            nodes,
            redis,
            _rest: rest,
            scratch,
        }
    }
}

impl Plan {
    /// Of each node, behind a proxy at this port.
    fn options(&self, port: u16) -> Vec<String> {
        let Some(issuer) = self.issuer else {
            return Vec::new();
        };
        let scheme = if self.tls { "https" } else { "http" };
        let issuer = format!("http://127.0.0.1:{issuer}");
        let public = format!("{scheme}://127.0.0.1:{port}/mcp");
        let options = [
            "--auth",
            "jwt",
            "--auth-leeway",
            "0s",
            "--auth-issuer",
            &issuer,
        ];
        let more = ["--public-url", &public, "--auth-scopes", "board:read"];
        let options = options.into_iter().chain(more);
        options.map(str::to_owned).collect()
    }
}

impl Fleet {
    pub(super) fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("this fleet was joined")
    }

    /// The node whose session this is.
    pub(super) fn owner(&self, session: &str) -> &Node {
        let (name, _) = session.split_once('.').expect("a node's name leads the id");
        self.node(name)
    }

    pub(super) fn node(&self, name: &str) -> &Node {
        let index = NODES.iter().position(|it| *it == name);
        &self.nodes[index.expect("a node of this fleet")]
    }

    pub(super) fn node_mut(&mut self, name: &str) -> &mut Node {
        let index = NODES.iter().position(|it| *it == name);
        &mut self.nodes[index.expect("a node of this fleet")]
    }

    /// Each node ends cleanly, and none has panicked.
    pub(super) fn stop(mut self) {
        Node::stop_all(&mut self.nodes);
    }
}
