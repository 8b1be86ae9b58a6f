//! The figures for people.

use super::results::{FanoutResult, Measured};
use crate::table::{Table, thousands};

pub(super) fn of(results: &[FanoutResult]) -> String {
    fanout_table(results) + &loader_limits(results)
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
        let floor = format!("bare send loop, {era:?} event");
        table.row(fanout_row(floor, result.streams, &result.floor, (1.0, 1.0)));
        let ratios = (
            result.cpu_ratio_to_floor.median,
            result.last_ratio_to_floor.median,
        );
        let pinfold = format!("pinfold, {era:?}");
        table.row(fanout_row(pinfold, result.streams, &result.pinfold, ratios));
    }
    format!(
        "\nOne publication to N idle streams, medians of the repetitions. With N = 1, CPU is what a publication costs by \
         itself: its request, its answer and one event.\n\n{}",
        table.text()
    )
}

fn fanout_row(
    name: String,
    streams: usize,
    measured: &Measured,
    (cpu, last): (f64, f64),
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

/// Deliveries at more than this share of what the loader can read are limited by the loader as much as by the server.
const LOADER_SHARE_MAX: f64 = 0.8;

/// Fewer waiting events are read before a rate can be told.
const WAITING_MIN: usize = 100;

fn loader_limits(results: &[FanoutResult]) -> String {
    let columns = ["loader", "N", "reads/s", "of these used", "is the limit"];
    let mut table = Table::new(&columns);
    for result in results.iter().filter(|it| it.streams >= WAITING_MIN) {
        let limit = result.floor.loader_reads_per_second;
        let limit = limit.map_or(0.0, |it| it.median);
        let rates = [&result.floor, &result.pinfold].map(|it| it.receipts_per_second.median);
        let share = rates[0].max(rates[1]) / limit;
        table.row([
            format!("{:?} event", result.era),
            thousands(result.streams as f64),
            thousands(limit),
            format!("{:.0} %", 100.0 * share),
            if share > LOADER_SHARE_MAX {
                "close"
            } else {
                "no"
            }
            .to_owned(),
        ]);
    }
    format!(
        "\nThe loader's own limit: events that are waiting for it, and the faster server's share of it between \
         the first and the last receipt. Where it is close, times of receipt are the loader's too; CPU per event is not touched by it.\n\n{}",
        table.text()
    )
}
