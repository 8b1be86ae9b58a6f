//! `pinfold sessions`: who is there, how each fares, why some are gone; and ending them. `filter` is what is asked for,
//! `list` and `show` are what people read of the answers, `end` asks before it ends many.

mod end;
mod filter;
mod list;
mod show;

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::EXIT_USAGE;
use super::cluster::finished;
use super::publish::{AdminClient, AdminFault, AdminTarget};
use super::table::plain;
pub(super) use filter::{OrderChoice, SessionsAsked, SortChoice, encoded, of_all};
pub(super) use list::{client, principal, state};
pub(super) use show::detail;

use crate::wire::operator_name::OperatorName;

pub const EXAMPLES: &str = "\
Examples:
  pinfold sessions list
        who is there, longest first; --sort pending --order desc puts those first for whom most waits
  pinfold sessions list --state slow
        who does not read
  pinfold sessions list --client 'Claude Code' --all --json | jq -r .name
        for scripts: a line for each session
  pinfold sessions show n1.AAEAAAAAAAAAAAEAAAGa0AAA
        one of them: subscriptions, streams, what is pending, its last errors
  pinfold sessions end n1.AAEAAAAAAAAAAAEAAAGa0AAA
  pinfold sessions end --principal dc18d98ab34b2f83b5913fec82dc81e9
        all of one principal, after a question; their tokens stay good: `pinfold revoke` takes those
  pinfold sessions ended
        who left last, and why
  pinfold sessions list --cluster
        of all nodes; --node n2 of one of them. show and end reach other nodes with --cluster, too

A name is what `list` prints: it is no credential. Names with ~ are listen streams of clients of 2026-07-28, which have no
session. Each node has its own: --cluster asks all, by way of the one that is asked. Nodes that do not answer are named on the
error output, with the reason; what they have is missing then.

Exit code: 0 done, 1 refused, or there is no such session, 2 wrong options, 3 no answer from the admin
listener, or some node did not answer that was to end sessions.";

#[derive(Clone, Debug, Subcommand)]
pub enum SessionsCommand {
    /// List sessions, and listen streams of clients that have none
    List(ListSessions),
    /// Show one in detail
    Show(ShowSession),
    /// End one, or all of a principal: their clients begin again
    End(EndSessions),
    /// List those that ended last, with the reason
    Ended(ListEnded),
}

#[derive(Args, Clone, Debug)]
pub struct ListSessions {
    #[command(flatten)]
    admin: AdminTarget,

    #[command(flatten)]
    filter: SessionsAsked,

    /// Ask all nodes of the cluster, by way of this one; those that do not answer are named
    #[arg(long)]
    cluster: bool,

    /// Only those of this node
    #[arg(long, value_name = "NAME", requires = "cluster")]
    node: Option<String>,

    /// Sessions at most, 1 to 1000
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Where an earlier list ended: its `next`
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    after: Option<String>,

    /// All of them, however many answers that takes
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    /// Print a line of JSON for each, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct ShowSession {
    #[command(flatten)]
    admin: AdminTarget,

    /// Have the node asked that the name begins with, by way of this one. A session that was taken over is elsewhere: ask the
    /// node of its row itself
    #[arg(long)]
    cluster: bool,

    /// Print the answer of the admin listener as it is, for scripts
    #[arg(long)]
    json: bool,

    /// The session's name, as `pinfold sessions list` prints it
    #[arg(value_name = "NAME", value_parser = name)]
    name: OperatorName,
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["name", "principal"]))]
pub struct EndSessions {
    #[command(flatten)]
    admin: AdminTarget,

    /// The node that the name begins with, or all nodes of the cluster, by way of this one. A session that was taken over is
    /// elsewhere: ask the node of its row itself
    #[arg(long)]
    cluster: bool,

    /// All sessions of this principal, in the 32 digits of the list
    #[arg(long, value_name = "HEX")]
    principal: Option<crate::principal::PrincipalId>,

    /// Do not ask before all of a principal's sessions are ended
    #[arg(long, conflicts_with = "name")]
    yes: bool,

    /// Print the answer of the admin listener as it is, for scripts
    #[arg(long)]
    json: bool,

    /// The session's name, as `pinfold sessions list` prints it
    #[arg(value_name = "NAME", value_parser = name)]
    name: Option<OperatorName>,
}

#[derive(Args, Clone, Debug)]
pub struct ListEnded {
    #[command(flatten)]
    admin: AdminTarget,

    /// Ask all nodes of the cluster, by way of this one; those that do not answer are named
    #[arg(long)]
    cluster: bool,

    /// Sessions at most; a node remembers 1000
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Print a line of JSON for each, for scripts
    #[arg(long)]
    json: bool,
}

/// Asks and shows; the exit code says how it went.
#[must_use]
pub fn run(command: &SessionsCommand) -> ExitCode {
    finished(match command {
        SessionsCommand::List(options) => {
            reach(&options.admin).and_then(|it| list::list(&it, options))
        }
        SessionsCommand::Show(options) => {
            reach(&options.admin).and_then(|it| show::show(&it, options))
        }
        SessionsCommand::End(options) => {
            reach(&options.admin).and_then(|it| end::end(&it, options))
        }
        SessionsCommand::Ended(options) => {
            reach(&options.admin).and_then(|it| list::ended(&it, options))
        }
    })
}

fn reach(target: &AdminTarget) -> Result<AdminClient, AdminFault> {
    AdminClient::new(target).map_err(|sentence| (EXIT_USAGE, sentence))
}

/// Who did not answer, a line for each.
pub(super) fn unanswered(answer: &Value) -> Vec<String> {
    let nodes = answer["unanswered"].as_array().into_iter().flatten();
    let text = |value: &Value| plain(value.as_str().unwrap_or("?"));
    nodes
        .map(|it| {
            format!(
                "{} did not answer: {}",
                text(&it["node"]),
                text(&it["reason"])
            )
        })
        .collect()
}

fn tell_unanswered(answer: &Value) {
    for line in unanswered(answer) {
        // Who has closed it does not want to know.
        let _ = writeln!(stderr(), "pinfold: {line}");
    }
}

fn name(text: &str) -> Result<OperatorName, String> {
    text.parse().map_err(|_| {
        "must be a session's name as `pinfold sessions list` prints it, such as n1.AAEAAAAAAAAAAAEAAAGa0AAA".to_owned()
    })
}

#[cfg(test)]
mod tests;
