//! Carries out what a shard wants done, on fake sockets and with messages that arrive when the test says so.

use pinfold::app::call::Outcome;
use pinfold::internals::budget::Charge;
use pinfold::internals::clients::Ticket;
use pinfold::internals::shard::{CallKey, ConnectionKey, Effect, Look, Millis, MissReason};

use super::node::{Arrived, Breakage, CoreMessage, Heard, Node, SocketId};

impl Node {
    pub(super) fn carry_out(&mut self, core: usize, effect: Effect) {
        self.met.insert(kind_of(&effect));
        match effect {
            Effect::Start { call, .. } if self.instant => self.answer_at_once(core, call),
            Effect::Start { call: key, request } => {
                self.calls.push_back(Arrived { core, key, request })
            }
            Effect::Cancel(call) => {
                self.calls
                    .retain(|arrived| (arrived.core, arrived.key) != (core, call));
                self.cancelled.push(call);
            }
            Effect::Answered { call, ask, answer } => {
                let answer = match answer {
                    Ok(result) => result.get().to_owned(),
                    Err(failed) => format!("{failed:?}"),
                };
                self.heard.push(Heard { call, ask, answer });
            }
            Effect::Move {
                connection,
                core: to,
                bytes,
                ticket,
            } => {
                let message = CoreMessage {
                    socket: self.give_away(core, connection),
                    core: usize::from(to),
                    bytes,
                    ticket,
                };
                self.messages.push_back(message);
            }
            Effect::Look {
                connection,
                look,
                charge,
            } => self.look_at(core, connection, look, charge),
            Effect::Locate {
                connection,
                session,
            } => self.asked.push_back((core, connection, session)),
            Effect::Forward {
                connection,
                bytes,
                client,
                ticket,
            } => {
                let id = self.give_away(core, connection);
                self.forwarded.push((id, bytes));
                self.forwarded_for.push((client, ticket));
            }
            Effect::Identify(sender) => self.who.push_back((core, sender)),
            Effect::AskOperators(asked) => self.questions.push_back((core, asked)),
            Effect::Hold { connection, ms } => self.held.push((self.now + ms, core, connection)),
            Effect::MakeRoom { holds } => self.make_room(core, holds),
            Effect::Lifecycle(event) => {
                self.tell_home(core, &event);
                self.delivered.push(event);
            }
            Effect::Announce(presence) => self.said.push(presence),
            Effect::HearingEnded(why) => self.ended.push(why),
            Effect::Read(key) => self.read_on(core, key),
            Effect::ShutdownWrite(key) => self.half_close(core, key),
            Effect::Close { connection, reason } => {
                let id = self.forget(core, connection);
                let socket = &mut self.sockets[id];
                socket.closed = Some(reason);
                // A reset: the kernel drops what it could not send.
                socket.unwritten.clear();
            }
        }
    }

    fn half_close(&mut self, core: usize, key: ConnectionKey) {
        let id = self.by_key[&(core, key)];
        assert!(
            self.sockets[id].unwritten.is_empty(),
            "half-closed in the middle of a write"
        );
        self.sockets[id].half_closed = true;
    }

    /// The server comes to the end of what the client sends. True if it is there, and was not seen before.
    pub(super) fn receive_end(&mut self, id: SocketId, key: ConnectionKey) -> bool {
        let socket = &mut self.sockets[id];
        if !socket.sent.is_empty() || !socket.ended || socket.end_seen {
            return false;
        }
        socket.end_seen = true;
        let core = socket.core;
        self.met.insert("half-closed".into());
        self.cores[core].shard.handle_input_end(self.now, key);
        self.settle(core);
        self.ask_for_bytes(id);
        true
    }

    fn read_on(&mut self, core: usize, key: ConnectionKey) {
        let id = self.by_key[&(core, key)];
        assert!(!self.sockets[id].reading, "told to read by two readers");
        self.sockets[id].reading = !self.breaks(Breakage::ForgetsToRead);
    }

    /// Lets go of what is held until then or less.
    pub fn release(&mut self, until: Millis) {
        let due = self.held.extract_if(.., |(due, ..)| *due <= until);
        for (_, core, key) in due.collect::<Vec<_>>() {
            self.cores[core].shard.handle_released(self.now, key);
            self.settle(core);
        }
    }

