//! Finds out who sent a request, where a core cannot tell alone: asks an issuer's thread for its keys, or the program that this
//! library is in.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use monoio::time::timeout;

use super::clock;
use super::core_message::CoreMessage;
use super::engine::CoreDriver;
use crate::auth::{Identity, Reason};
use crate::credentials::{Authenticate, CredentialStore, Presented};
use crate::limits::ISSUER_ANSWER_MS;
use crate::shard::{IdentityAnswer, IdentityQuestion, UnknownSender};
use crate::tasks;

/// See [`Effect::Identify`](crate::shard::Effect::Identify).
pub(super) fn ask(
    core: &Rc<impl CoreDriver>,
    store: Option<&CredentialStore>,
    own: u16,
    sender: UnknownSender,
) {
    let UnknownSender {
        connection: key,
        number,
        question,
    } = sender;
    let Some(store) = store else { return };
    match question {
        IdentityQuestion::Key { issuer } => {
            let publisher = core.publisher().clone();
            // After the new keys, if there are any: those were posted before.
            store.search(issuer, move |searched| {
                publisher
                    .mailbox(own.into())
                    .post_beyond(CoreMessage::Identified {
                        connection: key,
                        number,
                        answer: IdentityAnswer::Searched(searched),
                    });
            });
        }
        IdentityQuestion::Hook(presented) => {
            let Some(hook) = store.hook().cloned() else {
                return;
            };
            let core = core.clone();
            tasks::spawn(async move {
                let answer = IdentityAnswer::Hook(authenticate(&*hook, presented).await);
                core.with_shard(|shard| shard.handle_identified(clock::now(), key, number, answer));
            });
        }
    }
}

/// A program that panics, or takes too long, lets nobody in.
async fn authenticate(hook: &dyn Authenticate, presented: Presented) -> Result<Identity, Reason> {
    let asked = AssertUnwindSafe(async { hook.authenticate(presented).await }).catch_unwind();
    match timeout(Duration::from_millis(ISSUER_ANSWER_MS), asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            tracing::error!("the program that says who asks panicked: the request is answered 503");
            Err(Reason::Unavailable)
        }
        Err(_) => Err(Reason::Unavailable),
    }
}
