//! Subscriptions of a session: one resource at a time, 2025-03-26 to 2025-11-25.

use serde_json::value::RawValue;

use super::fanout::NoRoom;
use super::guard::Denied;
use super::legacy::refused;
use super::listen::{NO_ROOM, too_many_subscriptions};
use super::params::{self, Subscribe};
use super::{Engine, Refused, SessionKey};
use crate::mcp::{Era, RpcError, RpcMethod};
use crate::principal::Identity;

impl Engine {
    pub(super) fn subscribe(
        &mut self,
        session: SessionKey,
        identity: Option<&Identity>,
        params: Option<&RawValue>,
    ) -> Result<(), Refused> {
        let method = RpcMethod::ResourcesSubscribe;
        let uri = self.subscription_uri(method, params).map_err(refused)?;
        let key = session;
        let Some(session) = self.sessions.get(key) else {
            return Ok(());
        };
        let (listener, client) = (session.listener, session.client);
        let not_there = || refused(RpcError::resource_not_found(Era::Legacy, &uri));
        let interest = self.interest(&uri).map_err(refused)?;
        let interest = interest.ok_or_else(not_there)?;
        match self.may_subscribe(identity, &interest) {
            Ok(()) => {}
            Err(Denied::Unknown) => return Err(not_there()),
            Err(Denied::MissingScope(scopes)) => return Err(self.missing_scopes(identity, scopes)),
        }
        if self.fanout.is_subscribed(listener, &uri) {
            return Ok(());
        }
        let limit = self.limits.subscriptions_max;
        if self.fanout.resource_count(listener) >= limit {
            return Err(refused(RpcError::invalid_params(format!(
                "Invalid params: a session has {limit} subscriptions at most."
            ))));
        }
        let wanted = std::slice::from_ref(&interest);
        let lease = match self.fanout.lease(client, wanted, self.now) {
            Ok(lease) => lease,
            Err(NoRoom::OfClient) => return Err(too_many_subscriptions()),
            Err(NoRoom::OfNode) => return Err(refused(RpcError::internal(NO_ROOM))),
        };
        self.hear_by(listener, identity, interest.own_uri());
        self.fanout.subscribe(listener, &interest);
        self.hook_subscribed(listener, &uri);
        self.fanout.settle_one(listener, &lease);
        self.note_changed(key);
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        session: SessionKey,
        params: Option<&RawValue>,
    ) -> Result<(), RpcError> {
        let uri = self.subscription_uri(RpcMethod::ResourcesUnsubscribe, params)?;
        let interest = self.interest(&uri)?;
        let listener = self.sessions.get(session).map(|it| it.listener);
        if let (Some(listener), Some(interest)) = (listener, interest) {
            let count = self.fanout.unsubscribe(listener, &interest);
            self.hook_unsubscribed(listener, interest.own_uri(), count);
            if count > 0 {
                self.note_changed(session);
            }
        }
        Ok(())
    }

    fn subscription_uri(
        &self,
        method: RpcMethod,
        params: Option<&RawValue>,
    ) -> Result<String, RpcError> {
        if !self.description.announces_resources() {
            return Err(RpcError::method_not_found(method.name()));
        }
        let Subscribe { uri } = params::parse(params)?;
        self.check_uri(&uri)?;
        Ok(uri.into_owned())
    }
}
