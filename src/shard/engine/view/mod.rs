//! What operators see of this core's sessions and listen streams, and do with them. Nothing here is asked while nobody looks,
//! but for what is noted when one ends, or is answered with an error.
//!
//! `rows` lists them, `detail` tells of one, `acts` ends and drains, `records` remembers those that are over.

mod acts;
mod connections;
mod detail;
mod errors;
mod records;
mod rows;
mod travel;

use super::fanout::{Listener, ListenerKey, ListenerKind};
use super::moved::key_of;
use super::{Destination, Engine, ExchangeOwner, Millis, SessionKey, Wire};
use crate::principal::PrincipalId;
use crate::shard::view::{MissingRow, ViewAnswer, ViewQuestion};
use crate::wire::operator_name::OperatorName;
use crate::wire::session_id::Locator;

pub(super) use self::records::Records;
pub(super) use self::travel::PackedRecords;

/// Whom a name stands for.
#[derive(Clone, Copy)]
pub(super) enum NamedRow {
    Session(SessionKey),
    Stream(ListenerKey),
}

impl Engine {
    /// What an operator asks, or wants.
    pub(in crate::shard) fn handle_view(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        question: &ViewQuestion,
    ) -> ViewAnswer {
        match question {
            ViewQuestion::Rows(asked) => ViewAnswer::Rows(self.rows(wire, asked)),
            ViewQuestion::Detail(name) => match self.named(name) {
                Ok(it) => self
                    .detail(wire, it)
                    .map_or(ViewAnswer::Missing(MissingRow::Unknown), ViewAnswer::Detail),
                Err(missing) => ViewAnswer::Missing(missing),
            },
            ViewQuestion::End(name) => match self.named(name) {
                Ok(it) => {
                    self.end_by_operator(wire, it);
                    let next = None;
                    ViewAnswer::Ended { count: 1, next }
                }
                Err(missing) => ViewAnswer::Missing(missing),
            },
            &ViewQuestion::EndAllOf { principal, from } => {
                let (count, next) = self.end_some_of(wire, principal, from);
                ViewAnswer::Ended { count, next }
            }
            ViewQuestion::Drain(name) => match self.named(name) {
                Ok(it) => {
                    self.drain_by_operator(wire, it);
                    ViewAnswer::Draining
                }
                Err(missing) => ViewAnswer::Missing(missing),
            },
            ViewQuestion::Subscribers(topic) => {
                ViewAnswer::Subscribers(self.fanout.subscriber_count(topic))
            }
            // The wire has those.
            ViewQuestion::Connections(_) | ViewQuestion::EndConnection(_) => {
                ViewAnswer::Missing(MissingRow::Unknown)
            }
            ViewQuestion::Ended => ViewAnswer::LastEnded(self.records.ended().cloned().collect()),
        }
    }

    /// Whom a name stands for here.
    ///
    /// # Errors
    /// Where to ask, or what is known of it.
    pub(super) fn named(&self, name: &OperatorName) -> Result<NamedRow, MissingRow> {
        let place = &name.place;
        let adopted = self.moved.find(&(name.node, *place));
        if let Some(key) = adopted.filter(|_| !name.is_stream) {
            return Ok(NamedRow::Session(key));
        }
        let is_ours = name.node == self.node && place.incarnation == self.incarnation;
        if !is_ours || place.core >= self.core_count {
            return Err(MissingRow::Unknown);
        }
        let found = match name.is_stream {
            true if place.core != self.core => return Err(MissingRow::OnCore(place.core)),
            true => self.stream_named(place).map(NamedRow::Stream),
            false => match self.core_for(place) {
                Destination::Core(core) => return Err(MissingRow::OnCore(core)),
                Destination::Here | Destination::Elsewhere => {
                    self.session_named(place).map(NamedRow::Session)
                }
            },
        };
        found.ok_or_else(|| match self.records.find(name) {
            Some(ended) => MissingRow::Ended(Box::new(ended.clone())),
            None => MissingRow::Unknown,
        })
    }

    pub(super) fn session_named(&self, place: &Locator) -> Option<SessionKey> {
        let key = match self.moved.find(&(self.node, *place)) {
            Some(key) => key,
            None if self.moved.place_of(key_of(place)).is_some() => return None,
            None => key_of(place),
        };
        self.sessions.get(key).map(|_| key)
    }

    pub(super) fn stream_named(&self, place: &Locator) -> Option<ListenerKey> {
        let key = ListenerKey::from_parts(place.slot, place.generation);
        let listener = self.fanout.listener(key)?;
        matches!(listener.kind, ListenerKind::Listen(_)).then_some(key)
    }

    pub(super) fn session_name(&self, key: SessionKey) -> OperatorName {
        let id = self.session_id(key);
        OperatorName {
            node: id.node,
            place: id.locator,
            is_stream: false,
        }
    }

    pub(super) fn stream_name(&self, key: ListenerKey) -> OperatorName {
        OperatorName {
            node: self.node,
            place: Locator {
                core: self.core,
                slot: key.index,
                generation: key.generation,
                incarnation: self.incarnation,
            },
            is_stream: true,
        }
    }
}

/// Whose it is. None: nobody is asked who they are.
fn principal_of(listener: Option<&Listener>) -> Option<PrincipalId> {
    Some(listener?.grant.as_deref()?.principal)
}

fn ms(seconds: u32) -> Millis {
    u64::from(seconds) * 1000
}
