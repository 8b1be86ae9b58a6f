//! What is plotted of which scenario's results.

use serde_json::Value;

use super::bars::{Bar, Bars};
use super::lines::{Lines, Series};
use crate::Outcome;
use crate::reading::{Reading, items, number, text};

pub(super) enum Figure {
    Lines(Lines),
    Bars(Bars),
}

type Make = fn(&Reading) -> Outcome<Option<Figure>>;

/// By the names of their files.
pub(super) const FIGURES: [(&str, Make); 5] = [
    ("fanout-last-receipt", last_receipt),
    ("cpu-per-event", cpu_per_event),
    ("memory-per-stream", memory),
    ("requests-per-second", requests),
    ("rate-ladder", ladder),
];

fn last_receipt(record: &Reading) -> Outcome<Option<Figure>> {
    let mut series = Vec::new();
    let fanout = record.results("fanout")?;
    add_fanout(&mut series, &fanout, LAST);
    let peers = record.results("peers")?;
    add_servers(&mut series, items(&peers["fanout"]), LAST, |it| {
        !is_ours(it)
    });
    Ok(lines(Lines {
        caption: "From publishing to the last subscriber".to_owned(),
        x: "subscribers".to_owned(),
        y: "milliseconds".to_owned(),
        y_is_logarithmic: true,
        series,
    }))
}

fn cpu_per_event(record: &Reading) -> Outcome<Option<Figure>> {
    let mut series = Vec::new();
    let growth = record.results("growth")?;
    let sizes = items(&growth["sizes"]);
    if sizes.is_empty() {
        add_fanout(&mut series, &record.results("fanout")?, CPU);
    }
    add_servers(&mut series, sizes, CPU, |_| true);
    let peers = record.results("peers")?;
    add_servers(&mut series, items(&peers["fanout"]), CPU, |it| !is_ours(it));
    Ok(lines(Lines {
        caption: "The server's CPU for one delivered event".to_owned(),
        x: "subscribers".to_owned(),
        y: "microseconds of CPU".to_owned(),
        y_is_logarithmic: true,
        series,
    }))
}

fn ladder(record: &Reading) -> Outcome<Option<Figure>> {
    let mut series = Vec::new();
    let ladders = record.results("ladder")?;
    for ladder in items(&ladders) {
        for (quantile, field) in [("half", "p50_us/median"), ("99 %", "p99_us/median")] {
            let name = format!("{}, {quantile} within", text(ladder, "era"));
            let steps = items(&ladder["steps"]).iter();
            add(
                &mut series,
                &name,
                steps,
                "events_per_second/median",
                |it| Some(number(it, field)? / 1000.0),
            );
        }
    }
    let streams = items(&ladders).first();
    let streams = streams.and_then(|it| number(it, "streams")).unwrap_or(0.0);
    Ok(lines(Lines {
        caption: format!("Publishing at a rate to {streams} subscribers: time to receipt"),
        x: "events delivered per second".to_owned(),
        y: "milliseconds".to_owned(),
        y_is_logarithmic: true,
        series,
    }))
}

fn memory(record: &Reading) -> Outcome<Option<Figure>> {
    let mut all = Vec::new();
    let peers = record.results("peers")?;
    for server in items(&peers["memory"]) {
        let name = text(server, "server");
        let group = if is_ours(name) { OURS } else { PEERS };
        let bytes = number(server, "anonymous_per_client/median");
        all.extend(bytes.map(|it| bar(name, group, it)));
    }
    Ok(bars(Bars {
        caption: "User memory of an idle stream".to_owned(),
        x: "bytes".to_owned(),
        bars: all,
    }))
}

fn requests(record: &Reading) -> Outcome<Option<Figure>> {
    let mut all = Vec::new();
    let requests = record.results("requests")?;
    for result in items(&requests["requests"]) {
        let (server, script) = (text(result, "server"), text(result, "script"));
        let group = if server.contains("pinfold") {
            OURS
        } else {
            PEERS
        };
        if wrong(result) {
            continue;
        }
        let rate = number(result, "summary/requests_per_second/median");
        all.extend(rate.map(|it| bar(&format!("{script}, {server}"), group, it)));
    }
    // The same kind of request together, the fastest first.
    let kind = |it: &Bar| it.name.split(',').next().map(str::to_owned);
    all.sort_by(|a, b| {
        let kinds = kind(a).cmp(&kind(b));
        kinds.then(b.number.total_cmp(&a.number))
    });
    Ok(bars(Bars {
        caption: "Requests, 64 keep-alive connections".to_owned(),
        x: "requests per second".to_owned(),
        bars: all,
    }))
}

/// What was not answered, or not rightly, took no time that says anything.
fn wrong(result: &Value) -> bool {
    let counts = ["wrong", "broken", "timeouts"].map(|it| number(result, it));
    counts.into_iter().flatten().any(|it| it > 0.0)
}

/// In results of fan-outs, by their server: nanoseconds, and microseconds.
const CPU: &str = "cpu_ns_per_event/median";
const LAST: &str = "last_us/median";

/// The floor and both eras of the scenario that measures them most closely; a thousandth of the field.
fn add_fanout(series: &mut Vec<Series>, results: &Value, field: &str) {
    for (name, era, server) in [
        ("bare send loop", "legacy", "floor"),
        ("pinfold, legacy", "legacy", "pinfold"),
        ("pinfold, modern", "modern", "pinfold"),
    ] {
        // One stream shows what a publication costs by itself.
        let of_era = items(results)
            .iter()
            .filter(|it| text(it, "era") == era && number(it, "streams") > Some(1.0));
        add(series, name, of_era, "streams", |it| {
            Some(number(it, &format!("{server}/{field}"))? / 1000.0)
        });
    }
}

/// A line for each server that is wanted; a thousandth of the field.
fn add_servers(
    series: &mut Vec<Series>,
    results: &[Value],
    field: &str,
    wanted: impl Fn(&str) -> bool,
) {
    for name in names(results).into_iter().filter(|it| wanted(it)) {
        let of_server = results.iter().filter(|it| text(it, "server") == name);
        add(series, name, of_server, "streams", |it| {
            Some(number(it, field)? / 1000.0)
        });
    }
}

const OURS: usize = 1;
const PEERS: usize = 5;

fn bar(name: &str, group: usize, number: f64) -> Bar {
    Bar {
        name: name.to_owned(),
        group,
        number,
    }
}

/// Measured beside the peers too, but plotted from the scenario of its own.
fn is_ours(server: &str) -> bool {
    server.contains("pinfold") || server.contains("bare")
}

fn names(results: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in results.iter().map(|it| text(it, "server")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Adds a line, of those results that have both numbers.
fn add<'a>(
    series: &mut Vec<Series>,
    name: &str,
    results: impl Iterator<Item = &'a Value>,
    x: &str,
    y: impl Fn(&Value) -> Option<f64>,
) {
    let points = results.filter_map(|it| Some((number(it, x)?, y(it)?)));
    series.push(Series {
        name: name.to_owned(),
        points: points.filter(|it| it.0 > 0.0 && it.1 > 0.0).collect(),
    });
}

fn lines(mut lines: Lines) -> Option<Figure> {
    lines.series.retain(|it| !it.points.is_empty());
    (!lines.series.is_empty()).then_some(Figure::Lines(lines))
}

fn bars(mut bars: Bars) -> Option<Figure> {
    bars.bars.retain(|it| it.number > 0.0);
    (!bars.bars.is_empty()).then_some(Figure::Bars(bars))
}
