//! Publications to many streams: the next one leaves when everybody has the last.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::results::{Cost, Turn};
use super::{LOOKERS, ObservedOptions, Subject, Token, rounds};
use crate::Outcome;
use crate::loader::Loader;
pub(super) use crate::scenarios::ERAS;
use crate::server::{Program, Server, Setup};
use crate::stats::{Times, histogram};
use crate::table::thousands;

/// Streams of one kind.
struct Streams {
    loader: Loader,
}

pub(super) fn measure(
    options: &ObservedOptions,
    program: &Program,
    token: &Token,
    bar: &ProgressBar,
) -> Outcome<Vec<Cost>> {
    let arguments = token.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut costs = Vec::new();
    for &count in &options.streams {
        for era in ERAS {
            bar.set_message(format!("{count} streams, {era:?}"));
            let setup = Setup {
                arguments: &arguments,
                ..Setup::default()
            };
            let server = Server::start_with(program, &setup)?;
            let mut loader = server.loader(era, 1)?;
            let text = token.text.clone();
            loader.show(Box::new(move |_| text.clone()));
            loader.open_to(count)?;
            let mut streams = Streams { loader };
            let turns = rounds(options, &server, &mut streams, &LOOKERS, || bar.inc(1))?;
            let what = format!("event to {} streams, {era:?}", thousands(count as f64));
            costs.push(Cost::new(what, "event", &LOOKERS, turns));
        }
    }
    Ok(costs)
}

impl Subject for Streams {
    fn turn(&mut self, seconds: u32) -> Outcome<Turn> {
        let mut receipts = histogram()?;
        let (begun, mut events) = (Instant::now(), 0);
        let time = Duration::from_secs(seconds.into());
        while begun.elapsed() < time {
            let broadcast = self.loader.broadcast(|ns| receipts.saturating_record(ns))?;
            if broadcast.lost + broadcast.extra > 0 {
                return Err(format!("an event was lost or told twice: {broadcast:?}").into());
            }
            events += broadcast.events;
        }
        let times = Times::of(&receipts);
        Ok(Turn {
            count: events,
            per_second: events as f64 / begun.elapsed().as_secs_f64(),
            p50_us: times.p50_us,
            p99_us: times.p99_us,
            ..Turn::default()
        })
    }
}