    fn look_at(&mut self, core: usize, key: ConnectionKey, look: Look, charge: Charge) {
        if self.looks_later {
            return self.looks.push_back((core, key, look, charge));
        }
        let looked = look.run();
        let shard = &mut self.cores[core].shard;
        shard.handle_looked(self.now, key, &looked);
    }

    /// The first body that waits is looked at.
    pub fn look(&mut self) {
        let (core, key, look, _charge) = self.looks.pop_front().expect("one waits");
        let looked = look.run();
        let shard = &mut self.cores[core].shard;
        shard.handle_looked(self.now, key, &looked);
        self.settle(core);
    }

    /// The first message arrives. True if there was one.
    pub fn carry(&mut self) -> bool {
        let Some(message) = self.messages.pop_front() else {
            return false;
        };
        self.deliver(message);
        true
    }

    pub fn deliver(
        &mut self,
        CoreMessage {
            socket,
            core,
            bytes,
            ticket,
        }: CoreMessage,
    ) {
        self.take_back(socket, core, &bytes, ticket, None);
    }

    /// A connection that no shard had is this core's; `gone` says why its request could not be passed on.
    pub fn take_back(
        &mut self,
        id: SocketId,
        core: usize,
        bytes: &[u8],
        ticket: Ticket,
        gone: Option<MissReason>,
    ) {
        let socket = &mut self.sockets[id];
        let shard = &mut self.cores[core].shard;
        let key = shard.handle_arrival(self.now, socket.peer, ticket);
        (socket.core, socket.key, socket.reading) = (core, Some(key), true);
        // The kernel says so again to whoever reads.
        socket.end_seen = false;
        self.by_key.insert((core, key), id);
        let shard = &mut self.cores[core].shard;
        match gone {
            Some(gone) => shard.handle_return(self.now, key, bytes, gone),
            None => shard.handle_bytes(self.now, key, bytes),
        }
        self.settle(core);
        self.ask_for_bytes(id);
        if self.sockets[id].client_left {
            self.cut(id);
        }
    }

    fn answer_at_once(&mut self, core: usize, call: CallKey) {
        let outcome = Outcome::Result {
            json: "{}".into(),
            caching: None,
        };
        self.cores[core]
            .shard
            .handle_outcome(self.now, call, &outcome);
    }

    /// The other cores are asked.
    fn make_room(&mut self, core: usize, holds: u32) {
        for other in (0..self.cores.len()).filter(|&it| it != core) {
            self.cores[other].shard.handle_make_room(self.now, holds);
            self.pump(other);
        }
    }

    /// The shard knows the connection no longer, and somebody else goes on with the socket.
    fn give_away(&mut self, core: usize, connection: ConnectionKey) -> SocketId {
        let id = self.forget(core, connection);
        assert!(
            self.sockets[id].unwritten.is_empty(),
            "given away in the middle of a write"
        );
        id
    }

    fn forget(&mut self, core: usize, connection: ConnectionKey) -> SocketId {
        let id = self
            .by_key
            .remove(&(core, connection))
            .expect("a connection that the shard speaks of has its socket");
        self.sockets[id].key = None;
        id
    }
}

fn kind_of(effect: &Effect) -> String {
    match effect {
        Effect::Start { .. } => "Start".into(),
        Effect::Cancel(_) => "Cancel".into(),
        Effect::Answered {
            answer: Err(failed),
            ..
        } => format!("{failed:?}"),
        Effect::Answered { .. } => "Answered".into(),
        Effect::Move { .. } => "Move".into(),
        Effect::Look { .. } => "Look".into(),
        Effect::Locate { .. } => "Locate".into(),
        Effect::Forward { .. } => "Forward".into(),
        Effect::Identify(_) => "Identify".into(),
        Effect::AskOperators(_) => "AskOperators".into(),
        Effect::Hold { .. } => "Hold".into(),
        Effect::MakeRoom { .. } => "MakeRoom".into(),
        Effect::Lifecycle(_) => "Lifecycle".into(),
        Effect::Announce(_) => "Say".into(),
        Effect::HearingEnded(why) => format!("HearingEnded({why:?})"),
        Effect::Read(_) => "Read".into(),
        Effect::ShutdownWrite(_) => "ShutdownWrite".into(),
        Effect::Close { reason, .. } => format!("{reason:?}"),
    }
}
