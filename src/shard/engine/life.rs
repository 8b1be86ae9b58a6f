//! How long somebody hears: until the token ends that they showed, until it is taken back, and of each thing as long as they may.
//! The feature `auth`.
//!
//! **A token's end.** A GET stream and a listen stream end [`Limits::auth_grace_ms`](crate::limits::Limits::auth_grace_ms) after
//! the token by which they were opened. A newer token of the same principal, shown by any request of the same session, makes its
//! stream go on. An answer that is under way goes on to its end: its request was let in.
//!
//! **How the end is said.** So that clients come back, with the token that they have by then: a listen stream breaks off, since
//! one that ends in good order is a subscription that the server ended, and clients do not ask for it again. A GET stream ends in good
//! order, with a `retry`: the SDKs open it again, and that of Python gives up on one that broke off twice. The request that they come
//! back with is identified as any other: an old token is answered 401 with a challenge, and that has them get a new one. No client
//! is told so on the stream: none of the revisions has a word for it, and an SDK acts on the 401 alone.
//!
//! **Other rules.** Whatever takes something away ([`TakenAway`](crate::auth)) has every listener looked at, some at each look at the timers
//! (`unlooked`); in the meantime nothing is delivered to one that was not looked at yet, since it is looked at first:
//! [`Engine::is_looking`] is all that a delivery asks at any other time.
//! - Revoked: its streams end, its calls are cancelled. Its sessions stay, for a token that is issued later.
//! - A token that is gone from the token file: the streams of its principal end, for no token is kept to be told from others that
//!   this principal has. Whoever has another one comes back with it.
//! - A key that is gone, or an operator's word that everybody is to be looked at anew: nobody knows whose streams that are, and nearly
//!   always they are nobody's, since an issuer keeps a key until what it signed has expired. So all that are open end within
//!   [`WITHDRAWN_WITHIN_MS`], each at a moment of its own, unless their clients have shown a token meanwhile that still counts.
//! - Another policy: a session loses the subscriptions that it may have no longer, without a word; a listen stream that lost any
//!   ends, since its acknowledgement promised them. If the policy asks for names that were not kept, the stream ends, and its
//!   client is asked.

use std::collections::HashSet;
use std::sync::Arc;

use super::fanout::{Listener, ListenerKey, ListenerKind, WantedTopic};
use super::grant::{Grant, NEVER};
use super::guard::hearing_of;
use super::keys::StreamKey;
use super::rights::{Rights, second};
use super::stats::OperationEnd;
use super::stream::STANDALONE;
use super::{
    CallKey, Closed, Engine, EngineOutput, ExchangeOwner, Millis, Refused, Request, SessionKey,
    Wire,
};
use crate::app::call::LISTS;
use crate::auth::{Action, Decision, Holder, Policy, Reason, Rules, Withdrawn};
use crate::clients::{Client, WhyEnded};
use crate::limits::WITHDRAWN_WITHIN_MS;
use crate::principal::{Identity, PrincipalId};

/// So much is looked at in one go: some milliseconds. A listener counts for as many subscriptions as take as long to look at.
const LOOK_AT_ONCE: usize = 16 * 1024;
const LISTENER_COUNTS_FOR: usize = 16;

/// [`Grant::looked`] of a listener that arrived and is to end, and its `valid_until`.
const UNLOOKED: u32 = 0;
const OVER: u32 = 0;

/// Clocks that drift do not have everything looked at again.
const CLOCK_WAS_SET_MS: u64 = 1_000;

impl Engine {
    /// What time it is now, for everybody else: clocks are set.
    pub(in crate::shard) fn handle_clock(&mut self, unix_ms: u64) {
        let Some(rights) = &mut self.rights else {
            return;
        };
        let at_zero = unix_ms.saturating_sub(self.now);
        let was_set_on = at_zero > rights.unix_ms_at_zero + CLOCK_WAS_SET_MS;
        rights.unix_ms_at_zero = at_zero;
        if was_set_on {
            // Ends are sooner than they were. Those that are later find that out by themselves.
            let all: Vec<ListenerKey> = self.fanout.granted().collect();
            all.into_iter().for_each(|key| self.arm_grant(key));
        }
    }

    /// Other rules hold from now on.
    pub(in crate::shard) fn handle_rules(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        rules: Arc<Rules>,
    ) {
        let Some(rights) = &mut self.rights else {
            return;
        };
        let taken = rules.taken_away_since(&rights.rules);
        rights.set_rules(rules);
        if taken.is_nothing() {
            return;
        }
        rights.rules_number = rights.rules_number.wrapping_add(1).max(1);
        let known = match rights.unlooked.is_empty() {
            true => Withdrawn::None,
            false => std::mem::take(&mut rights.withdrawn),
        };
        rights.withdrawn = known.and(taken.withdrawn);
        rights.unlooked.clear();
        rights.unlooked.extend(self.fanout.granted());
        self.cancel_revoked(wire, &taken.revoked);
    }

