//! Results as data: `bench/record/<date>-<revision>/` has `environment.json`, and for each scenario a JSON file and its
//! tables as text. Each is written as soon as its scenario is done.
//!
//! From its begin to its end a scenario has a file `NAME.unfinished` in place of these, with its command and, once it
//! failed, the reason; so what failed or was interrupted is known, and nothing of an earlier run stands for it.
//!
//! A record of a changed tree ends in `-modified`. A quick run's ends in `-quick` and is not kept by git. Nothing in a
//! record says whose machine it was: no host name, no path.

mod environment;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use self::environment::{Environment, environment, versions};
use crate::Outcome;
use crate::machine::{self, Busy};
use crate::table::doubts;
use crate::workspace::root;

/// `environment.json`: one for all scenarios of a record.
#[derive(Serialize)]
struct Surroundings {
    #[serde(flatten)]
    environment: &'static Environment,
    /// Of the peers, of wrk and of Redis.
    versions: std::collections::BTreeMap<String, String>,
    /// Of each run that wrote something here, in order.
    commands: Vec<String>,
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

/// Where records lie.
pub(crate) fn records() -> PathBuf {
    root().join("bench/record")
}

/// Ends the name of the file of a scenario that has begun and not ended.
pub(crate) const UNFINISHED: &str = "unfinished";

/// The directory that this run writes to.
pub(crate) fn of_this_run(quick: bool) -> Outcome<PathBuf> {
    Ok(records().join(environment()?.name(quick)))
}

/// Notes that a scenario failed, wherever it was.
pub(crate) fn failed(scenario: &str, quick: bool, fault: &str) -> Outcome<()> {
    let directory = of_this_run(quick)?;
    fs::create_dir_all(&directory)?;
    surround(&directory)?;
    unfinish(&directory, scenario, Some(fault))
}

fn surround(directory: &Path) -> Outcome<()> {
    let path = directory.join("environment.json");
    let before = fs::read(&path).ok();
    let before = before.and_then(|it| serde_json::from_slice::<Value>(&it).ok());
    let before = before.unwrap_or_default();
    let commands = before["commands"].as_array().into_iter().flatten();
    let mut commands: Vec<String> = commands
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect();
    let command = command();
    if commands.last() != Some(&command) {
        commands.push(command);
    }
    let surroundings = Surroundings {
        environment: environment()?,
        versions: versions(),
        commands,
    };
    write(&path, &surroundings)
}

/// Takes away what an earlier run left of the scenario.
fn unfinish(directory: &Path, scenario: &str, fault: Option<&str>) -> Outcome<()> {
    let path = directory.join(scenario);
    for kind in ["json", "md"] {
        let old = path.with_extension(kind);
        if old.exists() {
            fs::remove_file(old)?;
        }
    }
    let what = fault.unwrap_or("it did not come to its end");
    let text = format!("{what}\n{}\n", command());
    Ok(fs::write(path.with_extension(UNFINISHED), text)?)
}

impl Record {
    /// Writes `environment.json` at once, so that it says what was true when the run began. Settings with `quick` in
    /// them go to a quick run's directory.
    pub(crate) fn begin(scenario: &'static str, settings: impl Serialize) -> Outcome<Self> {
        let settings = serde_json::to_value(settings)?;
        let quick = settings.get("quick") == Some(&Value::Bool(true));
        let directory = of_this_run(quick)?;
        fs::create_dir_all(&directory)?;
        surround(&directory)?;
        unfinish(&directory, scenario, None)?;
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
        fs::remove_file(path.with_extension(UNFINISHED))?;
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

/// As it would be typed at the root of the repository; of another program, its file's name.
fn command() -> String {
    let mut command = "cargo run --release -p pinfold-bench --".to_owned();
    let mut is_program = false;
    for argument in std::env::args().skip(1) {
        let shown = match argument.strip_prefix("--program=") {
            Some(path) => format!("--program={}", file_name(path)),
            None if is_program => file_name(&argument),
            None => argument.replace(&format!("{}/", root().display()), ""),
        };
        is_program = argument == "--program";
        command.push(' ');
        command.push_str(&shown);
    }
    command
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
