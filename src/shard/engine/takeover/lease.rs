//! The lease by which a core has its sessions: until it ends nobody takes them over.

use super::super::{Closed, Engine, ExchangeOwner, Millis, Refused, SessionKey, Wire};

/// Nobody takes sessions over.
pub(in crate::shard::engine) const NO_LEASE: Millis = Millis::MAX;

impl Engine {
    /// Until then nobody takes this node's sessions over. None: nobody ever does.
    pub(in crate::shard) fn handle_lease(&mut self, until: Option<Millis>) {
        let Some(takeover) = &mut self.takeover else {
            return;
        };
        let was_over = self.now >= self.lease_until;
        self.lease_until = until.unwrap_or(NO_LEASE);
        if !was_over || self.now >= self.lease_until {
            return;
        }
        takeover.is_cut_off = false;
        // What was due to them in the meantime was passed over.
        for (_, session) in self.sessions.iter() {
            self.fanout.resume(session.listener);
        }
    }

    /// Others may have taken over what is here.
    pub(in crate::shard::engine) fn is_cut_off(&self) -> bool {
        self.now >= self.lease_until
    }

    /// Another node may have it by now.
    pub(in crate::shard::engine) fn is_withheld(&self, key: SessionKey) -> bool {
        let session = self.is_cut_off().then(|| self.sessions.get(key));
        session.flatten().is_some_and(|it| !it.is_its_stream())
    }

    /// When it has to be noticed that the lease is over.
    pub(in crate::shard::engine) fn lease_deadline(&self) -> Option<Millis> {
        let is_watched = self.lease_until != NO_LEASE;
        let is_new = self.takeover.as_ref().is_some_and(|it| !it.is_cut_off);
        (is_watched && is_new).then_some(self.lease_until)
    }

    /// The lease is over: whoever hears here of what may be another node's by now comes back later, or there.
    pub(in crate::shard::engine) fn cut_off(&mut self, wire: &mut impl Wire<ExchangeOwner>) {
        if !self.is_cut_off() {
            return;
        }
        let Some(takeover) = self.takeover.as_mut().filter(|it| !it.is_cut_off) else {
            return;
        };
        takeover.is_cut_off = true;
        let sessions = self.sessions.iter();
        let open: Vec<_> = sessions
            .filter(|(_, it)| !it.is_its_stream())
            .filter_map(|(_, it)| {
                let stream = it.standalone?;
                Some((stream, self.streams.get(stream)?.exchange?))
            })
            .collect();
        for (stream, exchange) in open {
            self.give_up_stream(wire, stream, exchange, Closed::Draining);
        }
    }

    /// Whether a session may be asked for now.
    pub(in crate::shard::engine) fn check_lease(&self, key: SessionKey) -> Result<(), Refused> {
        if !self.is_withheld(key) {
            return Ok(());
        }
        let sentence = "This node does not reach the others for now, and one of them may have taken this session over: try again.";
        Err(Refused {
            retry_after_s: Some(1),
            ..Refused::with_reason(503, "cut_off", sentence)
        })
    }
}
