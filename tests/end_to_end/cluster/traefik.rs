//! The real Traefik with the configuration that `pinfold traefik` writes, or with one of somebody who has read nothing.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::client;
use super::fleet::Plan;
use super::node::Node;
use super::{PATIENCE, POLL};
use crate::ports::free_port;
use crate::program::{EndedWithItsTest, output_of, wait};
use crate::server::binary;
use crate::tools;

const START_ATTEMPTS: usize = 5;

pub(super) struct Traefik {
    child: EndedWithItsTest,
    port: u16,
    tls: bool,
    /// A path or another URL: 200 once the routers are read.
    ready: String,
    folder: PathBuf,
}

impl Traefik {
    /// At this port, or at another one if somebody took it meanwhile.
    pub(super) fn start(
        port: u16,
        plan: &Plan,
        nodes: &[Node],
        rest: &[String],
        scratch: &Path,
    ) -> Traefik {
        let folder = scratch.join("traefik");
        std::fs::create_dir_all(&folder).expect("a folder for Traefik");
        if plan.tls {
            write_certificate(&folder);
        }
        let health = plan.says_when.then(|| format!("127.0.0.1:{}", free_port()));
        // The rest of the site answers there as soon as the routers are read.
        let ready = match &health {
            Some(address) => format!("http://{address}/ping"),
            None => "/graphql".to_owned(),
        };
        Traefik::launch(port, &folder, plan.tls, &ready, |port| {
            let health = health.iter().flat_map(|it| ["--health", it]);
            let options: Vec<&str> = health.chain(plan.proxy_options.iter().copied()).collect();
            write_configuration(plan, &options, nodes, rest, port, &folder);
        })
    }

    /// Nodes in turns, and nothing else: no middleware, no cookie, no health check.
    pub(super) fn plain(port: u16, nodes: &[Node], scratch: &Path) -> Traefik {
        let folder = scratch.join("traefik");
        std::fs::create_dir_all(&folder).expect("a folder for Traefik");
        Traefik::launch(port, &folder, false, "/readyz", |port| {
            write_plain_configuration(nodes, port, &folder);
        })
    }

    /// `ready`, a path or another URL, is answered 200 once the routers are read.
    fn launch(
        first: u16,
        folder: &Path,
        tls: bool,
        ready: &str,
        configure: impl Fn(u16),
    ) -> Traefik {
        let attempt = |number| {
            let port = if number == 0 { first } else { free_port() };
            configure(port);
            Traefik::try_start(port, tls, ready, folder)
        };
        (0..START_ATTEMPTS).find_map(attempt).unwrap_or_else(|| {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("Traefik does not start:\n{log}");
        })
    }

    fn try_start(port: u16, tls: bool, ready: &str, folder: &Path) -> Option<Traefik> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"));
        let log = log.expect("a log can be made in the scratch folder");
        let mut command = Command::new(tools::traefik());
        command
            .arg(format!(
                "--configFile={}",
                folder.join("traefik.yml").display()
            ))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut traefik = Traefik {
            child: EndedWithItsTest(child),
            port,
            tls,
            ready: ready.to_owned(),
            folder: folder.to_owned(),
        };
        traefik.becomes_ready().then_some(traefik)
    }

    /// Ends at once: its streams break.
    pub(super) fn kill(&mut self) {
        // Both fail only when it has ended and been waited for.
        let _ = self.child.0.kill();
        let _ = self.child.0.wait();
    }

    /// SIGTERM: it takes leave of its clients, and ends.
    pub(super) fn leave(&self) {
        let id = self.child.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -TERM");
    }

    /// With the same configuration; returns when it has read it.
    pub(super) fn start_again(&mut self) {
        self.kill();
        let again = Traefik::try_start(self.port, self.tls, &self.ready, &self.folder);
        *self = again.unwrap_or_else(|| panic!("Traefik does not start again:\n{}", self.log()));
    }

    /// False if it ended instead. It is ready when it has read the routers: until then all is 404.
    fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if wait(&mut self.child.0, POLL).is_some() {
                return false;
            }
            let url = match self.ready.starts_with('/') {
                true => format!("{}{}", self.url(), self.ready),
                false => self.ready.clone(),
            };
            let answer = client::try_get(&url, &[]);
            if answer.is_some_and(|answer| answer.status == 200) {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "Traefik is not ready:\n{}",
                self.log()
            );
        }
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(super) fn mcp(&self) -> String {
        format!("{}/mcp", self.url())
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What a client must trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("site.pem")
    }

    /// Bytes of its memory that are in the machine's.
    pub(super) fn resident_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.0.id());
        let status = std::fs::read_to_string(path).expect("Traefik runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kib: usize = kib.and_then(|it| it.parse().ok()).expect("a size");
        kib * 1024
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn write_configuration(
    plan: &Plan,
    options: &[&str],
    nodes: &[Node],
    rest: &[String],
    port: u16,
    folder: &Path,
) {
    // That of an earlier attempt, with another port.
    let _ = std::fs::remove_file(folder.join("traefik.yml"));
    let mut command = Command::new(binary());
    command
        .args(["traefik", "--affinity", plan.affinity])
        .args(["--listen", &format!("127.0.0.1:{port}"), "--output"])
        .arg(folder)
        .args(options);
    for node in nodes {
        command.args(["--node", &format!("{}={}", node.name, node.url())]);
    }
    for url in rest {
        command.args(["--rest", url]);
    }
    match plan.tls {
        true => {
            command.arg("--certificate").arg(folder.join("site.pem"));
            command.arg("--key").arg(folder.join("site.key"));
        }
        false => {
            command.arg("--no-tls");
        }
    }
    let output = output_of(&mut command);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

fn write_plain_configuration(nodes: &[Node], port: u16, folder: &Path) {
    let dynamic = folder.join("plain.yml");
    let statics = format!(
        "entryPoints: {{web: {{address: '127.0.0.1:{port}'}}}}\nproviders: {{file: {{filename: '{}'}}}}\n",
        dynamic.display()
    );
    let servers = nodes
        .iter()
        .map(|node| format!("{{url: '{}'}}", node.url()));
    let servers = servers.collect::<Vec<_>>().join(", ");
    let routes = format!(
        "http:\n  routers: {{all: {{rule: 'PathPrefix(`/`)', service: nodes}}}}\n  services: {{nodes: {{loadBalancer: {{servers: [{servers}]}}}}}}\n"
    );
    std::fs::write(&dynamic, routes).expect("a file");
    std::fs::write(folder.join("traefik.yml"), statics).expect("a file");
}

fn write_certificate(folder: &Path) {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join("site.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.join("site.key"), made.signing_key.serialize_pem()).expect("a file");
}
