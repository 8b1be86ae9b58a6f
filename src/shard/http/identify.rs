//! Who asks: found out at the head of a request, once it is for this core and its path, `Host` and `Origin` are right.
//!
//! Nearly always a core knows by itself ([`Identifier::identify`]). If it has to ask somebody (whether an issuer has a key
//! that is not known yet, or the program that this library is in), the request waits as one does whose session is elsewhere,
//! unread beyond its head, until [`Http::handle_identified`] or its time limit has it admitted anew. Questions are numbered:
//! the answer to one that came too late is not taken for that to the next one on its connection.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::ConnectionState;
use super::documents::PublicDocument;
use super::{ConnectionKey, Http, HttpOutput, Millis, Refused, RequestFields, UpperLayer};
use crate::auth::{
    AuthQuestion, Finding, Identifier, Reason, Rules, Searched, Shown, ShownField, UnixSeconds, Who,
};
use crate::clients::Client;
use crate::credentials::Presented;
use crate::principal::Identity;
use crate::wire::HeadView;
use crate::wire::http1::Method;

/// What a wire knows of who may ask. Absent where nobody is asked.
pub(super) struct IdentityGate {
    identifier: Identifier,
    /// What the rest of the world calls the moment 0 of the shard's clock, in milliseconds.
    unix_ms_at_zero: u64,
    /// Requests that wait, or have their answer and are about to be admitted anew.
    asked: HashMap<ConnectionKey, AskedIdentity>,
    next_number: u64,
}

struct AskedIdentity {
    number: u64,
    answer: Option<IdentityAnswer>,
}

/// What the driver is to find out about a request.
pub enum IdentityQuestion {
    /// Whether this issuer has a key that is not known yet.
    Key { issuer: usize },
    /// Who shows this.
    Hook(Presented),
}

/// A request of which it is not known who sent it.
pub struct UnknownSender {
    pub connection: ConnectionKey,
    /// Of the question, for its answer.
    pub number: u64,
    pub question: IdentityQuestion,
}

/// What it found out.
pub enum IdentityAnswer {
    /// Of [`IdentityQuestion::Key`], or that nobody can tell.
    Searched(Searched),
    /// Of [`IdentityQuestion::Hook`].
    Hook(Result<Identity, Reason>),
}

/// Why a request is not served as somebody's now.
pub(super) enum NotLetIn {
    Refused(Box<Refused>),
    /// It waits for an answer.
    Asked,
}

impl IdentityGate {
    fn unix_s(&self, now: Millis) -> UnixSeconds {
        (self.unix_ms_at_zero + now) / 1000
    }

    pub(super) fn rules(&self) -> &Rules {
        self.identifier.rules()
    }

    fn refused(&self, reason: Reason) -> Refused {
        Refused::unidentified(&self.identifier.rules().refusal(reason))
    }
}

impl<U: UpperLayer> Http<U> {
    /// From now on requests are somebody's. `unix_ms` is what time it is now.
    pub(in crate::shard) fn identify_by(&mut self, mut identifier: Identifier, unix_ms: u64) {
        identifier.limit_bad_tokens(self.limits.bad_tokens_per_second_per_client_max);
        self.identity_gate = Some(Box::new(IdentityGate {
            identifier,
            unix_ms_at_zero: unix_ms.saturating_sub(self.now),
            asked: HashMap::new(),
            next_number: 0,
        }));
    }

    pub(in crate::shard) fn handle_rules(&mut self, rules: Arc<Rules>) {
        if let Some(identity_gate) = &mut self.identity_gate {
            identity_gate.identifier.handle_rules(rules);
        }
    }

    /// What time it is now, for everybody else: clocks are set.
    pub(in crate::shard) fn handle_clock(&mut self, unix_ms: u64) {
        if let Some(identity_gate) = &mut self.identity_gate {
            identity_gate.unix_ms_at_zero = unix_ms.saturating_sub(self.now);
        }
    }

