//! Sessions and connections that leave one core of a node for another one, with their sockets.
//!
//! Each value is written down as JSON and read again, and what arrived is taken once more: it must be what left.

use pinfold::app::call::Lifecycle;
use pinfold::internals::shard::{
    ConnectionKey, Millis, NotTaken, SessionKey, Shard, StaysBecause, TravellingConnection,
    TravellingSession,
};
use pinfold::internals::wire::session_id::SessionId;
use serde_json::{Value, json};

use super::node::{Breakage, Node, SocketId};

impl Node {
    /// A session leaves with its streams' connections, and arrives on another core or on the same one.
    pub fn move_session(
        &mut self,
        from: usize,
        key: SessionKey,
        to: usize,
    ) -> Result<(), StaysBecause> {
        self.bring_up_to_date(from);
        self.bring_up_to_date(to);
        let (session, sockets) = self.take_session(from, key)?;
        self.settle(from);
        let to = self.put_session(to, from, session, &sockets);
        self.settle(to);
        Ok(())
    }

    /// A connection leaves, with the listen stream on it if it carries one.
    pub fn move_connection(&mut self, id: SocketId, to: usize) -> Result<(), StaysBecause> {
        let from = self.sockets[id].core;
        self.bring_up_to_date(from);
        self.bring_up_to_date(to);
        let key = self.sockets[id].key.ok_or(StaysBecause::NotHere)?;
        let (connection, id) = self.take_connection(from, key)?;
        self.settle(from);
        let to = self.put_connection(to, from, &connection, id);
        self.settle(to);
        Ok(())
    }

    /// Everything that was published reaches a core.
    pub(super) fn bring_up_to_date(&mut self, core: usize) {
        while self.hand_out(core) {}
    }

    fn take_session(
        &mut self,
        core: usize,
        key: SessionKey,
    ) -> Result<(Value, Vec<SocketId>), StaysBecause> {
        let (session, keys) = self.cores[core].shard.take_session(self.now, key)?;
        let sockets = keys.iter().map(|&key| self.pick_up(core, key)).collect();
        Ok((written(&session), sockets))
    }

    /// On which core it is then.
    fn put_session(
        &mut self,
        to: usize,
        from: usize,
        session: Value,
        sockets: &[SocketId],
    ) -> usize {
        let spoilt = self.spoil(session.clone());
        let is_whole = spoilt == session;
        let travelling: TravellingSession = serde_json::from_value(spoilt).expect("it reads back");
        let id = SessionId::parse(travelling.id()).expect("an id");
        let (mut core, now) = (to, self.now);
        let shard = &mut self.cores[to].shard;
        let (key, keys) = shard.put_session(now, travelling).unwrap_or_else(|back| {
            // A broken driver's cores did not hear of the same.
            let may_be = self.broken.is_some() || back.why == NotTaken::Draining;
            assert!(may_be, "{}", back.why);
            core = from;
            let put = self.cores[from].shard.put_session(now, *back.value);
            put.map_err(|it| it.why).expect("it was here before")
        });
        self.put_down_all(core, &keys, sockets);
        self.pump(core);
        if is_whole {
            let again = self.cores[core].shard.take_session(now, key);
            let (again, _) = again.expect("it has just arrived");
            assert_eq!(essence(written(&again)), essence(session));
            let put = self.cores[core].shard.put_session(now, again);
            let (_, keys) = put.map_err(|it| it.why).expect("it was here before");
            self.by_key.retain(|_, id| !sockets.contains(id));
            self.put_down_all(core, &keys, sockets);
        }
        let home = usize::from(id.locator.core);
        if home == core && from != core {
            self.met.insert("a session came home".into());
        }
        let now_on = Some(core as u16);
        self.cores[home].shard.handle_moved(&id, now_on);
        core
    }

    fn put_down_all(&mut self, core: usize, keys: &[ConnectionKey], sockets: &[SocketId]) {
        assert_eq!(keys.len(), sockets.len());
        for (&key, &id) in keys.iter().zip(sockets) {
            self.put_down(core, key, id);
        }
    }

    fn take_connection(
        &mut self,
        core: usize,
        key: ConnectionKey,
    ) -> Result<(Value, SocketId), StaysBecause> {
        let connection = self.cores[core].shard.take_connection(self.now, key)?;
        Ok((written_connection(&connection), self.pick_up(core, key)))
    }

