//! Sessions and listen streams that leave this core as values, and others that arrive.
//!
//! | what | how it travels |
//! |---|---|
//! | the name: id and secret, event ids | with it; the key that it has there is the same if its slot is free, else `moved` knows it by its name |
//! | subscriptions, what is pending, up to where it was notified | with it, with the place in the log: both cores stand at the same one |
//! | streams, kept and unwritten messages, how far they were written | with it |
//! | what the client says of itself | its words, once for all who say the same, which are looked up among those of others anew |
//! | times | by the node's clock, which both cores have; the wheel is armed anew, what fires here for it is stale |
//! | the node's budget, counts of sessions, subscriptions and of its client | given back here and taken there, in any case: it had its place before. Its client's rates stay with the node |
//! | calls, and what they ask the client | not: a session with a call under way stays |
//! | what was counted of it, and since when it is there | with it; what operators read of its errors, and of those that ended, stays |
//! | what other nodes and the application know | nothing: it neither ends nor opens. If all sessions are being announced again, it is announced once |
//!
//! Every field is taken apart by name, without `..`: a new one does not compile before somebody has decided.

pub(in crate::shard) mod parts;

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use self::parts::{PartsArriving, PartsLeaving};
use super::arena::Key;
use super::client_info::ClientInfo;
use super::fanout::travel::PackedListener;
use super::fanout::{ListenerKey, ListenerKind, SubscriptionId};
use super::keys::StreamKey;
use super::moved::{key_of, place_of};
use super::session::Session;
use super::stream::travel::PackedStream;
use super::takeover::Adopted;
use super::{Engine, Exchange, ExchangeOwner, Millis, SessionId, SessionKey};
use crate::clients::Client;
use crate::mcp::{Era, ProtocolVersion};
use crate::shard::stays::{NotTaken, StaysBecause, is_default};

/// A session, with its streams. Their connections are named by their places in a list beside it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard) struct PackedSession {
    /// As its client has it.
    pub(in crate::shard) id: String,
    /// The last place in the log that its core had heard of.
    offset: u64,
    version: String,
    log_level: u8,
    #[serde(skip_serializing_if = "is_default")]
    awaits_initialize: bool,
    /// What the client says of itself: its place among what is said.
    client_info: u32,
    listener: PackedListener,
    opened_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    standalone: Option<PackedStream>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<PackedStream>,
    next_stream: u32,
    next_ask: u32,
    last_active: Millis,
    #[serde(skip_serializing_if = "is_default")]
    client: Option<Client>,
    created_at_s: u32,
    #[serde(skip_serializing_if = "is_default")]
    announced_on: u16,
    /// Requests and targeted messages so far.
    counts: (u32, u32),
    /// All sessions are being announced again, and it was not yet; or it changed since.
    #[serde(skip_serializing_if = "is_default")]
    unannounced: bool,
    /// How often it was taken over, and when it was opened then, in Unix milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    fence: u64,
    #[serde(skip_serializing_if = "is_default")]
    created_elsewhere: u64,
}

/// The stream of a listen request. Its connection is beside it.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::shard) struct PackedListen {
    /// The JSON-RPC id of its request, as JSON.
    id: String,
    offset: u64,
    /// What the application calls its subscriber: index and generation.
    pub(in crate::shard) name: (u32, u32),
    listener: PackedListener,
    /// What the client says of itself, as a session's.
    #[serde(default, skip_serializing_if = "is_default")]
    client_info: Option<u32>,
}

impl Engine {
    pub(in crate::shard) fn session_keys(&self) -> impl Iterator<Item = SessionKey> {
        self.sessions.iter().map(|(key, _)| key)
    }

    /// Whether a session can leave now, and by which name.
    pub(in crate::shard) fn may_leave(&self, key: SessionKey) -> Result<SessionId, StaysBecause> {
        self.may_let_go()?;
        let session = self.sessions.get(key).ok_or(StaysBecause::NotHere)?;
        match session.calls.is_empty() {
            true => Ok(self.session_id(key)),
            false => Err(StaysBecause::CallUnderWay),
        }
    }

    /// Whether what this exchange is for can leave with its connection.
    pub(in crate::shard) fn may_leave_with(
        &self,
        owner: ExchangeOwner,
    ) -> Result<(), StaysBecause> {
        self.may_let_go()?;
        match owner {
            ExchangeOwner::Listener(_) => Ok(()),
            ExchangeOwner::Call(_) => Err(StaysBecause::CallUnderWay),
            ExchangeOwner::Stream(stream) | ExchangeOwner::Silent(stream) => {
                let stream = self.streams.get(stream);
                Err(match stream.and_then(|it| it.session) {
                    Some(_) => StaysBecause::OfSession,
                    None => StaysBecause::CallUnderWay,
                })
            }
        }
    }

