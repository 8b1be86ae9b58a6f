//! Cores that stand still, and go on in another shard or in their own: as a node does that another process goes on with.
//!
//! All that a core has is written down as the program writes it, and read again. What arrived is frozen once more: it must be what
//! left. Each connection has the key that it had, so the sockets need not be told.

use std::sync::Arc;

use pinfold::internals::clients::Commons;
use pinfold::internals::shard::{
    ConnectionKey, FrozenShard, HeldUp, Millis, Shard, ShardSetup, StaysBecause, TravellingSession,
    write_frozen,
};
use serde_json::Value;

use super::identified::begin_to_ask;
use super::node::Node;

pub fn written_down(frozen: &FrozenShard) -> Vec<u8> {
    write_frozen(frozen).expect("plain values")
}

pub fn read_again(bytes: &[u8]) -> FrozenShard {
    rmp_serde::from_slice(bytes).expect("it reads back")
}

/// To those who want one reason.
fn first_of(held_up: &HeldUp) -> StaysBecause {
    let reason = held_up.by_reason().keys().next();
    *reason.expect("there is a reason")
}

impl Node {
    /// Another shard takes the place of a core's, which takes a moment. If something stays, all goes on where it was.
    pub fn replace_core(
        &mut self,
        core: usize,
        setup: ShardSetup,
        pause_ms: Millis,
    ) -> Result<(), StaysBecause> {
        self.stand_still(vec![(core, Some(setup))], None, pause_ms)
    }

    /// These cores stand still at once, and go on: in a shard of this setup, or in their own. `commons`: those of all cores from
    /// then on.
    pub fn stand_still(
        &mut self,
        cores: Vec<(usize, Option<ShardSetup>)>,
        commons: Option<Arc<Commons>>,
        pause_ms: Millis,
    ) -> Result<(), StaysBecause> {
        for (core, _) in &cores {
            self.bring_up_to_date(*core);
        }
        let mut frozen = Vec::new();
        let mut stays = None;
        for (core, _) in &cores {
            let shard = &mut self.cores[*core].shard;
            let before = shard.counts();
            match shard.handle_freeze(self.now) {
                Ok(it) => {
                    self.met.extend(kinds(&it));
                    frozen.push((it.connection_keys(), written_down(&it)));
                }
                Err(held_up) => {
                    assert_eq!(shard.counts(), before);
                    stays = Some(first_of(&held_up));
                    break;
                }
            }
        }
        self.now += pause_ms;
        if let Some(commons) = commons.filter(|_| stays.is_none()) {
            self.commons = commons;
        }
        let mut gone_on = Vec::new();
        for ((core, setup), (keys, bytes)) in cores.into_iter().zip(frozen) {
            self.check_empty(core);
            if let Some(setup) = setup.filter(|_| stays.is_none()) {
                self.cores[core].shard = Shard::new(setup, self.now);
                if let Some(rules) = &self.rules {
                    begin_to_ask(&mut self.cores[core].shard, rules);
                }
            }
            self.go_on(core, &keys, &bytes);
            gone_on.push(core);
        }
        for core in gone_on {
            self.settle(core);
        }
        stays.map_or(Ok(()), Err)
    }

    fn check_empty(&self, core: usize) {
        let left = self.cores[core].shard.counts();
        assert_eq!(
            (left.connections, left.streams, left.listeners, left.topics),
            (0, 0, 0, 3),
            "of what left something is still here"
        );
        assert_eq!((left.sessions, left.calls), (0, 0));
    }

    fn go_on(&mut self, core: usize, keys: &[ConnectionKey], bytes: &[u8]) {
        let now = self.now;
        let whole = read_again(bytes);
        let is_compared = self.broken.is_none() && !self.unlike;
        let left = is_compared.then(|| in_order(&whole));
        let spoilt = match self.broken {
            Some(_) => self.spoil_sessions(&whole),
            None => whole,
        };
        let shard = &mut self.cores[core].shard;
        let resumed = shard.handle_resume(now, spoilt).expect("it goes on");
        assert_eq!(resumed, keys, "connections have other keys now");
        if let Some(left) = left {
            let again = shard.handle_freeze(now);
            let again = again.expect("nothing has happened since");
            let arrived = in_order(&again);
            assert!(left == arrived, "{}", difference(&left, &arrived, ""));
            let resumed = shard.handle_resume(now, again).expect("it goes on");
            assert_eq!(resumed, keys);
        }
        for key in keys {
            let id = self.by_key[&(core, *key)];
            self.ask_for_bytes(id);
        }
    }

    /// As a broken driver would hand it over.
    fn spoil_sessions(&mut self, frozen: &FrozenShard) -> FrozenShard {
        let mut value = serde_json::to_value(frozen).expect("plain values");
        let sessions = value["sessions"].as_array_mut().expect("a list");
        for session in sessions {
            let spoilt = self.spoil(session.take());
            let read: TravellingSession = serde_json::from_value(spoilt).expect("it reads back");
            *session = serde_json::to_value(read).expect("plain values");
        }
        serde_json::from_value(value).expect("it reads back")
    }
}

/// What went along that is rare.
fn kinds(frozen: &FrozenShard) -> Vec<String> {
    let shown = shown(frozen);
    let mut met = Vec::new();
    for connection in shown["connections"].as_array().expect("a list") {
        let under_way = &connection["connection"]["under_way"];
        if !under_way["partial"].is_null() {
            met.push("half a request went along".to_owned());
        }
        if under_way["lingers"] == true {
            met.push("a connection that ends went along".to_owned());
        }
        if under_way["input_ended"] == true {
            met.push("a client that sends nothing more went along".to_owned());
        }
    }
    met
}

fn shown(frozen: &FrozenShard) -> Value {
    serde_json::to_value(frozen).expect("plain values")
}

/// A guest among its sessions may have another slot, and what is in common another place.
fn in_order(frozen: &FrozenShard) -> Value {
    let mut shown = shown(frozen);
    let parts = shown["parts"].take();
    let part = |list: &str, place: &Value| {
        let place = place.as_u64().and_then(|it| usize::try_from(it).ok());
        place.map_or(Value::Null, |it| parts[list][it].clone())
    };
    for (kind, owner) in [("sessions", "session"), ("connections", "listen")] {
        for it in shown[kind].as_array_mut().expect("a list") {
            let Some(owner) = it.get_mut(owner).filter(|it| !it.is_null()) else {
                continue;
            };
            owner["client_info"] = part("clients", &owner["client_info"]);
            let topics = owner["listener"]["subscriptions"].as_array_mut();
            for topic in topics.into_iter().flatten() {
                *topic = part("topics", topic);
            }
        }
    }
    let sessions = shown["sessions"].as_array_mut().expect("a list");
    sessions.sort_by_key(|it| it["session"]["id"].to_string());
    shown
}

/// The first one.
fn difference(left: &Value, arrived: &Value, path: &str) -> String {
    match (left, arrived) {
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other.values());
            let different = pairs.clone().find(|((_, one), other)| one != other);
            different.map_or_else(String::new, |((name, one), other)| {
                difference(one, other, &format!("{path}.{name}"))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            let different = pairs.find(|(_, (one, other))| one != other);
            different.map_or_else(String::new, |(place, (one, other))| {
                difference(one, other, &format!("{path}[{place}]"))
            })
        }
        _ => format!("{path}: {left} / {arrived}"),
    }
}
