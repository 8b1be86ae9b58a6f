//! What the control thread is told while the node is handed over: to become quiet, to say what it has, and to go on.
//!
//! ```text
//! serves ─quiesce─▶ takes no requests of operators, tells Redis nothing new ─state─▶ says what it has ─▶ (the process ends)
//!    ▲                      │ held up                                                │
//!    └───────────────────── go on ◀──────────────────────────────────────────────────┘
//! ```
//!
//! It becomes quiet before the cores do: what it is at still reaches them. And it says what it has when they stand still, so
//! that all of their messages to it are there. Unlike a core it goes on with its turns: the answer to whoever asked for the hand-over
//! is still to be written.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{cluster, operators};
use crate::mailbox::Mailbox;

/// For the control thread to come to its messages, beyond what it was asked to wait.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Orders of one hand-over at a time.
const ORDERS_MAX: usize = 16;

enum ControlOrder {
    Quiesce {
        until: Instant,
        insists: bool,
        answer: Sender<Option<String>>,
    },
    State {
        answer: Sender<ControlState>,
    },
    GoOn,
}

/// What the control thread has, as it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ControlState {
    /// Each part as its own module writes it; empty if there is none.
    #[serde(with = "serde_bytes")]
    pub(super) operators: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub(super) cluster: Vec<u8>,
}

/// Where the thread that hands the node over tells it.
#[derive(Clone)]
pub(super) struct ControlOrders {
    mailbox: Arc<Mailbox<ControlOrder>>,
}

impl std::fmt::Debug for ControlOrders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlOrders")
    }
}

impl Default for ControlOrders {
    fn default() -> Self {
        ControlOrders {
            mailbox: Arc::new(Mailbox::new(ORDERS_MAX)),
        }
    }
}

/// The control thread is quiet. Dropped, it goes on.
pub(super) struct QuietControl<'a> {
    orders: &'a ControlOrders,
}

impl ControlOrders {
    /// Blocks until nothing is under way on the control thread. `insists`: nobody is waited for but those whose requests were
    /// begun.
    ///
    /// # Errors
    /// What is under way still, in a sentence: everything goes on.
    pub(super) fn quiesce(
        &self,
        within: Duration,
        insists: bool,
    ) -> Result<QuietControl<'_>, String> {
        let quiet = QuietControl { orders: self };
        let (answer, answered) = channel();
        self.mailbox.post_beyond(ControlOrder::Quiesce {
            until: Instant::now() + within,
            insists,
            answer,
        });
        match answer_of(&answered, within)? {
            None => Ok(quiet),
            Some(why) => Err(why),
        }
    }

    /// Runs on the control thread for as long as it does.
    pub(super) async fn obey(
        self,
        serving: Option<operators::Serving>,
        cluster: Option<cluster::Clustered>,
    ) {
        loop {
            for order in self.mailbox.collect().await.messages {
                match order {
                    ControlOrder::Quiesce {
                        until,
                        insists,
                        answer,
                    } => {
                        let mut held_up = None;
                        if let Some(serving) = &serving {
                            held_up = serving.quiesce(until, insists).await;
                        }
                        // What operators wait for comes by way of the bus.
                        if let (None, Some(cluster)) = (&held_up, &cluster) {
                            held_up = cluster.quiesce(until, insists).await;
                        }
                        // Whoever asked may have given up.
                        let _ = answer.send(held_up);
                    }
                    ControlOrder::State { answer } => {
                        let operators = serving.as_ref().map(operators::Serving::state);
                        let cluster = cluster.as_ref().map(cluster::Clustered::state);
                        let _ = answer.send(ControlState {
                            operators: operators.unwrap_or_default(),
                            cluster: cluster.unwrap_or_default(),
                        });
                    }
                    ControlOrder::GoOn => {
                        if let Some(cluster) = &cluster {
                            cluster.go_on();
                        }
                        if let Some(serving) = &serving {
                            serving.go_on();
                        }
                    }
                }
            }
        }
    }
}

impl QuietControl<'_> {
    /// What the control thread has, when the cores stand still.
    ///
    /// # Errors
    /// It does not come to its messages.
    pub(super) fn state(&self) -> Result<ControlState, String> {
        let (answer, answered) = channel();
        let orders = &self.orders.mailbox;
        orders.post_beyond(ControlOrder::State { answer });
        answer_of(&answered, Duration::ZERO)
    }

    /// It never goes on: another process has taken its place.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for QuietControl<'_> {
    fn drop(&mut self) {
        self.orders.mailbox.post_beyond(ControlOrder::GoOn);
    }
}

fn answer_of<T>(answered: &Receiver<T>, within: Duration) -> Result<T, String> {
    let answer = answered.recv_timeout(within + ANSWERS_WITHIN);
    answer.map_err(|_| "the control thread does not come to its messages".to_owned())
}
