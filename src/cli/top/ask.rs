//! Questions to the admin listener, and their answers, on a thread of their own: one that hangs does not hold up keys.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::wish::{LookAnswer, Wish};
use crate::cli::publish::AdminClient;
use crate::cli::sessions::{encoded, of_all};

pub(super) struct NodeAsker {
    client: AdminClient,
    /// All nodes are asked.
    is_of_all: bool,
}

/// The other end of the thread.
pub(super) struct AskThread {
    pub(super) wishes: Sender<Vec<Wish>>,
    pub(super) answers: Receiver<LookAnswer>,
}

impl NodeAsker {
    pub(super) fn new(client: AdminClient, is_of_all: bool) -> Self {
        NodeAsker { client, is_of_all }
    }

    pub(super) fn ask(&self, wish: &Wish) -> LookAnswer {
        let said = match wish {
            Wish::Look(question) => self.client.get(&of_all(question.path(), self.is_of_all)),
            Wish::End { name } => {
                let path = format!("/sessions/{}", encoded(name));
                self.client.delete(&of_all(path, self.is_of_all))
            }
        };
        LookAnswer {
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
