//! What leaves a core: a connection for another core or another node, a body that a thread of its own looks at.

use std::rc::Rc;

use futures_channel::oneshot;

use super::clock;
use super::core::{Core, refuse, stream_of};
use super::forward::{self, Origin};
use super::mailbox::Letter;
use crate::budget::Charge;
use crate::clients::{Client, Ticket};
use crate::shard::{ConnectionKey, Look, TooMany};
use crate::tasks;

impl Core {
    /// A body that takes long to look at.
    pub(super) fn look(self: &Rc<Self>, key: ConnectionKey, look: Look, charge: Charge) {
        let core = self.clone();
        let (sender, looked) = oneshot::channel();
        let work = self.blocking.run_own(Box::new(move || {
            // Nobody waits for it if the core is gone.
            let _ = sender.send(look.run());
        }));
        tasks::spawn(async move {
            let _ = work.await;
            if let Ok(looked) = looked.await {
                core.shard
                    .borrow_mut()
                    .handle_looked(clock::now(), key, &looked);
            }
            drop(charge);
            core.pump();
        });
    }

    /// The connection goes to the session, never the session's data to the connection.
    pub(super) fn send_away(&self, key: ConnectionKey, core: u16, bytes: Vec<u8>, ticket: Ticket) {
        let Some(stream) = self.take_socket(key) else {
            return;
        };
        let peer = stream.peer_addr().ok().map(|address| address.ip());
        let letter = Letter::Connection {
            stream,
            peer,
            bytes,
            ticket,
        };
        self.publisher.mailbox(core.into()).post(letter);
    }

    pub(super) fn forward(
        self: &Rc<Self>,
        key: ConnectionKey,
        bytes: Vec<u8>,
        client: Option<Client>,
        mut ticket: Ticket,
    ) {
        let Some(stream) = self.take_socket(key) else {
            return;
        };
        if ticket.widen().is_err() {
            return refuse(&stream, TooMany::OfNode);
        }
        let Some(charge) = self.hold(client, forward::EXCHANGE_BYTES) else {
            return refuse(&stream, TooMany::OfNode);
        };
        let peer = stream.peer_addr().ok().map(|address| address.ip());
        match stream_of(stream.into()) {
            Ok(stream) => {
                let origin = Origin {
                    peer,
                    client,
                    ticket,
                    charge,
                };
                forward::start(self, stream, origin, bytes);
            }
            Err(fault) => self.complain_of_forwarding(&fault),
        }
    }

    /// Room in the node's budget for what is held outside of the shard. Connections of the shard may end for it.
    pub(super) fn hold(self: &Rc<Self>, client: Option<Client>, count: usize) -> Option<Charge> {
        let charge = self
            .shard
            .borrow_mut()
            .handle_hold(clock::now(), client, count);
        self.pump();
        charge
    }
}
