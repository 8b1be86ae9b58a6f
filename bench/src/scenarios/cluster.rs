//! Several nodes on a Redis, for scenarios that need more than one.

use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::redis::Redis;
use crate::server::{Program, Server, Setup};

pub(super) struct Cluster<'a> {
    program: &'a Program,
    /// Further options of each node.
    options: &'a [&'a str],
    redis: Redis,
    secret: PathBuf,
}

/// What all nodes know and nobody else.
const SECRET: &str = "the nodes of one bench share this";
/// Until each node has heard of the others.
pub(super) const MEET: Duration = Duration::from_secs(2);

impl<'a> Cluster<'a> {
    /// The Redis, and no node yet.
    pub(super) fn start(program: &'a Program, options: &'a [&'a str]) -> Outcome<Self> {
        let secret = std::env::temp_dir().join(format!("pinfold-bench-{}", std::process::id()));
        std::fs::write(&secret, SECRET)?;
        Ok(Cluster {
            program,
            options,
            redis: Redis::start()?,
            secret,
        })
    }

    /// A node of this name. It has to end before the cluster does.
    pub(super) fn node(&self, name: &str) -> Outcome<Server> {
        let (url, secret) = (self.redis.url(), self.secret.display().to_string());
        let own = ["--node", name, "--redis", &url, "--peer-secret-file"];
        let drain = ["--drain-notice", "0s", "--drain-window", "0s"];
        let arguments = [own.as_slice(), &[&secret], &drain, self.options].concat();
        let setup = Setup {
            arguments: &arguments,
            ..Setup::default()
        };
        Server::start_with(self.program, &setup)
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        // If not, it stays among temporary files.
        let _ = std::fs::remove_file(&self.secret);
    }
}
