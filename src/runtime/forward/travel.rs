//! The sockets of streams that are passed on, lent while their core stands still, and those of streams that go on here.

use std::net::TcpStream as StdStream;
use std::sync::Arc;

use super::{Forwarding, Pair, clock};
use crate::clients::Commons;
use crate::forward::{PassageKey, TravellingStream};

/// Streams as they are now, whose sockets are away until [`Forwarding::give_back`].
#[derive(Default)]
pub(in crate::runtime) struct Lent {
    keys: Vec<PassageKey>,
    pub(in crate::runtime) streams: Vec<TravellingStream>,
}

impl Forwarding {
    /// What is under way and has to be waited for before the core can stand still.
    pub(in crate::runtime) fn held_up(&self) -> usize {
        self.forwarder.borrow().held_up()
    }

    /// The streams, and two sockets of each: the client's, then that to its session's node.
    pub(in crate::runtime) fn lend(&self, sockets: &mut Vec<StdStream>) -> Lent {
        let Forwarding {
            // To the rest of the node.
            cluster: _,
            forwarder,
            // Sockets are watched anew.
            readiness: _,
            // By the streams' keys, below.
            pairs: _,
            // Closed with their process.
            idle: _,
            // Handed on by the pump.
            said: _,
            // Of its log.
            complained: _,
        } = self;
        let mut lent = Lent::default();
        for (key, stream) in forwarder.borrow().streams() {
            match self.take_pair(key) {
                Some(Pair {
                    client,
                    owner: Some(owner),
                }) => {
                    sockets.extend([client, owner]);
                    lent.keys.push(key);
                    lent.streams.push(stream);
                }
                // It has lost its owner, and ends.
                Some(Pair {
                    client,
                    owner: None,
                }) => self.keep_pair(key, client, None),
                None => {}
            }
        }
        lent
    }

    /// They are back, in the same order.
    pub(in crate::runtime) fn give_back(
        &self,
        lent: &Lent,
        sockets: impl IntoIterator<Item = StdStream>,
    ) {
        let mut sockets = sockets.into_iter();
        for &key in &lent.keys {
            if let Some(client) = sockets.next() {
                self.keep_pair(key, client, sockets.next());
            }
        }
    }

    /// Streams of the core whose place this one takes go on. Nothing is done with a socket before the core is polled.
    /// False: they are none.
    pub(in crate::runtime) fn resume(
        &self,
        commons: &Arc<Commons>,
        streams: Vec<TravellingStream>,
        sockets: impl IntoIterator<Item = StdStream>,
    ) -> bool {
        let mut sockets = sockets.into_iter();
        let (mut forwarder, now) = (self.forwarder.borrow_mut(), clock::now());
        streams.into_iter().all(|stream| {
            let pair = sockets.next().zip(sockets.next());
            let key = forwarder.handle_resume(now, commons, stream);
            pair.zip(key).is_some_and(|((client, owner), key)| {
                self.keep_pair(key, client, Some(owner));
                true
            })
        })
    }

    pub(super) fn keep_pair(&self, key: PassageKey, client: StdStream, owner: Option<StdStream>) {
        let (mut pairs, index) = (self.pairs.borrow_mut(), key.index as usize);
        if pairs.len() <= index {
            pairs.resize_with(index + 1, || None);
        }
        pairs[index] = Some(Pair { client, owner });
    }
}
