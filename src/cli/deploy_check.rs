//! `pinfold deploy-check`: what a deploy of the nodes would cost now, before anybody begins one. `ask` reads the cluster over the
//! admin listener of one node, a page of sessions at a time; `tally` counts what a page has; `cost` judges by plain values; and
//! `report` tells it.

mod ask;
mod cost;
mod report;
mod tally;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::cost::{DeployCost, DeployVerdict};
use super::publish::{AdminClient, AdminFault, AdminTarget};

pub const EXAMPLES: &str = "\
Examples:
  pinfold deploy-check
        what a deploy would cost now: by a hot hand-over of each node, and by a drain of each
  pinfold deploy-check && deploy/systemd/rolling-upgrade ./pinfold-new 10.0.0.1 10.0.0.2 10.0.0.3
        begin only if nothing is lost
  pinfold deploy-check --by drain && kubectl rollout restart statefulset/pinfold
        where a new program is a new pod, and nodes drain
  pinfold deploy-check --by drain --json | jq '.nodes[] | {node, end: .drain.end}'
        which sessions would end, for scripts
  pinfold deploy-check --admin http://10.0.0.2:9464 --token-file read-token
        by way of another node; a token that may only read will do

By hand-over (`pinfold upgrade`, systemctl reload) a node goes on in a new process, with connections, streams and sessions: nothing
is lost. What holds it up is told. Calls under way, and requests that wait for another node, are waited for (--handover-grace of
`pinfold serve`); if they do not end it is refused, and one tries again.

By drain (SIGTERM, POST /drain, a restart, a new pod) all streams end, and their clients come back. Sessions move to other nodes
where nodes take them over (they do unless --on-owner-loss 404); all others end, and their clients initialize again. Why they end is told:
  off            sessions end with their node there: its options, or its application, or it says of none whether they do
  too_large      they are subscribed to more than a record takes
  http_sse       of clients of 2024-11-05
  no_other_node  nobody is there to go on with them
  no_room        --sessions-max of the others
  redis_away     by Redis others would have them
What else a node does not say, or not in words of this version, is unknown, and told as that. Calls under way have until the drain
is over. A node that cannot be handed over counts as one that is drained, since nothing else is left to it.

It is a look at one moment: clients come and go. Each node is asked by way of the one that is asked, for a thousand sessions at a
time.

Exit code: 0 nothing is lost, 1 something would be lost, which is told, 2 it could not be found out, or the options are
wrong.";

/// Something would be lost.
const EXIT_LOST: u8 = 1;
/// Nobody knows.
const EXIT_UNKNOWN: u8 = 2;

/// How the nodes get a new program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DeployWay {
    /// `pinfold upgrade` where that is possible, else a drain
    Handover,
    /// A drain of each node, one after the other
    Drain,
}

#[derive(Args, Clone, Debug)]
pub struct DeployCheckOptions {
    #[command(flatten)]
    admin: AdminTarget,

    /// The way that the exit code is about; both are told
    #[arg(long, value_name = "WAY", default_value = "handover")]
    by: DeployWay,

    /// Print it as one object of JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Asks, judges and tells; the exit code says what would be lost.
#[must_use]
pub fn run(options: &DeployCheckOptions) -> ExitCode {
    let cost = match found_out(options) {
        Ok(cost) => cost,
        Err((_, sentence)) => {
            // Who has closed it does not want to know.
            let _ = writeln!(stderr(), "error: {sentence}");
            return ExitCode::from(EXIT_UNKNOWN);
        }
    };
    let told = match options.json {
        true => format!("{}\n", report::json(&cost, options.by)),
        false => report::text(&cost, options.by),
    };
    match write!(stdout(), "{told}") {
        Ok(()) => ExitCode::from(code(cost.verdict(options.by))),
        Err(_) => ExitCode::from(EXIT_UNKNOWN),
    }
}

fn found_out(options: &DeployCheckOptions) -> Result<DeployCost, AdminFault> {
    let usage = |sentence| (EXIT_UNKNOWN, sentence);
    let admin = AdminClient::new(&options.admin).map_err(usage)?;
    ask::cluster(&admin).map(|found| cost::judge(&found))
}

const fn code(verdict: DeployVerdict) -> u8 {
    match verdict {
        DeployVerdict::NothingIsLost => 0,
        DeployVerdict::SomethingIsLost => EXIT_LOST,
        DeployVerdict::Unknown => EXIT_UNKNOWN,
    }
}

#[cfg(test)]
mod tests;
