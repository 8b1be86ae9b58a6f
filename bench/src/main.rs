//! Measures pinfold against what the machine allows, on this machine alone.
//!
//! A scenario starts servers (`server`) on one CPU, drives them from another (`loader`), repeats this in turns, and
//! leaves a record (`record`). `floor` is the least that any server would have to do; `fanout` and `memory` are what
//! is measured of one server once; `first` is a scenario. Without arguments the canonical one runs.

mod burst;
mod disturbed;
mod fanout;
mod first;
mod floor;
mod loader;
mod machine;
mod memory;
mod peers;
mod record;
mod requests;
mod responder;
mod server;
mod stalled;
mod stats;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What can go wrong ends a run, with a sentence.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(
    about = "Measures pinfold against what the machine allows. Needs two CPUs that are otherwise idle."
)]
struct Arguments {
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

#[derive(Subcommand)]
enum Scenario {
    /// CPU and time per delivered event against a bare loop of sends, and memory per idle client (the default).
    First(first::FirstOptions),
    /// Many topics published at once: the cost of events that leave together.
    Burst(burst::BurstOptions),
    /// Readers that stop reading: what they cost the others, and what is held for them.
    Stalled(stalled::StalledOptions),
    /// The wait of a request that arrives in the middle of a broadcast.
    Disturbed(disturbed::DisturbedOptions),
    /// pinfold beside rmcp, the TypeScript and Python SDKs, nchan and Pushpin: fan-out, openings, memory.
    Peers(peers::PeersOptions),
    /// Requests per second, CPU and time of each: pinfold, its peers, axum alone and a fixed answer. Needs wrk.
    Requests(requests::RequestsOptions),
    /// Serves as the floor; scenarios start this themselves.
    #[command(hide = true)]
    Floor(floor::FloorOptions),
    /// Serves as the floor of requests.
    #[command(hide = true)]
    Responder(floor::FloorOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().scenario {
        Some(Scenario::First(options)) => first::run(&options),
        Some(Scenario::Burst(options)) => burst::run(&options),
        Some(Scenario::Stalled(options)) => stalled::run(&options),
        Some(Scenario::Disturbed(options)) => disturbed::run(&options),
        Some(Scenario::Peers(options)) => peers::run(&options),
        Some(Scenario::Requests(options)) => requests::run(&options),
        Some(Scenario::Responder(options)) => responder::run(&options),
        Some(Scenario::Floor(options)) => floor::run(&options),
        None => first::run(&first::FirstOptions::parse_from(["first"])),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
