//! `subscriptions/listen`: a POST answered by a stream that stays open (2026-07-28, patterns, "Subscriptions").

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fanout::{ListenerKind, NoRoom, SubscriptionId, WantedTopic};
use super::guard::Denied;
use super::messages::notification_message;
use super::params::{self, Filter, Listen};
use super::{Engine, ExchangeOwner, Refused, Request, Wire};
use crate::app::call::{LISTS, RESOURCE};
use crate::limits::{LISTEN_BYTES_MAX, LOOK_ON_CORE_BYTES_MAX};
use crate::mcp::{Era, RpcError, RpcMethod};
use crate::principal::{Action, Identity};
use crate::wire::sse::{self, Event};

pub(super) const NO_ROOM: &str =
    "This node holds as many subscriptions as it can (--subscription-bytes-max).";

/// Past its own share.
pub(super) fn too_many_subscriptions() -> Refused {
    let sentence = "This client has as many subscriptions as it may have (--subscription-bytes-per-client-max): unsubscribe, or \
                    close a stream.";
    Refused::too_many("too_many_subscriptions", sentence, 30)
}

impl Engine {
    pub(super) fn serve_listen(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        id: &str,
        params: Option<&RawValue>,
    ) -> Result<(), Refused> {
        let (key, client) = (request.exchange, request.client);
        if self.rejects_new() {
            let sentence = "This node is shutting down and opens no new streams.";
            return Err(Refused::busy(sentence, 1));
        }
        let bytes_max =
            (self.limits.subscriptions_max * LISTEN_BYTES_MAX).max(LOOK_ON_CORE_BYTES_MAX);
        let filter = params::parse_within::<Listen>(bytes_max, params)
            .and_then(|listen| self.check_filter(listen.notifications))
            .map_err(|error| Refused::rpc(error.http_status(Era::Modern), error))?;
        let (interests, honoured) = self.honoured(request.identity.as_deref(), &filter)?;
        wire.count_stream(key)?;
        let leased = self.fanout.lease(client, &interests, self.now);
        let lease = leased.map_err(|whose| match whose {
            NoRoom::OfNode => Refused::busy(NO_ROOM, 30),
            NoRoom::OfClient => too_many_subscriptions(),
        })?;
        let listener = self
            .fanout
            .open(ListenerKind::Listen(SubscriptionId::new(id)), self.offset);
        self.open_grant(listener, request);
        self.fanout.reserve(listener, interests.len());
        for interest in &interests {
            self.fanout.subscribe(listener, interest);
        }
        self.fanout.settle_all(listener, &lease);
        wire.open_stream(key);
        // MUST: the acknowledgement is the first message and carries the subscription's id.
        // Spliced in as it came: a number may have more digits than any type of ours.
        let params = format!(
            r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{honoured}}}"#
        );
        let method = RpcMethod::SubscriptionAcknowledged.name();
        let data = notification_message(method, Some(&params));
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        sse::emit_event(
            &mut events,
            &Event {
                data: Some(&data),
                ..Event::default()
            },
        );
        wire.emit_events(key, &events);
        self.events = events;
        wire.set_owner(key, ExchangeOwner::Listener(listener));
        self.fanout.attach(listener, key);
        self.hook_listening(listener);
        Ok(())
    }

    fn check_filter(&self, filter: Filter) -> Result<Filter, RpcError> {
        let uris = &filter.resource_subscriptions;
        if uris.len() > self.limits.subscriptions_max {
            let limit = self.limits.subscriptions_max;
            return Err(RpcError::invalid_params(format!(
                "Invalid params: more than {limit} {}.",
                RESOURCE.listen
            )));
        }
        uris.iter().try_for_each(|uri| self.check_uri(uri))?;
        Ok(filter)
    }

    pub(super) fn check_uri(&self, uri: &str) -> Result<(), RpcError> {
        let limit = self.limits.uri_bytes_max;
        match uri.len() {
            0 => Err(RpcError::invalid_params(
                "Invalid params: the uri is empty.",
            )),
            length if length > limit => Err(RpcError::invalid_params(format!(
                "Invalid params: the uri is longer than {limit} bytes."
            ))),
            _ => Ok(()),
        }
    }

    /// What a client means by a URI; nothing if nobody may subscribe to it.
    pub(super) fn interest(&self, uri: &str) -> Result<Option<WantedTopic>, RpcError> {
        let own = (self.accepts)(uri)
            .map_err(|fault| RpcError::invalid_params(format!("Invalid params: {fault}.")))?;
        let Some(own) = own else {
            return Ok(None);
        };
        // It may be longer than what was sent: all that needs it is encoded.
        self.check_uri(&own)?;
        Ok(Some(WantedTopic::of_resource(uri, own)))
    }

    /// Whether somebody may hear of what they want to subscribe to.
    pub(super) fn may_subscribe(
        &self,
        identity: Option<&Identity>,
        interest: &WantedTopic,
    ) -> Result<(), Denied<'_>> {
        match self.has_policy() {
            true => self.may(identity, Action::SubscribeResource(interest.own_uri())),
            false => Ok(()),
        }
    }

    /// What the application announces of what was asked for: as it is listened for, and as the client is told.
    ///
    /// What is not for this client is left out as what is not there. But if another token would do, the request is refused
    /// as a whole, with all the scopes that it takes: the official clients get such a token and come back, and have no way to be told
    /// of it by an acknowledgement that lacks something.
    fn honoured(
        &self,
        identity: Option<&Identity>,
        filter: &Filter,
    ) -> Result<(Vec<WantedTopic>, Value), Refused> {
        let refused = |error: RpcError| Refused::rpc(error.http_status(Era::Modern), error);
        let mut asked_for = AskedFor::default();
        let mut honoured = Map::new();
        for ((topic, list), asked) in LISTS.iter().zip(filter.lists) {
            if asked && self.description.announces(topic) {
                let may = self.may_hear_of(identity, topic);
                if asked_for.is_honoured(may, || WantedTopic::of(topic.clone())) {
                    honoured.insert(list.listen.to_owned(), Value::Bool(true));
                }
            }
        }
        let uris = &filter.resource_subscriptions;
        if !uris.is_empty() && self.description.announces_resources() {
            let mut taken = Vec::new();
            for uri in uris {
                if let Some(interest) = self.interest(uri).map_err(refused)? {
                    let may = self.may_subscribe(identity, &interest);
                    if asked_for.is_honoured(may, || interest) {
                        taken.push(uri.as_str());
                    }
                }
            }
            honoured.insert(RESOURCE.listen.to_owned(), taken.into());
        }
        match asked_for.missing_scopes.is_empty() {
            true => Ok((asked_for.interests, Value::Object(honoured))),
            false => Err(self.missing_scopes(identity, &asked_for.missing_scopes.join(" "))),
        }
    }
}

/// What of a filter is for its client, and what would be.
#[derive(Default)]
struct AskedFor<'e> {
    interests: Vec<WantedTopic>,
    /// Each once.
    missing_scopes: Vec<&'e str>,
}

impl<'e> AskedFor<'e> {
    fn is_honoured(
        &mut self,
        may: Result<(), Denied<'e>>,
        interest: impl FnOnce() -> WantedTopic,
    ) -> bool {
        match may {
            Ok(()) => {
                self.interests.push(interest());
                return true;
            }
            Err(Denied::Unknown) => {}
            Err(Denied::MissingScope(scopes)) => {
                for scope in scopes.split(' ') {
                    if !self.missing_scopes.contains(&scope) {
                        self.missing_scopes.push(scope);
                    }
                }
            }
        }
        false
    }
}
