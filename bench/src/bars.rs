//! What is to be reached: each bar once, for the tables of scenarios and for the report.
//!
//! Read from results as they are recorded, so that an old record can be held against today's bars. What a scenario had to
//! measure and did not is told as such; a scenario that was not run has no bars.

use serde_json::Value;

use crate::reading::{items, number, text};
use crate::table::{Table, thousands};

pub(crate) struct Bar {
    what: String,
    wanted: Wanted,
    whose: Whose,
    /// In the unit of what is wanted.
    measured: Option<f64>,
}

#[derive(Clone, Copy)]
enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// What pinfold was asked to reach.
    Goal,
    /// What we ask of it besides.
    Ours,
}

/// How one of two figures is chosen.
pub(crate) const REQUESTS_RULE: &str = "A bar of requests is held against the ratio of rates if both servers had their CPU in \
     full use (90 % or more), and against the ratio of CPU per request if one of them waited for wrk \
     or for other programs.";

impl Bar {
    fn goal(what: String, wanted: Wanted, measured: Option<f64>) -> Self {
        let whose = Whose::Goal;
        Bar {
            what,
            wanted,
            whose,
            measured,
        }
    }

    fn ours(what: String, wanted: Wanted, measured: Option<f64>) -> Self {
        Bar {
            whose: Whose::Ours,
            ..Bar::goal(what, wanted, measured)
        }
    }

    pub(crate) fn cells(&self) -> [String; 4] {
        let sign = match self.wanted {
            Wanted::AtMost(most) => format!("≤ {}", figure(most)),
            Wanted::AtLeast(least) => format!("≥ {}", figure(least)),
        };
        [
            self.what.clone(),
            match self.whose {
                Whose::Goal => sign,
                Whose::Ours => format!("{sign} (ours)"),
            },
            self.measured.map_or("not measured".to_owned(), figure),
            match self.reached() {
                true => "yes",
                false => "**no**",
            }
            .to_owned(),
        ]
    }

    fn reached(&self) -> bool {
        match (self.wanted, self.measured) {
            (Wanted::AtMost(most), Some(measured)) => measured <= most,
            (Wanted::AtLeast(least), Some(measured)) => measured >= least,
            (_, None) => false,
        }
    }
}

/// Those of one scenario, for its own tables.
pub(crate) fn table(bars: &[Bar]) -> String {
    let mut table = Table::new(&["what", "bar", "measured", "reached"]);
    for bar in bars {
        table.row(bar.cells());
    }
    table.text()
}

fn figure(number: f64) -> String {
    match number.abs() {
        100.0.. => thousands(number),
        1e-9.. => format!("{number:.2}"),
        _ => "0".to_owned(),
    }
}

pub(crate) fn fanout(results: &Value) -> Vec<Bar> {
    let mut bars = Vec::new();
    for result in items(results) {
        let streams = number(result, "streams").unwrap_or(0.0);
        // One stream shows what a publication costs by itself.
        if streams < 100.0 {
            continue;
        }
        let of = format!("{}, N = {}", text(result, "era"), thousands(streams));
        bars.push(Bar::goal(
            format!("CPU per event × floor, {of}"),
            Wanted::AtMost(1.10),
            number(result, "cpu_ratio_to_floor/median"),
        ));
        if streams >= 10_000.0 {
            bars.push(Bar::goal(
                format!("last receipt × floor, {of}"),
                Wanted::AtMost(1.10),
                number(result, "last_ratio_to_floor/median"),
            ));
        }
        bars.push(Bar::ours(
            format!("lost, {of}"),
            Wanted::AtMost(0.0),
            number(result, "pinfold/lost"),
        ));
    }
    bars
}

pub(crate) fn burst(results: &Value) -> Vec<Bar> {
    let bars = items(results).iter().filter_map(|result| {
        let topics = number(result, "topics").unwrap_or(0.0);
        let bar = match topics {
            64.0 => Bar::goal,
            16.0 => Bar::ours,
            _ => return None,
        };
        let most = if topics == 64.0 { 0.10 } else { 0.25 };
        Some(bar(
            format!(
                "CPU per event of {topics} at once × one send, {}",
                text(result, "era")
            ),
            Wanted::AtMost(most),
            number(result, "cpu_ratio_to_floor/median"),
        ))
    });
    bars.collect()
}

