//! The command line: `serve`, two small clients for people (`publish` and `watch`), and `traefik`, which prints the
//! proxy's configuration.
//!
//! What is typed is parsed here. `config` checks the options of `serve`, `banner` prints what came of them, and through `lines`
//! the banner and the log get out.

pub mod banner;
pub mod lines;
pub mod memory_estimate;
pub mod publish;
pub mod serve;
pub mod traefik;
pub mod watch;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::config::ServeOptions;

/// The command if none is given.
const DEFAULT_COMMAND: &str = "serve";

#[derive(Debug, Parser)]
#[command(name = "pinfold", version, about, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Serve MCP clients (also without a command: `pinfold --cores 2`)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeOptions>),
    /// Notify subscribers that something changed, with or without its new contents
    #[command(after_help = publish::EXAMPLES)]
    Publish(Box<publish::PublishOptions>),
    /// Subscribe to a server and print its notifications
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchOptions),
    /// Print Traefik's configuration for several nodes
    #[command(after_help = traefik::EXAMPLES)]
    Traefik(traefik::TraefikOptions),
}

const EXAMPLES: &str = "\
Try it, in three terminals:
  pinfold
  pinfold watch --read http://127.0.0.1:8080/mcp board://lunch
  pinfold publish --text 'soup' board://lunch

Every option of serve, with its default and its variable:
  pinfold serve --help";

const SERVE_EXAMPLES: &str = "\
Examples:
  pinfold
        on this machine only, all cores
  pinfold serve --listen 10.0.0.1:8080 --allow-host mcp.example.com --node n1 \\
      --redis redis://10.0.0.9 --peer-secret-file /etc/pinfold/peer-secret
        behind a proxy, as one node of several
  pinfold serve --admin 0.0.0.0:9464 --admin-token-file /run/secrets/pinfold-admin
        publishing from other machines
  PINFOLD_CORES=2 PINFOLD_SESSION_IDLE=1h pinfold
        the same options by environment

Sizes are bytes or have KiB, MiB or GiB; times have ms, s, m, h or d.
A mistake in an option ends the program with exit code 2 before anything listens.

Signals:
  SIGTERM, SIGINT  end the node cleanly; a second one ends it at once (exit code 143 or 130)
  SIGHUP           reads the admin token and the certificates of authorities again
  SIGUSR1          logs how many connections, sessions and streams each core has

A node that has lost one of its threads ends with exit code 1. Log lines that nobody takes are dropped and counted.";

impl Cli {
    /// Parses a command line, the program's name included; ends the process with help, version or exit code 2.
    #[must_use]
    pub fn from_args(arguments: impl Iterator<Item = OsString>) -> Self {
        Cli::parse_from(with_command(arguments.collect()))
    }
}

/// `pinfold` and `pinfold --cores 2` mean `pinfold serve …`; help and version stay those of the program.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_serve = match arguments.get(1).and_then(|first| first.to_str()) {
        None => arguments.len() < 2,
        Some("-h" | "--help" | "-V" | "--version") => false,
        Some(first) => first.starts_with('-'),
    };
    if is_serve {
        let at = arguments.len().min(1);
        arguments.insert(at, DEFAULT_COMMAND.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn command(line: &str) -> Result<CliCommand, clap::Error> {
        let arguments = line.split_whitespace().map(OsString::from).collect();
        Cli::try_parse_from(with_command(arguments)).map(|cli| cli.command)
    }

    #[test]
    fn no_command_means_serve() {
        for line in [
            "pinfold",
            "pinfold serve",
            "pinfold --node a",
            "pinfold serve --node a",
        ] {
            assert!(matches!(command(line), Ok(CliCommand::Serve(_))), "{line}");
        }
    }

    #[test]
    fn a_command_that_does_not_exist() {
        let refused = command("pinfold server").unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("'serve'"), "{refused}");
    }

    #[test]
    fn an_option_that_its_help_does_not_explain() {
        let mut program = Cli::command();
        program.build();
        let mut commands = vec![&program];
        while let Some(command) = commands.pop() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for option in command.get_arguments().filter(|it| !it.is_hide_set()) {
                let help = option.get_help().map(ToString::to_string);
                let words = help.unwrap_or_default().split_whitespace().count();
                assert!(words > 1, "{name} {}: {words} words", option.get_id());
            }
            commands.extend(command.get_subcommands());
        }
    }

    #[test]
    fn help_is_of_the_program_and_teaches() {
        let help = command("pinfold --help").unwrap_err().to_string();
        for part in [
            "serve",
            "publish",
            "watch",
            "traefik",
            "pinfold watch --read",
        ] {
            assert!(help.contains(part), "{part} is not in: {help}");
        }
        let help = command("pinfold serve --help").unwrap_err().to_string();
        for part in [
            "PINFOLD_CORES",
            "[default: 4MiB]",
            "Limits of this node",
            "Examples:",
        ] {
            assert!(help.contains(part), "{part} is not in: {help}");
        }
        assert!(!help.contains("place-at-random"), "{help}");
    }

    #[test]
    fn the_options_of_one_command_agree_with_each_other() {
        Cli::command().debug_assert();
    }
}
