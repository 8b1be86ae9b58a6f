//! What the application is told of sessions and subscriptions, and of who sends a request.

use super::call::AnswerTo;
use super::fanout::{ListenerKey, Voice};
use super::{CallKey, ConnectionKey, Effect, SessionKey, Shard};
use crate::app::call::{Caller, Headers, Lifecycle, OpenedSession, SessionEnd, Subscriber};
use crate::clients::Client;
use crate::wire::HeadView;
use crate::wire::session_id::SessionId;

impl Shard {
    /// What a handler sees of a request's sender.
    pub(super) fn caller_seen(
        &self,
        client: Option<Client>,
        session: Option<SessionKey>,
        head: &HeadView<'_>,
    ) -> Caller {
        let (bytes, credentials) = (head.head().len as usize, self.about.sees_credentials);
        Caller::new(
            session.map(|key| self.session_id(key)),
            client.map(Client::address),
            Headers::of(head.fields(), bytes, credentials),
        )
    }

    /// On which connection a call's client waits for the answer. `None`: it is gone.
    #[must_use]
    pub fn connection_of(&self, call: CallKey) -> Option<ConnectionKey> {
        match self.calls.get(call)?.answer_to {
            AnswerTo::Connection(connection) | AnswerTo::Plain(connection) => Some(connection),
            AnswerTo::Stream(stream) => self.streams.get(stream)?.connection,
            AnswerTo::Nobody => None,
        }
    }

    pub(super) fn tell_opened(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let opened = OpenedSession::new(
            self.session_id(key),
            session.version,
            session.profile.info.clone(),
            session.profile.capabilities.clone(),
            session.client.map(Client::address),
        );
        self.tell_application(Lifecycle::Opened(opened));
    }

    pub(super) fn tell_ended(&mut self, session: SessionId, why: SessionEnd) {
        self.tell_application(Lifecycle::Ended(session, why));
    }

    /// A session hears of a resource, by this spelling.
    pub(super) fn tell_subscribed(&mut self, listener: ListenerKey, spelling: &str) {
        let uri = self.fanout.published_uri(spelling);
        if let (Some(subscriber), Some(uri)) = (self.subscriber(listener), uri) {
            self.tell_application(Lifecycle::Subscribed(uri, subscriber));
        }
    }

    /// A session heard of a resource by so many spellings, and does no longer.
    pub(super) fn tell_unsubscribed(&mut self, listener: ListenerKey, uri: &str, count: usize) {
        if let Some(subscriber) = self.subscriber(listener) {
            for _ in 0..count {
                self.tell_application(Lifecycle::Unsubscribed(uri.into(), subscriber));
            }
        }
    }

    /// A listen stream has opened.
    pub(super) fn tell_listening(&mut self, listener: ListenerKey) {
        let subscriber = subscriber_of(listener);
        let uris = self.fanout.uris_of(listener);
        let begins = uris.map(|uri| Effect::Tell(Lifecycle::Subscribed(uri, subscriber)));
        self.effects.extend(begins);
    }

    /// A listener goes, and all that it hears.
    pub(super) fn close_listener(&mut self, listener: ListenerKey, subscriber: Subscriber) {
        let uris = self.fanout.uris_of(listener);
        let ends = uris.map(|uri| Effect::Tell(Lifecycle::Unsubscribed(uri, subscriber)));
        self.effects.extend(ends);
        self.fanout.close(listener);
    }

    fn subscriber(&self, listener: ListenerKey) -> Option<Subscriber> {
        match self.fanout.listener(listener)?.voice {
            Voice::Session(session) => Some(Subscriber::Session(self.session_id(session))),
            Voice::Listen(_) => Some(subscriber_of(listener)),
        }
    }

    fn tell_application(&mut self, event: Lifecycle) {
        self.effects.push_back(Effect::Tell(event));
    }
}

/// The stream of a listen request.
pub(super) fn subscriber_of(listener: ListenerKey) -> Subscriber {
    Subscriber::Stream(u64::from(listener.serial) << 32 | u64::from(listener.index))
}
