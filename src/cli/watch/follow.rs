//! The watcher's life: meet the server, listen until the stream ends, try again.
//!
//! ```text
//! Strange ──discover or initialize──▶ Met ──listen──▶ the stream ends ──wait──▶ Met
//!    ▲                                                       │
//!    └───────────── session gone (404): meet again ◀─────────┘
//! ```

use serde_json::json;

use super::backoff::WatchBackoff;
use super::era::{EraVerdict, verdict};
use super::legacy::LegacySession;
use super::modern;
use super::watcher::{WatchEnded, Watcher};
use crate::mcp::{Era, RpcMethod};

/// A server whose era is known.
enum OpenedServer {
    Modern,
    Legacy(LegacySession),
}

/// Watches until it is hopeless, and says why.
pub(super) fn follow(watcher: &Watcher) -> String {
    let mut backoff = WatchBackoff::default();
    let mut peer = None;
    loop {
        let met = peer.take().map_or_else(|| meet(watcher), Ok);
        let ended = met.map_or_else(
            |ended| ended,
            |mut met| {
                let ended = listen(watcher, &mut met, &mut backoff);
                peer = Some(met);
                ended
            },
        );
        let (sentence, retry) = match ended {
            WatchEnded::Hopeless(sentence) => return sentence,
            WatchEnded::Lost { sentence, retry } => (sentence, retry),
            WatchEnded::SessionGone(sentence) => {
                peer = None;
                watcher.remember_session(None);
                let unknown = "what changed since is unknown";
                (format!("the session is gone ({sentence}); {unknown}"), None)
            }
        };
        let wait = backoff.next(retry, random());
        let seconds = wait.as_secs_f64();
        watcher
            .printer
            .status(&format!("{sentence}; again in {seconds:.1} s"));
        std::thread::sleep(wait);
    }
}

fn listen(watcher: &Watcher, peer: &mut OpenedServer, backoff: &mut WatchBackoff) -> WatchEnded {
    match peer {
        OpenedServer::Modern => modern::listen(watcher, backoff),
        OpenedServer::Legacy(session) => session.listen(watcher, backoff),
    }
}

/// Finds out the server's era, and opens a session if it takes one.
fn meet(watcher: &Watcher) -> Result<OpenedServer, WatchEnded> {
    let era = match watcher.era {
        Some(era) => era,
        None => discover(watcher)?,
    };
    match era {
        Era::Modern => Ok(OpenedServer::Modern),
        Era::Legacy => LegacySession::open(watcher).map(OpenedServer::Legacy),
    }
}

fn discover(watcher: &Watcher) -> Result<Era, WatchEnded> {
    let (id, reply) = modern::ask(watcher, RpcMethod::ServerDiscover, json!({}), None)
        .map_err(WatchEnded::lost)?;
    let status = reply.status;
    let body = reply.into_json(id);
    match verdict(status, body.as_ref()) {
        EraVerdict::Modern => Ok(Era::Modern),
        EraVerdict::Legacy => Ok(Era::Legacy),
        EraVerdict::GiveUp(sentence) => Err(WatchEnded::Hopeless(sentence)),
        EraVerdict::TryAgain(sentence) => Err(WatchEnded::lost(sentence)),
    }
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
