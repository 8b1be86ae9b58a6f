//! Measures pinfold against what the machine allows, on this machine alone.
//!
//! A scenario (`scenarios`) starts servers (`server`) on one CPU, drives them from another (`loader`), repeats this in
//! turns, and leaves a record (`record`). `floor` is the least that any server would have to do; `fanout` and `memory`
//! are what is measured of one server once. Without arguments all scenarios run.

mod bars;
mod fanout;
mod floor;
#[allow(dead_code)] // forgers have no part in it
#[path = "../../src/auth/tests/issuer.rs"]
mod issuer;
mod load;
mod loader;
mod machine;
mod memory;
mod observer;
mod plot;
mod proxy;
mod reading;
mod record;
mod redis;
mod report;
mod responder;
mod scenarios;
mod server;
mod stats;
mod table;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::scenarios::{
    all, authenticated, burst, churn, cores, counted, disturbed, fanout as fan_out, forwarding,
    greedy, growth, handover, idle, ladder, leaving, listed, observed, peers, requests, stalled,
    takeover,
};

/// What can go wrong ends a run, with a sentence.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures pinfold against what the machine allows, and leaves a record.
///
/// Needs two CPUs that are otherwise idle: servers run on the first, clients on the second. Nothing but this machine is
/// ever contacted, but for the registries that `peers` and `requests` install from the first time. Without a scenario all
/// of them run; with `all --quick` in a fraction of the time.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

#[derive(Subcommand)]
enum Scenario {
    /// All scenarios, one after the other (the default)
    ///
    /// The record is `bench/record/<date>-<revision>/`, with a JSON file and tables for each scenario as soon as it is done.
    All(all::AllOptions),
    /// CPU and time per delivered event against a bare loop of sends
    ///
    /// One publication to N idle streams, again and again: the next one leaves when everybody has the last. Beside
    /// pinfold runs the floor, a bare loop of send(2) that is told to send by the same HTTP request.
    Fanout(fan_out::FanoutOptions),
    /// What it costs to keep idle clients, and how fast they come
    ///
    /// Memory of the server and of the kernel as the slope between few and many clients, and the CPU that keep-alives
    /// take while nothing else happens.
    Idle(idle::IdleOptions),
    /// Many topics published at once: the cost of events that leave together
    Burst(burst::BurstOptions),
    /// The wait of a request that arrives in the middle of a broadcast
    Disturbed(disturbed::DisturbedOptions),
    /// Readers that stop reading: what they cost the others, and what is held for them
    Stalled(stalled::StalledOptions),
    /// One client that tries everything: what it costs the others
    Greedy(greedy::GreedyOptions),
    /// Access tokens: what requests and streams cost with them and without
    ///
    /// wrk asks a server that asks nobody who they are and one with `--auth jwt`, in turns; and streams are opened of which each
    /// is another principal's.
    Authenticated(authenticated::AuthenticatedOptions),
    /// Somebody who looks: what metrics that are scraped and traces that are watched cost
    ///
    /// Requests and fan-out in turns of one run: while nobody looks, while `/metrics` is scraped each second, and while the trace
    /// of one session or of everything is watched.
    Observed(observed::ObservedOptions),
    /// An operator's list of sessions: when it is there, and how long others wait for the core meanwhile
    Listed(listed::ListedOptions),
    /// Instructions for an event and for a request, by callgrind
    ///
    /// Needs valgrind. The same on every run: nothing else has to be idle.
    Counted(counted::CountedOptions),
    /// Sessions opened and closed: how many a second, and whether memory stays behind
    Churn(churn::ChurnOptions),
    /// Publishing at higher and higher rates: times of receipt up to where the server is full
    Ladder(ladder::LadderOptions),
    /// The cost of a connection's move to another core
    Cores(cores::CoresOptions),
    /// A deploy: when the streams of a node end that was told to, with a drain and without
    Leaving(leaving::LeavingOptions),
    /// A node that goes on in a new process: whether any client notices, and how long nobody is served
    ///
    /// Thousands of streams of both eras, slow readers, short connections and requests in pieces; a chain of hand-overs on each
    /// driver.
    Handover(handover::HandoverOptions),
    /// A node that is killed: whether a session is lost that another node takes over, and when its client hears again
    ///
    /// Starts three nodes and a Redis, which tests/setup brings. The node that has all clients is killed, again and again; they go
    /// to the next one after a pause, with the same session.
    Takeover(takeover::TakeoverOptions),
    /// Another node's session: the cost of a request and of a stream that are passed on
    ///
    /// Starts two nodes and a Redis, which tests/setup brings.
    Forwarding(forwarding::ForwardingOptions),
    /// The number of streams doubled until something breaks
    Growth(growth::GrowthOptions),
    /// pinfold beside rmcp, the TypeScript and Python SDKs, nchan and Pushpin
    ///
    /// Fan-out, openings and memory of each server, in each era that it speaks. bench/peers/install brings them, which takes
    /// some minutes the first time; one that cannot be had is named with the reason.
    Peers(peers::PeersOptions),
    /// Requests per second, and the CPU and time of each
    ///
    /// wrk asks pinfold, rmcp, the SDKs, axum alone and a fixed answer for `ping`, `tools/call` of both eras, and sessions that
    /// are opened and ended; each first with every answer checked, and then timed.
    Requests(requests::RequestsOptions),
    /// Opens streams of a server that runs already, publishes, and tells what came
    ///
    /// No server is started, and nothing is recorded: a look at one server by itself.
    Load(load::LoadOptions),
    /// How soon a stream may begin behind a Traefik without being cut
    ///
    /// A Traefik, which tests/setup brings, in front of a server of the bench's own that holds its answers back. No pinfold is
    /// started, and nothing is recorded: what it holds is chosen by this.
    Proxy(proxy::ProxyOptions),
    /// Plots of a record, as SVG files beside its data
    Plot(plot::PlotOptions),
    /// What a record says, in Markdown: what was to be reached, and all tables
    Report(report::ReportOptions),
    /// Is the clients of one server; scenarios start this themselves
    #[command(hide = true)]
    LoaderProcess,
    /// Serves as the floor; scenarios start this themselves
    #[command(hide = true)]
    Floor(floor::FloorOptions),
    /// Serves as the floor of requests
    #[command(hide = true)]
    Responder(floor::FloorOptions),
}

