//! A listener as a value that can travel: what it is subscribed to, and what of that is still to be delivered.
//!
//! It leaves at a place in the log, and arrives at the same place: what each of its topics was published at last goes with
//! it, so that the other core knows as much of them as it needs for this listener. Who else hears of a topic there has
//! no notification due to that: it had it, or came later.

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

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::shard) struct PackedListener {
    /// Everything up to here was delivered, or was never to be.
    delivered_through: u64,
    /// The session's last targeted message that left on its standalone stream.
    sequence: u32,
    subscriptions: Vec<PackedSubscription>,
    /// For whom they are counted.
    payer: Option<Client>,
    /// By what whoever reads there hears.
    #[serde(default)]
    grant: Option<Box<PackedGrant>>,
    /// Events so far.
    #[serde(default)]
    events: u32,
    #[serde(default)]
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

#[derive(Clone, Serialize, Deserialize)]
struct PackedSubscription {
    topic: PackedTopic,
    /// It was published, and the listener was not notified since.
    pending: bool,
    /// Where in the log it was published last, as far as its core knew.
    last_offset: u64,
    /// Where it was published last for the listener's principal alone.
    #[serde(default)]
    directed: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
enum PackedTopic {
    Tools,
    Prompts,
    Resources,
    Resource {
        /// As the client spells it, and as it is published if that is another spelling.
        uri: Box<str>,
        own: Option<Box<str>>,
    },
}

impl Fanout {
    /// Takes a listener out, as if it had never been here.
    pub(in crate::shard::engine) fn pack(
        &mut self,
        key: ListenerKey,
        epoch: u64,
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
        let (delivered_through, sequence) = (*delivered_through, *sequence);
        let (events, opened_at_s) = (*events, *opened_at_s);
        let subscriptions = subscriptions
            .iter()
            .map(|it| self.pack_subscription(key, it));
        let subscriptions = subscriptions.collect();
        let payer = *payer;
        let grant = grant
            .as_deref()
            .map(|it| Box::new(PackedGrant::of(it, epoch)));
        self.close(key);
        Some(PackedListener {
            delivered_through,
            sequence,
            subscriptions,
            payer,
            grant,
            events,
            opened_at_s,
        })
    }

    fn pack_subscription(
        &self,
        key: ListenerKey,
        subscription: &Subscription,
    ) -> PackedSubscription {
        let Subscription {
            topic,
            position: _,
            pending,
            // It is there if it has a place in the log.
            directed: _,
        } = subscription;
        let TopicEntry {
            uri,
            own,
            head: _,
            last_offset,
            subscribers: _,
        } = &self.topics[*topic as usize];
        PackedSubscription {
            topic: match (uri, topic) {
                (Some(uri), _) => PackedTopic::Resource {
                    uri: (**uri).into(),
                    own: own.as_deref().map(Box::from),
                },
                (None, 0) => PackedTopic::Tools,
                (None, 1) => PackedTopic::Prompts,
                (None, _) => PackedTopic::Resources,
            },
            pending: *pending,
            last_offset: *last_offset,
            directed: self.directed.place(key, subscription),
        }
    }

    /// Its subscriptions find room in any case: they had it before. `named` is what it was called, if anybody calls it that,
    /// and how many slots there may be for that.
    pub(in crate::shard::engine) fn unpack(
        &mut self,
        listener: PackedListener,
        kind: ListenerKind,
        named: Option<(ListenerKey, usize)>,
        now: Millis,
    ) -> ListenerKey {
        let PackedListener {
            delivered_through,
            sequence,
            subscriptions,
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
            Some((named, slots_max)) => self.listeners.insert_as(named, slots_max, entry),
            None => self.listeners.insert(entry),
        };
        for subscription in subscriptions {
            self.unpack_subscription(key, subscription);
        }
        self.joins_principal(key);
        self.take_in(key, payer, now);
        key
    }

    fn unpack_subscription(&mut self, key: ListenerKey, subscription: PackedSubscription) {
        let PackedSubscription {
            topic,
            pending,
            last_offset,
            directed,
        } = subscription;
        let interest = WantedTopic::from(topic);
        self.subscribe(key, &interest);
        let Some(index) = self.find(&interest.topic) else {
            return;
        };
        let entry = &mut self.topics[index as usize];
        entry.last_offset = entry.last_offset.max(last_offset);
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        let Some(slot) = listener.slot_of(index) else {
            return;
        };
        if pending {
            listener.mark(slot);
        }
        if let Some(offset) = directed {
            self.note_directed(key, (slot, index), offset);
        }
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

impl PackedListener {
    /// By which epoch of the rules it was looked at.
    pub(in crate::shard::engine) fn epoch(&self) -> u64 {
        self.grant.as_ref().map_or(0, |grant| grant.epoch)
    }

    /// The last place in the log that it knows of.
    pub(in crate::shard::engine) fn newest(&self) -> u64 {
        let places = self.subscriptions.iter();
        let places = places.map(|it| it.directed.unwrap_or(0).max(it.last_offset));
        let newest = places.max();
        self.delivered_through.max(newest.unwrap_or(0))
    }
}

impl From<PackedTopic> for WantedTopic {
    fn from(topic: PackedTopic) -> Self {
        match topic {
            PackedTopic::Tools => WantedTopic::of(Topic::Tools),
            PackedTopic::Prompts => WantedTopic::of(Topic::Prompts),
            PackedTopic::Resources => WantedTopic::of(Topic::Resources),
            PackedTopic::Resource { uri, own } => WantedTopic {
                topic: Topic::Resource(uri),
                own,
            },
        }
    }
}