    /// A listener is opened, or a GET for it, by whoever asks now.
    pub(super) fn open_grant(&mut self, key: ListenerKey, request: &Request<'_>) {
        if let Some(identity) = &request.identity {
            self.set_grant(key, identity);
        }
    }

    /// A request of a session came: if by a newer token, what is open for it goes on by that.
    pub(super) fn refresh_grant(&mut self, session: SessionKey, request: &Request<'_>) {
        let (Some(identity), Some(session)) = (&request.identity, self.sessions.get(session))
        else {
            return;
        };
        let listener = session.listener;
        let grant = self.fanout.grant(listener);
        if grant.is_some_and(|grant| grant.is_before(identity)) {
            self.set_grant(listener, identity);
        }
    }

    fn set_grant(&mut self, key: ListenerKey, identity: &Identity) {
        let Some(rights) = &mut self.rights else {
            return;
        };
        let grant = rights.grant(identity);
        let before = self.fanout.grant(key);
        let may_lose = before
            .is_some_and(|before| before.looked != grant.looked || before.rights != grant.rights);
        self.fanout.set_grant(key, Box::new(grant));
        self.arm_grant(key);
        if may_lose {
            self.fit_subscriptions(key);
        }
        // What was due to it waited for this.
        self.fanout.resume(key);
    }

    /// A request subscribes to this: if that takes the request's token, and not the one that is heard by, it is heard by the
    /// request's from now on, for as long as that counts.
    pub(super) fn hear_by(&mut self, key: ListenerKey, identity: Option<&Identity>, uri: &str) {
        let (Some(rights), Some(grant)) = (&self.rights, self.fanout.grant(key)) else {
            return;
        };
        let policy = rights.rules.policy();
        if !policy.is_open()
            && !grant.may_hear(policy, Err(uri))
            && let Some(identity) = identity
        {
            self.set_grant(key, identity);
        }
    }

    /// By which epoch of the rules a listener that leaves was looked at.
    pub(super) fn grant_epoch(&self, key: ListenerKey) -> u64 {
        let (Some(rights), Some(grant)) = (&self.rights, self.fanout.grant(key)) else {
            return 0;
        };
        match grant.looked == rights.rules_number {
            true => rights.rules.epoch(),
            false => u64::MAX,
        }
    }

    /// A listener arrived from another core, where perhaps other rules held.
    pub(super) fn take_in_grant(&mut self, key: ListenerKey, epoch: u64) {
        let (now, grace_ms) = (self.now, self.limits.auth_grace_ms);
        let (Some(rights), Some(grant)) = (&mut self.rights, self.fanout.grant_mut(key)) else {
            return;
        };
        rights.share_rights(grant);
        if epoch != rights.rules.epoch() {
            rights.end_soon(grant, now, grace_ms, (self.secrets)());
        }
        self.arm_grant(key);
        if let Some(rights) = &mut self.rights {
            rights.unlooked.push_back(key);
        }
        self.may_deliver_after(key, false);
    }

    /// A listener's timer is at this tick.
    pub(super) fn grant_due(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: ListenerKey,
        tick: u32,
    ) {
        let (Some(rights), Some(grant)) = (&self.rights, self.fanout.grant_mut(key)) else {
            return;
        };
        if !grant.timer.fired(tick) {
            return;
        }
        let deadline = rights.deadline(grant, self.limits.auth_grace_ms);
        if deadline.is_none_or(|deadline| deadline > self.now) {
            return self.arm_grant(key);
        }
        let why = match self.is_unlooked(key) {
            true => self.loses_all(key, true),
            false => None,
        };
        self.end_hearing(wire, key, why.unwrap_or(Closed::TokenExpired));
    }

    /// Some listeners may have lost something, and were not looked at yet.
    pub(super) fn is_looking(&self) -> bool {
        let rights = self.rights.as_ref();
        rights.is_some_and(|rights| !rights.unlooked.is_empty())
    }

    /// Looks at some of them.
    pub(super) fn look_some(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        let mut left = LOOK_AT_ONCE;
        while left > 0
            && let Some(rights) = &mut self.rights
            && let Some(key) = rights.unlooked.pop_front()
        {
            let costs = LISTENER_COUNTS_FOR + self.fanout.subscription_count(key);
            left = left.saturating_sub(costs);
            self.look(wire, key);
        }
        if let Some(rights) = &mut self.rights
            && rights.unlooked.is_empty()
            && rights.unlooked.capacity() > 0
        {
            rights.unlooked = Default::default();
            rights.withdrawn = Withdrawn::None;
        }
    }

    /// While there are such: whether a listener may have what is due to it. One that is to end does so in its turn.
    pub(super) fn may_deliver(&mut self, key: ListenerKey) -> bool {
        self.may_deliver_after(key, true)
    }

