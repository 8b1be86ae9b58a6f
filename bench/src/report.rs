//! A record in Markdown: where it was made, what was to be reached and what was, and the tables of all scenarios.

mod bars;

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;

use crate::Outcome;
use crate::reading::{Reading, number, text};
use crate::scenarios::SCENARIOS;
use crate::table::Table;

#[derive(Clone, Debug, Parser)]
pub(crate) struct ReportOptions {
    /// Directory of the record [default: that of the newest run]
    #[arg(value_name = "DIRECTORY")]
    record: Option<PathBuf>,
}

pub(crate) fn run(options: &ReportOptions) -> Outcome<()> {
    let record = Reading::open(options.record.as_deref())?;
    print!("{}", of(&record)?);
    Ok(())
}

/// The report as a file of the record.
pub(crate) fn save(record: &Reading) -> Outcome<()> {
    let path = record.directory.join("report.md");
    fs::write(&path, of(record)?)?;
    println!("report: {}", path.display());
    Ok(())
}

fn of(record: &Reading) -> Outcome<String> {
    let mut report = head(&record.environment()?);
    report.push_str(&unfinished(record));
    let bars = bars::of(record)?;
    if !bars.is_empty() {
        report.push_str("\n## What was to be reached\n\n");
        let mut table = Table::new(&["what", "bar", "measured", "reached"]);
        for bar in bars {
            table.row(bar.cells());
        }
        report.push_str(&table.text());
    }
    report.push_str(&doubts(record)?);
    for name in SCENARIOS {
        let Some(scenario) = record.scenario(name)? else {
            continue;
        };
        let tables = fs::read_to_string(record.directory.join(name).with_extension("md"))?;
        let command = text(&scenario, "command");
        report.push_str(&format!("\n## {name}\n\n`{command}`\n{tables}"));
    }
    Ok(report)
}

/// Scenarios of which there is nothing, although they were begun.
fn unfinished(record: &Reading) -> String {
    let lines = SCENARIOS.iter().filter_map(|name| {
        let reason = record.unfinished(name)?;
        Some(format!("\n**FAILED: {name}**: {reason}\n"))
    });
    lines.collect()
}

/// Which scenarios call themselves doubtful, with what others had of the CPUs.
fn doubts(record: &Reading) -> Outcome<String> {
    let mut doubtful = Vec::new();
    for name in SCENARIOS {
        let scenario = record.scenario(name)?.unwrap_or_default();
        if scenario["doubtful"].as_bool() == Some(true) {
            let share = 100.0 * number(&scenario, "others_share").unwrap_or(0.0);
            doubtful.push(format!("{name} ({share:.0} %)"));
        }
    }
    Ok(match doubtful[..] {
        [] => String::new(),
        _ => format!(
            "\nDoubtful, for other programs had so much of the CPUs: {}.\n",
            doubtful.join(", ")
        ),
    })
}

fn head(environment: &Value) -> String {
    let field = |name| text(environment, name);
    let modified = match environment["modified"].as_bool() {
        Some(true) => ", with changes",
        _ => "",
    };
    let lscpu = &environment["lscpu"];
    format!(
        "# {} at {}{modified}\n\n{} · {} × {} · {} · {}\n",
        field("date"),
        field("revision"),
        field("uname"),
        text(lscpu, "CPU(s)"),
        text(lscpu, "Model name"),
        environment["rustc"][0].as_str().unwrap_or_default(),
        field("tcp_congestion_control"),
    )
}
