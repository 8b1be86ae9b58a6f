//! What is done to the cluster, each with its undo.

use std::sync::atomic::Ordering;

use super::super::fleet::{Fleet, NODES};
use super::super::redis::{Redis, Reply, ask};
use super::timeline::{Event, Loss, Name};
use super::world::World;
use crate::random::Random;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Kill(Name),
    Leave(Name),
    Hang(Name),
    /// Its connections to Redis are killed; they come again by themselves.
    CutOff(Name),
    RedisHangs,
    RedisDies,
    /// It comes back with what it has at this moment.
    RedisDiesSaved,
    /// It dies when this is undone, and comes back with what it had when this began.
    RedisIsRestored,
    Flush,
    DeleteNode(Name),
    DeleteRecords,
    DeleteBoard,
    DeleteField,
    DeleteToken,
    DeleteLog,
    TrimLog,
    ProxyDies,
    ProxyLeaves,
}

/// Of two that have the same one only one is done at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Node(Name),
    Redis,
    Proxy,
    Anything,
}

impl Fault {
    pub(super) fn at_random(random: &mut Random) -> Fault {
        let name = *random.pick(&NODES);
        match random.below(30) {
            0..=3 => Fault::Kill(name),
            4..=5 => Fault::Leave(name),
            6..=9 => Fault::Hang(name),
            10..=11 => Fault::CutOff(name),
            12..=14 => Fault::RedisHangs,
            15..=16 => Fault::RedisDies,
            17 => Fault::RedisDiesSaved,
            18 => Fault::RedisIsRestored,
            19..=20 => Fault::Flush,
            21 => Fault::DeleteNode(name),
            22 => Fault::DeleteRecords,
            23 => Fault::DeleteBoard,
            24 => Fault::DeleteField,
            25 => Fault::DeleteToken,
            26 => Fault::DeleteLog,
            27 => Fault::TrimLog,
            28 => Fault::ProxyLeaves,
            _ => Fault::ProxyDies,
        }
    }

    pub(super) fn target(&self) -> Target {
        match self {
            Fault::Kill(name) | Fault::Leave(name) | Fault::Hang(name) => Target::Node(name),
            Fault::RedisHangs
            | Fault::RedisDies
            | Fault::RedisDiesSaved
            | Fault::RedisIsRestored => Target::Redis,
            Fault::ProxyDies | Fault::ProxyLeaves => Target::Proxy,
            _ => Target::Anything,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill -9 of a node",
            Fault::Leave(_) => "SIGTERM of a node",
            Fault::Hang(_) => "SIGSTOP of a node",
            Fault::CutOff(_) => "a node's connections to Redis killed",
            Fault::RedisHangs => "SIGSTOP of Redis",
            Fault::RedisDies => "kill -9 of Redis, empty afterwards",
            Fault::RedisDiesSaved => "kill -9 of Redis, with its data",
            Fault::RedisIsRestored => "kill -9 of Redis, with older data",
            Fault::Flush => "FLUSHALL",
            Fault::DeleteNode(_) => "DEL of a heartbeat",
            Fault::DeleteRecords => "DEL of sessions' records",
            Fault::DeleteBoard => "DEL of the board",
            Fault::DeleteField => "HDEL on the board",
            Fault::DeleteToken => "DEL of the token",
            Fault::DeleteLog => "DEL of the log",
            Fault::TrimLog => "XTRIM of the log",
            Fault::ProxyDies => "kill -9 of Traefik",
            Fault::ProxyLeaves => "SIGTERM of Traefik",
        }
    }

