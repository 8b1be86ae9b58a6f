//! What a record was measured on: the revision, the machine, and the versions of what else was there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

use crate::machine;
use crate::workspace::root;
use crate::{Outcome, redis};

/// Where a run was made.
#[derive(Debug, Serialize)]
pub(super) struct Environment {
    date: String,
    /// When the run began, so that the newest of several records of a day can be told.
    began: String,
    revision: String,
    /// Tracked files differed from that revision.
    modified: bool,
    /// Kernel and architecture; the host's name is nobody's business.
    uname: String,
    lscpu: Value,
    memory_kib: u64,
    /// Its work is part of every send, the floor's included.
    tcp_congestion_control: String,
    open_files: u64,
    rustc: Vec<String>,
}

/// As it was when the first scenario of this run began: a long run has one record, whatever happens meanwhile.
pub(super) fn environment() -> Outcome<&'static Environment> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let environment = Environment::here()?;
    if environment.modified {
        eprintln!(
            "The tree differs from {}: the record's name ends in -modified.",
            environment.revision
        );
    }
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

impl Environment {
    /// The directory's name. Git keeps no quick run's.
    pub(super) fn name(&self, quick: bool) -> String {
        let modified = if self.modified { "-modified" } else { "" };
        let quick = if quick { "-quick" } else { "" };
        format!("{}-{}{modified}{quick}", self.date, self.revision)
    }

    fn here() -> Outcome<Self> {
        let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
        Ok(Environment {
            date: output("date", &["-u", "+%Y-%m-%d"])?,
            began: output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
            revision: output("git", &["rev-parse", "--short=10", "HEAD"])?,
            modified: !changes.is_empty(),
            uname: output("uname", &["-s", "-r", "-v", "-m"])?,
            lscpu: lscpu()?,
            memory_kib: memory_kib()?,
            tcp_congestion_control: fs::read_to_string(CONGESTION_CONTROL)?.trim().to_owned(),
            open_files: machine::open_files_allowed(),
            rustc: lines(&output("rustc", &["-vV"])?),
        })
    }
}

/// Where bench/peers/install leaves `NAME.version` of what it installed.
const PEERS: &str = "bench/peers/.tools";

/// Of the peers, of wrk and of Redis, as far as they are there.
pub(super) fn versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let files = fs::read_dir(root().join(PEERS));
    for path in files.into_iter().flatten().flatten().map(|it| it.path()) {
        if let Some((name, version)) = version(&path) {
            versions.insert(name, version);
        }
    }
    let redis = Command::new(redis::program()).arg("--version").output();
    if let Ok(redis) = redis {
        let version = String::from_utf8_lossy(&redis.stdout);
        versions.insert("redis".to_owned(), version.trim().to_owned());
    }
    versions
}

fn version(path: &Path) -> Option<(String, String)> {
    if path.extension()? != "version" {
        return None;
    }
    let name = path.file_stem()?.to_str()?.to_owned();
    let version = fs::read_to_string(path).ok()?;
    Some((name, version.trim().to_owned()))
}

fn output(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|fault| format!("cannot run {program}: {fault}"))?;
    if !output.status.success() {
        return Err(format!("{program} {arguments:?} failed: {}", output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// What can matter for a number, of what lscpu knows.
const LSCPU_FIELDS: [&str; 13] = [
    "Architecture",
    "CPU(s)",
    "Model name",
    "CPU family",
    "Model",
    "Stepping",
    "Thread(s) per core",
    "Core(s) per socket",
    "Hypervisor vendor",
    "L1d",
    "L1i",
    "L2",
    "L3",
];

fn lscpu() -> Outcome<Value> {
    let text = output("lscpu", &[])?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let kept = fields
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| LSCPU_FIELDS.contains(&name.trim_end_matches(" cache")))
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    Ok(Value::Object(kept.collect()))
}

fn memory_kib() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text.split_whitespace().nth(1).unwrap_or("");
    Ok(total.parse()?)
}
