//! Arguments, a checked configuration, and off it goes.

mod allocator;

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use pinfold::cli::lines::LineWriter;
use pinfold::cli::{Cli, CliCommand, publish, traefik, watch};
use pinfold::config::{Config, Machine, ServeOptions};

/// An option that cannot be used; the command line parser ends with the same.
const EXIT_USAGE: u8 = 2;
/// For the last lines to be taken: whoever reads them does so in milliseconds, or not at all.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    allocator::give_back_what_is_large();
    match Cli::from_args(std::env::args_os()).command {
        CliCommand::Serve(options) => serve(*options),
        CliCommand::Publish(options) => publish::run(&options),
        CliCommand::Watch(options) => watch::run(options),
        CliCommand::Traefik(options) => traefik::run(&options),
    }
}

fn serve(options: ServeOptions) -> ExitCode {
    let lines = match LineWriter::start("log", &stderr()) {
        Ok(lines) => lines,
        Err(fault) => {
            // Nothing else is left to be done about it.
            let _ = writeln!(stderr(), "error: cannot start threads: {fault}");
            return ExitCode::FAILURE;
        }
    };
    lines.take_panics();
    let ended = run(options, &lines);
    if let Err((_, sentence)) = &ended {
        lines.say(&format!("error: {sentence}\n"));
    }
    lines.end(LAST_LINES_WITHIN);
    ended.map_or_else(|(code, _)| code, |()| ExitCode::SUCCESS)
}

fn run(options: ServeOptions, lines: &LineWriter) -> Result<(), (ExitCode, String)> {
    let config = Config::check(options, &Machine::here()).map_err(|wrong| {
        let help = "For more information, try 'pinfold serve --help'.";
        (ExitCode::from(EXIT_USAGE), format!("{wrong}\n\n{help}"))
    })?;
    tracing_subscriber::fmt()
        .with_max_level(config.log)
        .with_writer(lines.clone())
        .with_ansi(stderr().is_terminal())
        .log_internal_errors(false)
        .init();
    let served = pinfold::cli::serve::run(&config, lines);
    served.map_err(|error| (ExitCode::FAILURE, error.to_string()))
}
