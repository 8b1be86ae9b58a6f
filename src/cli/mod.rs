//! The command line: `serve`; `config`, which looks at the configuration of `serve`; small clients for people
//! (`publish`, `watch`, `revoke`, `upgrade`, `deploy-check`, `top`, `sessions` and `cluster`); `token`, which makes tokens; and `traefik`, which prints the proxy's configuration.
//!
//! `program` is the whole of it. What is typed is parsed here. The crate's module `config` checks the options of `serve`,
//! `banner` prints what came of them, and through `lines` the banner and the log get out. `reload` is what SIGHUP does.

pub mod banner;
pub mod cluster;
pub mod config;
pub mod deploy_check;
pub mod lines;
pub mod log;
pub mod manual;
pub mod memory_estimate;
mod parent;
mod program;
pub mod publish;
pub mod reload;
pub mod revoke;
pub mod serve;
pub mod sessions;
mod supervisor;
mod table;
pub mod token;
pub mod top;
pub mod traefik;
pub mod upgrade;
pub mod watch;

pub use self::program::program;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Layers, ServeOptions, keys, mistyped};

/// The command if none is given.
const DEFAULT_COMMAND: &str = "serve";
/// An option that cannot be used; the command line parser ends with the same.
pub const EXIT_USAGE: u8 = 2;
/// Of commands that speak to the admin listener.
pub const EXIT_NO_ANSWER: u8 = 3;

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
    /// Look at the configuration of `serve`: check it, show what is in force, print a schema or an example
    #[command(subcommand, after_help = config::EXAMPLES)]
    Config(config::ConfigCommand),
    /// Notify subscribers that something changed, with or without its new contents
    #[command(after_help = publish::EXAMPLES)]
    Publish(Box<publish::PublishOptions>),
    /// Take back what somebody was given: their tokens are worth nothing any more, their streams end
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(revoke::RevokeOptions),
    /// Have a node go on in a new process of its program, which no client notices
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(upgrade::UpgradeOptions),
    /// Say what a deploy of all nodes would cost now, before it begins
    #[command(after_help = deploy_check::EXAMPLES)]
    DeployCheck(deploy_check::DeployCheckOptions),
    /// Watch a node in the terminal: its cores, its sessions, who reads slowly
    #[command(after_help = top::EXAMPLES)]
    Top(top::TopOptions),
    /// List the sessions of a node, show one, end some
    #[command(subcommand, after_help = sessions::EXAMPLES)]
    Sessions(sessions::SessionsCommand),
    /// Show the nodes that share a Redis, as one of them sees them
    #[command(after_help = cluster::EXAMPLES)]
    Cluster(cluster::ClusterCommand),
    /// Subscribe to a server and print its notifications
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchOptions),
    /// Make tokens for clients of `serve --auth token`
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::TokenCommand),
    /// Print Traefik's configuration for several nodes
    #[command(after_help = traefik::EXAMPLES)]
    Traefik(Box<traefik::TraefikOptions>),
    /// Print what a shell needs to complete commands and options
    #[command(after_help = manual::COMPLETIONS_EXAMPLES)]
    Completions(manual::CompletionsOptions),
    /// Print the manual's page, or write a page for each command
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man(manual::ManOptions),
}

/// A command with its options, and the layers that they came from.
pub struct Invocation {
    /// Without what a configuration file says.
    pub command: CliCommand,
    /// Of `serve` and `config`.
    pub layers: Layers,
}

const EXAMPLES: &str = "\
Try it, in three terminals:
  pinfold
  pinfold watch --read http://127.0.0.1:8080/mcp board://lunch
  pinfold publish --text 'soup' board://lunch

Look at what runs:
  pinfold top

Every option of serve, with its default and its variable:
  pinfold serve --help";

const SERVE_EXAMPLES: &str = "\
Examples:
  pinfold
        on this machine only, all cores
  pinfold serve --listen 10.0.0.1:8080 --auth none --allow-host mcp.example.com --node n1 \\
      --redis redis://10.0.0.9 --peer-secret-file /etc/pinfold/peer-secret
        behind a proxy, as one node of several
  pinfold serve --auth token --auth-token-file /etc/pinfold/tokens
        for whoever has a token: see `pinfold token --help`
  pinfold serve --auth jwt --auth-issuer https://login.example.com --public-url https://mcp.example.com/mcp
        for whoever has an access token of an OAuth authorization server
  pinfold serve --policy read-only
        whoever gets in may read and subscribe, and no more; rules for scopes are in a file: see `pinfold config init`
  pinfold serve --admin 0.0.0.0:9464 --admin-token-file /run/secrets/pinfold-admin
        publishing from other machines; --admin-read-token-file gives Prometheus a token that ends nobody's session
  PINFOLD_CORES=2 PINFOLD_SESSION_IDLE=1h pinfold
        the same options by environment
  pinfold serve --config /etc/pinfold.toml
        the same options by a file: see `pinfold config --help`

