//! pinfold and its peers for people.

use super::installed::notes;
use super::results::Results;
use crate::table::{Table, thousands};

pub(super) fn of(results: &Results) -> String {
    let mut text = fanout_table(results);
    text.push_str(&memory_table(results));
    text.push_str(&openings(results));
    text.push_str(&notes(&results.versions, &results.missing));
    for failure in &results.failed {
        text.push_str(&format!(
            "\nFailed while it was measured: {}, {}: {}\n",
            failure.server, failure.what, failure.reason
        ));
    }
    text
}

fn fanout_table(results: &Results) -> String {
    let mut table = Table::new(&[
        "server",
        "N",
        "last ms",
        "× floor",
        "CPU ns/event",
        "× floor",
        "bytes/event",
        "lost",
        "extra",
    ]);
    for result in &results.fanout {
        table.row([
            result.server.clone(),
            thousands(result.streams as f64),
            format!("{:.1}", result.last_us.median / 1000.0),
            format!("{:.2}", result.last_ratio_to_floor.median),
            thousands(result.cpu_ns_per_event.median),
            format!("{:.2}", result.cpu_ratio_to_floor.median),
            thousands(result.bytes_per_event.median),
            result.lost.to_string(),
            result.extra.to_string(),
        ]);
    }
    format!(
        "\nOne publication to N idle streams of each server on one core, medians of the repetitions\n\n{}",
        table.text()
    )
}

fn memory_table(results: &Results) -> String {
    let mut table = Table::new(&["idle stream", "from", "to", "user bytes", "resident"]);
    for result in &results.memory {
        table.row([
            result.server.clone(),
            thousands(result.few as f64),
            thousands(result.many as f64),
            thousands(result.anonymous_per_client.median),
            thousands(result.resident_per_client.median),
        ]);
    }
    format!(
        "\nThe servers' memory for each idle stream, median slopes\n\n{}",
        table.text()
    )
}

/// With more of a CPU than this in use the loader opened as fast as it can.
const LOADER_SHARE_MAX: f64 = 0.9;

/// How fast streams open, and what that is against rmcp's.
fn openings(results: &Results) -> String {
    let mut table = Table::new(&[
        "opening",
        "N",
        "opened/s",
        "CPU µs each",
        "loader's CPU",
        "is the limit",
    ]);
    for result in &results.fanout {
        let share = result.opening_loader_share.median;
        table.row([
            result.server.clone(),
            thousands(result.streams as f64),
            thousands(result.opened_per_second.median),
            format!("{:.1}", result.opening_cpu_us.median),
            format!("{:.0} %", 100.0 * share),
            match share > LOADER_SHARE_MAX {
                true => "the loader",
                false => "",
            }
            .to_owned(),
        ]);
    }
    format!(
        "\nOpening N streams. Where the loader was the limit the server could open more, and its CPU tells how many\n\n\
         {}\n{}",
        table.text(),
        openings_by_rmcp(results)
    )
}

fn openings_by_rmcp(results: &Results) -> String {
    let columns = ["opening, pinfold × rmcp", "N", "by rate", "by CPU", "bar"];
    let mut table = Table::new(&columns);
    for opening in &results.openings {
        table.row([
            opening.stream.to_owned(),
            thousands(opening.streams as f64),
            format!("{:.2}", opening.by_rate),
            format!("{:.2}", opening.by_cpu),
            format!("{:.1}", opening.wanted),
        ]);
    }
    table.text()
}
