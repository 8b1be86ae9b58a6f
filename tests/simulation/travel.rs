//! At random moments sessions and connections leave one core for another, and cores make place for others.

use pinfold::internals::shard::{SessionKey, ShardSetup, StaysBecause};

use crate::support::node::setup;
use crate::world::{World, limits};

impl World {
    pub(crate) fn travel(&mut self) {
        match self.random.below(4) {
            0 => self.replace_a_core(),
            1 => self.move_a_connection(),
            _ => self.move_a_session(),
        }
    }

    fn move_a_session(&mut self) {
        let from = self.random.below(self.node.cores.len());
        let to = self.random.below(self.node.cores.len());
        let sessions: Vec<SessionKey> = self.node.cores[from].shard.sessions().collect();
        if sessions.is_empty() {
            return;
        }
        let key = *self.random.pick(&sessions);
        let moved = self.node.move_session(from, key, to);
        self.note("a session moved", moved);
    }

    fn move_a_connection(&mut self) {
        let open = |&id: &usize| self.node.sockets[id].key.is_some();
        let sockets: Vec<usize> = (0..self.node.sockets.len()).filter(open).collect();
        if sockets.is_empty() {
            return;
        }
        let id = *self.random.pick(&sockets);
        let to = self.random.below(self.node.cores.len());
        let moved = self.node.move_connection(id, to);
        self.note("a connection moved", moved);
    }

    /// Often after it was brought to rest: what is under way keeps a core.
    fn replace_a_core(&mut self) {
        let core = self.random.below(self.node.cores.len());
        if self.random.one_in(2) {
            self.node.release(u64::MAX);
            self.finish_calls(core);
        }
        let setup = ShardSetup {
            commons: self.node.commons.clone(),
            ..setup(core, self.node.cores.len(), limits(), 0x00b0_0700)
        };
        let pause_ms = *self.random.pick(&[0, 25, 400]);
        let replaced = self.node.replace_core(core, setup, pause_ms);
        if replaced.is_err() {
            self.node.met.insert("a core went on".into());
        }
        self.note("a core was replaced", replaced);
    }

    fn note(&mut self, what: &str, done: Result<(), StaysBecause>) {
        let met = match done {
            Ok(()) => what.to_owned(),
            Err(why) => format!("stays: {why}"),
        };
        self.node.met.insert(met);
    }
}