    /// The same of the stream on which a session's listener speaks, and of any other.
    pub(super) fn may_write(&mut self, key: StreamKey) -> bool {
        let stream = self.streams.get(key);
        let stream = stream.filter(|stream| stream.number == STANDALONE);
        let session = stream.and_then(|stream| self.sessions.get(stream.session?));
        let listener = session.map(|session| session.listener);
        listener.is_none_or(|listener| self.may_deliver(listener))
    }

    fn may_deliver_after(&mut self, key: ListenerKey, was_here: bool) -> bool {
        let loses_all = self.is_unlooked(key) && self.loses_all(key, was_here).is_some();
        if loses_all && let Some(grant) = self.fanout.grant_mut(key) {
            grant.valid_until = OVER;
        }
        !loses_all
    }

    fn is_unlooked(&self, key: ListenerKey) -> bool {
        let number = self.rights.as_ref().map(|rights| rights.rules_number);
        let grant = self.fanout.grant(key);
        grant.is_some_and(|grant| Some(grant.looked) != number)
    }

    /// Looks at what a listener may still hear, if it was not since the rules changed.
    fn look(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: ListenerKey) {
        if self.is_unlooked(key)
            && let Some(why) = self.loses_all(key, true)
        {
            self.end_hearing(wire, key, why);
        }
    }

    /// Takes from a listener what it may not hear any more. Some: its stream is to end. `was_here` when the rules changed; one that
    /// arrived since then was looked at for what was withdrawn.
    fn loses_all(&mut self, key: ListenerKey, was_here: bool) -> Option<Closed> {
        let why = self.taken_from(key, was_here);
        // Its session may go on by another token: then its subscriptions are looked at, which has not been done.
        if why.is_some()
            && let Some(grant) = self.fanout.grant_mut(key)
        {
            grant.looked = UNLOOKED;
        }
        why
    }

    fn taken_from(&mut self, key: ListenerKey, was_here: bool) -> Option<Closed> {
        let (now, grace_ms) = (self.now, self.limits.auth_grace_ms);
        let (rights, grant) = (self.rights.as_ref()?, self.fanout.grant_mut(key)?);
        grant.looked = rights.rules_number;
        if rights.has_taken_back(grant) {
            return Some(Closed::TokenRevoked);
        }
        match &rights.withdrawn {
            Withdrawn::Of(principals) if was_here && principals.contains(&grant.principal) => {
                return Some(Closed::TokenRevoked);
            }
            Withdrawn::Unknown if was_here && grant.valid_until != OVER => {
                rights.end_soon(grant, now, grace_ms, (self.secrets)());
                self.arm_grant(key);
            }
            _ if grant.valid_until == OVER => return Some(Closed::NoLongerAllowed),
            _ => {}
        }
        let is_listen = |it: &Listener| matches!(it.kind, ListenerKind::Listen(_));
        let is_listen = self.fanout.listener(key).is_some_and(is_listen);
        let ends = match self.fit_subscriptions(key) {
            Lost::Nothing => false,
            Lost::Some => is_listen,
            Lost::Unknown => true,
        };
        ends.then_some(Closed::NoLongerAllowed)
    }

    /// A listener has no subscription that it may not have. A session has the lists that it may hear of: it never asked for them.
    fn fit_subscriptions(&mut self, key: ListenerKey) -> Lost {
        let (Some(rights), Some(grant)) = (&self.rights, self.fanout.grant(key)) else {
            return Lost::Nothing;
        };
        let rules = rights.rules.clone();
        let policy = rules.policy();
        if grant.rights.names.is_none() && policy.names_owners() {
            return Lost::Unknown;
        }
        let lost = match policy.is_open() {
            true => Vec::new(),
            false => self
                .fanout
                .retain(key, |grant, heard| grant.may_hear(policy, heard)),
        };
        for uri in lost.iter().flatten() {
            self.hook_unsubscribed(key, uri, 1);
        }
        let is_session = |it: &Listener| matches!(it.kind, ListenerKind::Session(_));
        if self.fanout.listener(key).is_some_and(is_session) {
            self.subscribe_lists(key, policy);
        }
        match lost.is_empty() {
            true => Lost::Nothing,
            false => Lost::Some,
        }
    }

    fn subscribe_lists(&mut self, key: ListenerKey, policy: &Policy) {
        for (list, (topic, _)) in LISTS.iter().enumerate() {
            let grant = self.fanout.grant(key);
            let may = grant.is_some_and(|grant| grant.may_hear(policy, Ok(list)));
            if may && self.description.announces(topic) {
                let interest = WantedTopic::of(topic.clone());
                self.fanout.subscribe(key, &interest);
            }
        }
    }

