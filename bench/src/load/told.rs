//! What `load` saw, as JSON and for people.

use serde::Serialize;

use super::Kind;
use crate::stats::Times;
use crate::table::{Table, thousands};

#[derive(Serialize)]
pub(super) struct Told {
    pub(super) protocol: Kind,
    pub(super) streams: usize,
    pub(super) topics: u32,
    pub(super) opening: Opening,
    pub(super) publishing: Option<Publishing>,
}

/// What concerns the server's process is there only if that was named.
#[derive(Serialize)]
pub(super) struct Opening {
    pub(super) opened_per_second: f64,
    pub(super) server_cpu_us_per_stream: Option<f64>,
    /// Anonymous pages.
    pub(super) user_bytes_per_stream: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Publishing {
    /// None: as fast as everybody had the last one.
    pub(super) asked_per_second: Option<f64>,
    pub(super) publications: u64,
    pub(super) publications_per_second: f64,
    pub(super) events: u64,
    pub(super) events_per_second: f64,
    /// Of each publication's first receipt; not known at a rate.
    pub(super) first: Option<Times>,
    /// Of all receipts.
    pub(super) receipts: Times,
    /// Of each publication's last receipt.
    pub(super) last: Times,
    pub(super) lost: u64,
    pub(super) extra: u64,
    pub(super) server_cpu_ns_per_event: Option<f64>,
}

impl Told {
    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["what", "figure"]);
        let mut row = |what: &str, figure: Option<String>| {
            table.row([
                what.to_owned(),
                figure.unwrap_or_else(|| NAME_IT.to_owned()),
            ]);
        };
        let opening = &self.opening;
        row("streams", Some(thousands(self.streams as f64)));
        row("opened/s", Some(thousands(opening.opened_per_second)));
        let us = opening.server_cpu_us_per_stream;
        row("server CPU µs/opening", us.map(|it| format!("{it:.1}")));
        let bytes = opening.user_bytes_per_stream.map(thousands);
        row("server user bytes/stream", bytes);
        if let Some(publishing) = &self.publishing {
            for (what, figure) in publishing.rows() {
                row(what, figure);
            }
        }
        let mut text = format!("\n{}", table.text());
        let times = self.publishing.as_ref().map(Publishing::times);
        text.push_str(&times.unwrap_or_default());
        text
    }
}

const NAME_IT: &str = "(give --pid)";

impl Publishing {
    fn rows(&self) -> Vec<(&'static str, Option<String>)> {
        let cpu = self.server_cpu_ns_per_event;
        let mut rows = vec![
            ("publications", Some(thousands(self.publications as f64))),
            (
                "publications/s",
                Some(thousands(self.publications_per_second)),
            ),
            ("events", Some(thousands(self.events as f64))),
            ("events/s", Some(thousands(self.events_per_second))),
            ("lost", Some(thousands(self.lost as f64))),
            ("extra", Some(thousands(self.extra as f64))),
            ("server CPU ns/event", cpu.map(thousands)),
        ];
        if let Some(asked) = self.asked_per_second {
            rows.insert(1, ("asked for/s", Some(thousands(asked))));
        }
        rows
    }

    fn times(&self) -> String {
        let mut table = Table::new(&["receipt", "p50 µs", "p99 µs", "most µs"]);
        let times = [
            ("the first of all streams", self.first.as_ref()),
            ("any", Some(&self.receipts)),
            ("the last of all streams", Some(&self.last)),
        ];
        for (which, times) in times {
            let Some(times) = times else {
                continue;
            };
            table.row([
                which.to_owned(),
                thousands(times.p50_us),
                thousands(times.p99_us),
                thousands(times.max_us),
            ]);
        }
        format!("\n{}", table.text())
    }
}
