//! Whose request and connection it is, for the limits of one client.
//!
//! A connection counts for its peer, also between the requests of principals: nothing is counted for each request. That of
//! a proxy which names its clients counts for nobody while it waits. While a stream is open on a connection it counts for
//! the client whose stream that is. So connections of one client bound its streams as well, over all its sessions.
//!
//! A request is its connection's peer's, or the named client's. Once admission knows its principal
//! ([`Http::is_of_principal`]) it is that one's, wherever it comes from.

use std::net::IpAddr;
use std::sync::Arc;

use super::connection::{Connection, CountsFor};
use super::{ConnectionKey, Http, Refused, UpperLayer};
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
    const fn status(self) -> u16 {
        match self {
            TooMany::OfNode => 503,
            TooMany::OfClient => 429,
        }
    }

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
                  Content-Length: 92\r\n\r\nToo many connections of one client (--connections-per-client-max). \
                  Close some, or use them.\n"
            }
        }
    }
}

impl<U: UpperLayer> Http<U> {
    /// A connection was accepted. If there are too many, the driver writes [`TooMany::answer`] and closes.
    ///
    /// # Errors
    /// Whose connections are too many.
    pub(in crate::shard) fn handle_open(
        &mut self,
        peer: Option<IpAddr>,
    ) -> Result<ConnectionKey, TooMany> {
        let taken = self.commons.connections.take(1);
        if taken.is_err() {
            return Err(self.too_many(TooMany::OfNode));
        }
        let client = peer.map(Client::of);
        let counted = self.commons.clients.open_connection(client, self.now);
        if counted.is_err() {
            self.commons.connections.give_back(1);
            return Err(self.too_many(TooMany::OfClient));
        }
        let key = self.insert_connection(peer, client, CountsFor::Peer);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.is_new = true;
        }
        self.arm(key);
        Ok(key)
    }

    fn too_many(&mut self, whose: TooMany) -> TooMany {
        self.stats.refusals.count(whose.status());
        whose
    }

    /// A connection comes from another core, or is back from another node, with the place that it had.
    pub(in crate::shard) fn handle_arrival(
        &mut self,
        peer: Option<IpAddr>,
        ticket: Ticket,
    ) -> ConnectionKey {
        match ticket.take_over() {
            // Of a connection that broke meanwhile nobody can tell the peer any more.
            counted @ Some(_) => self.insert_connection(peer, counted, CountsFor::Peer),
            None => {
                let client = peer.map(Client::of);
                self.insert_connection(peer, client, CountsFor::Nobody)
            }
        }
    }

    fn insert_connection(
        &mut self,
        peer: Option<IpAddr>,
        client: Option<Client>,
        counts_for: CountsFor,
    ) -> ConnectionKey {
        let mut connection = Connection::new(self.now, client, counts_for);
        connection.is_proxy = peer.is_some_and(|peer| self.commons.proxies.contains(peer));
        connection.names_principals = peer.is_some_and(|peer| self.names_principals(peer));
        let key = self.connections.insert(connection);
        self.arm(key);
        key
    }

    /// The connection leaves the shard and keeps its place.
    pub(super) fn remove_with_ticket(&mut self, key: ConnectionKey) -> Option<Ticket> {
        let connection = self.remove_connection(key)?;
        debug_assert!(!connection.counts_for.is_of_stream(), "no stream is open");
        let client = connection.counted();
        Some(Ticket::of(Arc::clone(&self.commons), client))
    }

    pub(super) fn give_back_place(&self, connection: &Connection<U>) {
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

    /// Admission found out whose request this is: what it opens and asks for counts for the principal, and the connection
    /// itself while a stream is open on it. Where it comes from the request keeps ([`Sender`](super::partial::Sender)).
    pub(super) fn is_of_principal(&mut self, key: ConnectionKey, principal: [u8; 16]) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.client = Some(Client::of_principal(principal));
        }
    }

    /// A stream is about to open on this connection, which counts among those of its client from now on.
    pub(super) fn count_stream_of(&mut self, key: ConnectionKey) -> Result<(), Refused> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        let during = match connection.counts_for {
            CountsFor::Nobody => CountsFor::Client,
            CountsFor::Peer if connection.client != connection.peer => CountsFor::ClientOfPeer,
            CountsFor::Peer | CountsFor::Client | CountsFor::ClientOfPeer => return Ok(()),
        };
        let clients = &self.commons.clients;
        let opened = clients.open_connection(connection.client, self.now);
        opened.map_err(|_| {
            let sentence = "This client has as many streams open as it may have (--connections-per-client-max): close one.";
            Refused::too_many("too_many_connections", sentence, 5)
        })?;
        // Of a proxy's connection nobody is counted so far.
        clients.close_connection(connection.counted());
        connection.counts_for = during;
        Ok(())
    }

    /// An answer is complete: the connection waits for the request of anybody.
    pub(super) fn uncount_stream(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let clients = &self.commons.clients;
        match connection.counts_for {
            CountsFor::Client => connection.counts_for = CountsFor::Nobody,
            // It had its place among those of its peer before, which may have as many as it may by now.
            CountsFor::ClientOfPeer => {
                connection.counts_for = CountsFor::Peer;
                clients.take_in_connection(connection.peer, self.now);
            }
            CountsFor::Peer | CountsFor::Nobody => return,
        }
        clients.close_connection(connection.client);
    }

    /// What its clients hold here, as it is counted for the whole node. For tests.
    pub(in crate::shard) fn holdings(&self) -> impl Iterator<Item = Client> {
        let connections = self.connections.iter();
        connections.filter_map(|(_, it)| it.counted())
    }
}

impl<U: UpperLayer> Connection<U> {
    /// For whom it counts among the connections of one client.
    pub(super) fn counted(&self) -> Option<Client> {
        match self.counts_for {
            CountsFor::Peer => self.peer,
            CountsFor::Client | CountsFor::ClientOfPeer => self.client,
            CountsFor::Nobody => None,
        }
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