    /// Ends the stream on which a listener hears, so that its client comes back.
    fn end_hearing(&mut self, wire: &mut impl Wire<ExchangeOwner>, key: ListenerKey, why: Closed) {
        let Some(listener) = self.fanout.listener(key) else {
            return;
        };
        let Some(exchange) = listener.sink else {
            return;
        };
        match listener.kind {
            ListenerKind::Listen(_) => {
                wire.abort(exchange, why);
                self.end_listen_stream(key, why);
            }
            ListenerKind::Session(session) => {
                let session = self.sessions.get(session);
                let Some(stream) = session.and_then(|session| session.standalone) else {
                    return;
                };
                self.emit_retry(wire, exchange);
                if !self.end_with_stream(wire, stream, why) {
                    self.interrupted(wire, stream);
                    wire.end_stream(exchange);
                }
            }
        }
        self.commons.ended.count(match why {
            Closed::TokenExpired => WhyEnded::TokenExpired,
            Closed::NoLongerAllowed => WhyEnded::NoLongerAllowed,
            _ => WhyEnded::TokenRevoked,
        });
        self.outputs.push_back(EngineOutput::HearingEnded(why));
    }

    /// Which token a call came with is not known any more: all of these principals' end, and are answered so.
    fn cancel_revoked(&mut self, wire: &mut impl Wire<ExchangeOwner>, principals: &[PrincipalId]) {
        let Some(rights) = self.rights.as_ref().filter(|_| !principals.is_empty()) else {
            return;
        };
        let refused = Refused::unidentified(&rights.rules.refusal(Reason::Revoked));
        let clients = principals.iter();
        let clients: HashSet<Client> = clients
            .map(|it| Client::of_principal(it.to_bytes()))
            .collect();
        let is_theirs = |client: Option<Client>| client.is_some_and(|it| clients.contains(&it));
        let calls = self.calls.iter();
        let calls: Vec<CallKey> = calls
            .filter_map(|(key, call)| is_theirs(call.client).then_some(key))
            .collect();
        for call in calls {
            let Some(state) = self.remove_call(call) else {
                continue;
            };
            self.count_end(&state, OperationEnd::Error(refused.error.code));
            self.outputs.push_back(EngineOutput::Cancel(call));
            self.refuse_call(wire, &state, &refused);
        }
    }
}

/// What a look took from a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    Some,
    /// The policy asks for more than is known.
    Unknown,
}

impl Rights {
    fn has_taken_back(&self, grant: &Grant) -> bool {
        let issued_at = Some(u64::from(grant.issued_at));
        let issued_at = issued_at.filter(|_| grant.issued_at != NEVER);
        self.rules.is_taken_back(grant.principal, issued_at)
    }

    /// When what was opened by it ends. None: by itself it does not.
    pub(super) fn deadline(&self, grant: &Grant, grace_ms: Millis) -> Option<Millis> {
        let end = u64::from(grant.valid_until) * 1000 + grace_ms;
        (grant.valid_until != NEVER).then(|| end.saturating_sub(self.unix_ms_at_zero))
    }

    /// Whoever hears by it comes back within a while, to be identified anew.
    fn end_soon(&self, grant: &mut Grant, now: Millis, grace_ms: Millis, random: [u8; 16]) {
        let [a, b, ..] = random;
        let share = (u64::from(u16::from_le_bytes([a, b])) * WITHDRAWN_WITHIN_MS) >> 16;
        let end = (self.unix_ms_at_zero + now + share).saturating_sub(grace_ms) / 1000;
        grant.valid_until = grant.valid_until.min(second(Some(end)));
    }
}

impl Grant {
    /// Whether somebody showed a token that came later. Where nobody knows which of two did, it is the one that is good for
    /// longer, or was shown last.
    fn is_before(&self, identity: &Identity) -> bool {
        let issued_at = second(identity.issued_at());
        let valid_until = second(identity.valid_until());
        if issued_at != NEVER && self.issued_at != NEVER && issued_at != self.issued_at {
            return issued_at > self.issued_at;
        }
        match valid_until == self.valid_until {
            true => issued_at == NEVER && *identity.scopes() != self.rights.scopes,
            false => valid_until > self.valid_until,
        }
    }

    /// A list by its index, a resource by its URI.
    fn may_hear(&self, policy: &Policy, heard: Result<usize, &str>) -> bool {
        let names = self.rights.names.as_ref();
        let holder = Holder {
            scopes: &self.rights.scopes,
            subject: names.map_or("", |names| &names.subject),
            tenant: names.and_then(|names| names.tenant.as_deref()),
        };
        let action = match heard {
            Ok(list) => match LISTS.get(list) {
                Some((topic, _)) => hearing_of(topic),
                None => return true,
            },
            Err(uri) => Action::SubscribeResource(uri),
        };
        policy.allows_holder(holder, action) == Decision::Allow
    }
}
