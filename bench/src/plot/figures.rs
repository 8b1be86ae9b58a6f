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
pub(super) const FIGURES: [(&str, Make); 7] = [
    ("fanout-last-receipt", last_receipt),
    ("cpu-per-event", cpu_per_event),
    ("memory-per-stream", memory),
    ("requests-per-second", requests),
    ("rate-ladder", ladder),
    ("leaving", leaving),
    ("takeover", takeover),
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
        x_is_logarithmic: true,
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
        x_is_logarithmic: true,
        series,
    }))
}

fn ladder(record: &Reading) -> Outcome<Option<Figure>> {
    let mut series = Vec::new();
    let ladders = record.results("ladder")?;
    for ladder in items(&ladders) {
        for (quantile, field) in [("half", "p50_us/median"), ("99 %", "p99_us/median")] {
            let era = text(ladder, "era");
            let steps = items(&ladder["steps"]).iter();
            let points = points(steps, "events_per_second/median", |it| {
                Some(number(it, field)? / 1000.0)
            });
            series.push(Series {
                name: format!("{era}, {quantile} within"),
                colour: if era == "legacy" { OURS } else { OURS + 1 },
                dashed: quantile != "half",
                points,
            });
        }
    }
    let streams = items(&ladders).first();
    let streams = streams.and_then(|it| number(it, "streams")).unwrap_or(0.0);
    Ok(lines(Lines {
        caption: format!("Publishing at a rate to {streams} subscribers: time to receipt"),
        x: "events delivered per second".to_owned(),
        y: "milliseconds".to_owned(),
        x_is_logarithmic: true,
        series,
    }))
}

/// How many streams end in each second after the server was asked to end.
fn leaving(record: &Reading) -> Outcome<Option<Figure>> {
    let results = record.results("leaving")?;
    let series = items(&results).iter().map(|result| {
        let era = text(result, "era");
        let window = number(result, "window_s").unwrap_or(0.0);
        let ends = items(&result["ends_per_second"]).iter().enumerate();
        let point = |(second, count): (usize, &Value)| Some((second as f64, count.as_f64()?));
        Series {
            name: match window > 0.0 {
                true => format!("{era}, over {window} s"),
                false => format!("{era}, at once"),
            },
            colour: if window > 0.0 { OURS } else { PEERS },
            dashed: era != "legacy",
            points: ends.filter_map(point).filter(|it| it.1 > 0.0).collect(),
        }
    });
    let streams = items(&results).first();
    let streams = streams.and_then(|it| number(it, "streams")).unwrap_or(0.0);
    Ok(lines(Lines {
        caption: format!("A server with {streams} streams is told to end"),
        x: "seconds since then".to_owned(),
        y: "streams that end in this second".to_owned(),
        x_is_logarithmic: false,
        series: series.collect(),
    }))
}

/// How long clients hear nothing after each kill of their node.
fn takeover(record: &Reading) -> Outcome<Option<Figure>> {
    let results = record.results("takeover")?;
    let parts = [
        (
            "half, from kill to notification",
            "ways/heard/p50_us",
            OURS,
            false,
        ),
        (
            "99 %, from kill to notification",
            "ways/heard/p99_us",
            OURS,
            true,
        ),
        (
            "half, from request to stream",
            "ways/answered/p50_us",
            PEERS,
            false,
        ),
        (
            "99 %, from request to stream",
            "ways/answered/p99_us",
            PEERS,
            true,
        ),
    ];
    let series = parts.map(|(name, field, colour, dashed)| {
        let kills = (1..).zip(items(&results["kills"]));
        let points =
            kills.filter_map(|(kill, it)| Some((f64::from(kill), number(it, field)? / 1000.0)));
        Series {
            name: name.to_owned(),
            colour,
            dashed,
            points: points.collect(),
        }
    });
    let clients = number(&results, "clients").unwrap_or(0.0);
    Ok(lines(Lines {
        caption: format!("A node with {clients} clients is killed, and another one takes over"),
        x: "kill".to_owned(),
        y: "milliseconds".to_owned(),
        x_is_logarithmic: false,
        series: series.into(),
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
        let ours = text(result, "role").starts_with("pinfold");
        let group = if ours { OURS } else { PEERS };
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

/// In results of fan-outs, by their server: nanoseconds, and microseconds.
const CPU: &str = "cpu_ns_per_event/median";
const LAST: &str = "last_us/median";

/// The floor and both eras of the scenario that measures them most closely; a thousandth of the field.
fn add_fanout(series: &mut Vec<Series>, results: &Value, field: &str) {
    for (name, era, server) in [
        ("bare send loop", "legacy", "floor"),
        ("pinfold, session and GET", "legacy", "pinfold"),
        ("pinfold, listen", "modern", "pinfold"),
    ] {
        // One stream shows what a publication costs by itself.
        let of_era = items(results)
            .iter()
            .filter(|it| text(it, "era") == era && number(it, "streams") > Some(1.0));
        let points = points(of_era, "streams", |it| {
            Some(number(it, &format!("{server}/{field}"))? / 1000.0)
        });
        series.push(server_line(name, points));
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
        let points = points(of_server, "streams", |it| Some(number(it, field)? / 1000.0));
        series.push(server_line(name, points));
    }
}

const OURS: usize = 1;
const PEERS: usize = 5;
/// In the order of the palette: what is ours has `OURS`.
const SERVERS: [&str; 7] = [
    "bare send loop",
    "pinfold",
    "nchan",
    "rmcp",
    "Pushpin",
    "TypeScript SDK",
    "Python SDK",
];

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

/// Of those results that have both numbers.
fn points<'a>(
    results: impl Iterator<Item = &'a Value>,
    x: &str,
    y: impl Fn(&Value) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let points = results.filter_map(|it| Some((number(it, x)?, y(it)?)));
    points.filter(|it| it.0 > 0.0 && it.1 > 0.0).collect()
}

/// One colour for each server; what is of the modern era is dashed.
fn server_line(name: &str, points: Vec<(f64, f64)>) -> Series {
    let server = name.split(',').next().unwrap_or(name);
    let known = SERVERS.iter().position(|it| *it == server);
    Series {
        name: name.to_owned(),
        colour: known.unwrap_or(SERVERS.len()),
        dashed: name.ends_with("listen"),
        points,
    }
}

fn lines(mut lines: Lines) -> Option<Figure> {
    lines.series.retain(|it| !it.points.is_empty());
    (!lines.series.is_empty()).then_some(Figure::Lines(lines))
}

fn bars(mut bars: Bars) -> Option<Figure> {
    bars.bars.retain(|it| it.number > 0.0);
    (!bars.bars.is_empty()).then_some(Figure::Bars(bars))
}
