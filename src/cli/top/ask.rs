//! Questions to the admin listener, and their answers, on a thread of their own: one that hangs does not hold up keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::model::Question;
use crate::cli::publish::{AdminClient, AdminFault};
use crate::cli::sessions::encoded;

/// What is wanted of the node, beside a look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Look(Question),
    End { name: String },
}

/// What became of it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) wish: Wish,
    pub(super) said: Result<Value, AdminFault>,
}

impl Answer {
    pub(super) fn fault(&self) -> Option<AdminFault> {
        self.said.as_ref().err().cloned()
    }
}

pub(super) struct Asker {
    client: AdminClient,
}

/// The other end of the thread.
pub(super) struct AskThread {
    pub(super) wishes: Sender<Vec<Wish>>,
    pub(super) answers: Receiver<Answer>,
}

impl Asker {
    pub(super) fn new(client: AdminClient) -> Self {
        Asker { client }
    }

    pub(super) fn ask(&self, wish: &Wish) -> Answer {
        let said = match wish {
            Wish::Look(question) => self.client.get(&question.path()),
            Wish::End { name } => self.client.delete(&format!("/sessions/{}", encoded(name))),
        };
        Answer {
            wish: wish.clone(),
            said,
        }
    }

    /// Asks for `looks` now and at every `interval`, and for wishes as they come: the last ones that came are asked for from
    /// then on.
    pub(super) fn start(
        self,
        interval: Duration,
        mut looks: Vec<Wish>,
    ) -> std::io::Result<AskThread> {
        let (wishes, wished) = channel::<Vec<Wish>>();
        let (answer, answers) = channel();
        let run = move || loop {
            let next = Instant::now() + interval;
            let all_told = looks.iter().all(|wish| answer.send(self.ask(wish)).is_ok());
            if !all_told {
                return;
            }
            match wished.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(now) => {
                    // Of many keys only what the last one left is of interest; what was to be ended is ended.
                    let mut all = now;
                    while let Ok(more) = wished.try_recv() {
                        all.retain(|it| matches!(it, Wish::End { .. }));
                        all.extend(more);
                    }
                    let (ends, others): (Vec<_>, Vec<_>) = all
                        .into_iter()
                        .partition(|it| matches!(it, Wish::End { .. }));
                    if !ends.iter().all(|wish| answer.send(self.ask(wish)).is_ok()) {
                        return;
                    }
                    looks = others;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        std::thread::Builder::new().name("ask".into()).spawn(run)?;
        Ok(AskThread { wishes, answers })
    }
}
