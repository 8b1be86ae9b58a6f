//! pinfold and its peers for people.

use super::installed::notes;
use super::results::Results;
use crate::table::{Table, thousands};

pub(super) fn of(results: &Results) -> String {
    let mut text = fanout_table(results);
    text.push_str(&memory_table(results));
    text.push_str(&openings(results));
    text.push_str(&notes(&results.versions, &results.missing));
    for (server, reason) in &results.failed {
        text.push_str(&format!(
            "\nFailed while it was measured: {server}: {reason}\n"
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
        "opened/s",
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
            thousands(result.opened_per_second.median),
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
        "\nThe servers' memory for each idle stream, median slopes (nchan keeps streams in shared memory: see resident)\n\n{}",
        table.text()
    )
}

/// The bars for opening, against rmcp at the same count.
fn openings(results: &Results) -> String {
    let mut table = Table::new(&["opening, pinfold × rmcp", "N", "measured", "bar"]);
    for (kind, bar) in [("session and GET", 5.0), ("listen", 2.0)] {
        let [ours, rmcp] = ["pinfold", "rmcp"].map(|server| format!("{server}, {kind}"));
        for result in results.fanout.iter().filter(|it| it.server == ours) {
            let Some(rmcp) = results.fanout_of(&rmcp, result.streams) else {
                continue;
            };
            let ratio = result.opened_per_second.median / rmcp.opened_per_second.median;
            table.row([
                kind.to_owned(),
                thousands(result.streams as f64),
                format!("{ratio:.2}"),
                format!("{bar:.1}"),
            ]);
        }
    }
    format!("\n{}", table.text())
}
