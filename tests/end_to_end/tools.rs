//! Where `tests/setup` puts Node.js, the Python environment, the packages, Traefik, Redis and Prometheus, and whether it has done so.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `tests/clients`: the scripts, what they need, and what was installed for them.
pub(crate) fn clients_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A script of `tests/clients`, by what runs it.
pub(crate) fn script(name: &str) -> Command {
    let program = match name.ends_with(".py") {
        true => python(),
        false => node(),
    };
    let mut command = Command::new(program);
    command.arg(clients_folder().join(name));
    command
}

/// A script that looks at a page, in the machine's Chromium or Debian's.
pub(crate) fn browser_script(name: &str) -> Command {
    present(".tools/chromium");
    script(name)
}

pub(crate) fn node() -> PathBuf {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    installed(&format!("node_modules/node-linux-{arch}/bin/node"))
}

pub(crate) fn python() -> PathBuf {
    installed(".tools/venv/bin/python")
}

pub(crate) fn traefik() -> PathBuf {
    installed(".tools/traefik/bin/traefik")
}

pub(crate) fn redis_server() -> PathBuf {
    installed(".tools/redis/redis-server")
}

/// From the machine, or Debian's as `tests/setup` unpacked it; as is its `promtool`.
pub(crate) fn prometheus() -> PathBuf {
    present(".tools/prometheus/prometheus")
}

pub(crate) fn promtool() -> PathBuf {
    present(".tools/prometheus/promtool")
}

/// From the machine, or Debian's as `tests/setup` unpacked it.
pub(crate) fn strace() -> PathBuf {
    present(".tools/strace")
}

/// A file of an npm package.
pub(crate) fn package(path: &str) -> PathBuf {
    installed(&format!("node_modules/{path}"))
}

/// A path that exists, installed from the lists of packages as they are now.
fn installed(path: &str) -> PathBuf {
    let clients = clients_folder();
    for list in ["package-lock.json", "requirements.txt", "traefik.txt"] {
        let wanted =
            std::fs::read(clients.join(list)).expect("the repository has its lists of packages");
        let installed = std::fs::read(clients.join(".tools").join(list)).ok();
        assert!(
            installed == Some(wanted),
            "the packages of tests/clients/{list} are not installed: run tests/setup"
        );
    }
    present(path)
}

fn present(path: &str) -> PathBuf {
    let file = clients_folder().join(path);
    assert!(
        file.exists(),
        "tests/clients/{path} is missing: run tests/setup"
    );
    file
}
