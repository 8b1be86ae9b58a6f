//! Arguments, a checked configuration, and off it goes.

mod allocator;

use std::io::{Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use pinfold::cli::lines::LineWriter;
use pinfold::cli::serve::Given;
use pinfold::cli::{
    CliCommand, EXIT_USAGE, Told, config, log, manual, program, publish, serve, traefik, watch,
};
use pinfold::config::{Layers, Machine, Mistakes};

/// For the last lines to be taken: whoever reads them does so in milliseconds, or not at all.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    allocator::give_back_what_is_large();
    let Told { command, layers } = Told::from_args(std::env::args_os());
    match command {
        CliCommand::Serve(_) => serve(layers),
        CliCommand::Config(command) => config::run(&command, &layers),
        CliCommand::Publish(options) => publish::run(&options),
        CliCommand::Watch(options) => watch::run(options),
        CliCommand::Traefik(options) => traefik::run(&options),
        CliCommand::Completions(options) => manual::completions(&options, program()),
        CliCommand::Man(options) => manual::man(&options, program()),
    }
}

fn serve(layers: Layers) -> ExitCode {
    let lines = match LineWriter::start("log", &stderr()) {
        Ok(lines) => lines,
        Err(fault) => {
            // Nothing else is left to be done about it.
            let _ = writeln!(stderr(), "error: cannot start threads: {fault}");
            return ExitCode::FAILURE;
        }
    };
    lines.take_panics();
    let ended = run(layers, &lines);
    if let Err((_, text)) = &ended {
        lines.say(&format!("{text}\n"));
    }
    lines.end(LAST_LINES_WITHIN);
    ended.map_or_else(|(code, _)| code, |()| ExitCode::SUCCESS)
}

fn run(layers: Layers, lines: &LineWriter) -> Result<(), (ExitCode, String)> {
    let machine = Machine::here();
    let refuse = |mistakes: Mistakes| {
        let text = format!("{mistakes}\n\n{}", config::HELP);
        (ExitCode::from(EXIT_USAGE), text)
    };
    let (config, settings) = layers
        .read()
        .and_then(|it| it.check(&machine))
        .map_err(refuse)?;
    let level = log::start(config.log, lines);
    let given = Given {
        config,
        settings,
        layers,
        machine,
    };
    serve::run(given, level, lines).map_err(|error| (ExitCode::FAILURE, format!("error: {error}")))
}
