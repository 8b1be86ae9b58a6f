//! What the application learns of sessions and subscriptions, and of who sends a request.

use super::call::AnswerTo;
use super::fanout::{ListenerKey, ListenerKind};
use super::{CallKey, Engine, EngineOutput, Exchange, Request, SessionId, SessionKey};
use crate::app::call::{Caller, Headers, Lifecycle, OpenedSession, SessionEnd, Subscriber};
use crate::clients::Client;

impl Engine {
    /// What a handler sees of a request's sender.
    pub(super) fn caller_seen(
        &self,
        client: Option<Client>,
        session: Option<SessionKey>,
        request: &Request<'_>,
    ) -> Caller {
        let fields = &request.fields;
        let headers = fields.all.as_ref().map_or_else(Headers::default, |all| {
            Headers::unread(all.text.into(), all.read, self.server_info.sees_credentials)
        });
        let session = session.map(|key| self.session_id(key));
        let caller = Caller::new(session, client.map(Client::address), headers);
        match &request.identity {
            Some(identity) => caller.with_identity(identity.clone()),
            None => caller,
        }
    }

    /// On which exchange a call's client waits for the answer. `None`: it is gone.
    pub(in crate::shard) fn exchange_of(&self, call: CallKey) -> Option<Exchange> {
        match self.calls.get(call)?.answer_to {
            AnswerTo::Exchange(exchange) | AnswerTo::Plain(exchange) => Some(exchange),
            AnswerTo::Stream(stream) => self.streams.get(stream)?.exchange,
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
            session.client_info.info.clone(),
            session.client_info.capabilities.clone(),
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
        let begins = uris.map(|uri| EngineOutput::Tell(Lifecycle::Subscribed(uri, subscriber)));
        self.outputs.extend(begins);
    }

    /// A listener goes, and all that it hears.
    pub(super) fn close_listener(&mut self, listener: ListenerKey, subscriber: Subscriber) {
        let uris = self.fanout.uris_of(listener);
        let ends = uris.map(|uri| EngineOutput::Tell(Lifecycle::Unsubscribed(uri, subscriber)));
        self.outputs.extend(ends);
        self.fanout.close(listener);
    }

    fn subscriber(&self, listener: ListenerKey) -> Option<Subscriber> {
        match self.fanout.listener(listener)?.kind {
            ListenerKind::Session(session) => Some(Subscriber::Session(self.session_id(session))),
            ListenerKind::Listen(_) => Some(subscriber_of(listener)),
        }
    }

    fn tell_application(&mut self, event: Lifecycle) {
        self.outputs.push_back(EngineOutput::Tell(event));
    }
}

/// The stream of a listen request.
pub(super) fn subscriber_of(listener: ListenerKey) -> Subscriber {
    Subscriber::Stream(u64::from(listener.generation) << 32 | u64::from(listener.index))
}
