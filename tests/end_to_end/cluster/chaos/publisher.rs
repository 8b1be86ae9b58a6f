//! Publishers: at random nodes, and as another program by XADD. What they are told goes into the ledger.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::try_post;
use super::super::redis::{Reply, ask};
use super::ledger::{Outcome, Text, Write};
use super::timeline::Name;
use super::world::{World, now};
use super::{PAUSE, URIS, uri};
use crate::random::Random;

const PUBLISHERS: u64 = 3;
/// Between two publications of one publisher.
const REST_MS_MAX: usize = 250;

pub(super) fn start(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let start = |number| {
        let world = world.clone();
        std::thread::spawn(move || {
            let mut random = Random::new(world.seed ^ (0x5eed_0000 + number));
            let mut publisher = Publisher {
                world: &world,
                number,
                count: 0,
            };
            while !world.is_over() {
                let rest = random.below(REST_MS_MAX) as u64;
                std::thread::sleep(Duration::from_millis(rest).max(PAUSE));
                // In this order: whoever sees nobody busy after it said stop sees nobody begin.
                world.busy.fetch_add(1, Ordering::SeqCst);
                if world.publishing.load(Ordering::SeqCst) {
                    publisher.publish(&mut random);
                }
                world.busy.fetch_sub(1, Ordering::SeqCst);
            }
        })
    };
    (0..PUBLISHERS).map(start).collect()
}

struct Publisher<'a> {
    world: &'a World,
    number: u64,
    count: u64,
}

impl Publisher<'_> {
    fn publish(&mut self, random: &mut Random) {
        let node = &self.world.nodes[random.below(self.world.nodes.len())];
        let uri = uri(random.below(URIS));
        self.count += 1;
        let text = (!random.one_in(12)).then(|| format!("{}.{}", self.number, self.count));
        match random.below(10) {
            0 => {
                let item = json!({"topic": "tools"});
                let write = self.at_node(node.name, &node.admin, &item, None);
                self.world.ledger().note_tools(write);
            }
            1 => {
                let write = self.by_redis(&uri, text);
                self.world.ledger().note(&uri, write);
            }
            _ => {
                let item = json!({"uri": uri, "contents": text});
                let write = self.at_node(node.name, &node.admin, &item, text);
                self.world.ledger().note(&uri, write);
            }
        }
    }

    fn at_node(&self, name: Name, admin: &str, item: &Value, text: Text) -> Write {
        let asked = now();
        let answer = try_post(&format!("{admin}/publish"), &[], &json!([item]));
        let answered = now();
        let told: Option<Value> = answer.and_then(|it| serde_json::from_str(&it.body).ok());
        let outcome = match told.as_ref().map(|told| &told[0]) {
            None => Outcome::Unknown,
            Some(item) if item["accepted"] == true => match item["kept"].as_str() {
                Some("cluster") => Outcome::KeptByCluster,
                _ => Outcome::KeptByNode,
            },
            // It may have reached some.
            Some(item) if item["reason"] == "busy" => Outcome::Unknown,
            Some(_) => Outcome::Refused,
        };
        let what = match outcome {
            Outcome::KeptByCluster => "accepted, kept by the cluster",
            Outcome::KeptByNode => "accepted, kept by a node",
            Outcome::Refused => "refused",
            _ => "no answer",
        };
        self.world.count("publishes", what);
        Write {
            text,
            node: Some(name),
            asked,
            answered,
            outcome,
        }
    }

    fn by_redis(&self, uri: &str, text: Text) -> Write {
        let asked = now();
        let (field, value) = match &text {
            Some(text) => ("text", text.as_str()),
            None => ("gone", "1"),
        };
        let reply = ask(
            self.world.redis_port,
            &["XADD", "mcp:bus", "*", "uri", uri, field, value],
        );
        let outcome = match reply {
            Some(Reply::Text(_)) => Outcome::KeptByCluster,
            Some(_) => Outcome::Refused,
            None => Outcome::Unknown,
        };
        let what = match outcome {
            Outcome::KeptByCluster => "added by XADD",
            _ => "XADD without an answer",
        };
        self.world.count("publishes", what);
        Write {
            text,
            node: None,
            asked,
            answered: now(),
            outcome,
        }
    }
}