    fn may_let_go(&self) -> Result<(), StaysBecause> {
        match self.outputs.is_empty() {
            _ if self.is_draining() => Err(StaysBecause::Draining),
            true => Ok(()),
            false => Err(StaysBecause::NotDrained),
        }
    }

    /// The connections that leave with a session, in the order in which it names them.
    pub(in crate::shard) fn exchanges_of_session(&self, key: SessionKey) -> Vec<Exchange> {
        let session = self.sessions.get(key).into_iter();
        let streams = session.flat_map(|it| it.standalone.iter().chain(&it.streams));
        let exchanges = streams.flat_map(|stream| {
            let connected = self.streams.get(*stream).and_then(|it| it.exchange);
            let silent = self.silent.get(stream).into_iter().flatten().copied();
            connected.into_iter().chain(silent)
        });
        exchanges.collect()
    }

    /// Takes out a session that [may leave](Engine::may_leave), as if it had never been here.
    pub(in crate::shard) fn pack_session(
        &mut self,
        key: SessionKey,
        parts: &mut PartsLeaving,
    ) -> Option<PackedSession> {
        let id = self.session_id(key).text();
        let is_waiting = |next| next <= key.index as usize;
        let unannounced = self.announced.is_some_and(is_waiting);
        let Session {
            // In the id.
            secret: _,
            settled,
            log_level,
            client_info,
            listener,
            standalone,
            opened_at,
            streams,
            // There are none.
            calls: _,
            next_stream,
            next_ask,
            last_active,
            client,
            created_at_s,
            announced_on,
            requests,
            messages,
            timer: _,
        } = self.sessions.remove(key)?;
        let epoch = self.grant_epoch(listener);
        let takeover = self.takeover.as_mut().map(|it| it.forget(key));
        let (adopted, has_changed) = takeover.unwrap_or_default();
        self.moved.leaves(key);
        let said = parts.place_of(&client_info);
        self.profiles.release(client_info);
        self.commons.sessions.give_back(1);
        self.commons.clients.close_session(client);
        let mut connections = 0;
        let standalone = standalone.and_then(|it| self.pack_stream(it, &mut connections));
        let streams = streams.into_iter();
        let streams = streams.filter_map(|it| self.pack_stream(it, &mut connections));
        let streams = streams.collect();
        Some(PackedSession {
            id,
            offset: self.offset,
            version: settled
                .unwrap_or(ProtocolVersion::V2024_11_05)
                .as_str()
                .into(),
            awaits_initialize: settled.is_none(),
            log_level,
            client_info: said,
            listener: self.fanout.pack(listener, epoch, &mut parts.topics)?,
            opened_at,
            standalone,
            streams,
            next_stream,
            next_ask,
            last_active,
            client,
            created_at_s,
            announced_on,
            counts: (requests, messages),
            unannounced: unannounced || has_changed,
            fence: adopted.fence,
            created_elsewhere: adopted.created_at,
        })
    }

    /// `connections` counts those of the session.
    fn pack_stream(&mut self, key: StreamKey, connections: &mut usize) -> Option<PackedStream> {
        let stream = self.streams.remove(key)?;
        let mut next = || {
            *connections += 1;
            *connections - 1
        };
        let connection = stream.exchange.map(|_| next());
        let silent = self.silent.remove(&key).unwrap_or_default();
        let silent = silent.iter().map(|_| next()).collect();
        Some(stream.pack(connection, silent))
    }

    /// A session arrives. Its connections come next, each with the owner that stands at its place in the list
    /// ([`Engine::connected`]).
    pub(in crate::shard) fn unpack_session(
        &mut self,
        packed: Box<PackedSession>,
        connections: usize,
        parts: &mut PartsArriving,
    ) -> Result<(SessionKey, Vec<ExchangeOwner>), (NotTaken, Box<PackedSession>)> {
        match self.check_arrival(&packed, connections, parts) {
            Ok((id, version, client_info)) => {
                Ok(self.settle_in(*packed, &id, (version, client_info), parts))
            }
            Err(why) => Err((why, packed)),
        }
    }

