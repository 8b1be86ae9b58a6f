//! At random moments sessions and connections leave one core for another, and cores make place for others.

use pinfold::internals::shard::{SessionKey, ShardSetup, StaysBecause};

use crate::support::node::setup;
use crate::world::{World, limits};

const INCARNATION: u64 = 0x00b0_0700;

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

    /// Often after it was brought to rest: a call under way keeps a core.
    fn replace_a_core(&mut self) {
        let count = self.node.cores.len();
        let (all, goes_on_itself) = (self.random.one_in(2), self.random.one_in(4));
        let cores = match all {
            true => (0..count).collect(),
            false => vec![self.random.below(count)],
        };
        if self.random.one_in(2) {
            self.node.release(u64::MAX);
            for &core in &cores {
                self.finish_calls(core);
            }
        }
        let pause_ms = *self.random.pick(&[0, 25, 400]);
        // What is on its way between cores, or to another node, has its place among what this process counts.
        let is_between = self.node.messages.is_empty() && self.node.forwarded_for.is_empty();
        let of_another = (all && is_between && !goes_on_itself)
            .then(|| setup(0, count, limits(), INCARNATION).commons);
        let commons = of_another.as_ref().unwrap_or(&self.node.commons);
        let cores = cores.into_iter().map(|core| {
            let setup = ShardSetup {
                commons: commons.clone(),
                ..setup(core, count, limits(), INCARNATION)
            };
            (core, (!goes_on_itself).then_some(setup))
        });
        let cores = cores.collect();
        let replaced = self.node.stand_still(cores, of_another, pause_ms);
        if replaced.is_err() {
            self.node.met.insert("a core went on".into());
        }
        let what = match (all, goes_on_itself) {
            (_, true) => "a core stood still for nobody",
            (true, false) => "all cores were replaced",
            (false, false) => "a core was replaced",
        };
        self.note(what, replaced);
    }

    fn note(&mut self, what: &str, done: Result<(), StaysBecause>) {
        let met = match done {
            Ok(()) => what.to_owned(),
            Err(why) => format!("stays: {why}"),
        };
        self.node.met.insert(met);
    }
}
