//! The peers that `bench/peers/install` has installed, and those it could not install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::Outcome;
use crate::loader::OPENING_MAX;
use crate::server::{Launch, Program};
use crate::workspace::root;

/// A server that is measured beside pinfold.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: PeerName,
    pub(crate) program: Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerName {
    Rmcp,
    Axum,
    TypeScript,
    Python,
    Nchan,
    Pushpin,
}

/// What is measured beside pinfold, and of which version.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Present {
    pub(crate) peer: PeerName,
    pub(crate) version: String,
}

/// A peer that is not measured, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Missing {
    pub(crate) peer: PeerName,
    pub(crate) reason: String,
}

/// Those of `names` that are there, their versions, and those that are not.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    pub(crate) peers: Vec<Peer>,
    pub(crate) present: Vec<Present>,
    pub(crate) missing: Vec<Missing>,
}

/// What a subscriber of a server that knows nothing of MCP is to be told: pinfold's own event.
const NCHAN_PUBLICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"board://bench"}}"#;
const PUSHPIN_PUBLICATION: &str = r#"{"items":[{"channel":"bench","formats":{"http-stream":{"content":"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{\"uri\":\"board://bench\"}}\n\n"}}}]}"#;

/// With more at once it answers some with 502.
const PUSHPIN_OPENING_MAX: usize = 32;

impl PeerName {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            PeerName::Rmcp => "rmcp",
            PeerName::Axum => "axum",
            PeerName::TypeScript => "TypeScript SDK",
            PeerName::Python => "Python SDK",
            PeerName::Nchan => "nchan",
            PeerName::Pushpin => "Pushpin",
        }
    }

    /// As bench/peers/install calls what brings it.
    fn installation(self) -> &'static str {
        match self {
            PeerName::Rmcp | PeerName::Axum => "rust",
            PeerName::TypeScript => "typescript",
            PeerName::Python => "python",
            PeerName::Nchan => "nchan",
            PeerName::Pushpin => "pushpin",
        }
    }

    fn launch(self) -> Launch {
        let tool = |path: &str| tools().join(path);
        let own = |path: &str| tools().with_file_name(path);
        let text = |path: PathBuf| path.display().to_string();
        let (program, arguments) = match self {
            PeerName::Rmcp => (tool("rust/release/rmcp-server"), vec![]),
            PeerName::Axum => (tool("rust/release/axum-hello"), vec![]),
            PeerName::TypeScript => {
                let script = text(tool("typescript/server.mjs"));
                (tool("typescript/node"), vec![script])
            }
            PeerName::Python => {
                let script = text(own("python/server.py"));
                (tool("python/bin/python"), vec![script])
            }
            PeerName::Nchan => (own("nginx/run"), vec![]),
            PeerName::Pushpin => (own("pushpin/run"), vec![]),
        };
        Launch {
            program,
            arguments,
            publication: match self {
                PeerName::Nchan => Some(NCHAN_PUBLICATION),
                PeerName::Pushpin => Some(PUSHPIN_PUBLICATION),
                _ => None,
            },
            opening_max: match self {
                PeerName::Pushpin => PUSHPIN_OPENING_MAX,
                _ => OPENING_MAX,
            },
        }
    }
}

/// Installs what is not installed yet, which takes minutes the first time, and tells what is there then.
pub(crate) fn install(names: &[PeerName]) -> Outcome<Installed> {
    let script = tools().with_file_name("install");
    let status = Command::new(&script)
        .status()
        .map_err(|fault| format!("cannot run bench/peers/install: {fault}"))?;
    if !status.success() {
        return Err("bench/peers/install failed".into());
    }
    let mut installed = Installed::default();
    for &name in names {
        match version(name) {
            Ok(version) => {
                installed.present.push(Present {
                    peer: name,
                    version,
                });
                installed.peers.push(Peer {
                    name,
                    program: Program::Other(name.launch()),
                });
            }
            Err(reason) => {
                eprintln!("NOT MEASURED: {}: {reason}", name.text());
                installed.missing.push(Missing { peer: name, reason });
            }
        }
    }
    Ok(installed)
}

fn version(name: PeerName) -> Result<String, String> {
    let file = |ending: &str| tools().join(format!("{}.{ending}", name.installation()));
    if let Ok(reason) = fs::read_to_string(file("missing")) {
        return Err(format!("it could not be installed: {}", reason.trim()));
    }
    match fs::read_to_string(file("version")) {
        Ok(version) => Ok(version.trim().to_owned()),
        Err(_) => Err("it is not installed: run bench/peers/install".to_owned()),
    }
}

fn tools() -> PathBuf {
    root().join("bench/peers/.tools")
}

/// The same program for a table's last lines: which versions were measured, and what was not.
pub(crate) fn notes(present: &[Present], missing: &[Missing]) -> String {
    let mut versions: Vec<&str> = present.iter().map(|it| it.version.as_str()).collect();
    versions.dedup();
    let mut text = format!("\nVersions: {}\n", versions.join("; "));
    for missing in missing {
        let name = missing.peer.text();
        text.push_str(&format!("\nNot measured: {name}: {}\n", missing.reason));
    }
    text
}

/// wrk, from Debian's package, with the libraries that came with it, or as it is installed on this machine.
pub(crate) fn wrk() -> Outcome<Command> {
    let debian = tools().join("debian/usr");
    let own = debian.join("bin/wrk");
    if own.exists() {
        let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|of_machine| debian.join("lib").join(of_machine));
        let mut command = Command::new(own);
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
        return Ok(command);
    }
    let elsewhere = Path::new("/usr/bin/wrk");
    match elsewhere.exists() {
        true => Ok(Command::new(elsewhere)),
        false => Err("wrk is missing: run bench/peers/install, or install it".into()),
    }
}