pub(crate) fn idle(results: &Value) -> Vec<Bar> {
    let bars = items(results).iter().filter_map(|result| {
        let (what, most) = match text(result, "client") {
            "legacy" => ("a session and its GET stream", 768.0),
            "modern" => ("a listen stream", 512.0),
            _ => return None,
        };
        Some(Bar::goal(
            format!("user bytes of {what}"),
            Wanted::AtMost(most),
            number(result, "anonymous_per_client/median"),
        ))
    });
    bars.collect()
}

/// How many times as many streams a second pinfold opens as rmcp, at each number of streams.
pub(crate) fn openings(results: &Value) -> Vec<Bar> {
    let bars = items(&results["openings"]).iter().filter_map(|opening| {
        let streams = thousands(number(opening, "streams")?);
        let by_cpu = number(opening, "by_cpu").map(|it| format!(" (by CPU {it:.2})"));
        Some(Bar::goal(
            format!(
                "opened/s × rmcp, {}, N = {streams}{}",
                text(opening, "stream"),
                by_cpu.unwrap_or_default()
            ),
            Wanted::AtLeast(number(opening, "wanted")?),
            number(opening, "by_rate"),
        ))
    });
    bars.collect()
}

/// [`REQUESTS_RULE`] says which of the two ratios is taken.
pub(crate) fn requests(results: &Value) -> Vec<Bar> {
    let mut bars = Vec::new();
    let ours = items(&results["requests"]).iter();
    for result in ours.filter(|it| text(it, "role") == "pinfold") {
        let (name, to_rmcp) = match text(result, "script") {
            "ping" => ("ping", 4.0),
            "call-legacy" => ("tools/call, legacy", 3.5),
            "call-modern" => ("tools/call, modern", 3.5),
            _ => continue,
        };
        let mut add = |other, ratios, least| {
            let ratios = &result["summary"][ratios];
            let (by, path) = match ratios["both_saturated"].as_bool() {
                Some(true) => (", by rate", "rate/median"),
                Some(false) => (", by CPU", "cpu/median"),
                None => ("", ""),
            };
            let what = format!("{name} × {other}{by}");
            let measured = number(ratios, path);
            bars.push(Bar::goal(what, Wanted::AtLeast(least), measured));
        };
        if name == "ping" {
            add("axum's hello", "to_axum", 1.0);
        }
        add("rmcp's", "to_rmcp", to_rmcp);
    }
    bars
}

pub(crate) fn disturbed(results: &Value) -> Vec<Bar> {
    let bars = items(results).iter().map(|result| {
        Bar::goal(
            format!(
                "a ping in a broadcast, p99, µs more, {}",
                text(result, "era")
            ),
            Wanted::AtMost(1_000.0),
            number(result, "p99_more_us"),
        )
    });
    bars.collect()
}

/// What may be held for one reader: what is kept for a stream, and what its socket may have unsent and in flight.
const HELD_BYTES_MAX: f64 = 256.0 * 1024.0;

pub(crate) fn stalled(results: &Value) -> Vec<Bar> {
    let others = items(&results["others"]).iter().map(|result| {
        Bar::ours(
            format!(
                "last receipt with one stalled × without, {}",
                text(result, "era")
            ),
            Wanted::AtMost(1.05),
            number(result, "last_ratio/median"),
        )
    });
    let held = items(&results["held"]).iter().map(|result| {
        let bytes = ["user_bytes", "kernel_bytes"].map(|it| number(result, it));
        Bar::ours(
            format!("bytes held for a stalled reader, {}", text(result, "era")),
            Wanted::AtMost(HELD_BYTES_MAX),
            bytes.into_iter().sum(),
        )
    });
    others.chain(held).collect()
}

/// A page of metrics each second costs nothing that can be told from noise, or a hundredth.
pub(crate) fn observed(costs: &[Value]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for cost in costs {
        let mut lookers = items(&cost["lookers"]).iter();
        let Some(scraped) = lookers.find(|it| text(it, "looker") == "scraper") else {
            continue;
        };
        for (what, figure) in [("CPU", "cpu"), ("p99", "p99")] {
            let noise = number(cost, &format!("noise/{figure}/most")).unwrap_or(0.0);
            bars.push(Bar::goal(
                format!(
                    "{what}, scraped each second × nobody looks, {}",
                    text(cost, "what")
                ),
                Wanted::AtMost(noise.max(1.01)),
                number(scraped, &format!("ratios/{figure}/median")),
            ));
        }
    }
    bars
}

