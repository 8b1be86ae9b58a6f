//! Sessions and connections leave a shard as plain values, and go on in another one as if they had always been there: on
//! another core, or in the process that takes this one's place.
//!
//! | value | what is in it |
//! |---|---|
//! | [`TravellingSession`] | a session, its subscriptions and streams, and the connections of those |
//! | [`TravellingConnection`] | a connection between two requests, or one that carries a listen stream, with that |
//! | [`CorePosition`] | what a new core goes on with that takes the place of another one |
//!
//! `engine::travel` says how each part of a session travels, `http::travel` which connections do. Values own all that is in
//! them and name nothing of the core that they left, so they can be written down (`serde`). Whatever cannot travel now stays
//! as it was, and says why ([`StaysBecause`]); most reasons pass in milliseconds.
//!
//! **To the same core of another process** (or another shard in this one's place): the new one begins with
//! [`Shard::begin_at`], is given all that travels, and has the same incarnation, core number and clock. Then ids name what
//! they named, and nobody notices. Nothing may be published between the first `take_*` and the last `put_*`: the old one
//! stands still.
//!
//! **To another core of this node** only what is published has to stand still: both cores must have heard of the same
//! ([`NotTaken::ElsewhereInTheLog`]). Requests find the session by [`Shard::handle_moved`], which its home core is told:
//! that it is elsewhere, and, when a session ends that is not at home, that it is nowhere. The program does not do this: its
//! connections spread evenly as they are accepted, and an application may keep something of a session on its core, which
//! does not travel.
//!
//! The driver has the sockets: `take_*` says which connections left, `put_*` by which keys they are known now, in the
//! same order. What of a write the kernel has not taken is the driver's, as always: it goes on with that, and says
//! [`Shard::handle_written`] to the new shard. It asks [`Shard::wants_bytes`] before it reads on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use super::engine::travel::parts::{PackedParts, PartsArriving, PartsLeaving};
use super::engine::travel::{PackedListen, PackedSession};
use super::engine::{ExchangeOwner, SessionKey};
use super::exchange::Wire as _;
use super::http::{Arrives, PackedConnection};
use super::stays::{Leaves, NotTaken, StaysBecause};
use super::{ConnectionKey, CorePosition, Millis, Shard};
use crate::clients::Commons;
use crate::wire::session_id::SessionId;

/// A session on its way, with all that is its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct TravellingSession {
    session: Box<PackedSession>,
    connections: Vec<PackedConnection>,
    /// Of one that travels alone; else they are beside all that travel together.
    #[serde(default, skip_serializing_if = "PackedParts::is_empty")]
    parts: PackedParts,
}

/// A connection on its way.
#[derive(Clone, Serialize, Deserialize)]
pub struct TravellingConnection {
    connection: PackedConnection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listen: Option<PackedListen>,
    /// As a session's.
    #[serde(default, skip_serializing_if = "PackedParts::is_empty")]
    parts: PackedParts,
}

/// A value that was not taken.
pub struct GivenBack<T> {
    pub why: NotTaken,
    pub value: Box<T>,
}

impl TravellingSession {
    /// By which the core that it left knew them.
    pub(super) fn connections(&self) -> impl Iterator<Item = ConnectionKey> {
        self.connections.iter().map(key_of)
    }

    /// As its client has it: whoever has it can speak for the session.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.session.id
    }
}

impl TravellingConnection {
    /// By which the core that it left knew it.
    pub(super) fn key(&self) -> ConnectionKey {
        key_of(&self.connection)
    }

    /// What the application calls the stream on it, if there is one.
    pub(super) fn stream_name(&self) -> Option<(u32, u32)> {
        self.listen.as_ref().map(|it| it.name)
    }
}

fn key_of(connection: &PackedConnection) -> ConnectionKey {
    let (index, generation) = connection.key;
    ConnectionKey::from_parts(index, generation)
}

/// By which keys connections are known where they arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeysThere {
    /// As the arena has them.
    New,
    /// By those that they had: the shard takes the place of the one that they left.
    Again,
}

impl Shard {
    /// The sessions that are here.
    pub fn sessions(&self) -> impl Iterator<Item = SessionKey> {
        self.engine.session_keys()
    }

    pub fn connections(&self) -> impl Iterator<Item = ConnectionKey> {
        self.http.connection_keys()
    }

    /// Takes out a session and the connections of its streams.
    ///
    /// # Errors
    /// Why it stays. Nothing has changed.
    pub fn take_session(
        &mut self,
        now: Millis,
        key: SessionKey,
    ) -> Result<(TravellingSession, Vec<ConnectionKey>), StaysBecause> {
        self.at(now);
        let mut parts = PartsLeaving::default();
        let (mut session, keys) = self.take_session_as(key, Leaves::Alone, &mut parts)?;
        session.parts = parts.packed();
        Ok((session, keys))
    }

