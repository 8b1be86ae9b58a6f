//! What happens to nodes, to their connections and to Redis.

use super::{Mutant, NODES, OnTheWay, PlayedCluster, PlayedNode};
use crate::cluster::lease::NodeLease;
use crate::cluster::one_owner::redis::{Redis, RedisMemory};
use crate::cluster::pledges::{ClaimEnd, Pledges};

impl PlayedCluster {
    /// It is noticed that a connection is no more; a new one is there, or will be.
    pub(super) fn notice_break(&mut self, node: usize) {
        let end = match self.is(Mutant::UnknownIsNothing) {
            true => ClaimEnd::Nothing,
            false => ClaimEnd::Unknown,
        };
        for from in self.nodes[node].claims.clone() {
            self.end_claim(node, from, end);
        }
        let it = &mut self.nodes[node];
        it.breaks_at = None;
        it.connection += 1;
        it.pledges.redis_is_away();
    }

    pub(super) fn cut(&mut self, node: usize, is_cut: bool) {
        if self.nodes[node].is_cut == is_cut {
            return;
        }
        let within = 1 + self.below(3_000);
        let it = &mut self.nodes[node];
        it.is_cut = is_cut;
        // At the latest when it is whole again.
        it.breaks_at = Some(if is_cut { self.now + within } else { self.now });
    }

    /// Something happens to somebody, now and then.
    pub(super) fn befall(&mut self) {
        if self.now < self.calm_until || self.below(60) != 0 {
            return;
        }
        let node = self.below(NODES as u64) as usize;
        match self.below(16) {
            0..5 => {
                let is_cut = !self.nodes[node].is_cut;
                self.cut(node, is_cut);
            }
            5 => {
                let is_away = self.below(2) == 0;
                self.redis_is_away(is_away);
            }
            6 | 7 => self.redis.hangs = !self.redis.hangs,
            8 => self.forget(),
            9 => {
                let other = self.below(NODES as u64) as usize;
                let is_apart = !self.apart[node][other];
                (self.apart[node][other], self.apart[other][node]) = (is_apart, is_apart);
            }
            10 | 11 => self.nodes[node].hangs_until = self.now + self.below(6_000),
            12 => self.kept = self.redis.memory.clone(),
            13 => self.hand_over(node),
            _ => self.die_or_come_back(node),
        }
    }

    /// Its connections break with it. Not while a node is cut off: that one would have what others find without an owner, until it
    /// has said of all its sessions again that it has them.
    pub(super) fn forget(&mut self) {
        let now = self.at(self.now);
        let has_lease = |it: &PlayedNode| it.until.is_some_and(|until| now < until);
        let mut living = self.nodes.iter().filter(|it| it.lives);
        let all_there = living.all(|it| has_lease(it) && !it.is_cut && self.now >= it.hangs_until);
        if !all_there || self.redis.hangs {
            return;
        }
        self.calm_until = self.now + 6_000;
        self.forgot += 1;
        self.redis = Redis {
            memory: match self.below(2) {
                0 => RedisMemory::default(),
                _ => self.kept.clone(),
            },
            ..Redis::default()
        };
        let is_of_old =
            |it: &OnTheWay| matches!(it, OnTheWay::ToRedis(_) | OnTheWay::FromRedis(..));
        self.on_the_way
            .retain(|_, (_, message)| !is_of_old(message));
        for node in 0..NODES {
            self.nodes[node].breaks_at = Some(self.now);
        }
    }

    pub(super) fn die_or_come_back(&mut self, node: usize) {
        if self.nodes[node].lives {
            let it = &mut self.nodes[node];
            it.lives = false;
            it.sessions.clear();
            it.connection += 1;
            return;
        }
        let boot = self.nodes[node].boot + 1;
        let is_cut = self.nodes[node].is_cut;
        self.nodes[node] = PlayedNode {
            is_cut,
            ..self.begin(node, boot)
        };
        self.open_sessions(node);
    }

    /// It goes on in a new process, under the same name, with what is written down for it.
    pub(super) fn hand_over(&mut self, node: usize) {
        if !self.runs(node) {
            return;
        }
        let now = self.at(self.now);
        let knows_others = self.nodes[node].knows_others;
        let lease = self.nodes[node].lease.state(now);
        let pledges = self.nodes[node].pledges.state(now);
        let it = &mut self.nodes[node];
        it.pledges = Pledges::resumed(now, &pledges);
        it.claims.clear();
        it.connection += 1;
        it.round = None;
        if let Some(state) = lease {
            it.lease = NodeLease::resumed(now, state);
            it.lease.know_others(knows_others.then_some(true));
            it.until = it.lease.until();
        }
    }
}
