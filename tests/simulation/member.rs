//! One node of a fleet: its world of clients, its bus and the two connections of that, a board.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pinfold::app::call::{Notice, Topic};
use pinfold::app::contents::{Body, Change, ContentStore, Contents, StoreRefused};
use pinfold::cluster::bus::{Add, Ask, Bus, Heard, Here, Setup};
use pinfold::wire::session_id::{Locator, NodeName, SessionId};

use crate::world::World;

/// How a broken bus would behave. For tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusBreakage {
    /// A reader that comes back goes on one entry too late.
    ResumesTooLate,
    /// A gap is not told.
    HidesGaps,
    /// What a connection broke over counts as added.
    ForgetsWhatWasUnderWay,
    /// What is published while there is no connection is told here only.
    ForgetsOutages,
    /// After Redis was emptied nobody puts contents back.
    LeavesTheBoardEmpty,
}

/// One connection of a bus, and what is under way on it.
pub(crate) enum Wire<Request, Reply> {
    Down,
    Idle,
    Sent(Request),
    Answered(Reply),
}

pub(crate) struct Member {
    pub(crate) world: RefCell<World>,
    pub(crate) name: String,
    pub(crate) bus: Bus,
    pub(crate) writer: Wire<Vec<Add>, Vec<bool>>,
    pub(crate) reader: Wire<Ask, Heard>,
    pub(crate) store: Arc<FakeStore>,
    /// Messages that its sessions were told, and those that one of them was.
    pub(crate) told: RefCell<BTreeSet<u64>>,
    pub(crate) came_back: bool,
    pub(crate) hides_gaps: bool,
}

/// A board without limits.
#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) entries: Mutex<BTreeMap<Box<str>, Contents>>,
}

impl ContentStore for FakeStore {
    fn put(&self, uri: &str, contents: Option<Contents>) -> Result<Change, StoreRefused> {
        let mut entries = self.entries.lock().unwrap();
        let before = entries.get(uri).cloned();
        let change = Change {
            list: before.is_some() != contents.is_some(),
            contents: before != contents,
        };
        match contents {
            Some(contents) => drop(entries.insert(uri.into(), contents)),
            None => drop(entries.remove(uri)),
        }
        Ok(change)
    }

    fn check(&self, _: &str, _: Option<&Contents>) -> Result<(), StoreRefused> {
        Ok(())
    }

    fn get(&self, uri: &str) -> Option<Contents> {
        self.entries.lock().unwrap().get(uri).cloned()
    }

    fn uris_after(&self, uri: Option<&str>, count: usize) -> Vec<Box<str>> {
        let entries = self.entries.lock().unwrap();
        let later = entries
            .keys()
            .filter(|own| uri.is_none_or(|uri| &***own > uri));
        later.take(count.min(2)).cloned().collect()
    }
}

/// What a bus does on its node.
pub(crate) struct Hands<'a> {
    world: &'a RefCell<World>,
    told: &'a RefCell<BTreeSet<u64>>,
    pub(crate) hides_gaps: bool,
}

impl Hands<'_> {
    fn told(&self, notice: &Notice) {
        let Notice::Message { params, .. } = notice else {
            panic!("only messages are told");
        };
        let message: serde_json::Value = serde_json::from_str(params).unwrap();
        let new = self
            .told
            .borrow_mut()
            .insert(message["data"].as_u64().unwrap());
        assert!(new, "told twice: {params}");
    }
}

impl Here for Hands<'_> {
    fn publish(&self, floor: u64, topics: Vec<Topic>) -> u64 {
        let mut world = self.world.borrow_mut();
        for topic in topics {
            world.node.publish_at(floor, topic);
        }
        world.node.offset
    }

    fn tell_all(&self, _: u64, notice: Notice) -> u64 {
        self.told(&notice);
        self.world.borrow().node.offset
    }

    fn tell(&self, _: &str, notice: Notice) {
        self.told(&notice);
    }

    fn gap(&self, _: u64) {
        if !self.hides_gaps {
            self.world.borrow_mut().node.gap();
        }
    }
}

impl Member {
    pub(crate) fn new(name: String, seed: u64, boot: u64, broken: Option<BusBreakage>) -> Self {
        let mut world = World::new(seed, None);
        world.posted = Some(Vec::new());
        let store = Arc::new(FakeStore::default());
        let bus = Bus::new(Setup {
            node: NodeName::new(&name).expect("a name"),
            boot,
            store: Some(store.clone()),
            uri_bytes_max: 64,
        });
        Member {
            world: RefCell::new(world),
            name,
            bus,
            writer: Wire::Down,
            reader: Wire::Down,
            store,
            told: RefCell::default(),
            came_back: false,
            hides_gaps: broken == Some(BusBreakage::HidesGaps),
        }
    }

    pub(crate) fn hands(&mut self) -> (&mut Bus, Hands<'_>) {
        let hands = Hands {
            world: &self.world,
            told: &self.told,
            hides_gaps: self.hides_gaps,
        };
        (&mut self.bus, hands)
    }
}

pub(crate) fn contents(number: u64) -> Contents {
    Contents {
        mime_type: None,
        name: None,
        description: None,
        body: Body::Text(number.to_string()),
    }
}

pub(crate) fn read_back((uri, value): (&Vec<u8>, &Vec<u8>)) -> (Box<str>, Contents) {
    let value = std::str::from_utf8(value).unwrap();
    let (_, json) = value.split_once(' ').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let number = json["text"].as_str().unwrap().parse().unwrap();
    (std::str::from_utf8(uri).unwrap().into(), contents(number))
}

pub(crate) fn session_of(node: &str) -> String {
    let id = SessionId {
        node: NodeName::new(node).expect("a name"),
        locator: Locator {
            core: 0,
            slot: 0,
            generation: 0,
            boot: 1,
        },
        secret: [7; 16],
    };
    let mut text = String::new();
    id.emit(&mut text);
    text
}
