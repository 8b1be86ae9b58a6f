//! `pinfold watch`: a small MCP client for people, in both eras. It subscribes, prints each notification,
//! and comes back when the connection breaks.
//!
//! One thread follows the server with blocking reads. The first thread waits for Ctrl-C, ends the session and
//! leaves. `era`, `backoff`, `print` and `sse` are pure; `http` talks; `modern` and `legacy` are the two eras.

mod backoff;
mod era;
mod follow;
mod http;
mod legacy;
mod message;
mod modern;
mod print;
mod sse;
mod watcher;

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use clap::Args;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::EXIT_USAGE;
use crate::config::read_token_file;
use crate::mcp::Era;
use follow::follow;
use http::Endpoint;
use print::Printer;
use watcher::{OpenSession, Watcher};

pub const EXAMPLES: &str = "\
Examples:
  pinfold watch http://127.0.0.1:8080/mcp
        changes of the lists of tools, prompts and resources
  pinfold watch --read http://127.0.0.1:8080/mcp board://lunch board://plan
        these resources, too, with their new contents
  pinfold watch --json --token-file token https://mcp.example.com/mcp | jq .method

Events go to standard output, everything about the connection to standard error.
Exit code: 0 after Ctrl-C, 1 when the server cannot be watched, 2 wrong options.";

#[derive(Args, Clone, Debug)]
pub struct WatchOptions {
    /// Be a client of 2025-11-25 or before: initialize, a session, a GET stream [default: what the server speaks, modern first]
    #[arg(long, conflicts_with = "modern")]
    legacy: bool,

    /// Be a client of 2026-07-28: subscriptions/listen
    #[arg(long)]
    modern: bool,

    /// Read each resource after it changed, and print its contents
    #[arg(long)]
    read: bool,

    /// Print the raw notifications, one per line
    #[arg(long)]
    json: bool,

    /// Print keep-alive comments, too
    #[arg(short, long)]
    verbose: bool,

    /// File with a bearer token for the server
    #[arg(long, env = "PINFOLD_WATCH_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The server's MCP endpoint
    #[arg(value_name = "URL", value_parser = url)]
    url: String,

    /// Resources to subscribe to
    #[arg(value_name = "URI")]
    uris: Vec<String>,
}

/// Why the first thread stops waiting.
enum Wake {
    Signal,
    Hopeless(String),
}

/// Watches until Ctrl-C, or until it makes no sense.
#[must_use]
pub fn run(options: WatchOptions) -> ExitCode {
    let token = match options
        .token_file
        .as_deref()
        .map(read_token_file)
        .transpose()
    {
        Ok(token) => token,
        Err(allowed) => {
            let path = options.token_file.unwrap_or_default();
            eprintln!(
                "error: invalid value '{}' for '--token-file': {allowed}",
                path.display()
            );
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let endpoint = Arc::new(Endpoint::new(&options.url, token.as_ref()));
    let goodbye = OpenSession::default();
    let (sender, woken) = channel();
    if let Err(error) = wake_on_signals(sender.clone()) {
        eprintln!("error: signals cannot be waited for: {error}");
        return ExitCode::FAILURE;
    }
    let watcher = watcher(options, endpoint.clone(), goodbye.clone());
    std::thread::spawn(move || sender.send(Wake::Hopeless(follow(&watcher))));

    let woken = woken.recv().expect("the signal thread keeps a sender");
    delete_session(&endpoint, &goodbye);
    match woken {
        Wake::Signal => ExitCode::SUCCESS,
        Wake::Hopeless(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn watcher(options: WatchOptions, endpoint: Arc<Endpoint>, goodbye: OpenSession) -> Watcher {
    Watcher {
        endpoint,
        printer: Printer {
            json: options.json,
            verbose: options.verbose,
        },
        uris: options.uris,
        reads: options.read,
        era: match (options.legacy, options.modern) {
            (true, _) => Some(Era::Legacy),
            (_, true) => Some(Era::Modern),
            _ => None,
        },
        goodbye,
        last_id: Cell::new(0),
    }
}

/// The first signal wakes the first thread; a second one ends the process at once.
fn wake_on_signals(sender: Sender<Wake>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        signals.next();
        let _ = sender.send(Wake::Signal);
        signals.next();
        std::process::exit(130);
    });
    Ok(())
}

/// Ends a legacy session; the modern era has none, and closing the connection is enough.
fn delete_session(endpoint: &Endpoint, goodbye: &OpenSession) {
    let session = goodbye.lock().expect("nobody panics with it").take();
    if let Some((id, version)) = session {
        endpoint.delete(&legacy::session_headers(Some(&id), &version));
    }
}

fn client_info() -> Value {
    json!({ "name": "pinfold-watch", "version": env!("CARGO_PKG_VERSION") })
}

fn url(text: &str) -> Result<String, &'static str> {
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    host.filter(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(' '))
        .map(|_| text.to_owned())
        .ok_or("must be the URL of an MCP endpoint, such as http://127.0.0.1:8080/mcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none() {
        for wrong in [
            "",
            "127.0.0.1:8080",
            "http://",
            "http:///mcp",
            "ws://a/mcp",
            "board://lunch",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        assert!(url("https://mcp.example.com/mcp").is_ok());
    }
}
