//! A listener as a value that can travel: what it is subscribed to, and what of that is still to be delivered.
//!
//! It leaves at a place in the log, and arrives at the same place: what each of its topics was published at last goes with
//! it, so that the other core knows as much of them as it needs for this listener. Who else hears of a topic there has
//! no notification due to that: it had it, or came later.
//!
//! Thousands of listeners that travel together hear of the same few hundred topics. So each topic is there once, beside them,
//! and a listener names it by its place in that list ([`PackedTopics`]).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::super::grant::{Grant, HeldRights, OwnNames};
use super::super::wheel::Timer;
use super::listener::Subscription;
use super::topic::TopicEntry;
use super::{Fanout, Listener, ListenerKey, ListenerKind, WantedTopic};
use crate::app::call::Topic;
use crate::clients::{Client, Millis};
use crate::principal::{PrincipalId, Scopes};
use crate::shard::stays::is_default;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::shard) struct PackedListener {
    /// Everything up to here was delivered, or was never to be.
    delivered_through: u64,
    /// The session's last targeted message that left on its standalone stream.
    #[serde(skip_serializing_if = "is_default")]
    sequence: u32,
    /// The places of their topics in the list beside.
    #[serde(skip_serializing_if = "is_default")]
    subscriptions: Vec<u32>,
    /// Which of these were published, and the listener was not notified since.
    #[serde(skip_serializing_if = "is_default")]
    pending: Vec<u32>,
    /// Which of these were published for the listener's principal alone, and where in the log that was last.
    #[serde(skip_serializing_if = "is_default")]
    directed: Vec<(u32, u64)>,
    /// For whom they are counted.
    #[serde(skip_serializing_if = "is_default")]
    payer: Option<Client>,
    /// By what whoever reads there hears.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Box<PackedGrant>>,
    /// Events so far.
    #[serde(skip_serializing_if = "is_default")]
    events: u32,
    #[serde(skip_serializing_if = "is_default")]
    opened_at_s: u32,
}

#[derive(Clone, Serialize, Deserialize)]
struct PackedGrant {
    principal: [u8; 16],
    scopes: Vec<Box<str>>,
    /// Subject and tenant.
    names: Option<(Box<str>, Option<Box<str>>)>,
    valid_until: u32,
    issued_at: u32,
    /// By which epoch of the rules its core had looked at it; another one's it has to be looked at anew.
    epoch: u64,
}

/// Topics of listeners that travel together.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::shard::engine) struct PackedTopics(Vec<PackedTopic>);

#[derive(Clone, Serialize, Deserialize)]
struct PackedTopic {
    name: TopicName,
    /// Where in the log it was published last, as far as its core knew.
    last_offset: u64,
}

#[derive(Clone, Serialize, Deserialize)]
enum TopicName {
    Tools,
    Prompts,
    Resources,
    Resource {
        /// As the client spells it, and as it is published if that is another spelling.
        uri: Box<str>,
        own: Option<Box<str>>,
    },
}

/// Of listeners that leave.
#[derive(Default)]
pub(in crate::shard::engine) struct TopicsLeaving {
    packed: PackedTopics,
    /// The place of each that has one, by the number that it has at its core.
    places: Vec<Option<u32>>,
}

/// Of listeners that arrive.
pub(in crate::shard::engine) struct TopicsArriving {
    packed: PackedTopics,
    /// What number each has here, once a listener has come that hears of it. None of them leaves meanwhile.
    numbers: Vec<Option<u32>>,
    /// Where one of them was published last.
    newest: u64,
}

impl Fanout {
    /// Takes a listener out, as if it had never been here.
    pub(in crate::shard::engine) fn pack(
        &mut self,
        key: ListenerKey,
        epoch: u64,
        topics: &mut TopicsLeaving,
    ) -> Option<PackedListener> {
        let Listener {
            // Both are made anew of what it belongs to.
            kind: _,
            grant,
            payer,
            sink: _,
            delivered_through,
            sequence,
            subscriptions,
            slots: _,
            // Each of them says so.
            pending: _,
            // Its stream's messages say so.
            messages: _,
            // Its session's revision does.
            is_named: _,
            queued: _,
            events,
            opened_at_s,
            // Whoever lets go of it has taken it.
            client_info: _,
        } = self.listeners.get(key)?;
        let mut listener = PackedListener {
            delivered_through: *delivered_through,
            sequence: *sequence,
            subscriptions: Vec::with_capacity(subscriptions.len()),
            pending: Vec::new(),
            directed: Vec::new(),
            payer: *payer,
            grant: grant
                .as_deref()
                .map(|it| Box::new(PackedGrant::of(it, epoch))),
            events: *events,
            opened_at_s: *opened_at_s,
        };
        for (nth, subscription) in (0..).zip(subscriptions) {
            let Subscription {
                topic,
                position: _,
                pending,
                // It is there if it has a place in the log.
                directed: _,
            } = subscription;
            let place = topics.place_of(*topic, &self.topics[*topic as usize]);
            listener.subscriptions.push(place);
            listener.pending.extend(pending.then_some(nth));
            let directed = self.directed.place(key, subscription);
            listener.directed.extend(directed.map(|it| (nth, it)));
        }
        self.close(key);
        Some(listener)
    }