    pub(super) fn begin(&self, world: &World, fleet: &mut Fleet, random: &mut Random) {
        world.count("faults", self.kind());
        match self {
            Fault::Kill(name) => {
                world.note(Event::Killed(name));
                fleet.node_mut(name).kill();
            }
            Fault::Leave(name) => {
                world.note(Event::Leaves(name));
                fleet.node(name).leave();
            }
            Fault::Hang(name) => {
                world.note(Event::Hangs(name));
                fleet.node(name).hang();
            }
            Fault::RedisHangs => {
                world.note(Event::RedisHangs);
                fleet.redis().hang();
            }
            Fault::RedisDies => {
                world.note(Event::RedisDies);
                forgets(world, Loss::Everything, "everything");
                fleet.redis().forget_saved();
                fleet.redis().stop();
            }
            Fault::RedisDiesSaved => {
                world.note(Event::RedisDies);
                forgets(world, Loss::Everything, "what came after it was saved");
                fleet.redis().save();
                fleet.redis().stop();
            }
            Fault::RedisIsRestored => {
                fleet.redis().save();
                world.note(Event::Forgets(
                    Loss::Keys,
                    "nothing yet: it is saved".into(),
                ));
            }
            Fault::ProxyDies => {
                world.note(Event::ProxyDies);
                fleet.traefik.kill();
            }
            Fault::ProxyLeaves => {
                world.note(Event::ProxyLeaves);
                fleet.traefik.leave();
            }
            _ if world.redis_answers.load(Ordering::Relaxed) => {
                self.forget(world, fleet.redis(), random)
            }
            _ => {}
        }
        if self.target() == Target::Redis && *self != Fault::RedisIsRestored {
            world.redis_answers.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn undo(&self, world: &World, fleet: &mut Fleet) {
        match self {
            Fault::Kill(name) => start_again(world, fleet, name),
            Fault::Leave(name) => {
                let logged = fleet.node(name).log().len();
                if let Err(fault) = fleet.node_mut(name).has_left() {
                    world.fail(&format!("{name} did not leave in good order: {fault}"));
                }
                world.note(Event::Left(name));
                // It may have said so before it was waited for, and it says nothing of the kind elsewhere.
                let log = fleet.node(name).log();
                let log = &log[logged.saturating_sub(LEAVING_LOGS_MAX)..];
                if let Some((_, lost)) = log.rsplit_once("this node ends, and with it") {
                    let line = log
                        .lines()
                        .find(|line| line.contains(lost.lines().next().unwrap_or("")));
                    let count = world.ledger().note_lost(name, line.unwrap_or_default());
                    world.add(
                        "publishes",
                        "said to be lost by a node that left",
                        count as u64,
                    );
                }
                start_again(world, fleet, name);
            }
            Fault::Hang(name) => {
                fleet.node(name).go_on();
                world.note(Event::GoesOn(name));
            }
            Fault::RedisHangs => {
                fleet.redis().go_on();
                world.note(Event::RedisGoesOn);
            }
            Fault::RedisDies | Fault::RedisDiesSaved => {
                fleet.redis().start_again();
                fleet.redis().forget_saved();
                world.note(Event::RedisBack);
            }
            Fault::RedisIsRestored => {
                world.note(Event::RedisDies);
                forgets(world, Loss::Everything, "what came after it was saved");
                fleet.redis().stop();
                fleet.redis().start_again();
                fleet.redis().forget_saved();
                world.note(Event::RedisBack);
            }
            Fault::ProxyDies | Fault::ProxyLeaves => {
                fleet.traefik.start_again();
                world.note(Event::ProxyServes);
            }
            _ => {}
        }
        if self.target() == Target::Redis {
            world.redis_answers.store(true, Ordering::Relaxed);
        }
    }

    /// At once, and for good: nodes undo it.
    fn forget(&self, world: &World, redis: &Redis, random: &mut Random) {
        let port = redis.port();
        match self {
            Fault::Flush => {
                for _ in 0..=random.below(3) {
                    forgets(world, Loss::Everything, "everything (FLUSHALL)");
                    redis.flush();
                }
            }
            Fault::CutOff(name) => {
                world.note(Event::CutOff(name));
                cut_off(redis, name, random);
            }
            Fault::DeleteNode(name) => delete(world, port, Loss::Keys, &format!("mcp:node:{name}")),
            Fault::DeleteRecords => {
                for key in records(redis, random) {
                    delete(world, port, Loss::Keys, &key);
                }
            }
            Fault::DeleteBoard => delete(world, port, Loss::Board, "mcp:board"),
            Fault::DeleteToken => delete(world, port, Loss::Keys, "mcp:bus:token"),
            Fault::DeleteLog => delete(world, port, Loss::Log, "mcp:bus"),
            Fault::DeleteField => {
                let uri = super::uri(random.below(super::URIS));
                forgets(world, Loss::Board, &format!("{uri} of the board"));
                ask(port, &["HDEL", "mcp:board", &uri]);
            }
            Fault::TrimLog => {
                forgets(world, Loss::Log, "the log's entries (XTRIM)");
                ask(port, &["XTRIM", "mcp:bus", "MAXLEN", "0"]);
            }
            _ => {}
        }
    }
}

/// Of a node's last words.
const LEAVING_LOGS_MAX: usize = 64 * 1024;
const RECORDS_MAX: usize = 5;

fn start_again(world: &World, fleet: &mut Fleet, name: Name) {
    world.note(Event::Starts(name));
    fleet.node_mut(name).start_again();
    world.note(Event::Ready(name));
}

fn forgets(world: &World, loss: Loss, what: &str) {
    world.note(Event::Forgets(loss, what.to_owned()));
}

fn delete(world: &World, port: u16, loss: Loss, key: &str) {
    // A session's id is nothing for a log.
    let shown = key.split('.').next().unwrap_or(key);
    forgets(world, loss, shown);
    ask(port, &["DEL", key]);
}

fn records(redis: &Redis, random: &mut Random) -> Vec<String> {
    let Reply::List(keys) = redis.command(&["KEYS", "mcp:session:*"]) else {
        return Vec::new();
    };
    let keys = keys.into_iter().filter_map(|key| match key {
        Reply::Text(key) => Some(key),
        _ => None,
    });
    let mut keys: Vec<_> = keys.collect();
    while keys.len() > RECORDS_MAX {
        keys.swap_remove(random.below(keys.len()));
    }
    keys
}

/// One of its connections, or all.
fn cut_off(redis: &Redis, node: &str, random: &mut Random) {
    let Reply::Text(clients) = redis.command(&["CLIENT", "LIST"]) else {
        return;
    };
    let name = format!("name=pinfold-{node}");
    let own = clients.lines().filter(|line| line.contains(&name));
    let ids = own.filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    let all = random.one_in(2);
    let chosen: Vec<_> = ids.filter(|_| all || random.one_in(3)).collect();
    for id in chosen {
        redis.command(&["CLIENT", "KILL", "ID", id]);
    }
}
