//! A connection as a value that can travel, without what the stream on it is about.
//!
//! Most are between two requests, or carry a stream. What only those have on which a request arrives, or that end, is in a
//! value of its own, which the others do without ([`PackedUnderWay`]).

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::super::partial::Partial;
use super::super::partial::travel::PackedPartial;
use super::super::{AnswerOwner, Millis, Timer, UpperLayer};
use super::{Connection, ConnectionState, CountsFor, Hold};
use crate::clients::Client;
use crate::shard::stays::{Leaves, is_default};

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::shard) struct PackedConnection {
    /// By which it was known where it was: index and generation.
    pub(in crate::shard) key: (u32, u32),
    /// It carries a stream.
    #[serde(default, skip_serializing_if = "is_default")]
    is_stream: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inbox: Vec<u8>,
    /// What of `inbox` was seen without finding the end of a head.
    #[serde(default, skip_serializing_if = "is_default")]
    scanned: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outbox: Vec<u8>,
    /// A write is under way, and so many bytes of it are with the driver.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(in crate::shard) unwritten: Option<usize>,
    /// Since when it has held something of the node's memory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(in crate::shard) holds_since: Option<Millis>,
    #[serde(default, skip_serializing_if = "is_default")]
    is_new: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    keep_alive: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    http10: bool,
    since: Millis,
    #[serde(default, skip_serializing_if = "is_default")]
    peer: Option<Client>,
    #[serde(default, skip_serializing_if = "is_default")]
    client: Option<Client>,
    counts_for: CountsFor,
    #[serde(default, skip_serializing_if = "is_default")]
    is_proxy: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    names_principals: bool,
    #[serde(default, skip_serializing_if = "PackedUnderWay::is_nothing")]
    under_way: Option<Box<PackedUnderWay>>,
}

/// Of a request that arrives or is answered, and of a connection that ends.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct PackedUnderWay {
    partial: Option<PackedPartial>,
    /// In JSON.
    word: Option<String>,
    headers_only: bool,
    origin: Option<Box<str>>,
    input_ended: bool,
    /// It was answered for the last time.
    lingers: bool,
    close_when_written: bool,
    /// Whose the answer is that is being written: index and generation.
    asker: Option<(u32, u32)>,
}

impl PackedUnderWay {
    fn is_nothing(under_way: &Option<Box<PackedUnderWay>>) -> bool {
        under_way.is_none()
    }

    fn or_nothing(self) -> Option<Box<PackedUnderWay>> {
        let PackedUnderWay {
            partial,
            word,
            headers_only,
            origin,
            input_ended,
            lingers,
            close_when_written,
            asker,
        } = &self;
        let flags = [*headers_only, *input_ended, *lingers, *close_when_written];
        let is_nothing = partial.is_none()
            && word.is_none()
            && origin.is_none()
            && asker.is_none()
            && flags == [false; 4];
        (!is_nothing).then(|| Box::new(self))
    }
}