    /// Its subscriptions find room in any case: they had it before. `named` is what it was called, if anybody calls it that,
    /// and how many slots there may be for that.
    pub(in crate::shard::engine) fn unpack(
        &mut self,
        listener: PackedListener,
        kind: ListenerKind,
        named: Option<(ListenerKey, usize)>,
        (topics, now): (&mut TopicsArriving, Millis),
    ) -> ListenerKey {
        let PackedListener {
            delivered_through,
            sequence,
            subscriptions,
            pending,
            directed,
            payer,
            grant,
            events,
            opened_at_s,
        } = listener;
        let entry = Listener {
            kind,
            grant: grant.map(|it| Box::new(it.unpack())),
            // It is taken in below.
            payer: None,
            sink: None,
            delivered_through,
            sequence,
            subscriptions: Vec::with_capacity(subscriptions.len()),
            slots: None,
            pending: 0,
            messages: false,
            is_named: false,
            queued: false,
            events,
            opened_at_s,
            client_info: None,
        };
        let key = match named {
            Some((named, slots_max)) => {
                let slots_max = slots_max.max(self.names_max);
                self.listeners.insert_as(named, slots_max, entry)
            }
            None => self.listeners.insert(entry),
        };
        for place in &subscriptions {
            if let Some(number) = self.number_of(*place, topics) {
                self.subscribe_to(key, number);
            }
        }
        let place = |nth: u32| subscriptions.get(nth as usize).copied();
        for nth in pending {
            if let Some((slot, _)) = self.slot_again(key, place(nth), topics)
                && let Some(listener) = self.listeners.get_mut(key)
            {
                listener.mark(slot);
            }
        }
        for (nth, offset) in directed {
            if let Some(subscription) = self.slot_again(key, place(nth), topics) {
                self.note_directed(key, subscription, offset);
            }
        }
        self.joins_principal(key);
        self.take_in(key, payer, now);
        key
    }

    /// Names of listeners that arrive are among so many: those of a core whose place this one takes.
    pub(in crate::shard::engine) fn give_names_again(&mut self, slot_count: usize) {
        self.names_max = slot_count;
    }

    /// How many slots its listeners' names may be of.
    pub(in crate::shard::engine) fn names(&self) -> usize {
        self.names_max.max(self.listeners.slot_count())
    }

    /// The number of a topic that has arrived.
    fn number_of(&mut self, place: u32, topics: &mut TopicsArriving) -> Option<u32> {
        let number = topics.numbers.get_mut(place as usize)?;
        if number.is_none() {
            let PackedTopic { name, last_offset } = topics.packed.0.get(place as usize)?;
            let here = self.topic_index(&WantedTopic::from(name.clone()));
            let entry = &mut self.topics[here as usize];
            entry.last_offset = entry.last_offset.max(*last_offset);
            *number = Some(here);
        }
        *number
    }

    /// Where a listener has a topic that has arrived, and that topic's number.
    fn slot_again(
        &mut self,
        key: ListenerKey,
        place: Option<u32>,
        topics: &mut TopicsArriving,
    ) -> Option<(usize, u32)> {
        let number = self.number_of(place?, topics)?;
        let slot = self.listeners.get(key)?.slot_of(number)?;
        Some((slot, number))
    }

    /// The JSON-RPC id of a listen request, as JSON. None: it is a session's listener, or none.
    pub(in crate::shard::engine) fn listen_id(&self, key: ListenerKey) -> Option<String> {
        let ListenerKind::Listen(id) = &self.listeners.get(key)?.kind else {
            return None;
        };
        let mut json = Vec::new();
        id.emit(&mut json);
        String::from_utf8(json).ok()
    }
}

