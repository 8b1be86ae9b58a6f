//! A connection as a value that can travel, without what the stream on it is about.
//!
//! It is between two requests, or carries a stream: what only a request that is being received or answered knows is left
//! behind, and so is that the client sends nothing more: the kernel says that again to whoever reads next.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::super::{Millis, Timer, UpperLayer};
use super::{Connection, ConnectionState, CountsFor, Hold};
use crate::clients::Client;

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::shard) struct PackedConnection {
    /// By which it was known where it was: index and generation.
    pub(in crate::shard) key: (u32, u32),
    /// It carries a stream.
    is_stream: bool,
    inbox: Vec<u8>,
    /// What of `inbox` was seen without finding the end of a head.
    scanned: u32,
    outbox: Vec<u8>,
    /// A write is under way, and so many bytes of it are with the driver.
    pub(in crate::shard) unwritten: Option<usize>,
    /// Since when it has held something of the node's memory.
    pub(in crate::shard) holds_since: Option<Millis>,
    is_new: bool,
    keep_alive: bool,
    http10: bool,
    since: Millis,
    peer: Option<Client>,
    client: Option<Client>,
    counts_for: CountsFor,
    is_proxy: bool,
    #[serde(default)]
    names_principals: bool,
}

impl<U: UpperLayer> Connection<U> {
    pub(in crate::shard::http) fn pack(self, key: (u32, u32)) -> PackedConnection {
        let Connection {
            // `ExpectHead`, or `ExpectAnswer` of an owner that comes with it.
            state: _,
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
            close_when_written: _,
            is_new,
            input_ended: _,
            keep_alive,
            http10,
            // Of a request that is not served yet.
            word: _,
            hold: _,
            // Of an answer that has not begun.
            headers_only: _,
            origin: _,
            since,
            timer: _,
            peer,
            client,
            counts_for,
            is_proxy,
            names_principals,
        } = self;
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
        }
    }
}

impl PackedConnection {
    /// `owner` is whose stream it carries.
    pub(in crate::shard::http) fn unpack<U: UpperLayer>(
        self,
        owner: Option<U::Owner>,
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
        } = self;
        Connection {
            state: owner.map_or(
                ConnectionState::ExpectHead(None),
                ConnectionState::ExpectAnswer,
            ),
            is_stream: is_stream && owner.is_some(),
            scanned: (inbox.len() as u32).min(scanned),
            inbox: (!inbox.is_empty()).then(|| Box::new(inbox)),
            outbox,
            in_flight: unwritten.is_some(),
            paused: Cell::new(false),
            held: None,
            queued: false,
            close_when_written: false,
            is_new,
            input_ended: false,
            keep_alive,
            http10,
            word: None,
            hold: Hold::No,
            headers_only: false,
            origin: None,
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
