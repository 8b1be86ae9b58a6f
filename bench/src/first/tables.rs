//! The first figures for people.

use super::results::{FanoutResult, Measured, MemoryResult, Results};
use crate::table::{Table, doubts, thousands};

pub(super) fn of(results: &Results) -> String {
    let mut text = fanout_table(&results.fanout);
    text.push_str(&loader_limits(&results.fanout));
    if !results.memory.is_empty() {
        text.push_str(&memory_table(&results.memory));
    }
    let samples = results
        .fanout
        .iter()
        .flat_map(|it| it.floor.samples.iter().chain(&it.pinfold.samples));
    text.push_str(&doubts(samples.map(|it| it.others_share)));
    text
}

const FANOUT_COLUMNS: [&str; 12] = [
    "server",
    "N",
    "CPU ns/event",
    "× floor",
    "first µs",
    "p50 µs",
    "p99 µs",
    "last µs",
    "× floor",
    "events/s",
    "lost",
    "extra",
];

fn fanout_table(results: &[FanoutResult]) -> String {
    let mut table = Table::new(&FANOUT_COLUMNS);
    for result in results {
        let era = result.era;
        let (cpu, last) = (result.cpu_ratio_to_floor, result.last_ratio_to_floor);
        let floor = format!("bare send loop, {era:?} event");
        table.row(fanout_row(floor, result.streams, &result.floor, 1.0, 1.0));
        let pinfold = format!("pinfold, {era:?}");
        let ratios = (cpu.median, last.median);
        table.row(fanout_row(
            pinfold,
            result.streams,
            &result.pinfold,
            ratios.0,
            ratios.1,
        ));
    }
    format!(
        "\nOne publication to N idle streams, medians of the repetitions\n\n{}",
        table.text()
    )
}

fn fanout_row(
    name: String,
    streams: usize,
    measured: &Measured,
    cpu: f64,
    last: f64,
) -> [String; 12] {
    [
        name,
        thousands(streams as f64),
        thousands(measured.cpu_ns_per_event.median),
        format!("{cpu:.2}"),
        thousands(measured.first_us.median),
        thousands(measured.p50_us.median),
        thousands(measured.p99_us.median),
        thousands(measured.last_us.median),
        format!("{last:.2}"),
        thousands(measured.events_per_second.median),
        measured.lost.to_string(),
        measured.extra.to_string(),
    ]
}

fn loader_limits(results: &[FanoutResult]) -> String {
    let mut table = Table::new(&["loader", "N", "waiting events it reads/s"]);
    for result in results {
        let limit = result.floor.loader_reads_per_second;
        table.row([
            format!("{:?} event", result.era),
            thousands(result.streams as f64),
            thousands(limit.map_or(0.0, |it| it.median)),
        ]);
    }
    format!("\nThe loader's own limit\n\n{}", table.text())
}

fn memory_table(results: &[MemoryResult]) -> String {
    let mut table = Table::new(&[
        "idle client",
        "from",
        "to",
        "user bytes",
        "resident",
        "opened/s",
    ]);
    for result in results {
        table.row([
            format!("{:?}", result.client),
            thousands(result.few as f64),
            thousands(result.many as f64),
            thousands(result.anonymous_per_client.median),
            thousands(result.resident_per_client.median),
            thousands(result.opened_per_second.median),
        ]);
    }
    format!(
        "\nThe server's memory for each idle client, median slopes\n\n{}",
        table.text()
    )
}