    fn check_arrival(
        &mut self,
        packed: &PackedSession,
        connections: usize,
        parts: &mut PartsArriving,
    ) -> Result<(SessionId, ProtocolVersion, Rc<ClientInfo>), NotTaken> {
        self.check_place(packed.offset, &packed.listener, parts)?;
        let id = SessionId::parse(&packed.id).ok_or(NotTaken::Malformed)?;
        let is_ours = id.process() == (self.node, self.incarnation);
        match is_ours {
            true if id.locator.core < self.core_count => {}
            // It was taken over where it comes from.
            false if self.takeover.is_some() => {}
            _ => return Err(NotTaken::OfAnotherNode),
        }
        if self.locate(Some(&id)).is_ok() {
            return Err(NotTaken::IsHere);
        }
        let version = ProtocolVersion::parse(&packed.version);
        let version = version.filter(|it| it.era() == Era::Legacy);
        let version = version.ok_or(NotTaken::Malformed)?;
        let streams = || packed.standalone.iter().chain(&packed.streams);
        let named = streams().flat_map(|it| it.connection.iter().chain(&it.silent));
        let is_sound = packed.standalone.iter().all(|it| it.is_sound(true))
            && packed.streams.iter().all(|it| it.is_sound(false));
        if !named.copied().eq(0..connections) || !is_sound {
            return Err(NotTaken::Malformed);
        }
        let client_info = self.client_again(packed.client_info, parts);
        Ok((id, version, client_info.ok_or(NotTaken::Malformed)?))
    }

    /// What was published since it left is lost to it, and what is still to come here it was notified of.
    fn check_place(
        &self,
        there: u64,
        listener: &PackedListener,
        parts: &PartsArriving,
    ) -> Result<(), NotTaken> {
        match self.offset {
            _ if self.is_draining() => Err(NotTaken::Draining),
            here if here != there => Err(NotTaken::ElsewhereInTheLog { there, here }),
            here if parts.topics.newest(listener) > here => Err(NotTaken::Malformed),
            _ if !parts.topics.has_all_of(listener) => Err(NotTaken::Malformed),
            _ => Ok(()),
        }
    }

    fn settle_in(
        &mut self,
        packed: PackedSession,
        id: &SessionId,
        (version, client_info): (ProtocolVersion, Rc<ClientInfo>),
        parts: &mut PartsArriving,
    ) -> (SessionKey, Vec<ExchangeOwner>) {
        let PackedSession {
            id: _,
            offset: _,
            version: _,
            log_level,
            awaits_initialize,
            client_info: _,
            listener,
            opened_at,
            standalone,
            streams,
            next_stream,
            next_ask,
            last_active,
            client,
            created_at_s,
            announced_on,
            counts: (requests, messages),
            unannounced,
            fence,
            created_elsewhere: created_at,
        } = packed;
        let has_messages = standalone.as_ref().is_some_and(PackedStream::has_unwritten);
        // The session's key is needed for its listener and the listener's for the session.
        let voice = ListenerKind::Session(Key::from_parts(0, 0));
        let epoch = listener.epoch();
        let arriving = (&mut parts.topics, self.now);
        let listener = self.fanout.unpack(listener, voice, None, arriving);
        let key = self.move_in(
            id,
            Session {
                secret: id.secret,
                settled: (!awaits_initialize).then_some(version),
                log_level,
                client_info,
                listener,
                standalone: None,
                opened_at,
                streams: Default::default(),
                calls: Default::default(),
                next_stream,
                next_ask,
                last_active,
                client,
                created_at_s,
                announced_on,
                requests,
                messages,
                timer: Default::default(),
            },
        );
        self.note_adopted(key, Adopted { fence, created_at });
        self.fanout.set_voice(listener, ListenerKind::Session(key));
        self.fanout.name_events(listener, !version.is_streamable());
        self.take_in_grant(listener, epoch);
        self.commons.sessions.take_beyond(1);
        self.commons.clients.take_in_session(client, self.now);
        let mut owners = Vec::new();
        let standalone = standalone.map(|it| self.unpack_stream(key, client, it, &mut owners));
        let streams = streams.into_iter();
        let streams = streams.map(|it| self.unpack_stream(key, client, it, &mut owners));
        let streams = streams.collect();
        if let Some(session) = self.sessions.get_mut(key) {
            (session.standalone, session.streams) = (standalone, streams);
        }
        if has_messages {
            self.fanout.has_messages(listener);
        }
        self.arm_session(key);
        self.announce_late(key, unannounced);
        (key, owners)
    }