impl<U: UpperLayer> Connection<U> {
    /// `epoch` is that of the rules that hold.
    pub(in crate::shard::http) fn pack(
        self,
        key: (u32, u32),
        epoch: u64,
        leaves: Leaves,
    ) -> PackedConnection {
        // On another core the owners of answers have other names.
        let is_known = leaves == Leaves::WithItsCore && self.is_writing();
        let asker = self.state.asker().filter(|_| is_known);
        let Connection {
            state,
            is_stream,
            inbox,
            scanned,
            outbox,
            in_flight,
            // Its next driver asks whether to read.
            paused: _,
            held,
            // Nothing is queued of a shard that was drained.
            queued: _,
            close_when_written,
            is_new,
            input_ended,
            keep_alive,
            http10,
            word,
            // While an answer is held nothing leaves.
            hold: _,
            headers_only,
            origin,
            since,
            timer: _,
            peer,
            client,
            counts_for,
            is_proxy,
            names_principals,
        } = self;
        let lingers = matches!(state, ConnectionState::Lingering(_));
        let under_way = PackedUnderWay {
            partial: match state {
                ConnectionState::ExpectBody(partial) => Some(partial.pack(epoch)),
                // Of an owner that comes with it, or nothing that stays: the others do not leave.
                ConnectionState::ExpectHead(_)
                | ConnectionState::ExpectAnswer(_)
                | ConnectionState::Lingering(_)
                | ConnectionState::ExpectLook(_)
                | ConnectionState::ExpectWord
                | ConnectionState::ExpectOperators => None,
            },
            word: word.and_then(|it| serde_json::to_string(&it).ok()),
            headers_only,
            origin,
            input_ended,
            lingers,
            close_when_written,
            asker: asker.map(|it| it.parts()),
        };
        PackedConnection {
            key,
            is_stream,
            inbox: inbox.map_or_else(Vec::new, |it| *it),
            scanned,
            outbox,
            unwritten: in_flight.then(|| held.as_ref().map_or(0, |it| it.unwritten)),
            holds_since: held.map(|it| it.since),
            is_new,
            keep_alive,
            http10,
            since,
            peer,
            client,
            counts_for,
            is_proxy,
            names_principals,
            under_way: under_way.or_nothing(),
        }
    }
}

/// What a connection that arrives is in the middle of.
pub(in crate::shard) enum Arrives<O> {
    /// Nothing, or its end.
    Alone,
    /// A request, whose body goes on arriving.
    Within(Box<Partial>),
    /// A stream of this owner's.
    OwnedBy(O),
}

impl PackedConnection {
    /// Half a request, if there is one. What is to be decided about that is decided before it is put back.
    pub(in crate::shard::http) fn partial(&mut self) -> Option<&mut PackedPartial> {
        self.under_way.as_mut()?.partial.as_mut()
    }

    pub(in crate::shard::http) fn names_principals(&self) -> bool {
        self.names_principals
    }

    pub(in crate::shard::http) fn unpack<U: UpperLayer>(
        self,
        what: Arrives<U::Owner>,
    ) -> Connection<U> {
        let PackedConnection {
            // Who takes it in decides whether it has that again.
            key: _,
            is_stream,
            inbox,
            scanned,
            outbox,
            unwritten,
            // With what it holds, which is charged once it is here.
            holds_since: _,
            is_new,
            keep_alive,
            http10,
            since,
            peer,
            client,
            counts_for,
            is_proxy,
            names_principals,
            under_way,
        } = self;
        let PackedUnderWay {
            // It is what arrives.
            partial: _,
            word,
            headers_only,
            origin,
            input_ended,
            lingers,
            close_when_written,
            asker,
        } = *under_way.unwrap_or_default();
        let asker = asker.map(|(index, generation)| AnswerOwner::from_parts(index, generation));
        let is_owned = matches!(what, Arrives::OwnedBy(_));
        let is_writing = unwritten.is_some() || !outbox.is_empty();
        Connection {
            state: match what {
                Arrives::OwnedBy(owner) => ConnectionState::ExpectAnswer(owner),
                Arrives::Within(partial) => ConnectionState::ExpectBody(partial),
                Arrives::Alone if lingers => ConnectionState::Lingering(asker),
                Arrives::Alone => ConnectionState::ExpectHead(asker),
            },
            is_stream: is_stream && is_owned,
            scanned: (inbox.len() as u32).min(scanned),
            inbox: (!inbox.is_empty()).then(|| Box::new(inbox)),
            outbox,
            in_flight: unwritten.is_some(),
            paused: Cell::new(false),
            held: None,
            queued: false,
            close_when_written: close_when_written && lingers && is_writing,
            is_new,
            input_ended,
            keep_alive,
            http10,
            word: word.and_then(|it| serde_json::from_str(&it).ok()),
            hold: Hold::No,
            headers_only,
            origin,
            since,
            timer: Timer::default(),
            peer,
            client,
            counts_for,
            is_proxy,
            names_principals,
        }
    }
}
