//! One node of a fleet: its world of clients, its bus and the two connections of that, a board.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use pinfold::PrincipalId;
use pinfold::app::call::{Notice, Topic};
use pinfold::app::contents::{Body, Change, ContentStore, Contents, StoreRefused};
use pinfold::internals::cluster::bus::id::EntryId;
use pinfold::internals::cluster::bus::{
    Add, Applied, Bus, BusRequest, BusResponse, BusSetup, LocalLog, Placed,
};
use pinfold::internals::wire::session_id::{Locator, NodeName, SessionId};

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
    /// What an entry tells of and the hash does not have counts as taken away.
    DeletesFromAbsence,
    /// What a scan did not find counts as taken away, whatever became of Redis meanwhile.
    BelievesScans,
    /// What came late to a node's board is not told again.
    TellsOnce,
    /// Clients are told before other nodes can answer with it.
    TellsAtOnce,
    /// Of two writes the one that came to Redis last stands.
    OrdersByArrival,
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
    pub(crate) process: String,
    started_ms: u64,
    pub(crate) writer: Wire<Vec<Add>, Vec<Option<Placed>>>,
    /// On the same connection.
    pub(crate) progress: Wire<Applied, EntryId>,
    pub(crate) reader: Wire<BusRequest, BusResponse>,
    pub(crate) store: Arc<FakeStore>,
    /// Messages that its sessions were told, and those that one of them was.
    pub(crate) delivered: RefCell<BTreeSet<u64>>,
    /// What its clients were told since that was looked at last.
    pub(crate) news: RefCell<Vec<News>>,
    /// Of Redis, when it looked last.
    pub(crate) token: Option<Box<str>>,
    pub(crate) came_back: bool,
    pub(crate) hides_gaps: bool,
}

/// What all clients of a node were told who hear of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Changed(Box<str>),
    Anything,
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
    delivered: &'a RefCell<BTreeSet<u64>>,
    news: &'a RefCell<Vec<News>>,
    pub(crate) hides_gaps: bool,
}

impl Hands<'_> {
    fn delivered(&self, notice: &Notice) {
        let Notice::Message { params, .. } = notice else {
            panic!("only messages are told");
        };
        let message: serde_json::Value = serde_json::from_str(params).unwrap();
        let new = self
            .delivered
            .borrow_mut()
            .insert(message["data"].as_u64().unwrap());
        assert!(new, "told twice: {params}");
    }
}

impl LocalLog for Hands<'_> {
    fn publish(&self, floor: u64, topics: Vec<Topic>) -> u64 {
        let mut world = self.world.borrow_mut();
        for topic in topics {
            if let Topic::Resource(uri) = &topic {
                self.news.borrow_mut().push(News::Changed(uri.clone()));
            }
            world.node.publish_at(floor, topic);
        }
        world.node.offset
    }

    fn publish_to(&self, floor: u64, principal: PrincipalId, topic: Topic) -> u64 {
        let node = &mut self.world.borrow_mut().node;
        node.publish_to(principal, topic, floor)
    }

    fn notify_all(&self, _: u64, notice: Notice) -> u64 {
        self.delivered(&notice);
        self.world.borrow().node.offset
    }

    fn notify_session(&self, _: &str, notice: Notice) {
        self.delivered(&notice);
    }

    fn gap(&self, _: u64) {
        if !self.hides_gaps {
            self.world.borrow_mut().node.gap();
            self.news.borrow_mut().push(News::Anything);
        }
    }
}

impl Member {
    pub(crate) fn new(
        name: String,
        seed: u64,
        incarnation: u64,
        now_ms: u64,
        broken: Option<BusBreakage>,
    ) -> Self {
        let mut world = World::new(seed, None);
        world.posted = Some(Vec::new());
        let store = Arc::new(FakeStore::default());
        let setup = BusSetup {
            node: NodeName::new(&name).expect("a name"),
            incarnation,
            store: Some(store.clone()),
            uri_bytes_max: 64,
        };
        Member {
            world: RefCell::new(world),
            process: format!("{name}.{incarnation:x}"),
            name,
            bus: Bus::new(setup, now_ms),
            started_ms: now_ms,
            writer: Wire::Down,
            progress: Wire::Down,
            reader: Wire::Down,
            store,
            delivered: RefCell::default(),
            news: RefCell::default(),
            token: None,
            came_back: false,
            hides_gaps: broken == Some(BusBreakage::HidesGaps),
        }
    }

    /// By the clock of its process.
    pub(crate) fn now_ms(&self, redis_ms: u64) -> u64 {
        redis_ms - self.started_ms
    }

    pub(crate) fn text(&self, uri: &str) -> Option<String> {
        let entries = self.store.entries.lock().unwrap();
        entries.get(uri).map(|contents| match &contents.body {
            Body::Text(text) => text.clone(),
            Body::Blob(_) => unreachable!("nobody publishes bytes"),
        })
    }

    pub(crate) fn hands(&mut self) -> (&mut Bus, Hands<'_>) {
        let hands = Hands {
            world: &self.world,
            delivered: &self.delivered,
            news: &self.news,
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
            incarnation: 1,
        },
        secret: [7; 16],
    };
    let mut text = String::new();
    id.emit(&mut text);
    text
}
