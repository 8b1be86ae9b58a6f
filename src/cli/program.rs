//! From the command line to an exit code: arguments, a checked configuration, and off it goes.

use std::io::{Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use super::lines::LineWriter;
use super::serve::Given;
use super::{
    CliCommand, EXIT_USAGE, Invocation, cluster, command_line, config, deploy_check, log, manual,
    mistyped_variables, parent, publish, revoke, serve, sessions, token, top, traefik, upgrade,
    watch,
};
use crate::config::{Layers, Machine, Mistakes};
use crate::node::TakeOver;

/// For the last lines to be taken: whoever reads them does so in milliseconds, or not at all.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// The program `pinfold`, from its first argument to its end. Not for others than its `main`.
#[must_use]
pub fn program() -> ExitCode {
    let Invocation { command, layers } = Invocation::from_args(std::env::args_os());
    match command {
        CliCommand::Serve(options) if parent::is_wanted(options.file.no_parent) => parent::run(),
        CliCommand::Serve(_) => serve_to_the_end(layers),
        CliCommand::Config(command) => config::run(&command, &layers),
        CliCommand::Publish(options) => publish::run(&options),
        CliCommand::Revoke(options) => revoke::run(&options),
        CliCommand::Upgrade(options) => upgrade::run(&options),
        CliCommand::DeployCheck(options) => deploy_check::run(&options),
        CliCommand::Top(options) => top::run(&options),
        CliCommand::Sessions(command) => sessions::run(&command),
        CliCommand::Cluster(options) => cluster::run(&options),
        CliCommand::Watch(options) => watch::run(options),
        CliCommand::Token(command) => token::run(&command),
        CliCommand::Traefik(options) => traefik::run(&options),
        CliCommand::Completions(options) => manual::completions(&options, command_line()),
        CliCommand::Man(options) => manual::man(&options, command_line()),
    }
}

fn serve_to_the_end(layers: Layers) -> ExitCode {
    let lines = match LineWriter::start("log", &stderr()) {
        Ok(lines) => lines,
        Err(fault) => {
            // Nothing else is left to be done about it.
            let _ = writeln!(stderr(), "error: cannot start threads: {fault}");
            return ExitCode::FAILURE;
        }
    };
    lines.take_panics(false);
    let ended = run(layers, &lines);
    if let Err((_, text)) = &ended {
        lines.say(&format!("{text}\n"));
    }
    lines.end(LAST_LINES_WITHIN);
    ended.map_or_else(|(code, _)| code, |()| ExitCode::SUCCESS)
}

fn run(layers: Layers, lines: &LineWriter) -> Result<(), (ExitCode, String)> {
    let take_over = TakeOver::of_this_process();
    let take_over = take_over.map_err(|wrong| (ExitCode::FAILURE, format!("error: {wrong}")))?;
    let machine = Machine::here();
    let refuse = |mistakes: Mistakes| {
        if let Some(take_over) = &take_over {
            take_over.refuse(&mistakes.to_string());
        }
        let text = format!("{mistakes}\n\n{}", config::HELP);
        (ExitCode::from(EXIT_USAGE), text)
    };
    let (config, settings) = layers
        .read()
        .and_then(|it| it.check(&machine))
        .map_err(refuse)?;
    let log = log::start(&config.log, lines);
    for sentence in mistyped_variables() {
        tracing::warn!("{sentence}");
    }
    let given = Given {
        config,
        settings,
        layers,
        machine,
    };
    serve::run(given, log, lines, take_over)
        .map_err(|error| (ExitCode::FAILURE, format!("error: {error}")))
}
