//! The real Traefik with the configuration that `pinfold traefik` writes.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::client;
use super::fleet::Plan;
use super::node::Node;
use super::{PATIENCE, POLL};
use crate::program::{EndedWithItsTest, wait};
use crate::server::{binary, free_port};
use crate::tools;

const START_ATTEMPTS: usize = 5;

pub(super) struct Traefik {
    _child: EndedWithItsTest,
    port: u16,
    tls: bool,
    folder: PathBuf,
}

impl Traefik {
    pub(super) fn start(plan: &Plan, nodes: &[Node], rest: &[String], scratch: &Path) -> Traefik {
        let folder = scratch.join("traefik");
        std::fs::create_dir_all(&folder).expect("a folder for Traefik");
        if plan.tls {
            write_certificate(&folder);
        }
        (0..START_ATTEMPTS)
            .find_map(|_| Traefik::try_start(plan, nodes, rest, &folder))
            .unwrap_or_else(|| {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                panic!("Traefik does not start:\n{log}");
            })
    }

    fn try_start(plan: &Plan, nodes: &[Node], rest: &[String], folder: &Path) -> Option<Traefik> {
        let port = free_port();
        write_configuration(plan, nodes, rest, port, folder);
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
            _child: EndedWithItsTest(child),
            port,
            tls: plan.tls,
            folder: folder.to_owned(),
        };
        traefik.becomes_ready().then_some(traefik)
    }

    /// False if it ended instead. It is ready when it has read the routers: until then all is 404.
    fn becomes_ready(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if wait(&mut self._child.0, POLL).is_some() {
                return false;
            }
            let answer = client::try_get(&format!("{}/graphql", self.url()), &[]);
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

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn write_configuration(plan: &Plan, nodes: &[Node], rest: &[String], port: u16, folder: &Path) {
    // That of an earlier attempt, with another port.
    let _ = std::fs::remove_file(folder.join("traefik.yml"));
    let mut command = Command::new(binary());
    command
        .args(["traefik", "--affinity", plan.affinity])
        .args(["--listen", &format!("127.0.0.1:{port}"), "--output"])
        .arg(folder);
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
    let output = command.output().expect("pinfold traefik runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

fn write_certificate(folder: &Path) {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join("site.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.join("site.key"), made.signing_key.serialize_pem()).expect("a file");
}
