//! Results as data: `bench/record/<date>-<revision>/`, for each scenario a JSON file and its tables
//! as text, and `environment.json` beside them.
//!
//! Nothing in a record says whose machine it was: no host name, no path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::Value;

use crate::Outcome;

/// Where and how a run was made.
#[derive(Debug, Serialize)]
struct Environment<S> {
    date: String,
    revision: String,
    /// Tracked files differed from that revision.
    modified: bool,
    /// Kernel and architecture; the host's name is nobody's business.
    uname: String,
    lscpu: Value,
    memory_kib: u64,
    load_average_at_start: String,
    /// Its work is part of every send, the floor's included.
    tcp_congestion_control: String,
    open_files: u64,
    rustc: Vec<String>,
    command: String,
    settings: S,
}

pub(crate) struct Record {
    directory: PathBuf,
    scenario: &'static str,
}

/// The workspace's root, which is where this was built.
pub(crate) fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}

impl Record {
    /// Writes `environment.json` at once, so that it says what was true when the run began.
    pub(crate) fn begin(
        scenario: &'static str,
        settings: impl Serialize,
        open_files: u64,
    ) -> Outcome<Self> {
        let date = output("date", &["-u", "+%Y-%m-%d"])?;
        let revision = output("git", &["rev-parse", "--short=10", "HEAD"])?;
        let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
        let environment = Environment {
            modified: !changes.is_empty(),
            uname: output("uname", &["-s", "-r", "-v", "-m"])?,
            lscpu: lscpu()?,
            memory_kib: memory_kib()?,
            load_average_at_start: fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
            tcp_congestion_control: fs::read_to_string(CONGESTION_CONTROL)?.trim().to_owned(),
            open_files,
            rustc: lines(&output("rustc", &["-vV"])?),
            command: command(),
            settings,
            date: date.clone(),
            revision: revision.clone(),
        };
        let directory = root().join(format!("bench/record/{date}-{revision}"));
        fs::create_dir_all(&directory)?;
        write(&directory.join("environment.json"), &environment)?;
        Ok(Record {
            directory,
            scenario,
        })
    }

    /// `tables` are the results for people, in Markdown.
    pub(crate) fn end(&self, results: &impl Serialize, tables: &str) -> Outcome<()> {
        let path = self.directory.join(format!("{}.json", self.scenario));
        write(&path, results)?;
        fs::write(path.with_extension("md"), tables)?;
        println!("{tables}");
        let path = path.strip_prefix(root()).unwrap_or(&path);
        println!("record: {}", path.display());
        Ok(())
    }
}

fn write(path: &Path, value: &impl Serialize) -> Outcome<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(fs::write(path, text)?)
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

/// As it would be typed at the root of the repository.
fn command() -> String {
    let root = format!("{}/", root().display());
    let arguments = std::env::args().skip(1).map(|it| it.replace(&root, ""));
    let typed = ["cargo run --release -p pinfold-bench --".to_owned()];
    typed
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
