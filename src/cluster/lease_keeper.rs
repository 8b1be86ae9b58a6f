//! A lease while Redis does not answer: this node asks all others for pledges, and answers those who ask.
//!
//! Who does not answer may be taking over what is here. So one other node that hangs, or that cannot be reached while nobody has
//! found it dead yet, ends the lease as before. One that refuses the connection has no process, and the next one takes nothing
//! over in its first two seconds; but once the lease was over it may have taken something and be gone, and every answer is needed.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use monoio::time::sleep;
use serde_json::json;

use super::lease::{ASK_AFTER, WantedPledges};
use super::pledges::PledgeAsker;
use super::shared::ClusterContext;
use crate::shard::PeerAnswer;
use crate::wire::http1::Method;
use crate::wire::peer_question::{PLEDGE, PeerQuestion};
use crate::wire::session_id::{NodeName, Process};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(100);
/// Two rounds fit into the time after which others are asked.
const ANSWER_WITHIN: Duration = Duration::from_millis(450);

/// Runs for as long as the node does.
pub(super) async fn run(shared: &ClusterContext) {
    if shared.reach.is_none() {
        return;
    }
    // What is left of that of the process in whose place this one goes on.
    shared.tell_lease();
    loop {
        let next = shared.lease.borrow().asks_at();
        let wait = next.map_or(ASK_AFTER, |at| at.saturating_duration_since(Instant::now()));
        sleep(wait.max(PAUSE)).await;
        shared.gates.work.pass().await;
        let wanted = shared.lease.borrow().wanted_pledges(Instant::now());
        if let Some(wanted) = wanted {
            shared.ask_for_pledges(wanted).await;
        }
    }
}

impl ClusterContext {
    async fn ask_for_pledges(&self, wanted: WantedPledges) {
        let sent_at = Instant::now();
        let others = self.peers.borrow().adopters(self.node);
        let asked = others.into_iter().map(|it| self.ask_for_pledge(it, wanted));
        let answers = join_all(asked).await;
        let refused = answers.into_iter().find_map(Result::err);
        self.gates.answers.pass().await;
        let Some((node, why)) = refused else {
            self.lease.borrow_mut().extend(sent_at);
            self.tell_lease();
            return;
        };
        if let Some(unlogged) = self.may_log("pledge") {
            tracing::warn!(%node, %why, unlogged, "this node does not reach Redis, and not all others have said that they take nothing \
                over from it: sessions are answered 503 until they do");
        }
    }

    /// # Errors
    /// Who does not say so, and why.
    async fn ask_for_pledge(
        &self,
        (node, address): (NodeName, SocketAddr),
        wanted: WantedPledges,
    ) -> Result<(), (NodeName, String)> {
        let asker = self.asker.as_ref();
        let asker = asker.ok_or_else(|| (node, "this node asks no others".to_owned()))?;
        let (beat_ms, is_lapsed) = (wanted.beat_age.as_millis(), wanted.is_lapsed);
        let target = format!("{PLEDGE}?beat_ms={beat_ms}&lapsed={is_lapsed}");
        let to = (node, ANY_PROCESS);
        let asked = asker.ask_at(to, address, Method::Post, &target, ANSWER_WITHIN);
        let why = match asked.await {
            Ok((200, _)) => return Ok(()),
            Ok((_, body)) => serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|it| Some(it["error"].as_str()?.to_owned()))
                .unwrap_or_else(|| "it does not know what is asked".to_owned()),
            Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused && !is_lapsed => {
                return Ok(());
            }
            Err(fault) => fault.to_string(),
        };
        Err((node, why))
    }

    /// Another node does not reach Redis, and asks that nothing is taken over from it.
    pub(super) fn answer_pledge(&self, question: &PeerQuestion) -> PeerAnswer {
        if !self.questions.borrow_mut().take(question) {
            return PeerAnswer::Repeated;
        }
        let said = |status, body: serde_json::Value| PeerAnswer::Answered {
            status,
            body: body.to_string().into_bytes().into(),
        };
        let Some(asker) = asker_of(question) else {
            return said(400, json!({"error": "what is asked cannot be read"}));
        };
        let now = Instant::now();
        let forgot_at = self.heartbeat.borrow().forgot_at();
        let pledged = self.pledges.borrow_mut().pledge(asker, forgot_at, now);
        match pledged {
            Ok(()) => {
                self.peers.borrow_mut().lives(asker.process, now);
                said(200, json!({"pledged": true}))
            }
            Err(why) => said(409, json!({"error": why.sentence()})),
        }
    }

    /// Tells the cores for how long they have their sessions.
    pub(super) fn tell_lease(&self) {
        let Some(reach) = &self.reach else { return };
        let until = self.lease.borrow().until();
        let wait = |until: Instant| until.saturating_duration_since(Instant::now());
        let ms = |until| crate::runtime::now() + wait(until).as_millis() as crate::shard::Millis;
        reach.set_lease(until.map(ms));
    }
}

/// Whoever is there under a node's name.
const ANY_PROCESS: u64 = 0;

fn asker_of(question: &PeerQuestion) -> Option<PledgeAsker> {
    let (_, query) = question.target.split_once('?')?;
    let (beat, lapsed) = query.split_once('&')?;
    let beat_ms = beat.strip_prefix("beat_ms=")?.parse().ok()?;
    let process: Process = (question.from, question.incarnation);
    Some(PledgeAsker {
        process,
        beat_age: Duration::from_millis(beat_ms),
        is_lapsed: lapsed.strip_prefix("lapsed=")?.parse().ok()?,
    })
}