/// A list of ten thousand sessions.
pub(crate) fn listed(results: &Value) -> Vec<Bar> {
    let lists = items(&results["lists"]).iter().map(|list| {
        Bar::goal(
            format!("ms to the end of {}, p99", text(list, "question")),
            Wanted::AtMost(50.0),
            number(list, "answer/p99_us").map(|us| us / 1000.0),
        )
    });
    let portions = items(&results["portions"]).iter().map(|kind| {
        Bar::goal(
            format!(
                "µs of a core for a list at a time, most, {}",
                text(kind, "what")
            ),
            Wanted::AtMost(1_000.0),
            number(kind, "max_us"),
        )
    });
    lists.chain(portions).collect()
}

/// What hand-overs are called whose nodes had this driver, and a board of this size.
pub(crate) fn handover_name(driver: &str, board_mb: f64) -> String {
    match board_mb > 0.0 {
        true => format!("{driver}, a board of {board_mb} MB"),
        false => driver.to_owned(),
    }
}

pub(crate) fn handover(results: &Value) -> Vec<Bar> {
    let bars = items(results).iter().flat_map(|it| {
        let board_mb = number(it, "board_mb").unwrap_or_default();
        let driver = handover_name(text(it, "driver"), board_mb);
        let pause = |of: &str, most: f64, path: &str| {
            let what = format!("ms of pause, {of}, {driver}");
            Bar::goal(what, Wanted::AtMost(most), number(it, path))
        };
        let faults = format!("lost, doubled, ended, refused, broken or failed, {driver}");
        [
            Bar::goal(faults, Wanted::AtMost(0.0), number(it, "faults_sum")),
            pause("p50", 25.0, "pause_ms/median"),
            pause("most", 100.0, "pause_ms/most"),
        ]
    });
    bars.collect()
}

/// A client of a node that was killed hears again so soon, its own pause of a second with it.
const HEARS_WITHIN_MS: f64 = 3_000.0;

pub(crate) fn takeover(results: &Value) -> Vec<Bar> {
    let counts = &results["counts"];
    if counts.is_null() {
        return Vec::new();
    }
    let none = |what: &str, name: &str| {
        Bar::goal(what.to_owned(), Wanted::AtMost(0.0), number(counts, name))
    };
    vec![
        none("sessions lost with a node that is killed", "lost"),
        none("`initialize` sent again", "initialized_again"),
        none("clients that hear no more", "silent"),
        Bar::goal(
            "ms from the kill to the next notification, most".to_owned(),
            Wanted::AtMost(HEARS_WITHIN_MS),
            number(results, "all/heard/max_us").map(|us| us / 1_000.0),
        ),
    ]
}

/// None, within noise: two standard errors, or a byte.
pub(crate) fn churn(results: &Value) -> Vec<Bar> {
    let error = number(results, "resident_slope_error").map(|error| {
        Bar::goal(
            "bytes that stay of a session (0 within noise)".to_owned(),
            Wanted::AtMost((2.0 * error).max(1.0)),
            number(results, "resident_slope_per_session"),
        )
    });
    error.into_iter().collect()
}

pub(crate) fn ladder(results: &Value) -> Vec<Bar> {
    let bars = items(results).iter().map(|result| {
        let lost = items(&result["steps"]).iter().map(|it| number(it, "lost"));
        Bar::ours(
            format!("lost at any rate, {}", text(result, "era")),
            Wanted::AtMost(0.0),
            lost.sum(),
        )
    });
    bars.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ping(to_rmcp: &Value) -> Vec<[String; 4]> {
        let result = json!({
            "role": "pinfold",
            "script": "ping",
            "summary": {"to_axum": null, "to_rmcp": to_rmcp},
        });
        let results = json!({"requests": [result]});
        requests(&results).iter().map(Bar::cells).collect()
    }

    #[test]
    fn rates_count_only_where_both_servers_were_busy() {
        let ratios = |both: bool| json!({"rate": {"median": 3.0}, "cpu": {"median": 5.0}, "both_saturated": both});
        let by_rate = ["ping × rmcp's, by rate", "≥ 4.00", "3.00", "**no**"];
        assert_eq!(ping(&ratios(true))[1], by_rate);
        let by_cpu = ["ping × rmcp's, by CPU", "≥ 4.00", "5.00", "yes"];
        assert_eq!(ping(&ratios(false))[1], by_cpu);
    }

    #[test]
    fn what_has_no_ratio_is_not_left_out() {
        let cells = ["ping × rmcp's", "≥ 4.00", "not measured", "**no**"];
        assert_eq!(ping(&Value::Null)[1], cells);
    }
}
