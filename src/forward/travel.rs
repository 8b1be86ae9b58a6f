//! Streams of other nodes' sessions that go on in the process that takes this one's place.
//!
//! | what is passed on | how it travels |
//! |---|---|
//! | a stream, from its head on | with both sockets: where its framing stands, what its client did not take, what that sent ahead |
//! | a request that is not answered yet, or a stream without its head | it does not: it is waited for, and ends in its time |
//! | a question where a session is | its request waits in the shard, and stays with that |
//! | idle connections to other nodes | they are closed with their process, and others are opened |
//! | which nodes have which sessions | it is asked again |
//!
//! What travels is described, and not taken out: the old process ends, or goes on as if nothing had been.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::passage::{Passage, PassageKey, PassageState, SocketInterest};
use super::relay::{Relay, RelayBuffer, TravellingRelay};
use super::{ForwardEffect, Forwarder};
use crate::clients::{Client, Commons, Ticket};
use crate::shard::Millis;
use crate::wire::session_id::SessionId;

/// A stream that is passed on, on its way. Its sockets are beside it: the client's, and that to the session's node.
#[derive(Clone, Serialize, Deserialize)]
pub struct TravellingStream {
    session: String,
    /// The client sends nothing more.
    ended: bool,
    /// For whom it counts among the connections of one client.
    client: Option<Client>,
    relay: TravellingRelay,
}

impl Forwarder {
    /// What is under way and does not travel.
    #[must_use]
    pub fn held_up(&self) -> usize {
        let passages = self.passages.iter();
        let exchanges = passages.filter(|(_, it)| matches!(it.state, PassageState::Exchange(_)));
        exchanges.count() + usize::from(self.has_work())
    }

    /// The streams as they are now. Nothing changes.
    pub fn streams(&self) -> impl Iterator<Item = (PassageKey, TravellingStream)> + '_ {
        let Forwarder {
            // Settings: whoever goes on is given the same.
            node: _,
            path: _,
            secret: _,
            limits: _,
            read_bytes_max: _,
            // Asked again.
            owners: _,
            askers: _,
            asking: _,
            // Closed with their process.
            pool: _,
            passages,
            // Keys are the driver's, who gets others with the streams.
            generation: _,
            timed: _,
            looked_at: _,
            // A node that drains stands still for nobody.
            drain: _,
            // There is nothing: it is held up by that.
            effects: _,
            outgoing: _,
            unsettled: _,
            sink: _,
            // Counted since the process began.
            counts: _,
        } = self;
        passages.iter().filter_map(|(index, passage)| {
            let Passage {
                generation,
                // Whoever has the sockets there waits for what is wanted of them.
                client_watched: _,
                owner_watched: _,
                ended,
                session,
                ticket,
                state,
            } = passage;
            let PassageState::Relay(relay) = state else {
                return None;
            };
            let key = PassageKey {
                index: index as u32,
                generation: *generation,
            };
            let stream = TravellingStream {
                session: session.text(),
                ended: *ended,
                client: ticket.client(),
                relay: relay.describe(),
            };
            Some((key, stream))
        })
    }

    /// A stream goes on here: its places are taken in any case, it had them before. None: it is no stream that was ever passed on.
    pub fn handle_resume(
        &mut self,
        now: Millis,
        commons: &Arc<Commons>,
        stream: TravellingStream,
    ) -> Option<PassageKey> {
        let TravellingStream {
            session,
            ended,
            client,
            relay,
        } = stream;
        let session = SessionId::parse(&session)?;
        let relay = Some(Relay::again(relay)).filter(Relay::is_sound)?;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let wanted = [
            (RelayBuffer::Unsent, relay.unsent().len()),
            (RelayBuffer::Ahead, relay.ahead()),
        ];
        let index = self.passages.insert(Passage {
            generation,
            client_watched: SocketInterest::Nothing,
            owner_watched: SocketInterest::Nothing,
            ended,
            session,
            ticket: Ticket::again(commons, client, now),
            state: PassageState::Relay(relay),
        }) as u32;
        let key = PassageKey { index, generation };
        let wanted = wanted.into_iter().filter(|(_, count)| *count > 0);
        let held = wanted.map(|(what, held)| {
            let count = match what {
                RelayBuffer::Unsent => held,
                RelayBuffer::Ahead => self.limits.pipeline_bytes_max + self.read_bytes_max,
            };
            ForwardEffect::Hold { key, what, count }
        });
        self.effects.extend(held);
        self.settle(key);
        Some(key)
    }
}