impl Scenario {
    fn run(&self) -> Outcome<()> {
        match self {
            Scenario::All(options) => all::run(options),
            Scenario::Fanout(options) => fan_out::run(options),
            Scenario::Idle(options) => idle::run(options),
            Scenario::Burst(options) => burst::run(options),
            Scenario::Disturbed(options) => disturbed::run(options),
            Scenario::Stalled(options) => stalled::run(options),
            Scenario::Greedy(options) => greedy::run(options),
            Scenario::Authenticated(options) => authenticated::run(options),
            Scenario::Observed(options) => observed::run(options),
            Scenario::Listed(options) => listed::run(options),
            Scenario::Counted(options) => counted::run(options),
            Scenario::Churn(options) => churn::run(options),
            Scenario::Ladder(options) => ladder::run(options),
            Scenario::Cores(options) => cores::run(options),
            Scenario::Leaving(options) => leaving::run(options),
            Scenario::Handover(options) => handover::run(options),
            Scenario::Takeover(options) => takeover::run(options),
            Scenario::Forwarding(options) => forwarding::run(options),
            Scenario::Growth(options) => growth::run(options),
            Scenario::Peers(options) => peers::run(options),
            Scenario::Requests(options) => requests::run(options),
            Scenario::Load(options) => load::run(options),
            Scenario::Proxy(options) => proxy::run(options),
            Scenario::Plot(options) => plot::run(options),
            Scenario::Report(options) => report::run(options),
            Scenario::LoaderProcess => loader::process::run(),
            Scenario::Floor(options) => floor::run(options),
            Scenario::Responder(options) => responder::run(options),
        }
    }
}

/// Runs what would be typed like this after the program's name.
fn run_as_typed(arguments: &[&str]) -> Outcome<()> {
    let typed = ["pinfold-bench"].iter().chain(arguments);
    match Arguments::try_parse_from(typed)?.scenario {
        Some(scenario) => scenario.run(),
        None => Err("no scenario is named".into()),
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().scenario {
        Some(scenario) => scenario.run(),
        None => run_as_typed(&["all"]),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
