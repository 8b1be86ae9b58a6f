//! What the options say together: a site whose parts fit.

use clap::ValueEnum;

use super::TraefikOptions;
use crate::config::origin;
use crate::limits::NODE_NAME_BYTES_MAX;
use crate::wire::session_id::NodeName;

/// How clients are kept at the node of their session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Affinity {
    /// By the node's name in the session id, and by the cookie before there is one
    Node,
    /// By the cookie alone
    Cookie,
    /// Not at all: nodes pass on what is not theirs
    None,
}

impl Affinity {
    pub(super) const fn has_cookie(self) -> bool {
        matches!(self, Affinity::Node | Affinity::Cookie)
    }

    pub(super) const fn has_node_routers(self) -> bool {
        matches!(self, Affinity::Node)
    }
}

/// A node as Traefik knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraefikNode {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) weight: u32,
}

impl TraefikNode {
    pub(super) fn parse(text: &str) -> Result<TraefikNode, String> {
        let Some((name, url)) = text.split_once('=') else {
            return Err("must be a name and a URL, such as a=http://10.0.0.1:8080".into());
        };
        if NodeName::new(name).is_none() {
            return Err(format!(
                "the name must be 1 to {NODE_NAME_BYTES_MAX} of a-z, 0-9 and -, as given to the node with --node"
            ));
        }
        let url = origin(url).map_err(|_| {
            "the URL must be http:// or https://, a host and perhaps a port, without a path and exactly as given to the \
             node with --advertise, such as http://10.0.0.1:8080"
                .to_owned()
        })?;
        Ok(TraefikNode {
            name: name.into(),
            url,
            weight: 1,
        })
    }
}

/// TLS at Traefik's entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    Off,
    /// Traefik makes up a certificate.
    Placeholder,
    Files {
        certificate: String,
        key: String,
    },
}

/// All that the configuration is made of: at least one node, names and URLs without doubles.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) nodes: Vec<TraefikNode>,
    pub(super) hosts: Vec<String>,
    pub(super) rest: Vec<String>,
    /// The catalog of the host is none of the nodes'.
    pub(super) rest_has_catalog: bool,
    pub(super) endpoint: String,
    pub(super) affinity: Affinity,
    pub(super) listen: String,
    pub(super) entry_point: String,
    pub(super) tls: Tls,
    pub(super) health: Option<String>,
    /// How long a node may take to begin an answer.
    pub(super) answer_begins_within_s: u64,
}

/// A node begins each answer within its `--keep-alive`, by the head of a stream if need be. One that is that much later
/// hangs, even on a machine that has other things to do.
const ANSWER_SLACK_S: u64 = 10;

impl Site {
    /// # Errors
    /// A sentence about two options that do not fit.
    pub(super) fn check(options: &TraefikOptions) -> Result<Site, String> {
        check_nodes(&options.nodes)?;
        if options.endpoint == "/" && !options.rest.is_empty() {
            return Err("--rest has nothing left to serve when --endpoint is /: give the MCP endpoint a path of its own"
                .into());
        }
        let tls = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Tls::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            _ if options.no_tls => Tls::Off,
            _ => Tls::Placeholder,
        };
        let (port, entry_point) = match options.no_tls {
            true => (":80", "web"),
            false => (":443", "websecure"),
        };
        let or =
            |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.into());
        let mut nodes = options.nodes.clone();
        for (name, weight) in &options.weights {
            let node = nodes.iter_mut().find(|it| it.name == *name);
            let node =
                node.ok_or_else(|| format!("--weight {name}=…: there is no --node {name}"))?;
            node.weight = *weight;
        }
        Ok(Site {
            nodes,
            hosts: options.hosts.clone(),
            rest: options.rest.clone(),
            rest_has_catalog: options.rest_has_catalog,
            endpoint: options.endpoint.clone(),
            affinity: options.affinity,
            listen: or(&options.listen, port),
            entry_point: or(&options.entry_point, entry_point),
            tls,
            health: options.health.clone(),
            answer_begins_within_s: options.keep_alive.0.div_ceil(1000) + ANSWER_SLACK_S,
        })
    }
}

/// Two nodes of one name would answer for each other's sessions; two names of one node halve it for nothing.
fn check_nodes(nodes: &[TraefikNode]) -> Result<(), String> {
    for (index, node) in nodes.iter().enumerate() {
        let earlier = &nodes[..index];
        if earlier.iter().any(|it| it.name == node.name) {
            return Err(format!(
                "--node {0}=…: there are two nodes of the name {0}; each needs its own, since it leads the session ids",
                node.name
            ));
        }
        if let Some(other) = earlier.iter().find(|it| it.url == node.url) {
            return Err(format!(
                "--node {}={}: node {} has the same URL; each node needs its own",
                node.name, node.url, other.name
            ));
        }
    }
    Ok(())
}
