//! Results as data: `bench/record/<date>-<revision>/` has `environment.json`, and for each scenario a JSON file and its
//! tables as text. Each is written as soon as its scenario is done.
//!
//! A quick run's record lies beside it with `-quick` at its end and is not kept by git. Nothing in a record says whose
//! machine it was: no host name, no path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::Outcome;
use crate::machine::{self, Busy};
use crate::table::doubts;

/// Where a run was made.
#[derive(Debug, Serialize)]
struct Environment {
    date: String,
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
    command: String,
}

/// A scenario's file.
#[derive(Serialize)]
struct Done<'a, R> {
    scenario: &'static str,
    command: String,
    settings: &'a Value,
    load_average_at_start: &'a str,
    seconds: f64,
    /// Share of all CPUs that went to other programs meanwhile, or to other guests of the host.
    others_share: f64,
    doubtful: bool,
    results: &'a R,
}

pub(crate) struct Record {
    directory: PathBuf,
    scenario: &'static str,
    settings: Value,
    load_average: String,
    started: Instant,
    busy: Busy,
    own_ns: u64,
}

/// The workspace's root, which is where this was built.
pub(crate) fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}

/// Where records lie.
pub(crate) fn records() -> PathBuf {
    root().join("bench/record")
}

impl Record {
    /// Writes `environment.json` at once, so that it says what was true when the run began. Settings with `quick` in
    /// them go to a quick run's directory.
    pub(crate) fn begin(scenario: &'static str, settings: impl Serialize) -> Outcome<Self> {
        let settings = serde_json::to_value(settings)?;
        let quick = settings.get("quick") == Some(&Value::Bool(true));
        let environment = environment()?;
        let name = format!("{}-{}", environment.date, environment.revision);
        let directory = records().join(if quick { name + "-quick" } else { name });
        fs::create_dir_all(&directory)?;
        write(&directory.join("environment.json"), environment)?;
        Ok(Record {
            directory,
            scenario,
            settings,
            load_average: fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
            started: Instant::now(),
            busy: Busy::now()?,
            own_ns: machine::own_and_childrens_cpu_ns()?,
        })
    }

    /// `tables` are the results for people, in Markdown.
    pub(crate) fn end(&self, results: &impl Serialize, tables: &str) -> Outcome<()> {
        let elapsed = self.started.elapsed();
        let own_ns = machine::own_and_childrens_cpu_ns()? - self.own_ns;
        let others_ns = Busy::now()?.of_others_since(self.busy, own_ns) as f64;
        let others_share = others_ns / (elapsed.as_nanos() as f64 * machine::cpus());
        let doubts = doubts(others_share);
        let path = self.directory.join(format!("{}.json", self.scenario));
        let done = Done {
            scenario: self.scenario,
            command: command(),
            settings: &self.settings,
            load_average_at_start: &self.load_average,
            seconds: elapsed.as_secs_f64(),
            others_share,
            doubtful: !doubts.is_empty(),
            results,
        };
        write(&path, &done)?;
        let tables = format!("{tables}{doubts}");
        fs::write(path.with_extension("md"), &tables)?;
        println!("{tables}");
        let path = path.strip_prefix(root()).unwrap_or(&path);
        println!("record: {}", path.display());
        Ok(())
    }
}

/// As it was when the first scenario of this run began: a long run has one record, whatever happens meanwhile.
fn environment() -> Outcome<&'static Environment> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let environment = Environment::here()?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

impl Environment {
    fn here() -> Outcome<Self> {
        let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
        Ok(Environment {
            date: output("date", &["-u", "+%Y-%m-%d"])?,
            revision: output("git", &["rev-parse", "--short=10", "HEAD"])?,
            modified: !changes.is_empty(),
            uname: output("uname", &["-s", "-r", "-v", "-m"])?,
            lscpu: lscpu()?,
            memory_kib: memory_kib()?,
            tcp_congestion_control: fs::read_to_string(CONGESTION_CONTROL)?.trim().to_owned(),
            open_files: machine::open_files_allowed(),
            rustc: lines(&output("rustc", &["-vV"])?),
            command: command(),
        })
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
