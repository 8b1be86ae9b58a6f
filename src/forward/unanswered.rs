//! What becomes of a request that was passed on and that its owner did not answer; and how a connection ends behind its
//! last answer.

use super::exchange::{ExchangeStep, ForwardedExchange};
use super::passage::{PassageKey, PassageState, Side};
use super::search::Asker;
use super::{ForwardEffect, Forwarder};
use crate::shard::{Millis, MissReason, SessionEvent};
use crate::wire::Malformed;
use crate::wire::json_rpc::emit_error;
use crate::wire::response::{self, BodyLength};

/// How long what such a client still sends is read, so that it can read its answer.
const LINGER_MS: Millis = 2_000;

impl Forwarder {
    /// Whether the owner of a request that it did not answer takes connections. If not, the process is gone, and what
    /// it did of this request went with it.
    pub fn handle_probed(&mut self, now: Millis, key: PassageKey, is_there: bool) {
        let is_waiting = |it: &mut ForwardedExchange| it.step == ExchangeStep::Probing;
        if !self.exchange(key).is_some_and(is_waiting) {
            return;
        }
        match self.passage_ref(key).map(|it| it.session) {
            // Its session may be gone with it, or live on elsewhere.
            Some(session) if !is_there => drop(self.ask(session, Asker::Unanswered(key))),
            _ => {
                self.unanswered(now, key, None);
                self.settle(key);
            }
        }
    }

    /// Nothing was passed on of an answer. `gone`: why there will be none, if that is known.
    pub(super) fn unanswered(&mut self, now: Millis, key: PassageKey, gone: Option<MissReason>) {
        let Some(passage) = self.passage(key) else {
            return;
        };
        let session = passage.session;
        let PassageState::Exchange(exchange) = &mut passage.state else {
            return;
        };
        let answer = match gone {
            Some(gone) => match exchange.take_all() {
                Some(read) => {
                    self.counts.returned += 1;
                    return self.give_back(key, read, Some(gone));
                }
                None => {
                    let missed = SessionEvent::Missed { session, gone };
                    self.effects.push_back(ForwardEffect::Announce(missed));
                    gone.last_answer()
                }
            },
            None => {
                let broke_off = SessionEvent::BrokeOff { session };
                self.effects.push_back(ForwardEffect::Announce(broke_off));
                broke_off_answer()
            }
        };
        self.counts.broke_off += 1;
        self.announce_if_deleted(key);
        self.answer_last(now, key, &answer);
    }

    /// The rest of its request is no body, and nobody has answered it.
    pub(super) fn refuse(&mut self, now: Millis, key: PassageKey, fault: Malformed) {
        self.counts.broke_off += 1;
        self.announce_if_deleted(key);
        self.answer_last(now, key, &malformed_answer(fault));
    }

    pub(super) fn is_unanswered(&self, key: PassageKey) -> bool {
        let state = self.passage_ref(key).map(|it| &it.state);
        matches!(state, Some(PassageState::Exchange(exchange)) if exchange.is_unanswered())
    }

    fn answer_last(&mut self, now: Millis, key: PassageKey, answer: &[u8]) {
        if let Some(exchange) = self.exchange(key) {
            exchange.answer_last(now, answer, now + LINGER_MS);
        }
        self.lose_owner(key);
        self.transmits(key, Side::Client);
    }

    /// The client has its last answer, and may be sending still: a reset would take the answer from it.
    pub(super) fn linger(&mut self, now: Millis, key: PassageKey) {
        if let Some(exchange) = self.exchange(key) {
            exchange.linger(now + LINGER_MS);
            let side = Side::Client;
            self.effects
                .push_back(ForwardEffect::EndSending { key, side });
        }
        self.lose_owner(key);
    }
}

fn malformed_answer(fault: Malformed) -> Vec<u8> {
    let error = format!(r#"{{"code":-32600,"message":"{}"}}"#, fault.sentence());
    last_answer(fault.status(), &error)
}

/// Half a request was answered by nobody: not even the owner's restart would tell what became of it.
fn broke_off_answer() -> Vec<u8> {
    let message = "The node that has this session broke off before it answered, and whether it did what was asked is \
                   not known. Send initialize again if this goes on.";
    let error = format!(
        r#"{{"code":-32600,"message":"{message}","data":{{"reason":"owner_unreachable"}}}}"#
    );
    last_answer(502, &error)
}

/// As a shard says it.
fn last_answer(status: u16, error: &str) -> Vec<u8> {
    let mut body = Vec::new();
    emit_error(&mut body, None, error);
    let fields = [("Content-Type", "application/json")];
    let mut answer = Vec::new();
    let content = BodyLength::Length(body.len() as u64);
    response::emit_head(&mut answer, status, &fields, content, false);
    answer.append(&mut body);
    answer
}