    /// Whose request it is. None: nobody is asked.
    pub(super) fn who_asks(
        &mut self,
        key: ConnectionKey,
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Result<Option<Rc<Identity>>, NotLetIn> {
        let now = self.now;
        let is_proxied = self.is_proven_proxied(head, fields);
        let (Some(identity_gate), Some(connection)) =
            (&mut self.identity_gate, self.connections.get_mut(key))
        else {
            return Ok(None);
        };
        // The others do nothing here.
        if !matches!(
            head.head().method,
            Method::Get | Method::Post | Method::Delete
        ) {
            return Ok(None);
        }
        let answer = match identity_gate.asked.is_empty() {
            true => None,
            false => identity_gate.asked.remove(&key).and_then(|it| it.answer),
        };
        let unix_s = identity_gate.unix_s(now);
        let identifier = &mut identity_gate.identifier;
        let shown = Shown {
            authorization: ShownField::of(fields.authorization()),
            is_from_proxy: connection.names_principals || is_proxied,
            client: connection.client,
            at_ms: now,
            field: |name: &str| ShownField::of(head.single(name)),
            searched: match answer {
                Some(IdentityAnswer::Searched(searched)) => Some(searched),
                _ => None,
            },
        };
        let found = match answer {
            Some(IdentityAnswer::Hook(answer)) => identifier.handle_answer(&shown, answer, unix_s),
            _ => identifier.identify(&shown, unix_s),
        };
        match found {
            Finding::Known(identity) => {
                // If nobody is asked, all are one principal, and no one client.
                if !matches!(identifier.rules().who(), Who::Anybody) {
                    self.is_of_principal(key, identity.id().to_bytes());
                }
                Ok(Some(identity))
            }
            Finding::Refused(refusal) => {
                // A page that may ask may read why it does not get an answer.
                connection.origin = fields.origin.map(Into::into);
                Err(NotLetIn::Refused(Box::new(Refused::unidentified(&refusal))))
            }
            Finding::Ask(question) => {
                self.ask_who(key, head, question);
                Err(NotLetIn::Asked)
            }
        }
    }

    /// The same of a request that was let in somewhere else, as this one's: whose it is by what is known here. None: nobody is
    /// asked here, or somebody would have to be.
    pub(super) fn identify_again(
        &mut self,
        names_principals: bool,
        (client, before): (Option<Client>, Option<&Identity>),
        head: &HeadView<'_>,
        fields: &RequestFields<'_>,
    ) -> Option<Result<Rc<Identity>, Box<Refused>>> {
        let now = self.now;
        let is_proxied = self.is_proven_proxied(head, fields);
        let identity_gate = self.identity_gate.as_mut()?;
        let unix_s = identity_gate.unix_s(now);
        let shown = Shown {
            authorization: ShownField::of(fields.authorization()),
            is_from_proxy: names_principals || is_proxied,
            client,
            at_ms: now,
            field: |name: &str| ShownField::of(head.single(name)),
            searched: None,
        };
        let found = match head.head().method {
            Method::Get | Method::Post | Method::Delete => {
                identity_gate.identifier.identify(&shown, unix_s)
            }
            // The others do nothing here.
            _ => return None,
        };
        let is_somebody_else = |it: &Identity| before.is_some_and(|before| before.id() != it.id());
        Some(match found {
            Finding::Known(identity) if !is_somebody_else(&identity) => Ok(identity),
            Finding::Refused(refusal) => Err(Box::new(Refused::unidentified(&refusal))),
            Finding::Ask(_) if before.is_some() => return None,
            Finding::Known(_) | Finding::Ask(_) => {
                Err(Box::new(identity_gate.refused(Reason::Unavailable)))
            }
        })
    }

    /// Earlier answers leave from here first; until then the request waits in the inbox.
    fn ask_who(&mut self, key: ConnectionKey, head: &HeadView<'_>, question: AuthQuestion) {
        let now = self.now;
        let (Some(identity_gate), Some(connection)) =
            (&mut self.identity_gate, self.connections.get_mut(key))
        else {
            return;
        };
        if connection.is_writing() {
            return;
        }
        connection.state = ConnectionState::ExpectWord;
        connection.since = now;
        let number = identity_gate.next_number;
        identity_gate.next_number += 1;
        let answer = None;
        let asked = AskedIdentity { number, answer };
        identity_gate.asked.insert(key, asked);
        let question = match question {
            AuthQuestion::Key { issuer } => IdentityQuestion::Key { issuer },
            AuthQuestion::Hook => {
                let peer = connection.peer.and_then(Client::address);
                IdentityQuestion::Hook(Presented::new(head.fields(), peer))
            }
        };
        self.outputs.push_back(HttpOutput::Identify(UnknownSender {
            connection: key,
            number,
            question,
        }));
    }

    /// What was found out about who asks. Too late if the client is gone, or was told that it takes too long.
    pub(in crate::shard) fn handle_identified(
        &mut self,
        key: ConnectionKey,
        number: u64,
        answer: IdentityAnswer,
    ) {
        let now = self.now;
        let Some(identity_gate) = &mut self.identity_gate else {
            return;
        };
        let asked = identity_gate.asked.get_mut(&key);
        let asked = asked.filter(|it| it.number == number && it.answer.is_none());
        if let (Some(asked), Some(connection)) = (asked, self.connections.get_mut(key)) {
            asked.answer = Some(answer);
            connection.state = ConnectionState::ExpectHead(None);
            connection.since = now;
            self.freed.push_back(key);
        }
    }

    /// Nobody says who asks. True: that is what the request waits for.
    pub(super) fn give_up_asking(&mut self, key: ConnectionKey) -> bool {
        let asked = self.identity_gate.as_ref();
        let Some(number) = asked.and_then(|it| Some(it.asked.get(&key)?.number)) else {
            return false;
        };
        let answer = IdentityAnswer::Searched(Searched::CannotTell);
        self.handle_identified(key, number, answer);
        true
    }

    /// A request waits for an answer to who asks, and to nothing else.
    pub(super) fn waits_for_identity(&self, key: ConnectionKey) -> bool {
        let identity_gate = self.identity_gate.as_ref();
        identity_gate.is_some_and(|it| it.asked.contains_key(&key))
    }

    /// A connection is over.
    pub(super) fn forget_asked(&mut self, key: ConnectionKey) {
        if let Some(identity_gate) = &mut self.identity_gate {
            identity_gate.asked.remove(&key);
        }
    }

    /// What was found out of those who do not ask any more.
    pub(super) fn forget_unused(&mut self) {
        if let Some(identity_gate) = &mut self.identity_gate {
            let unix_s = identity_gate.unix_s(self.now);
            identity_gate.identifier.handle_timeout(unix_s);
        }
    }

    pub(super) fn rules_epoch(&self) -> u64 {
        let identity_gate = self.identity_gate.as_ref();
        identity_gate.map_or(0, |it| it.identifier.rules().epoch())
    }

    /// A body is there: whoever sent its head may be nobody any more. If something was taken away since, nobody can tell by
    /// what is kept of the head: the request is to be sent again.
    pub(super) fn check_still_known(&self, identity: &Identity, epoch: u64) -> Result<(), Refused> {
        let Some(identity_gate) = &self.identity_gate else {
            return Ok(());
        };
        if !identity.is_valid(identity_gate.unix_s(self.now)) {
            return Err(identity_gate.refused(Reason::Expired));
        }
        match identity_gate.identifier.rules() {
            rules if rules.is_revoked(identity) => Err(identity_gate.refused(Reason::Revoked)),
            rules if rules.epoch() != epoch => Err(identity_gate.refused(Reason::Unavailable)),
            _ => Ok(()),
        }
    }

    /// Whether connections of this address come from a proxy that says who asks.
    pub(super) fn names_principals(&self, peer: std::net::IpAddr) -> bool {
        let identity_gate = self.identity_gate.as_ref();
        identity_gate.is_some_and(|it| it.identifier.rules().is_proxy(peer))
    }

    /// How to get in, if that is what this asks for.
    pub(super) fn resource_document(&self, head: &HeadView<'_>) -> Option<PublicDocument> {
        let reads = matches!(
            head.head().method,
            Method::Get | Method::Head | Method::Options
        );
        let identity_gate = self.identity_gate.as_ref().filter(|_| reads)?;
        let json = identity_gate.identifier.rules().metadata_at(head.path())?;
        Some(PublicDocument::of_resource(head.path(), json))
    }
}
