//! What the application learns of sessions and subscriptions, and of who sends a request.

use std::net::IpAddr;
use std::rc::Rc;

use super::call::AnswerTo;
use super::client_info::ClientInfo;
use super::fanout::{ListenerKey, ListenerKind};
use super::{CallKey, Engine, EngineOutput, Exchange, Request, SessionId, SessionKey};
use crate::app::call::{Caller, Headers, Lifecycle, OpenedSession, SessionEnd, Subscriber};

impl Engine {
    /// What a handler sees of a request's sender.
    pub(super) fn caller_seen(&self, request: &Request<'_>, session: Option<SessionKey>) -> Caller {
        let sees_credentials = self.server_info.sees_credentials;
        let kept = request.fields.kept(sees_credentials);
        let headers = kept.map_or_else(Headers::default, |(head, read)| {
            Headers::unread(head, read, sees_credentials)
        });
        // Nodes of the version before do not say where a request comes from.
        let opened = session.and_then(|key| self.sessions.get(key)?.client);
        let address = request.address.or_else(|| opened?.address());
        let session = session.map(|key| self.session_id(key));
        let mut caller = Caller::new(session, address, headers);
        caller.identity.clone_from(&request.identity);
        caller.trace = request.fields.trace_context().map(Box::new);
        caller.policy = self.policy_for_handlers();
        caller
    }

    /// On which exchange a call's client waits for the answer. `None`: it is gone.
    pub(in crate::shard) fn exchange_of(&self, call: CallKey) -> Option<Exchange> {
        match self.calls.get(call)?.answer_to {
            AnswerTo::Exchange(exchange) | AnswerTo::Plain(exchange) => Some(exchange),
            AnswerTo::Stream(stream) => self.streams.get(stream)?.exchange,
            AnswerTo::Nobody => None,
        }
    }

    /// None: the call is over.
    pub(in crate::shard) fn request_id(&self, call: CallKey) -> Option<&str> {
        Some(&self.calls.get(call)?.id)
    }

    pub(super) fn hook_opened(&mut self, key: SessionKey, address: Option<IpAddr>) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let opened = OpenedSession::new(
            self.session_id(key),
            session.version(),
            session.client_info.info.clone(),
            session.client_info.capabilities.clone(),
            address,
        );
        self.queue_hook(Lifecycle::Opened(opened));
    }

    pub(super) fn hook_ended(&mut self, session: SessionId, why: SessionEnd) {
        self.queue_hook(Lifecycle::Ended(session, why));
    }

    /// A session subscribed to a resource, by this spelling.
    pub(super) fn hook_subscribed(&mut self, listener: ListenerKey, spelling: &str) {
        let uri = self.fanout.published_uri(spelling);
        if let (Some(subscriber), Some(uri)) = (self.subscriber(listener), uri) {
            self.queue_hook(Lifecycle::Subscribed(uri, subscriber));
        }
    }

    /// A session was subscribed to a resource by so many spellings, and is no longer.
    pub(super) fn hook_unsubscribed(&mut self, listener: ListenerKey, uri: &str, count: usize) {
        if let Some(subscriber) = self.subscriber(listener) {
            for _ in 0..count {
                self.queue_hook(Lifecycle::Unsubscribed(uri.into(), subscriber));
            }
        }
    }

    /// A listen stream has opened.
    pub(super) fn hook_listening(&mut self, listener: ListenerKey) {
        let subscriber = subscriber_of(listener);
        let uris = self.fanout.uris_of(listener);
        let begins =
            uris.map(|uri| EngineOutput::Lifecycle(Lifecycle::Subscribed(uri, subscriber)));
        self.outputs.extend(begins);
    }

    /// A listener goes, and all of its subscriptions.
    pub(super) fn close_listener(&mut self, listener: ListenerKey, subscriber: Subscriber) {
        let uris = self.fanout.uris_of(listener);
        let ends =
            uris.map(|uri| EngineOutput::Lifecycle(Lifecycle::Unsubscribed(uri, subscriber)));
        self.outputs.extend(ends);
        let client_info = self.fanout.set_client_info(listener, None);
        self.let_go_of(client_info);
        self.fanout.close(listener);
    }

    pub(super) fn let_go_of(&mut self, client_info: Option<Rc<ClientInfo>>) {
        if let Some(client_info) = client_info {
            self.profiles.release(client_info);
        }
    }

    fn subscriber(&self, listener: ListenerKey) -> Option<Subscriber> {
        match self.fanout.listener(listener)?.kind {
            ListenerKind::Session(session) => Some(Subscriber::Session(self.session_id(session))),
            ListenerKind::Listen(_) => Some(subscriber_of(listener)),
        }
    }

    pub(super) fn queue_hook(&mut self, event: Lifecycle) {
        self.outputs.push_back(EngineOutput::Lifecycle(event));
    }
}

/// The stream of a listen request.
pub(super) fn subscriber_of(listener: ListenerKey) -> Subscriber {
    Subscriber::Stream(u64::from(listener.generation) << 32 | u64::from(listener.index))
}
