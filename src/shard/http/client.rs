//! Whose request, connection and call it is, for the limits of one client.
//!
//! A connection counts for its peer; that of a proxy which names its clients counts for nobody while it waits, and for
//! the client whose stream is open on it. A request is its connection's peer's, or the named client's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::answer::Refused;
use super::call::CallState;
use super::connection::{Connection, CountsFor};
use super::{ConnectionKey, Millis, SessionKey, Shard};
use crate::clients::{Client, Ticket};
use crate::wire::{HeadView, forwarded_for};

/// Why there can be no further connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    OfNode,
    /// One client has as many as it may.
    OfClient,
}

impl TooMany {
    /// The whole answer that the driver writes before it closes.
    #[must_use]
    pub fn answer(self) -> &'static [u8] {
        match self {
            TooMany::OfNode => {
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                  Content-Length: 77\r\n\r\nToo many connections to this node. Try again in a few seconds, or elsewhere.\n"
            }
            TooMany::OfClient => {
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                  Content-Length: 100\r\n\r\nToo many connections of one client address (--connections-per-client-max). \
                  Close some, or use them.\n"
            }
        }
    }
}

impl Shard {
    /// A connection was accepted. If there are too many, the driver writes [`TooMany::answer`] and closes.
    ///
    /// # Errors
    /// Whose connections are too many.
    pub fn handle_open(
        &mut self,
        now: Millis,
        peer: Option<IpAddr>,
    ) -> Result<ConnectionKey, TooMany> {
        let taken = self.commons.connections.take(1);
        taken.map_err(|_| TooMany::OfNode)?;
        let client = peer.map(Client::of);
        let counted = self.commons.clients.open_connection(client, now);
        if counted.is_err() {
            self.commons.connections.give_back(1);
            return Err(TooMany::OfClient);
        }
        let key = self.insert_connection(now, peer, client, CountsFor::Peer);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.is_new = true;
        }
        self.arm_connection(key);
        Ok(key)
    }

    /// A connection comes from another core, or is back from another node, with the place that it had.
    pub fn handle_arrival(
        &mut self,
        now: Millis,
        peer: Option<IpAddr>,
        ticket: Ticket,
    ) -> ConnectionKey {
        match ticket.take_over() {
            // Of a connection that broke meanwhile nobody can tell the peer any more.
            counted @ Some(_) => self.insert_connection(now, peer, counted, CountsFor::Peer),
            None => {
                let client = peer.map(Client::of);
                self.insert_connection(now, peer, client, CountsFor::Nobody)
            }
        }
    }

    fn insert_connection(
        &mut self,
        now: Millis,
        peer: Option<IpAddr>,
        client: Option<Client>,
        counts_for: CountsFor,
    ) -> ConnectionKey {
        self.now = now;
        let mut connection = Connection::new(now, client, counts_for);
        connection.is_proxy = peer.is_some_and(|peer| self.commons.proxies.contains(peer));
        let key = self.connections.insert(connection);
        self.arm_connection(key);
        key
    }

    /// The connection leaves the shard and keeps its place.
    pub(super) fn remove_with_ticket(&mut self, key: ConnectionKey) -> Option<Ticket> {
        let connection = self.remove_connection(key)?;
        debug_assert!(
            connection.counts_for != CountsFor::Client,
            "no stream is open"
        );
        let client = connection.counted();
        Some(Ticket::of(Arc::clone(&self.commons), client))
    }

    pub(super) fn give_back_place(&self, connection: &Connection) {
        self.commons.connections.give_back(1);
        self.commons.clients.close_connection(connection.counted());
    }

    /// Whose request this is: the connection's peer's, or the one's whom a proxy there names.
    pub(super) fn identify(&mut self, key: ConnectionKey, request: &HeadView<'_>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.client = connection.peer;
        if connection.is_proxy {
            let is_proxy = |address| self.commons.proxies.contains(address);
            if let Some(address) = forwarded_for::client_of(request, is_proxy) {
                self.is_named(key, Some(Client::of(address)));
            }
        }
    }

    /// A proxy or another node says whose request it passes on.
    pub(super) fn is_named(&mut self, key: ConnectionKey, client: Option<Client>) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.client = client;
        if connection.counts_for == CountsFor::Peer {
            connection.counts_for = CountsFor::Nobody;
            self.commons.clients.close_connection(connection.peer);
        }
    }

    /// A stream is about to open on this connection, which counts among those of its client from now on.
    pub(super) fn count_stream(&mut self, key: ConnectionKey) -> Result<(), Refused> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        if connection.counts_for == CountsFor::Nobody {
            let opened = self
                .commons
                .clients
                .open_connection(connection.client, self.now);
            opened.map_err(|_| {
                let sentence = "This client address has as many streams open as it may have (--connections-per-client-max): close one.";
                too_many("too_many_connections", sentence, 5)
            })?;
            connection.counts_for = CountsFor::Client;
        }
        Ok(())
    }

    /// An answer is complete: the connection waits for the request of anybody.
    pub(super) fn uncount_stream(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.counts_for == CountsFor::Client
        {
            connection.counts_for = CountsFor::Nobody;
            self.commons.clients.close_connection(connection.client);
        }
    }

    /// For the limits of one client: who asks on this connection now.
    pub(super) fn client_of(&self, key: ConnectionKey) -> Option<Client> {
        self.connections.get(key)?.client
    }

    /// Whose call it is. Of a request that another node passed on without a word on that, it is the session's client.
    pub(super) fn caller(&self, key: ConnectionKey, session: Option<SessionKey>) -> Option<Client> {
        self.client_of(key)
            .or_else(|| self.sessions.get(session?)?.client)
    }

    /// Whether there may be so many calls of this client more.
    pub(super) fn check_calls(&self, client: Option<Client>, more: usize) -> Result<(), Refused> {
        let open = client.and_then(|client| self.calls_of_client.get(&client));
        let open = open.map_or(0, |&count| count as usize);
        if open + more <= self.limits.calls_per_client_max {
            return Ok(());
        }
        let sentence = "This client address has as many calls under way as it may have (--calls-per-client-max): wait for their answers.";
        Err(too_many("too_many_calls", sentence, 1))
    }

    pub(super) fn count_call(&mut self, client: Option<Client>) {
        if let Some(client) = client {
            *self.calls_of_client.entry(client).or_insert(0) += 1;
        }
    }

    pub(super) fn uncount_call(&mut self, call: &CallState) {
        if let Some(client) = call.client
            && let Some(count) = self.calls_of_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.calls_of_client.remove(&client);
            }
        }
    }

    /// What its clients hold here, as it is counted for the whole node: sessions and connections. For tests.
    pub fn holdings(&self) -> impl Iterator<Item = (Client, bool)> {
        let sessions = self.sessions.iter().filter_map(|(_, it)| it.client);
        let connections = self.connections.iter();
        let connections = connections.filter_map(|(_, it)| it.counted());
        sessions
            .map(|client| (client, true))
            .chain(connections.map(|client| (client, false)))
    }

    /// Of subscriptions to resources. For tests.
    #[must_use]
    pub fn subscription_bytes(&self) -> usize {
        self.fanout.bytes()
    }

    /// Panics if what is counted of a client is not what it has.
    pub(super) fn client_invariants(&self) {
        let mut calls = HashMap::new();
        for (_, call) in self.calls.iter() {
            if let Some(client) = call.client {
                *calls.entry(client).or_insert(0) += 1;
            }
        }
        assert_eq!(calls, self.calls_of_client);
    }
}

impl Connection {
    /// For whom it counts among the connections of one client.
    pub(super) fn counted(&self) -> Option<Client> {
        match self.counts_for {
            CountsFor::Peer => self.peer,
            CountsFor::Client => self.client,
            CountsFor::Nobody => None,
        }
    }
}

/// One client has its share.
pub(super) fn too_many(reason: &str, sentence: &'static str, retry_after_s: u32) -> Refused {
    Refused {
        retry_after_s: Some(retry_after_s),
        ..Refused::with_reason(429, reason, sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_of_the_canned_answers_are_right() {
        for too_many in [TooMany::OfNode, TooMany::OfClient] {
            let text = std::str::from_utf8(too_many.answer()).expect("ASCII");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            let length = format!("Content-Length: {}", body.len());
            assert!(head.ends_with(&length), "{}: {head}", body.len());
        }
    }
}