impl PackedGrant {
    fn of(grant: &Grant, epoch: u64) -> PackedGrant {
        let Grant {
            principal,
            rights,
            valid_until,
            issued_at,
            // It is armed where it arrives.
            timer: _,
            // By which epoch that was.
            looked: _,
        } = grant;
        let HeldRights { scopes, names } = &**rights;
        let names = names.as_ref().map(|names| {
            let OwnNames { subject, tenant } = names;
            (subject.clone(), tenant.clone())
        });
        PackedGrant {
            principal: principal.to_bytes(),
            scopes: scopes.iter().map(Box::from).collect(),
            names,
            valid_until: *valid_until,
            issued_at: *issued_at,
            epoch,
        }
    }

    fn unpack(self) -> Grant {
        let PackedGrant {
            principal,
            scopes,
            names,
            valid_until,
            issued_at,
            epoch: _,
        } = self;
        Grant {
            principal: PrincipalId::from_bytes(principal),
            rights: Rc::new(HeldRights {
                scopes: Scopes::of(scopes.iter().map(|it| &**it)),
                names: names.map(|(subject, tenant)| OwnNames { subject, tenant }),
            }),
            valid_until,
            issued_at,
            timer: Timer::default(),
            looked: 0,
        }
    }
}

impl PackedTopics {
    pub(in crate::shard::engine) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TopicsLeaving {
    fn place_of(&mut self, number: u32, topic: &TopicEntry) -> u32 {
        let number = number as usize;
        if self.places.len() <= number {
            self.places.resize(number + 1, None);
        }
        *self.places[number].get_or_insert_with(|| {
            let TopicEntry {
                uri,
                own,
                // Made of the two.
                head: _,
                last_offset,
                // They come with it.
                subscribers: _,
            } = topic;
            let name = match (uri, number) {
                (Some(uri), _) => TopicName::Resource {
                    uri: (**uri).into(),
                    own: own.as_deref().map(Box::from),
                },
                (None, 0) => TopicName::Tools,
                (None, 1) => TopicName::Prompts,
                (None, _) => TopicName::Resources,
            };
            self.packed.0.push(PackedTopic {
                name,
                last_offset: *last_offset,
            });
            self.packed.0.len() as u32 - 1
        })
    }

    pub(in crate::shard::engine) fn packed(self) -> PackedTopics {
        self.packed
    }
}

impl TopicsArriving {
    pub(in crate::shard::engine) fn of(packed: PackedTopics) -> TopicsArriving {
        let offsets = packed.0.iter().map(|it| it.last_offset);
        TopicsArriving {
            newest: offsets.max().unwrap_or(0),
            numbers: vec![None; packed.0.len()],
            packed,
        }
    }

    /// As they came.
    pub(in crate::shard::engine) fn packed(self) -> PackedTopics {
        self.packed
    }

    /// Whether it names only what is there.
    pub(in crate::shard::engine) fn has_all_of(&self, listener: &PackedListener) -> bool {
        let subscriptions = &listener.subscriptions;
        let are_there =
            |places: &[u32], count: usize| places.iter().all(|&it| (it as usize) < count);
        let mut directed = listener.directed.iter();
        are_there(subscriptions, self.packed.0.len())
            && are_there(&listener.pending, subscriptions.len())
            && directed.all(|&(nth, _)| (nth as usize) < subscriptions.len())
    }

    /// The last place in the log that one knows of who hears of these.
    pub(in crate::shard::engine) fn newest(&self, listener: &PackedListener) -> u64 {
        let directed = listener.directed.iter().map(|&(_, offset)| offset);
        let newest = self.newest.max(listener.delivered_through);
        directed.fold(newest, u64::max)
    }
}

impl PackedListener {
    /// By which epoch of the rules it was looked at.
    pub(in crate::shard::engine) fn epoch(&self) -> u64 {
        self.grant.as_ref().map_or(0, |grant| grant.epoch)
    }
}

impl From<TopicName> for WantedTopic {
    fn from(topic: TopicName) -> Self {
        match topic {
            TopicName::Tools => WantedTopic::of(Topic::Tools),
            TopicName::Prompts => WantedTopic::of(Topic::Prompts),
            TopicName::Resources => WantedTopic::of(Topic::Resources),
            TopicName::Resource { uri, own } => WantedTopic {
                topic: Topic::Resource(uri),
                own,
            },
        }
    }
}
