//! `pinfold publish`: items from the command line, a file or standard input to the admin listener, and what became
//! of them.
//!
//! Items travel as lines (NDJSON), in requests of some thousands; lines from standard input are sent as they come,
//! and what arrives while a request is under way becomes the next.

mod input;
mod items;
mod remote;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;

use clap::Args;

use super::{EXIT_NO_ANSWER, EXIT_USAGE};
use input::{Batches, ItemLines};
pub(super) use remote::{AdminClient, AdminFault, AdminTarget};
use report::Report;

pub const EXAMPLES: &str = "\
Examples:
  pinfold publish tools
        the list of tools changed
  pinfold publish board://lunch
        this resource changed; its contents are unknown here or the same
  pinfold publish --text 'soup' board://lunch
  pinfold publish --blob plan.png --mime image/png board://plan
  pinfold publish --delete board://lunch board://plan
  pinfold publish --key lunch-17 --text 'soup' board://lunch
        send it again if you are not sure whether it arrived: it is published once;
        another item under the same key is refused (key_reused)
  pinfold publish --principal 'https://login.example.com alice' mail://inbox
        only alice's clients are notified; of a token file's principals the issuer is pinfold:tokens
  pinfold publish --session \"$MCP_SESSION_ID\" --message 'Your export is ready'
  pinfold publish --all --level warning --message '{\"restart\": \"in 5 minutes\"}'
        messages reach clients that have a session; clients of 2026-07-28 have none
  pinfold publish --from items.ndjson
  tail -f events.ndjson | pinfold publish --from -
        one item per line, such as {\"uri\": \"board://lunch\", \"contents\": \"soup\"}, or a JSON list;
        prints what was refused, and a sum at the end

Among several nodes: an item that is accepted while Redis is away is kept by this node alone until Redis is back. Its \
line says so.

Exit code: 0 all accepted, 1 at least one refused, 2 wrong options, 3 no answer from the admin listener.";

const EXIT_REFUSED: u8 = 1;

/// Lines read ahead of the request under way.
const READ_AHEAD: usize = 500;

#[derive(Args, Clone, Debug)]
pub struct PublishOptions {
    #[command(flatten)]
    admin: AdminTarget,

    /// New contents: this text
    #[arg(long, value_name = "TEXT", group = "source")]
    text: Option<String>,

    /// New contents: the text in this file
    #[arg(long, value_name = "FILE", group = "source")]
    file: Option<PathBuf>,

    /// New contents: the bytes of this file
    #[arg(long, value_name = "FILE", group = "source")]
    blob: Option<PathBuf>,

    /// The contents' MIME type
    #[arg(
        long,
        value_name = "TYPE",
        requires = "source",
        conflicts_with = "delete"
    )]
    mime: Option<String>,

    /// Take the resources off the board
    #[arg(long, group = "source")]
    delete: bool,

    /// Notify only subscribers that are this principal's: its issuer, a space and its subject, or its id (32 hexadecimal
    /// digits)
    #[arg(long, value_name = "PRINCIPAL", conflicts_with_all = ["source", "audience", "message"])]
    principal: Option<String>,

    /// Send it to this session only (its Mcp-Session-Id)
    #[arg(long, value_name = "ID", group = "audience", conflicts_with = "source")]
    session: Option<String>,

    /// Send the message to every session
    #[arg(long, group = "audience", requires = "message")]
    all: bool,

    /// A log message for sessions: JSON, or else a text
    #[arg(long, value_name = "DATA", requires = "audience", conflicts_with_all = ["targets", "source"])]
    message: Option<String>,

    /// The message's level: debug, info, notice, warning, error, critical, alert or emergency [default: info]
    #[arg(long, value_name = "LEVEL", requires = "message")]
    level: Option<String>,

    /// Name of the logger that the message is from
    #[arg(long, value_name = "NAME", requires = "message")]
    logger: Option<String>,

    /// Idempotency key, for one item: within five minutes the item is published once, however often it is sent.
    /// Another item under the same key is refused
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Publish the items in this file, one per line (NDJSON) or a JSON list; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["targets", "source", "audience", "message", "key", "principal"])]
    from: Option<PathBuf>,

    /// URIs of resources, or tools, prompts, resources for the lists; - alone is --from -
    #[arg(required_unless_present_any = ["from", "message"], value_name = "TARGET")]
    targets: Vec<String>,
}

impl PublishOptions {
    fn input(&self) -> Option<PathBuf> {
        let is_dash = self.targets == ["-"];
        self.from.clone().or_else(|| is_dash.then(|| "-".into()))
    }
}

/// Publishes and reports; the exit code says how it went.
#[must_use]
pub fn run(options: &PublishOptions) -> ExitCode {
    match publish(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_REFUSED),
        Err((code, sentence)) => {
            eprintln!("error: {sentence}");
            ExitCode::from(code)
        }
    }
}

/// Whether everything was accepted, or the exit code and a sentence.
fn publish(options: &PublishOptions) -> Result<bool, (u8, String)> {
    let usage = |sentence| (EXIT_USAGE, sentence);
    let desk = AdminClient::new(&options.admin).map_err(usage)?;
    let (lines, mut report) = match options.input() {
        Some(path) => {
            let (lines, bytes) = input::open(options, &path).map_err(usage)?;
            (lines, Report::of_input(bytes))
        }
        None => (from_arguments(options).map_err(usage)?, Report::of_items()),
    };
    let mut failed = None;
    for batch in Batches::new(lines) {
        let done = batch.map_err(usage).and_then(|batch| {
            desk.publish(&batch, |line, answer| report.add(line, answer))
                .map_err(|sentence| (EXIT_NO_ANSWER, sentence))
        });
        report.progress();
        if let Err(wrong) = done {
            failed = Some(wrong);
            break;
        }
    }
    report.conclude();
    failed.map_or(Ok(report.all_accepted()), Err)
}

fn from_arguments(options: &PublishOptions) -> Result<ItemLines, String> {
    let items = items::of_options(options)?;
    let (sender, receiver) = sync_channel(READ_AHEAD);
    std::thread::spawn(move || items.into_iter().all(|line| sender.send(Ok(line)).is_ok()));
    Ok(receiver)
}
