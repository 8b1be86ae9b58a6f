//! `pinfold top`: one node in a terminal, or all of a cluster as one, as it is now. A thread asks the admin listener, this one draws and reads keys.
//!
//! ```text
//! ask (thread) ─answers─▶ model ◀─keys─ screen      model ─▶ draw: a function of what is known and what was typed
//!      ▲────────────────── wishes ──┘
//! ```
//!
//! `sample` is what a node says of itself, `rates` what two such answers say together.

mod ask;
mod draw;
mod model;
mod overlay;
mod rates;
mod sample;
mod screen;
mod wish;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::EXIT_USAGE;
use super::cluster::finished;
use super::publish::{AdminClient, AdminFault, AdminTarget};
use crate::config::Milliseconds;
use ask::NodeAsker;
use model::Model;
use wish::Wish;

pub const EXAMPLES: &str = "\
Examples:
  pinfold top
        the node on this machine
  pinfold top --admin http://10.0.0.2:9464 --token-file read-token
        another one; a token that may only read is enough for all but ending sessions
  pinfold top --cluster
        all nodes as one: sums, the cores of all, the sessions of all; a node that does not answer is named
  pinfold top --once
        one frame as text, for scripts and tickets

Keys: arrows select a session, enter shows it in detail, e ends it after a question; a, p, l sort by age, by what is
pending, by last activity; r turns the order round; / filters by text; ? explains what is shown; q leaves.

Sessions marked with ! do not read what waits for them.

Exit code: 0 you left, 1 refused (--once), or the terminal is gone, 2 wrong options, or no terminal, 3 no answer from the admin
listener (--once; else it is tried again).";

/// No answer is waited for longer: a view that stands still says so.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug)]
pub struct TopOptions {
    #[command(flatten)]
    admin: AdminTarget,

    /// Time between two looks at the node, 100ms to 1h; rates are over this time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Milliseconds,

    /// Look at all nodes of the cluster, by way of this one
    #[arg(long)]
    cluster: bool,

    /// Look twice, print one frame as text, and leave
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<Milliseconds, String> {
    let time: Milliseconds = text.parse()?;
    match time.0 {
        100..=3_600_000 => Ok(time),
        _ => Err("must be from 100ms to 1h".to_owned()),
    }
}

/// Shows the node until somebody leaves; the exit code says how it went.
#[must_use]
pub fn run(options: &TopOptions) -> ExitCode {
    finished(top(options))
}

fn top(options: &TopOptions) -> Result<String, AdminFault> {
    let usage = |sentence: String| (EXIT_USAGE, sentence);
    let client = AdminClient::within(&options.admin, ANSWER_WITHIN).map_err(usage)?;
    let interval = Duration::from_millis(options.interval.0);
    let model = Model::new(client.base(), options.interval.0);
    if options.once {
        return once(NodeAsker::new(client, options.cluster), interval, model);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(usage(
            "there is no terminal here: --once prints one frame".to_owned(),
        ));
    }
    let shown = screen::show(NodeAsker::new(client, options.cluster), interval, model);
    shown.map_err(|fault| (1, format!("the terminal cannot be used: {fault}")))?;
    Ok(String::new())
}

/// Two looks, since rates are differences.
fn once(asker: NodeAsker, interval: Duration, mut model: Model) -> Result<String, AdminFault> {
    for look in 0..2 {
        if look > 0 {
            std::thread::sleep(interval);
        }
        for question in model.questions() {
            let answer = asker.ask(&Wish::Look(question));
            if let Some(fault) = answer.fault() {
                return Err(fault);
            }
            model.handle_answer(answer);
        }
    }
    Ok(screen::frame_as_text(&model))
}

#[cfg(test)]
mod tests;
