//! `pinfold config`: a look at what `pinfold serve` would be told, without a node.
//!
//! `show` prints what is in force as a table or as JSON, `toml` as a configuration file.

mod show;
mod toml;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{EXIT_USAGE, mistyped_variables};
use crate::config::{Config, EffectiveSettings, Layers, Machine, Mistakes, ServeOptions, schema};

pub const EXAMPLES: &str = "\
Examples:
  pinfold config init > /etc/pinfold.toml
        a file with every key, its help and its default, all of them comments
  pinfold config check --config /etc/pinfold.toml && systemctl reload pinfold
  pinfold config show --config /etc/pinfold.toml --cores 2
        as `pinfold serve` would have it with the same options and variables
  pinfold config show --toml > pinfold.toml
        what was said by variables until now, as a file
  pinfold config schema > pinfold.schema.json
        for an editor: `#:schema ./pinfold.schema.json` in the first line of a file (taplo, Even Better TOML)";

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check file, variables and options as `serve` does, and say what would listen; nothing is started
    #[command(after_help = OPTIONS_OF_SERVE)]
    Check(Box<ServeOptions>),
    /// Print what is in force, and who says so
    #[command(after_help = OPTIONS_OF_SERVE)]
    Show(Box<ShowOptions>),
    /// Print the JSON Schema of a configuration file, for editors
    Schema,
    /// Print an example of a configuration file: every key, its help and its default
    Init,
}

const OPTIONS_OF_SERVE: &str = "\
All options of `pinfold serve` can be given, too, and its variables count.
A mistake is told with file, line and column, all of them at once; exit code 2.";

#[derive(Args, Clone, Debug)]
pub struct ShowOptions {
    /// As JSON, for programs
    #[arg(long, conflicts_with = "toml")]
    json: bool,

    /// As a configuration file: what is no default is said in it
    #[arg(long)]
    toml: bool,

    #[command(flatten)]
    options: ServeOptions,
}

/// Carries out one of the commands.
#[must_use]
pub fn run(command: &ConfigCommand, layers: &Layers) -> ExitCode {
    let text = match command {
        ConfigCommand::Schema => Ok(schema_text()),
        ConfigCommand::Init => Ok(toml::example()),
        ConfigCommand::Check(_) => checked(layers).map(|(config, _)| would_listen(&config)),
        ConfigCommand::Show(how) => {
            checked(layers).map(|(_, settings)| match (how.json, how.toml) {
                (true, _) => show::json(&settings),
                (false, true) => toml::emit(&settings),
                (false, false) => show::table(&settings),
            })
        }
    };
    match text {
        Ok(text) => {
            let mut out = io::stdout().lock();
            // Whoever reads it has had enough.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}\n\n{HELP}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// After mistakes.
pub const HELP: &str = "For more information, try 'pinfold serve --help'; 'pinfold config init' prints a file with every key.";

/// As it is in the repository.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// With a word on what may be a mistake and is none: others have variables, too.
fn checked(layers: &Layers) -> Result<(Config, EffectiveSettings), Mistakes> {
    for sentence in mistyped_variables() {
        eprintln!("warning: {sentence}");
    }
    layers.read()?.check(&Machine::here())
}

/// One line.
fn would_listen(config: &Config) -> String {
    let node = &config.node;
    let listen = node.listen.iter().map(ToString::to_string);
    let listen = listen.collect::<Vec<_>>().join(", ");
    let admin = node
        .admin
        .address
        .map_or_else(String::new, |it| format!(", admin on {it}"));
    let cores = if node.cores == 1 { "core" } else { "cores" };
    let cluster = match &node.cluster {
        Some(cluster) => format!("one of several by {}", cluster.redis),
        None => "alone".to_owned(),
    };
    format!(
        "ok: clients on {listen} at {}{admin}; node {}, {} {cores}, {cluster}\n",
        node.path,
        node.node_name(),
        node.cores,
    )
}
