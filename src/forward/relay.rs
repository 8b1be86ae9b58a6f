//! A stream of another node's session, from its head to its end: where its framing stands.
//!
//! Most of a stream's life is silence, so nothing here has a time or a buffer of its own. What comes from the owner goes
//! on as it is. Only a client that does not take everything at once, or sends something ahead, costs more.

use serde::{Deserialize, Serialize};

use super::request::BodyRest;
use super::unsent::UnsentBytes;
use crate::budget::Charge;
use crate::shard::Millis;

pub(super) struct Relay {
    body: BodyRest,
    /// When the owner last said something.
    heard: Millis,
    /// What few clients need.
    more: Option<Box<RelayExtras>>,
}

#[derive(Default)]
struct RelayExtras {
    /// What the client sent after its request, and its part of the node's budget.
    read_ahead: Vec<u8>,
    ahead_charge: Option<Charge>,
    is_charging: bool,
    /// What the client did not take yet, and its part.
    unsent: UnsentBytes,
    unsent_charge: Option<Charge>,
}

/// A relay as it is written down.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TravellingRelay {
    body: BodyRest,
    heard: Millis,
    read_ahead: Vec<u8>,
    unsent: Vec<u8>,
    /// When the client last took some of that.
    stuck_since: Millis,
}

/// For what a relay asks room in the node's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayBuffer {
    /// What its client sends ahead.
    Ahead,
    /// What its client does not take.
    Unsent,
}

impl Relay {
    pub(super) fn new(now: Millis, body: BodyRest, read_ahead: Vec<u8>) -> Relay {
        let more = (!read_ahead.is_empty()).then(|| {
            Box::new(RelayExtras {
                read_ahead,
                ..RelayExtras::default()
            })
        });
        Relay {
            body,
            heard: now,
            more,
        }
    }

    pub(super) fn describe(&self) -> TravellingRelay {
        let Relay { body, heard, more } = self;
        let mut relay = TravellingRelay {
            body: body.clone(),
            heard: *heard,
            read_ahead: Vec::new(),
            unsent: Vec::new(),
            stuck_since: 0,
        };
        if let Some(more) = more {
            let RelayExtras {
                read_ahead,
                // Charged where it arrives.
                ahead_charge: _,
                is_charging: _,
                unsent,
                unsent_charge: _,
            } = &**more;
            relay.read_ahead = read_ahead.clone();
            relay.unsent = unsent.bytes().to_vec();
            relay.stuck_since = unsent.since();
        }
        relay
    }

    /// What was written down. Its charges are still to come.
    pub(super) fn again(relay: TravellingRelay) -> Relay {
        let TravellingRelay {
            body,
            heard,
            read_ahead,
            unsent,
            stuck_since,
        } = relay;
        let mut again = Relay::new(heard, body, read_ahead);
        if let Some(more) = &mut again.more {
            more.is_charging = true;
        }
        if !unsent.is_empty() {
            again.keep_unsent(stuck_since, &unsent);
        }
        again
    }

    pub(super) fn is_sound(&self) -> bool {
        self.body.is_sound() || self.is_slow()
    }

    fn more(&mut self) -> &mut RelayExtras {
        self.more.get_or_insert_default()
    }

    /// The owner's bytes go on as they are. False: they are no body, or more than one.
    pub(super) fn owner_bytes(&mut self, now: Millis, bytes: &[u8], sink: &mut Vec<u8>) -> bool {
        self.heard = now;
        self.body.take(bytes, sink) == Ok(bytes.len())
    }

    /// Ends for its client as its owner would have ended it: it is whole once that is sent. False: it is in the middle of something.
    pub(super) fn end(&mut self, now: Millis) -> bool {
        let Some(last) = self.body.last_bytes() else {
            return false;
        };
        self.body = BodyRest::Nothing;
        self.keep_unsent(now, last);
        true
    }

    /// Its client does not take the end of it, or all that comes before.
    pub(super) fn has_ended(&self) -> bool {
        self.body.is_nothing()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.body.is_nothing() && !self.is_slow()
    }

    /// The client did not take the last of what came.
    pub(super) fn keep_unsent(&mut self, now: Millis, bytes: &[u8]) {
        self.more().unsent.push(now, bytes);
    }

    pub(super) fn is_slow(&self) -> bool {
        self.more.as_ref().is_some_and(|it| !it.unsent.is_empty())
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.more.as_ref().map_or(&[], |it| it.unsent.bytes())
    }

    pub(super) fn sent(&mut self, now: Millis, count: usize) {
        let more = self.more();
        more.unsent.sent(now, count);
        if more.unsent.is_empty() {
            (more.unsent, more.unsent_charge) = (UnsentBytes::default(), None);
        }
        if more.is_needless() {
            self.more = None;
        }
    }

    /// The client has nothing to say on a stream but that it leaves; what it sends is for when the stream has ended.
    /// True: it is not charged yet.
    pub(super) fn client_bytes(&mut self, bytes: &[u8]) -> bool {
        let more = self.more();
        more.read_ahead.extend_from_slice(bytes);
        more.ahead_charge.is_none() && !std::mem::replace(&mut more.is_charging, true)
    }

    pub(super) fn reads_client(&self, ahead_max: usize) -> bool {
        self.ahead() < ahead_max
    }

    pub(super) fn ahead(&self) -> usize {
        self.more.as_ref().map_or(0, |it| it.read_ahead.len())
    }

    pub(super) fn charge(&mut self, what: RelayBuffer, charge: Charge) {
        let more = self.more();
        match what {
            RelayBuffer::Ahead => more.ahead_charge = Some(charge),
            // It may have been taken meanwhile.
            RelayBuffer::Unsent if more.unsent.is_empty() => {}
            RelayBuffer::Unsent => more.unsent_charge = Some(charge),
        }
    }

    pub(super) fn is_silent(&self, now: Millis, silence: Millis) -> bool {
        now > self.heard + silence
    }

    pub(super) fn due(&self, stall_max: Millis) -> Option<Millis> {
        self.more.as_ref()?.unsent.stalls_at(stall_max)
    }

    pub(super) fn take_ahead(&mut self) -> Vec<u8> {
        self.more
            .take()
            .map_or_else(Vec::new, |more| more.read_ahead)
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.ahead() + self.unsent().len()
    }
}

impl RelayExtras {
    fn is_needless(&self) -> bool {
        self.read_ahead.is_empty() && self.unsent.is_empty() && self.ahead_charge.is_none()
    }
}