    /// Where its id says, if that is this core's and free.
    pub(super) fn move_in(&mut self, id: &SessionId, session: Session) -> SessionKey {
        let place = place_of(id);
        let home = key_of(&id.locator);
        let is_ours = id.process() == (self.node, self.incarnation);
        if is_ours && id.locator.core == self.core {
            self.moved.is_on(home, None);
            let key = self
                .sessions
                .insert_as(home, self.limits.sessions_max, session);
            if key != home {
                self.moved.arrives(place, key);
            }
            return key;
        }
        let anywhere = Key::from_parts(u32::MAX, home.generation);
        let key = self.sessions.insert_as(anywhere, 0, session);
        self.moved.arrives(place, key);
        key
    }

    fn unpack_stream(
        &mut self,
        session: SessionKey,
        client: Option<Client>,
        stream: PackedStream,
        owners: &mut Vec<ExchangeOwner>,
    ) -> StreamKey {
        let (connected, silent) = (stream.connection.is_some(), stream.silent.len());
        let memory = self.memory.clone();
        let charge = |count, of_client| {
            let share = memory.share_of(client.filter(|_| of_client));
            memory.charge_beyond(count).shared_by(share)
        };
        let bytes_max = self.limits.stream_queue_bytes_max;
        let stream = stream.unpack(session, bytes_max, charge);
        let key = self.streams.insert(stream);
        self.arm_stream(key);
        owners.extend(connected.then_some(ExchangeOwner::Stream(key)));
        owners.extend(std::iter::repeat_n(ExchangeOwner::Silent(key), silent));
        key
    }

    /// All are being announced again, and it would be left out.
    fn announce_late(&mut self, key: SessionKey, unannounced: bool) {
        let is_next = |next| next <= key.index as usize;
        match self.announced {
            Some(next) if is_next(next) => {}
            None if !unannounced => {}
            _ => drop(self.announce_opened(key)),
        }
    }

    /// A connection came with what it is for.
    pub(in crate::shard) fn connected(&mut self, owner: ExchangeOwner, exchange: Exchange) {
        match owner {
            ExchangeOwner::Call(_) => {}
            ExchangeOwner::Silent(stream) => self.silent.entry(stream).or_default().push(exchange),
            ExchangeOwner::Listener(listener) => self.fanout.attach(listener, exchange),
            ExchangeOwner::Stream(key) => {
                let Some(stream) = self.streams.get_mut(key) else {
                    return;
                };
                stream.exchange = Some(exchange);
                let session = stream.session.and_then(|it| self.sessions.get(it));
                if let Some(session) = session
                    && session.standalone == Some(key)
                {
                    self.fanout.attach(session.listener, exchange);
                }
            }
        }
    }

    /// Takes out the stream of a listen request, as if it had never been here.
    pub(in crate::shard) fn pack_listen(
        &mut self,
        key: ListenerKey,
        parts: &mut PartsLeaving,
    ) -> Option<PackedListen> {
        let epoch = self.grant_epoch(key);
        let id = self.fanout.listen_id(key)?;
        let client_info = self.fanout.set_client_info(key, None);
        let said = client_info.as_ref().map(|it| parts.place_of(it));
        self.let_go_of(client_info);
        Some(PackedListen {
            id,
            offset: self.offset,
            name: (key.index, key.generation),
            listener: self.fanout.pack(key, epoch, &mut parts.topics)?,
            client_info: said,
        })
    }

    pub(in crate::shard) fn unpack_listen(
        &mut self,
        packed: PackedListen,
        parts: &mut PartsArriving,
    ) -> Result<ExchangeOwner, Box<(NotTaken, PackedListen)>> {
        if let Err(why) = self.check_place(packed.offset, &packed.listener, parts) {
            return Err(Box::new((why, packed)));
        }
        let PackedListen {
            id,
            offset: _,
            name,
            listener,
            client_info,
        } = packed;
        let voice = ListenerKind::Listen(SubscriptionId::new(&id));
        let name = Key::from_parts(name.0, name.1);
        let named = (name, self.limits.connections_max);
        let epoch = listener.epoch();
        let arriving = (&mut parts.topics, self.now);
        let listener = self.fanout.unpack(listener, voice, Some(named), arriving);
        self.take_in_grant(listener, epoch);
        let client_info = client_info.and_then(|it| self.client_again(it, parts));
        self.fanout.set_client_info(listener, client_info);
        Ok(ExchangeOwner::Listener(listener))
    }
}