    pub(super) fn take_session_as(
        &mut self,
        key: SessionKey,
        leaves: Leaves,
        parts: &mut PartsLeaving,
    ) -> Result<(TravellingSession, Vec<ConnectionKey>), StaysBecause> {
        let id = self.engine.may_leave(key)?;
        if leaves == Leaves::Alone && self.is_about_to_be_asked(id) {
            return Err(StaysBecause::RequestArrives);
        }
        let keys = self.engine.exchanges_of_session(key);
        for &connection in &keys {
            self.http.may_leave(connection, leaves)?;
        }
        let session = self.engine.pack_session(key, parts);
        let session = session.ok_or(StaysBecause::NotHere)?;
        let connections = keys.iter().filter_map(|&it| self.http.pack(it, leaves));
        let travelling = TravellingSession {
            connections: connections.collect(),
            session: Box::new(session),
            parts: PackedParts::default(),
        };
        Ok((travelling, keys))
    }

    /// A request for this session was let in here, and has not arrived whole.
    fn is_about_to_be_asked(&self, id: SessionId) -> bool {
        let is_named = |session: Option<SessionId>| session.is_some_and(|it| it == id);
        let mut arriving = self.http.arriving();
        arriving.any(|it| is_named(it.session.and_then(|it| it.id)))
    }

    /// A session arrives, with its connections.
    ///
    /// # Errors
    /// Why it is not taken, and the session.
    pub fn put_session(
        &mut self,
        now: Millis,
        mut session: TravellingSession,
    ) -> Result<(SessionKey, Vec<ConnectionKey>), GivenBack<TravellingSession>> {
        self.at(now);
        let mut parts = PartsArriving::of(std::mem::take(&mut session.parts));
        let put = self.put_session_as(session, KeysThere::New, &mut parts);
        let parts = self.engine.let_go_of_parts(parts);
        let put = put.map_err(|mut back| {
            back.value.parts = parts;
            back
        })?;
        self.go_on();
        Ok(put)
    }

    /// A session arrives where it was, or in the place of that.
    ///
    /// # Errors
    /// Why it is not taken, and the session.
    pub(super) fn put_session_again(
        &mut self,
        session: TravellingSession,
        parts: &mut PartsArriving,
    ) -> Result<Vec<ConnectionKey>, GivenBack<TravellingSession>> {
        let put = self.put_session_as(session, KeysThere::Again, parts);
        put.map(|(_, connections)| connections)
    }

    fn put_session_as(
        &mut self,
        session: TravellingSession,
        keys: KeysThere,
        arriving: &mut PartsArriving,
    ) -> Result<(SessionKey, Vec<ConnectionKey>), GivenBack<TravellingSession>> {
        let TravellingSession {
            session,
            connections,
            parts,
        } = session;
        if keys == KeysThere::Again && !connections.iter().all(|it| self.http.has_room(key_of(it)))
        {
            let value = Box::new(TravellingSession {
                session,
                connections,
                parts,
            });
            let why = NotTaken::Malformed;
            return Err(GivenBack { why, value });
        }
        let unpacked = self
            .engine
            .unpack_session(session, connections.len(), arriving);
        let (key, owners) = match unpacked {
            Ok(unpacked) => unpacked,
            Err((why, session)) => {
                let value = Box::new(TravellingSession {
                    session,
                    connections,
                    parts,
                });
                return Err(GivenBack { why, value });
            }
        };
        let connections = connections.into_iter().zip(owners);
        let known = connections.map(|(it, owner)| self.put(it, Arrives::OwnedBy(owner), keys));
        Ok((key, known.collect()))
    }

    /// Takes out a connection that is between two requests, or carries a listen stream.
    ///
    /// # Errors
    /// Why it stays. Nothing has changed.
    pub fn take_connection(
        &mut self,
        now: Millis,
        key: ConnectionKey,
    ) -> Result<TravellingConnection, StaysBecause> {
        self.at(now);
        let mut parts = PartsLeaving::default();
        let mut connection = self.take_connection_as(key, Leaves::Alone, &mut parts)?;
        connection.parts = parts.packed();
        Ok(connection)
    }

    pub(super) fn take_connection_as(
        &mut self,
        key: ConnectionKey,
        leaves: Leaves,
        parts: &mut PartsLeaving,
    ) -> Result<TravellingConnection, StaysBecause> {
        let owner = self.http.may_leave(key, leaves)?;
        owner.map_or(Ok(()), |it| self.engine.may_leave_with(it))?;
        let listen = match owner {
            Some(ExchangeOwner::Listener(listener)) => self.engine.pack_listen(listener, parts),
            _ => None,
        };
        let connection = self.http.pack(key, leaves).ok_or(StaysBecause::NotHere)?;
        Ok(TravellingConnection {
            connection,
            listen,
            parts: PackedParts::default(),
        })
    }