    fn put_connection(
        &mut self,
        to: usize,
        from: usize,
        connection: &Value,
        id: SocketId,
    ) -> usize {
        let (mut core, now) = (to, self.now);
        let put = |shard: &mut Shard, now: Millis, value| shard.put_connection(now, value);
        let travelling = serde_json::from_value(connection.clone()).expect("it reads back");
        let shard = &mut self.cores[to].shard;
        let key = put(shard, now, travelling).unwrap_or_else(|back| {
            let may_be = self.broken.is_some() || back.why == NotTaken::Draining;
            assert!(may_be, "{}", back.why);
            core = from;
            let put = put(&mut self.cores[from].shard, now, *back.value);
            put.map_err(|it| it.why).expect("it was here before")
        });
        let again = self.cores[core].shard.take_connection(now, key);
        let again = again.expect("it has just arrived");
        let (there, here) = (written_connection(&again), connection.clone());
        if !self.unlike {
            assert_eq!(essence(there), essence(here));
        }
        let put = put(&mut self.cores[core].shard, now, again);
        let key = put.map_err(|it| it.why).expect("it was here before");
        self.put_down(core, key, id);
        core
    }

    fn pick_up(&mut self, core: usize, key: ConnectionKey) -> SocketId {
        let id = self.by_key.remove(&(core, key)).expect("it has a socket");
        self.sockets[id].key = None;
        id
    }

    fn put_down(&mut self, core: usize, key: ConnectionKey, id: SocketId) {
        let socket = &mut self.sockets[id];
        (socket.core, socket.key) = (core, Some(key));
        self.by_key.insert((core, key), id);
        self.ask_for_bytes(id);
    }

    /// A session that ended away from home is nowhere, and its home core is told so.
    pub(super) fn tell_home(&mut self, core: usize, event: &Lifecycle) {
        if let Lifecycle::Ended(id, _) = event {
            let home = usize::from(id.locator.core);
            if home != core {
                self.cores[home].shard.handle_moved(id, None);
            }
        }
    }

    /// As a broken driver would hand it over.
    pub(super) fn spoil(&mut self, mut value: Value) -> Value {
        let session = &mut value["session"];
        if self.breaks(Breakage::TravelsWithoutASubscription) {
            let listener = &mut session["listener"];
            let subscriptions = listener["subscriptions"].as_array_mut();
            let lost = subscriptions.map(|it| (it.pop(), it.len()));
            let lost = json!(lost.map_or(0, |(_, nth)| nth));
            for (list, first) in [("pending", ""), ("directed", "/0")] {
                if let Some(list) = listener[list].as_array_mut() {
                    list.retain(|it| it.pointer(first) != Some(&lost));
                }
            }
        }
        if self.breaks(Breakage::TravelsWithoutWhatIsForOne) {
            session["listener"]["directed"] = json!([]);
        }
        if self.breaks(Breakage::TravelsOnePlaceFurther) {
            let number = |value: &Value| value.as_u64().expect("a number");
            let newest = number(&session["offset"]);
            let told = &mut session["listener"]["delivered_through"];
            *told = newest.min(number(told) + 1).into();
            if !session["standalone"].is_null() {
                for (part, place) in [("listener", "sequence"), ("standalone", "next_sequence")] {
                    // Nought is not written down.
                    let place = &mut session[part][place];
                    *place = (place.as_u64().unwrap_or(0) + 1).into();
                }
            }
        }
        if self.breaks(Breakage::TravelsUnderAStaleKey) {
            let id = session["id"].as_str().and_then(SessionId::parse);
            let mut id = id.expect("an id");
            id.locator.generation += 1;
            session["id"] = id.text().into();
        }
        value
    }
}

const PLAIN: &str = "it can be written down";

fn written(session: &TravellingSession) -> Value {
    serde_json::to_value(session).expect(PLAIN)
}

fn written_connection(connection: &TravellingConnection) -> Value {
    serde_json::to_value(connection).expect(PLAIN)
}

/// Without what another core may know better: where a topic was published last, what it calls a stream or a connection, and
/// whether it has announced the session.
fn essence(mut value: Value) -> Value {
    let connections = value.get_mut("connections").and_then(Value::as_array_mut);
    for connection in connections.into_iter().flatten() {
        connection["key"] = Value::Null;
    }
    if let Some(connection) = value.get_mut("connection") {
        connection["key"] = Value::Null;
    }
    let topics = value.pointer_mut("/parts/topics");
    for topic in topics.and_then(Value::as_array_mut).into_iter().flatten() {
        topic["last_offset"] = Value::Null;
    }
    if let Some(session) = value.get_mut("session") {
        session["unannounced"] = Value::Null;
    }
    if let Some(listen) = value.get_mut("listen").filter(|it| !it.is_null()) {
        listen["name"] = Value::Null;
    }
    value
}
