//! What options must be, alone and together. The program's command line checks single values in the same way, and names its
//! flags. Every node is held to what stands here.

use std::net::{SocketAddr, ToSocketAddrs};

use super::names::{endpoint, host, origin};
use super::{CORES_MAX, NodeError, Options};
use crate::cluster::Advertised;
use crate::limits::Limits;

/// serde_json stops at this depth.
const JSON_DEPTH_MAX: usize = 128;

impl Options {
    /// # Errors
    /// The first option that cannot be used.
    pub(super) fn check(&self) -> Result<(), NodeError> {
        endpoint(&self.path).map_err(|allowed| NodeError::option("path", &self.path, allowed))?;
        for name in &self.hosts {
            let known = host(name).map_err(|allowed| NodeError::option("host", name, allowed))?;
            same("host", name, &known)?;
        }
        for name in &self.origins {
            let known =
                origin(name).map_err(|allowed| NodeError::option("origin", name, allowed))?;
            same("origin", name, &known)?;
        }
        if self.cores > CORES_MAX as usize {
            let allowed = format!("must be a number from 1 to {CORES_MAX}, or 0 for all");
            return Err(NodeError::option("cores", self.cores, allowed));
        }
        if self.content_bytes_max == 0 {
            return Err(NodeError::option(
                "content_bytes_max",
                0,
                "must be at least 1",
            ));
        }
        check_limits(&self.limits)?;
        self.check_admin()?;
        self.check_cluster()
    }

    fn check_admin(&self) -> Result<(), NodeError> {
        let Some(address) = self.admin else {
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
    pub(super) fn check_admin_address(&self, address: SocketAddr) -> Result<(), NodeError> {
        if self.admin_token.is_none() && !address.ip().is_loopback() {
            let allowed = "must be a loopback address, such as 127.0.0.1:9464, unless there is a token to ask for";
            return Err(NodeError::option("admin", address, allowed));
        }
        Ok(())
    }

    fn check_cluster(&self) -> Result<(), NodeError> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        if self.name.is_none() {
            return Err(NodeError::Option(
                "a node that shares a Redis needs a name that no other one has, such as n1: session ids lead with it"
                    .to_owned(),
            ));
        }
        prefix(&cluster.prefix)
            .map_err(|allowed| NodeError::option("redis_prefix", &cluster.prefix, allowed))
            .map(drop)
    }
}

/// Names are compared as they are here.
fn same(what: &'static str, name: &str, known: &str) -> Result<(), NodeError> {
    match name == known {
        true => Ok(()),
        false => Err(NodeError::option(what, name, "must be in lower case")),
    }
}

fn check_limits(limits: &Limits) -> Result<(), NodeError> {
    let wide = |ms: u64| usize::try_from(ms).unwrap_or(usize::MAX);
    let counts = [
        ("head_bytes_max", limits.head_bytes_max),
        ("target_bytes_max", limits.target_bytes_max),
        ("body_bytes_max", limits.body_bytes_max),
        ("json_depth_max", limits.json_depth_max),
        ("json_tree_bytes_max", limits.json_tree_bytes_max),
        ("pipeline_bytes_max", limits.pipeline_bytes_max),
        ("connections_max", limits.connections_max),
        ("sessions_max", limits.sessions_max),
        (
            "initialize_per_second_max",
            limits.initialize_per_second_max as usize,
        ),
        ("calls_per_client_max", limits.calls_per_client_max),
        ("streams_per_session_max", limits.streams_per_session_max),
        ("subscriptions_max", limits.subscriptions_max),
        ("subscription_bytes_max", limits.subscription_bytes_max),
        ("memory_bytes_max", limits.memory_bytes_max),
        ("uri_bytes_max", limits.uri_bytes_max),
        ("batch_messages_max", limits.batch_messages_max),
        ("stream_queue_bytes_max", limits.stream_queue_bytes_max),
        ("head_timeout_ms", wide(limits.head_timeout_ms)),
        ("body_timeout_ms", wide(limits.body_timeout_ms)),
        ("connection_idle_ms", wide(limits.connection_idle_ms)),
        ("session_idle_ms", wide(limits.session_idle_ms)),
        ("write_stall_ms", wide(limits.write_stall_ms)),
        ("keep_alive_ms", wide(limits.keep_alive_ms)),
    ];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return Err(NodeError::option(
            &format!("limits.{name}"),
            0,
            "must be at least 1",
        ));
    }
    if limits.json_depth_max > JSON_DEPTH_MAX {
        let allowed = format!("must be at most {JSON_DEPTH_MAX}");
        return Err(NodeError::option(
            "limits.json_depth_max",
            limits.json_depth_max,
            allowed,
        ));
    }
    Ok(())
}

pub(crate) fn prefix(text: &str) -> Result<String, &'static str> {
    let sound = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    sound
        .then(|| text.to_owned())
        .ok_or("must be at most 64 visible ASCII characters, such as mcp:")
}

const ADVERTISED: &str =
    "must be http://, a host or an address, and a port, such as http://10.0.0.1:8080";

pub(crate) fn advertised(text: &str) -> Result<String, &'static str> {
    let authority = text.strip_prefix("http://").ok_or(ADVERTISED)?;
    let (host, port) = authority.rsplit_once(':').ok_or(ADVERTISED)?;
    let port_sound = port.parse::<u16>().is_ok_and(|port| port != 0);
    let sound = port_sound && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    sound.then(|| text.to_owned()).ok_or(ADVERTISED)
}

/// Once, at the start: the others are told an address and need no names.
///
/// # Errors
/// What the URL must be, in place of this one.
pub(crate) fn resolve(url: &str) -> Result<Advertised, String> {
    let authority = url.trim_start_matches("http://");
    let addresses = authority
        .to_socket_addrs()
        .map_err(|fault| format!("must name a host that this one can find: {fault}"))?;
    let mut addresses = addresses.filter(|address| !address.ip().is_unspecified());
    let address = addresses
        .next()
        .ok_or("must be an address that others can connect to")?;
    Ok(Advertised {
        url: url.to_owned(),
        address,
    })
}

/// Where others reach a node that listens here, if they can as it stands.
pub(super) fn reachable(address: SocketAddr) -> Option<Advertised> {
    (!address.ip().is_unspecified()).then(|| Advertised {
        url: format!("http://{address}"),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        let wrong = options.check().expect_err("it cannot be used");
        wrong.to_string()
    }

    #[test]
    fn options_that_answer_404_to_everything_or_worse() {
        assert!(Options::default().check().is_ok());
        assert!(
            refused(|it| it.path = "mcp".into())
                .starts_with("path mcp: must be a path such as /mcp")
        );
        assert!(refused(|it| it.hosts = vec!["http://a".into()]).contains("must be a host"));
        assert!(refused(|it| it.hosts = vec!["Example.com".into()]).contains("lower case"));
        assert!(
            refused(|it| it.origins = vec!["example.com".into()]).contains("https://example.com")
        );
        assert!(refused(|it| it.cores = 513).contains("1 to 512"));
        assert!(refused(|it| it.limits.sessions_max = 0).starts_with("limits.sessions_max 0: "));
        assert!(refused(|it| it.limits.json_depth_max = 129).contains("at most 128"));
        let open = SocketAddr::from(([0, 0, 0, 0], 9464));
        assert!(refused(|it| it.admin = Some(open)).contains("loopback"));
        assert!(refused(|it| it.admin = Some(it.listen[0])).contains("for clients"));
    }
}
