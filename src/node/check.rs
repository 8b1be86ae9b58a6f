//! What options must be, alone and together. The program's command line checks single values in the same way, and names its
//! flags. Every node is held to what stands here.

use std::net::{SocketAddr, TcpListener};

use super::names::{endpoint, host, origin};
use super::{CORES_MAX, NodeError, Options};
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
        check_limits(&self.limits)?;
        self.check_admin()?;
        self.check_cluster()
    }
}

impl Options {
    /// Where others than this machine reach a node, somebody has said who gets in. `given` are sockets that somebody else made.
    ///
    /// # Errors
    /// Nobody has.
    pub(super) fn check_strangers(&self, given: &[TcpListener]) -> Result<(), NodeError> {
        if self.anybody || self.asks_who() {
            return Ok(());
        }
        let given = given.iter().filter_map(|it| it.local_addr().ok());
        let mut addresses = self.listen.iter().copied().chain(given);
        match addresses.find(|it| !it.ip().is_loopback()) {
            None => Ok(()),
            Some(address) => Err(NodeError::option(
                "listen",
                address,
                "must be a loopback address, unless it is said who gets in: by NodeBuilder::authenticate (the feature auth), or by \
                 NodeBuilder::let_anybody_in if whoever reaches it may do everything",
            )),
        }
    }

    #[cfg(feature = "auth")]
    fn asks_who(&self) -> bool {
        let authenticator = &self.auth.authenticator;
        !matches!(authenticator, crate::credentials::Authenticator::None)
    }

    #[cfg(not(feature = "auth"))]
    fn asks_who(&self) -> bool {
        false
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

pub(super) fn socket_address(what: &str, text: &str) -> Result<SocketAddr, NodeError> {
    let allowed = "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080";
    text.parse()
        .map_err(|_| NodeError::option(what, text, allowed))
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
        assert!(refused(|it| it.admin.address = Some(open)).contains("loopback"));
        assert!(refused(|it| it.admin.address = Some(it.listen[0])).contains("for clients"));
    }

    #[test]
    fn strangers_who_reach_a_node_that_asks_nobody() {
        let at = |address: &str| Options {
            listen: vec![
                "127.0.0.1:0".parse().unwrap(),
                format!("{address}:8080").parse().unwrap(),
            ],
            ..Options::default()
        };
        for address in ["127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(at(address).check_strangers(&[]).is_ok(), "{address}");
        }
        for address in ["0.0.0.0", "192.168.0.7", "[::]", "[2001:db8::1]"] {
            let mut options = at(address);
            let told = options.check_strangers(&[]).unwrap_err().to_string();
            assert!(told.contains("let_anybody_in"), "{told}");
            options.anybody = true;
            assert!(options.check_strangers(&[]).is_ok());
            #[cfg(feature = "auth")]
            {
                let mut options = at(address);
                options.auth.authenticator = crate::Authenticator::Token("tokens".into());
                assert!(options.check_strangers(&[]).is_ok());
            }
        }
    }
}
