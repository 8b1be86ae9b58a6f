//! Arguments, a checked configuration, and off it goes.

use std::io::IsTerminal;
use std::process::ExitCode;

use pinfold::cli::{Cli, Command, publish, traefik, watch};
use pinfold::config::{Config, Machine, ServeOptions};

/// An option that cannot be used; the command line parser ends with the same.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::from_args(std::env::args_os()).command {
        Command::Serve(options) => serve(*options),
        Command::Publish(options) => publish::run(&options),
        Command::Watch(options) => watch::run(options),
        Command::Traefik(options) => traefik::run(&options),
    }
}

fn serve(options: ServeOptions) -> ExitCode {
    let config = match Config::check(options, &Machine::here()) {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("error: {wrong}\n\nFor more information, try 'pinfold serve --help'.");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    tracing_subscriber::fmt()
        .with_max_level(config.log)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match pinfold::cli::serve::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