    /// A connection arrives.
    ///
    /// # Errors
    /// Why it is not taken, and the connection. One that carries no stream always is.
    pub fn put_connection(
        &mut self,
        now: Millis,
        mut connection: TravellingConnection,
    ) -> Result<ConnectionKey, GivenBack<TravellingConnection>> {
        self.at(now);
        let mut parts = PartsArriving::of(std::mem::take(&mut connection.parts));
        let put = self.put_connection_as(connection, KeysThere::New, &mut parts);
        let parts = self.engine.let_go_of_parts(parts);
        let key = put.map_err(|mut back| {
            back.value.parts = parts;
            back
        })?;
        self.go_on();
        Ok(key)
    }

    /// A connection arrives where it was, or in the place of that.
    ///
    /// # Errors
    /// Why it is not taken, and the connection.
    pub(super) fn put_connection_again(
        &mut self,
        connection: TravellingConnection,
        parts: &mut PartsArriving,
    ) -> Result<ConnectionKey, GivenBack<TravellingConnection>> {
        if !self.http.has_room(connection.key()) {
            let value = Box::new(connection);
            let why = NotTaken::Malformed;
            return Err(GivenBack { why, value });
        }
        self.put_connection_as(connection, KeysThere::Again, parts)
    }

    fn put_connection_as(
        &mut self,
        connection: TravellingConnection,
        keys: KeysThere,
        arriving: &mut PartsArriving,
    ) -> Result<ConnectionKey, GivenBack<TravellingConnection>> {
        let TravellingConnection {
            mut connection,
            listen,
            parts,
        } = connection;
        let refused = |why, connection, listen| {
            let value = Box::new(TravellingConnection {
                connection,
                listen,
                parts,
            });
            Err(GivenBack { why, value })
        };
        let what = match listen.map(|it| self.engine.unpack_listen(it, arriving)) {
            Some(Ok(owner)) => Arrives::OwnedBy(owner),
            Some(Err(back)) => {
                let (why, listen) = *back;
                return refused(why, connection, Some(listen));
            }
            None => match self.http.read_again(&mut connection) {
                Ok(Some(partial)) => Arrives::Within(partial),
                Ok(None) => Arrives::Alone,
                Err(why) => return refused(why, connection, None),
            },
        };
        Ok(self.put(connection, what, keys))
    }

    /// What all cores of its node count together.
    #[must_use]
    pub fn commons(&self) -> &Arc<Commons> {
        self.engine.commons()
    }

    /// Whether the client of a connection sends nothing more, as far as the shard was told: it waits to be told so once more, if
    /// the client is gone altogether.
    #[must_use]
    pub fn has_input_ended(&self, key: ConnectionKey) -> bool {
        self.http.has_input_ended(key)
    }

    /// Where this core stands, for the one that takes its place.
    #[must_use]
    pub fn position(&self) -> CorePosition {
        let Shard {
            http,
            engine,
            // What they hold of it is charged again where that arrives.
            memory: _,
        } = self;
        engine.position(http.next_connection(), http.slot_count())
    }

    /// Goes on where another core stood, before anything else is handled.
    pub fn begin_at(&mut self, position: CorePosition) {
        self.http.count_connections_from(position.next_connection);
        self.http.make_slots(position.slots.connections());
        self.engine.begin_at(position);
    }

    /// A session whose id names this core is on another one. None: it is nowhere any more.
    pub fn handle_moved(&mut self, session: &SessionId, core: Option<u16>) {
        self.engine.handle_moved(session, core);
    }

    /// On which core to look for a session of this process, as its home core knows, or the one that has it.
    #[must_use]
    pub fn core_of(&self, session: &SessionId) -> u16 {
        self.engine.core_of(session)
    }

    fn put(
        &mut self,
        connection: PackedConnection,
        what: Arrives<ExchangeOwner>,
        keys: KeysThere,
    ) -> ConnectionKey {
        let (unwritten, since) = (connection.unwritten, connection.holds_since);
        let again = (keys == KeysThere::Again).then(|| key_of(&connection));
        let owner = match what {
            Arrives::OwnedBy(owner) => Some(owner),
            Arrives::Within(_) | Arrives::Alone => None,
        };
        let key = self.http.unpack(connection, what, again);
        if let Some(owner) = owner {
            self.engine.connected(owner, key);
            if let Some(traces) = self.http.traces() {
                self.engine.trace_arrived(traces, owner, key);
            }
        }
        self.http.settle_arrived(key, unwritten, since);
        key
    }
}
