//! How the control thread reaches the cores with what concerns sessions that change their node, and what cores do for those.

use std::sync::Arc;

use futures_channel::oneshot;

use super::clock;
use super::core_message::CoreMessage;
use super::engine::CoreDriver;
use super::publisher::Publisher;
use crate::app::call::{Notice, NotifyRefused};
use crate::shard::{Millis, NotTaken, PortableSession, SessionEvent};
use crate::wire::session_id::SessionId;

/// The cores of a node, for whoever decides which sessions it has. No call waits. Times are by the clock that the cores have.
pub trait CoreReach {
    fn core_count(&self) -> u16;

    /// A session that was claimed under this number goes on at the core that [`SessionId::adopting_core`] says. Nobody answering
    /// is as much as [`NotTaken::Full`].
    fn adopt(
        &self,
        session: SessionId,
        fence: u64,
        state: PortableSession,
    ) -> oneshot::Receiver<Result<(), NotTaken>>;

    /// Other nodes have these now, each under this number. One that is not here, or has a higher number here, is passed
    /// over.
    fn let_go(&self, sessions: Vec<(SessionId, u64)>);

    /// No other node claims this one's sessions before that. None: nobody ever does.
    fn set_lease(&self, until: Option<Millis>);
}

impl CoreReach for Publisher {
    fn core_count(&self) -> u16 {
        self.mailboxes().len() as u16
    }

    fn adopt(
        &self,
        session: SessionId,
        fence: u64,
        state: PortableSession,
    ) -> oneshot::Receiver<Result<(), NotTaken>> {
        let (answer, answered) = oneshot::channel();
        let core = session.adopting_core(self.core_count());
        if let Some(mailbox) = self.mailboxes().get(usize::from(core)) {
            mailbox.post_beyond(CoreMessage::Adopt {
                session,
                fence,
                state: Box::new(state),
                answer,
            });
        }
        answered
    }

    fn let_go(&self, sessions: Vec<(SessionId, u64)>) {
        let sessions: Arc<[(SessionId, u64)]> = sessions.into();
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::LetGo(sessions.clone()));
        }
    }

    fn set_lease(&self, until: Option<Millis>) {
        for mailbox in self.mailboxes() {
            mailbox.post_beyond(CoreMessage::Lease(until));
        }
    }
}

/// Whoever takes a session over learns when it was opened: by the clock of the rest of the world, which a shard does not have.
pub(super) fn dated(mut event: SessionEvent) -> SessionEvent {
    if let SessionEvent::Opened { info, .. } | SessionEvent::LetGo { info, .. } = &mut event
        && info.fence == 0
        && let Some(state) = info.state.as_mut().filter(|it| it.created_at == 0)
    {
        state.created_at = clock::unix_ms_of(info.created_at);
    }
    event
}

/// Notifies a session. One that was taken over is on another core than its id says: that one is asked, and has the last word.
pub(super) fn notify_session(
    (core, number): (&impl CoreDriver, u16),
    session: Box<str>,
    notice: Notice,
    answer: oneshot::Sender<Result<(), NotifyRefused>>,
) {
    let mut shard = core.shard().borrow_mut();
    let answered = shard.handle_notice(clock::now(), &session, &notice);
    drop(shard);
    use NotifyRefused::{Expired, OtherNode, OwnerRestarted};
    // One of this process may have been elsewhere, and come back to another core.
    if let Err(OtherNode | OwnerRestarted | Expired) = answered
        && let Some(id) = SessionId::parse(&session)
    {
        let adopting = id.adopting_core(core.publisher().core_count());
        if adopting != number {
            let message = CoreMessage::NotifySession {
                session,
                notice,
                answer,
            };
            return core
                .publisher()
                .mailbox(adopting.into())
                .post_beyond(message);
        }
    }
    // Nobody may wait for it any more.
    let _ = answer.send(answered);
}
