//! The calls of a core that have not ended, and what each of them has asked its client.

use std::cell::RefCell;
use std::collections::HashMap;

use futures_channel::oneshot;
use futures_util::future::AbortHandle;
use serde_json::value::RawValue;

use super::spans::CoreSpans;
use crate::app::call::AskFailed;
use crate::shard::CallKey;

pub(super) type ClientAnswer = Result<Box<RawValue>, AskFailed>;

#[derive(Default)]
pub(super) struct Calls {
    pub(super) spans: CoreSpans,
    running: RefCell<HashMap<CallKey, RunningCall>>,
}

/// A call that has not ended.
struct RunningCall {
    abort: AbortHandle,
    asks: Vec<(u32, oneshot::Sender<ClientAnswer>)>,
}

impl Calls {
    pub(super) fn remember(&self, call: CallKey, abort: AbortHandle) {
        let running = RunningCall {
            abort,
            asks: Vec::new(),
        };
        self.running.borrow_mut().insert(call, running);
    }

    pub(super) fn forget(&self, call: CallKey) {
        self.running.borrow_mut().remove(&call);
    }

    /// Nobody waits for it any more.
    pub(super) fn cancel(&self, call: CallKey) {
        let running = self.running.borrow_mut().remove(&call);
        if let Some(running) = running {
            running.abort.abort();
        }
    }

    /// `None`: the call is over.
    pub(super) fn remember_ask(
        &self,
        call: CallKey,
        ask: u32,
    ) -> Option<oneshot::Receiver<ClientAnswer>> {
        let (sender, receiver) = oneshot::channel();
        let mut running = self.running.borrow_mut();
        running.get_mut(&call)?.asks.push((ask, sender));
        Some(receiver)
    }

    pub(super) fn answered(&self, call: CallKey, ask: u32, answer: ClientAnswer) {
        let sender = self.running.borrow_mut().get_mut(&call).and_then(|it| {
            let index = it.asks.iter().position(|(number, _)| *number == ask)?;
            Some(it.asks.swap_remove(index).1)
        });
        if let Some(sender) = sender {
            // The handler may have given up on it.
            let _ = sender.send(answer);
        }
    }
}
