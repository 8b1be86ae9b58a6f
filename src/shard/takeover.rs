//! A shard among nodes that take over each other's sessions: what the control thread tells it.

use super::portable::PortableSession;
use super::{ConnectionKey, Located, Millis, MissReason, NotTaken, Shard};
use crate::wire::session_id::SessionId;

impl Shard {
    /// A session of a node that is gone, or let go of it, goes on here from now on. Its record says so already, under this
    /// number.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn handle_adopt(
        &mut self,
        now: Millis,
        id: SessionId,
        fence: u64,
        state: &PortableSession,
    ) -> Result<(), NotTaken> {
        self.at(now);
        let adopted = self.engine.handle_adopt(&mut self.http, id, fence, state);
        self.go_on();
        adopted
    }

    /// Other nodes have these sessions now, each under this number: here they end without a word to anybody but their
    /// clients, who come back and find them there.
    pub fn handle_let_go(&mut self, now: Millis, sessions: &[(SessionId, u64)]) {
        self.at(now);
        self.engine.handle_let_go(&mut self.http, sessions);
        self.go_on();
    }

    /// Until then no other node takes this one's sessions over, and they are served; later they wait for another lease.
    /// None: no other node ever does.
    pub fn handle_lease(&mut self, now: Millis, until: Option<Millis>) {
        self.at(now);
        self.engine.handle_lease(until);
        self.go_on();
    }

    /// Where the session of a request that waits is ([`Effect::Locate`](super::Effect::Locate) asked for it). Too late if the
    /// client is gone.
    pub fn handle_located(&mut self, now: Millis, key: ConnectionKey, located: Located) {
        self.at(now);
        match located {
            Located::Gone(gone) => self.http.handle_word(key, gone),
            Located::There if self.http.was_passed_on(key) => {
                // It came from another node, which believes that the session is here: they find out what is true before long.
                self.http.handle_word(key, MissReason::CannotTell);
            }
            Located::There => self.http.handle_leave(key),
            // If it is not, it ended a moment ago.
            Located::Here { core } if core == self.engine.core() => {
                self.http.handle_word(key, MissReason::Unknown);
            }
            Located::Here { core } => self.http.handle_leave_for(key, core),
        }
        self.go_on();
    }
}
