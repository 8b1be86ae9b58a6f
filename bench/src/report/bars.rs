//! What each scenario was to reach, beside what it reached.

use serde_json::Value;

use crate::Outcome;
use crate::reading::{Reading, items, number, text};
use crate::table::thousands;

pub(super) struct Bar {
    what: String,
    wanted: Wanted,
    /// In the unit of what is wanted.
    measured: f64,
}

#[derive(Clone, Copy)]
enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    pub(super) fn cells(&self) -> [String; 4] {
        let (wanted, reached) = match self.wanted {
            Wanted::AtMost(most) => (format!("≤ {}", figure(most)), self.measured <= most),
            Wanted::AtLeast(least) => (format!("≥ {}", figure(least)), self.measured >= least),
        };
        [
            self.what.clone(),
            wanted,
            figure(self.measured),
            if reached { "yes" } else { "**no**" }.to_owned(),
        ]
    }
}

fn figure(number: f64) -> String {
    match number.abs() {
        100.0.. => thousands(number),
        1e-9.. => format!("{number:.2}"),
        _ => "0".to_owned(),
    }
}

/// Those of the scenarios that were run.
pub(super) fn of(record: &Reading) -> Outcome<Vec<Bar>> {
    let mut bars = Vec::new();
    fanout(&mut bars, &record.results("fanout")?);
    openings(&mut bars, &record.results("peers")?);
    requests(&mut bars, &record.results("requests")?);
    burst(&mut bars, &record.results("burst")?);
    idle(&mut bars, &record.results("idle")?);
    for result in items(&record.results("disturbed")?) {
        let what = format!(
            "a ping in a broadcast, p99, µs more, {}",
            text(result, "era")
        );
        add(&mut bars, what, 1_000.0, number(result, "p99_more_us"));
    }
    stalled(&mut bars, &record.results("stalled")?);
    let churn = record.results("churn")?;
    let slope = number(&churn, "resident_slope_per_session");
    add(&mut bars, "bytes that stay of a session".into(), 1.0, slope);
    for result in items(&record.results("ladder")?) {
        let lost = items(&result["steps"]).iter();
        let lost = lost.filter_map(|it| number(it, "lost")).sum();
        let what = format!("lost at any rate, {}", text(result, "era"));
        add(&mut bars, what, 0.0, Some(lost));
    }
    Ok(bars)
}

fn fanout(bars: &mut Vec<Bar>, results: &Value) {
    for result in items(results) {
        let streams = number(result, "streams").unwrap_or(0.0);
        // One stream shows what a publication costs by itself.
        if streams < 100.0 {
            continue;
        }
        let of = format!("{}, N = {}", text(result, "era"), thousands(streams));
        let cpu = number(result, "cpu_ratio_to_floor/median");
        add(bars, format!("CPU per event × floor, {of}"), 1.10, cpu);
        if streams >= 10_000.0 {
            let last = number(result, "last_ratio_to_floor/median");
            add(bars, format!("last receipt × floor, {of}"), 1.10, last);
        }
        add(
            bars,
            format!("lost, {of}"),
            0.0,
            number(result, "pinfold/lost"),
        );
    }
}

fn burst(bars: &mut Vec<Bar>, results: &Value) {
    for result in items(results) {
        let topics = number(result, "topics").unwrap_or(0.0);
        let most = match topics {
            64.0.. => 0.10,
            16.0.. => 0.25,
            _ => continue,
        };
        let what = format!(
            "CPU per event of {topics} at once × one send, {}",
            text(result, "era")
        );
        add(
            bars,
            what,
            most,
            number(result, "cpu_ratio_to_floor/median"),
        );
    }
}

fn idle(bars: &mut Vec<Bar>, results: &Value) {
    for result in items(results) {
        let (what, most) = match text(result, "client") {
            "legacy" => ("a session and its GET stream", 768.0),
            "modern" => ("a listen stream", 512.0),
            _ => continue,
        };
        let bytes = number(result, "anonymous_per_client/median");
        add(bars, format!("user bytes of {what}"), most, bytes);
    }
}

/// What may be held for one reader: what is kept for a stream, and what its socket may have unsent and in flight.
const HELD_BYTES_MAX: f64 = 256.0 * 1024.0;

fn stalled(bars: &mut Vec<Bar>, results: &Value) {
    for result in items(&results["others"]) {
        let what = format!(
            "last receipt with one stalled × without, {}",
            text(result, "era")
        );
        add(bars, what, 1.05, number(result, "last_ratio/median"));
    }
    for result in items(&results["held"]) {
        let bytes = ["user_bytes", "kernel_bytes"].map(|it| number(result, it).unwrap_or(0.0));
        let what = format!("bytes held for a stalled reader, {}", text(result, "era"));
        add(bars, what, HELD_BYTES_MAX, Some(bytes[0] + bytes[1]));
    }
}

/// How many times as many streams a second pinfold opens as rmcp.
fn openings(bars: &mut Vec<Bar>, results: &Value) {
    for (stream, least) in [("session and GET", 5.0), ("listen", 2.0)] {
        let rate = |server: &str| {
            let name = format!("{server}, {stream}");
            let mut of_server = items(&results["fanout"]).iter();
            of_server
                .rfind(|it| text(it, "server") == name)
                .and_then(|it| number(it, "opened_per_second/median"))
        };
        if let (Some(ours), Some(theirs)) = (rate("pinfold"), rate("rmcp")) {
            bars.push(Bar {
                what: format!("opened/s × rmcp, {stream}"),
                wanted: Wanted::AtLeast(least),
                measured: ours / theirs,
            });
        }
    }
}

fn requests(bars: &mut Vec<Bar>, results: &Value) {
    for bar in items(&results["bars"]) {
        let least = number(bar, "wanted");
        let ratios = ["measured_by_rate", "measured_by_cpu"].map(|it| number(bar, it));
        if let (Some(least), [Some(rate), Some(cpu)]) = (least, ratios) {
            bars.push(Bar {
                what: text(bar, "what").to_owned(),
                wanted: Wanted::AtLeast(least),
                measured: rate.max(cpu),
            });
        }
    }
}

fn add(bars: &mut Vec<Bar>, what: String, most: f64, measured: Option<f64>) {
    bars.extend(measured.map(|measured| Bar {
        what,
        wanted: Wanted::AtMost(most),
        measured,
    }));
}