Sizes are bytes or have KiB, MiB or GiB; times have ms, s, m, h or d.
A mistake in an option ends the program with exit code 2 before anything listens.

Signals:
  SIGTERM, SIGINT  end the node cleanly; a second one ends it at once (exit code 143 or 130)
  SIGHUP           reads the configuration again: log levels, policy, tokens and certificates of authorities change
                   at once, the log names what needs a restart
  SIGUSR1          logs how many connections, sessions and streams each core has

A new program, or what SIGHUP leaves to a restart, without losing a connection: see `pinfold upgrade --help`,
and before that `pinfold deploy-check --help`.

A node that has lost one of its threads ends with exit code 1. Log lines that nobody takes are dropped and counted.";

impl Invocation {
    /// Parses a command line, the program's name included; ends the process with help, version or exit code 2.
    #[must_use]
    pub fn from_args(arguments: impl Iterator<Item = OsString>) -> Self {
        let arguments = with_command(arguments.collect());
        let invocation = Invocation::parse(command_line(), arguments);
        let invocation = invocation.unwrap_or_else(|refused| without_secrets(refused).exit());
        match invocation.command {
            CliCommand::Traefik(options) => Invocation {
                command: CliCommand::Traefik(Box::new(options.with_file(&invocation.layers))),
                ..invocation
            },
            _ => invocation,
        }
    }

    fn parse(program: clap::Command, arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let matches = program.clone().try_get_matches_from(&arguments)?;
        let Cli { command } = Cli::from_arg_matches(&matches)?;
        let layers = Layers::new(program, arguments);
        Ok(Invocation { command, layers })
    }
}

/// What is said of a value that is refused may be read by others than whoever typed it.
fn without_secrets(mut refused: clap::Error) -> clap::Error {
    let secrets = keys().into_iter().filter(|key| key.is_secret());
    let about = match refused.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => option.clone(),
        _ => return refused,
    };
    let is_about = |long: &str| about.split(' ').next() == Some(&format!("--{long}"));
    if secrets.map(|key| key.long).any(|long| is_about(&long)) {
        refused.insert(ContextKind::InvalidValue, ContextValue::String("…".into()));
    }
    refused
}

/// Variables of this process that look as if they were meant for the program: a sentence on each.
#[must_use]
pub fn mistyped_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    mistyped(&command_line(), names)
}

/// The whole command line. `config check` and `config show` take the options of `serve`, and leave their help to it.
#[must_use]
pub fn command_line() -> clap::Command {
    let own = ["config", "json", "toml"];
    let hide = |command: clap::Command| {
        command.mut_args(|option| {
            let is_own = own.contains(&option.get_id().as_str());
            let is_hidden = option.is_hide_set();
            option.hide(is_hidden || !is_own)
        })
    };
    Cli::command().mut_subcommand("config", |config| {
        config
            .mut_subcommand("check", hide)
            .mut_subcommand("show", hide)
    })
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
    use super::*;

    fn command(line: &str) -> Result<CliCommand, clap::Error> {
        let arguments = line.split_whitespace().map(OsString::from).collect();
        Invocation::parse(command_line(), with_command(arguments))
            .map(|invocation| invocation.command)
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
    fn a_password_that_stands_in_what_is_refused() {
        for line in [
            "pinfold --redis=redis://:geheim@h:x",
            "pinfold config show --redis redis://:geheim@h:x",
        ] {
            let told = command(line).map_err(without_secrets).unwrap_err();
            let told = told.to_string();
            assert!(!told.contains("geheim"), "{told}");
            assert!(
                told.contains("--redis") && told.contains("its port"),
                "{told}"
            );
        }
        let other = command("pinfold --node=geheim!").map_err(without_secrets);
        assert!(other.unwrap_err().to_string().contains("geheim!"));
    }

    #[test]
    fn an_option_that_its_help_does_not_explain() {
        let mut program = command_line();
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
            "config",
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
        command_line().debug_assert();
    }
}
