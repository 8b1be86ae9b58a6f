//! Sessions that are not here: of another node, of an earlier process, or gone. And what the other nodes should know
//! of those that are.
//!
//! A request for another node's session waits, unread beyond its head, until the driver knows whether that node lives
//! ([`Effect::Locate`]). Then its connection leaves with all that was read of it ([`Effect::Forward`]), or the request
//! is served here: with a 404 that says why.

use super::answer::{JSON, Refused, error_message};
use super::connection::{Connection, State};
use super::{ConnectionKey, Effect, Millis, SessionKey, Shard};
use crate::app::call::{SessionEnd, TellRefused};
use crate::clients::Client;
use crate::mcp::ProtocolVersion;
use crate::wire::HeadView;
use crate::wire::forwarded::{FORWARDED, FORWARDED_CLIENT, FORWARDED_LINE_BYTES_MAX, PeerSecret};
use crate::wire::http1::{Framing, Method};
use crate::wire::session_id::SessionId;

/// What a shard must know to live among other nodes.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// None: requests are neither passed on nor taken from other nodes.
    pub secret: Option<PeerSecret>,
}

/// Why a session is not had: `data.reason` of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nobody has heard of it.
    Unknown,
    /// Deleted, or idle for too long.
    Expired,
    /// It lived in an earlier process of its node.
    OwnerRestarted,
    /// Its node has not been heard of for some seconds.
    OwnerDown,
    /// Its node is said to live but does not answer.
    OwnerUnreachable,
    /// Its node lives, and requests are not passed on.
    Misrouted,
    /// Whether its node lives cannot be found out now. The one reason that is not final.
    CannotTell,
}

/// What the driver found out about a session of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// Its node lives and takes the request.
    There,
    Gone(Gone),
}

/// What other nodes, or whoever watches this one, should know.
#[derive(Clone, Debug)]
pub enum Presence {
    Opened {
        session: SessionId,
        about: Box<SessionAbout>,
    },
    /// It is there: told when it is used, once a day, and now and then to find out whether its record still is.
    Active { session: SessionId },
    /// It is over, or was found to be: also a session of another node or process that its client deletes here.
    Ended { session: SessionId },
    /// It ends because its process does.
    Restarting { session: SessionId },
    /// A request for a session that should be here and is not.
    Missed { session: SessionId, gone: Gone },
    /// A request was passed on to its session's node, which broke off before it answered: the client was told 502.
    BrokeOff { session: SessionId },
    /// A request was refused that claimed to come from another node.
    Forged,
}

/// What a session's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAbout {
    pub version: ProtocolVersion,
    /// `name` and `version` of `clientInfo`, if it says so.
    pub client_name: Option<Box<str>>,
    pub client_version: Option<Box<str>>,
    /// By this shard's clock.
    pub created_at: Millis,
}

/// Of a client's name and of its version, in a record.
const CLIENT_TEXT_CHARS_MAX: usize = 64;
/// How many sessions are announced per look at the timers: a hundred thousand take seconds, and nobody notices.
const ANNOUNCE_AT_ONCE: usize = 1024;

/// How many looks it takes at least to verify every record once: a minute, at a look every 1.5 s.
const VERIFY_ROUND: usize = 40;
/// How many records are verified at a look: 6 KB to Redis. A hundred thousand sessions of a core take forty minutes; but of
/// many that were lost the first that is missed brings back all.
const VERIFY_AT_ONCE: usize = 64;

impl Gone {
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Gone::Unknown => "unknown",
            Gone::Expired => "expired",
            Gone::OwnerRestarted => "owner_restarted",
            Gone::OwnerDown => "owner_down",
            Gone::OwnerUnreachable | Gone::CannotTell => "owner_unreachable",
            Gone::Misrouted => "misrouted",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Gone::Unknown => "this id was never given out, or long ago.",
            Gone::Expired => "it was deleted, or idle for too long.",
            Gone::OwnerRestarted => {
                "the node that had it was restarted since, and sessions live in its memory."
            }
            Gone::OwnerDown => "the node that had it is down.",
            Gone::OwnerUnreachable => "the node that has it does not answer.",
            Gone::Misrouted => {
                "another node has it, and this one does not pass requests on: the proxy should route by the node's \
                 name, which leads the session id."
            }
            Gone::CannotTell => "another node has it, and where that is cannot be found out now.",
        }
    }

    pub(super) fn refused(self) -> Refused {
        if self == Gone::CannotTell {
            let sentence = format!("Session not here: {} Try again.", self.sentence());
            return Refused {
                retry_after_s: Some(1),
                ..Refused::with_reason(self.status(), self.reason(), sentence)
            };
        }
        let advice = "Send initialize again, without Mcp-Session-Id.";
        let sentence = format!("Session not found: {} {advice}", self.sentence());
        Refused::with_reason(self.status(), self.reason(), sentence)
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Gone::CannotTell => 503,
            _ => 404,
        }
    }

    /// The answer to a request that no shard has any more, and the last one on its connection.
    #[must_use]
    pub fn last_answer(self) -> Vec<u8> {
        let refused = self.refused();
        let body = error_message(None, &refused.error);
        let name = match refused.status {
            503 => "Service Unavailable\r\nRetry-After: 1",
            _ => "Not Found",
        };
        let head = format!(
            "HTTP/1.1 {} {name}\r\nConnection: close\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n\r\n",
            refused.status,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

impl From<TellRefused> for Gone {
    fn from(why: TellRefused) -> Self {
        match why {
            TellRefused::OwnerRestarted => Gone::OwnerRestarted,
            TellRefused::Expired => Gone::Expired,
            TellRefused::OtherNode
            | TellRefused::Unknown
            | TellRefused::Full
            | TellRefused::Busy => Gone::Unknown,
        }
    }
}

impl Shard {
    /// Whether the session's node lives ([`Effect::Locate`] asked for it). Too late if the client is gone.
    pub fn handle_located(&mut self, now: Millis, key: ConnectionKey, located: Located) {
        self.now = now;
        let asked = |connection: &&mut Connection| matches!(connection.state, State::ExpectOwner);
        let Some(connection) = self.connections.get_mut(key).filter(asked) else {
            return;
        };
        match located {
            Located::Gone(gone) => {
                connection.state = State::ExpectHead;
                connection.gone = Some(gone);
                self.freed.push_back(key);
                self.serve_freed();
            }
            Located::There => {
                let (bytes, client) = (connection.take_inbox(), connection.client);
                if let Some(ticket) = self.remove_with_ticket(key) {
                    self.effects.push_back(Effect::Forward {
                        connection: key,
                        bytes,
                        client,
                        ticket,
                    });
                }
            }
        }
    }

    /// A connection whose request could not be passed on after all comes back with what was read of it.
    pub fn handle_return(&mut self, now: Millis, key: ConnectionKey, bytes: &[u8], gone: Gone) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.gone = Some(gone);
        }
        self.handle_bytes(now, key, bytes);
    }

    /// Announces every session again, some at each look at the timers: whoever kept their records has lost them.
    pub fn handle_announce(&mut self) {
        self.announced = Some(0);
    }

    /// Says of some sessions that they are there, the next ones each time: whoever keeps their records looks whether it
    /// still has them.
    pub fn handle_verify(&mut self) {
        if self.cluster.is_none() {
            return;
        }
        let slots = self.sessions.slot_count();
        let count = slots.div_ceil(VERIFY_ROUND).min(VERIFY_AT_ONCE);
        let from = if self.verified < slots {
            self.verified
        } else {
            0
        };
        let keys: Vec<SessionKey> = self
            .sessions
            .range(from, count)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let session = self.session_id(key);
            self.say(Presence::Active { session });
        }
        self.verified = from + count;
    }

    /// The process ends, and every session with it.
    pub fn handle_end(&mut self) {
        let sessions: Vec<_> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in sessions {
            let session = self.session_id(key);
            self.announce_restarting(session);
            self.tell_ended(session, SessionEnd::NodeEnds);
        }
    }

    pub(super) fn announce_some(&mut self) {
        let Some(from) = self.announced else { return };
        let keys: Vec<SessionKey> = self
            .sessions
            .range(from, ANNOUNCE_AT_ONCE)
            .map(|(key, _)| key)
            .collect();
        keys.iter().for_each(|&key| self.announce_opened(key));
        let next = from + ANNOUNCE_AT_ONCE;
        self.announced = (next < self.sessions.slot_count()).then_some(next);
    }

    /// The other node's session that a request is for, if somebody has to ask for its node first. Requests that are
    /// refused for another reason, and those that were passed on already, are served here.
    pub(super) fn belongs_elsewhere(
        &self,
        key: ConnectionKey,
        view: &HeadView<'_>,
    ) -> Option<SessionId> {
        self.cluster.as_ref()?;
        let id = SessionId::parse(view.single("mcp-session-id").ok()??)?;
        let connection = self.connections.get(key)?;
        let head = view.head();
        let asked_for = matches!(head.method, Method::Get | Method::Post | Method::Delete);
        let modern =
            view.field("mcp-protocol-version") == Some(ProtocolVersion::V2026_07_28.as_str());
        let fits = match head.framing {
            Framing::Length(length) => length <= self.limits.body_bytes_max as u64,
            Framing::None | Framing::Chunked => true,
        };
        (id.node != self.node
            && connection.gone.is_none()
            && asked_for
            && !modern
            && fits
            && view.field(FORWARDED).is_none()
            && self.gate.admit(view).is_ok())
        .then_some(id)
    }

    /// Earlier answers leave from here first; until then the request waits in the inbox.
    pub(super) fn ask_for_owner(
        &mut self,
        key: ConnectionKey,
        session: SessionId,
    ) -> Option<usize> {
        let now = self.now;
        let connection = self.connections.get_mut(key)?;
        if !connection.is_writing() {
            connection.state = State::ExpectOwner;
            connection.since = now;
            self.effects.push_back(Effect::Locate {
                connection: key,
                session,
            });
        }
        None
    }

    /// What a head may have beyond its limit: a node that passes it on adds its word to it.
    pub(super) fn forwarded_bytes_max(&self) -> usize {
        let takes = |cluster: &Cluster| cluster.secret.is_some();
        match self.cluster.as_ref().is_some_and(takes) {
            true => FORWARDED_LINE_BYTES_MAX,
            false => 0,
        }
    }

    /// A client's own head has the limit to itself.
    pub(super) fn is_too_large(&self, view: &HeadView<'_>) -> bool {
        let len = view.head().len as usize;
        len > self.limits.head_bytes_max && view.field(FORWARDED).is_none()
    }

    /// Who says that a node passed a request on proves it.
    pub(super) fn check_forwarded(
        &mut self,
        key: ConnectionKey,
        request: &HeadView<'_>,
    ) -> Result<(), Refused> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        if request.field(FORWARDED).is_none() {
            return Ok(());
        }
        let session = request.field("mcp-session-id").unwrap_or_default();
        let word = request.single(FORWARDED).ok().flatten();
        let proven = cluster
            .secret
            .as_ref()
            .zip(word)
            .and_then(|(secret, word)| {
                let from = secret.verify(word, session)?;
                // A client may have sent one of its own.
                let mut words = request.fields_named(FORWARDED_CLIENT);
                Some(words.find_map(|word| secret.verify_client(word, from, session)))
            });
        let Some(client) = proven else {
            self.say(Presence::Forged);
            return Err(forged());
        };
        // Nodes of the version before do not say whose it is.
        self.is_named(key, client.map(Client::of));
        Ok(())
    }

    pub(super) fn announce_opened(&mut self, key: SessionKey) {
        let today = day(self.now);
        if self.cluster.is_none() {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.announced_on = today;
        let info = session.profile.info.as_ref();
        let text = |member: &str| {
            let text = info?.get(member)?.as_str()?;
            Some(text.chars().take(CLIENT_TEXT_CHARS_MAX).collect())
        };
        let about = Box::new(SessionAbout {
            version: session.version,
            client_name: text("name"),
            client_version: text("version"),
            created_at: u64::from(session.created_at_s) * 1000,
        });
        let session = self.session_id(key);
        self.say(Presence::Opened { session, about });
    }

    /// A session is used; its record lives on for another while if that is told once a day.
    pub(super) fn announce_active(&mut self, key: SessionKey) {
        let today = day(self.now);
        if self.cluster.is_none() {
            return;
        }
        if let Some(session) = self.sessions.get_mut(key)
            && session.announced_on != today
        {
            session.announced_on = today;
            let session = self.session_id(key);
            self.say(Presence::Active { session });
        }
    }

    pub(super) fn announce_ended(&mut self, session: SessionId) {
        if self.cluster.is_some() {
            self.say(Presence::Ended { session });
        }
    }

    pub(super) fn announce_restarting(&mut self, session: SessionId) {
        if self.cluster.is_some() {
            self.say(Presence::Restarting { session });
        }
    }

    pub(super) fn announce_missed(&mut self, session: &str, gone: Gone) {
        if self.cluster.is_some()
            && let Some(session) = SessionId::parse(session)
        {
            self.say(Presence::Missed { session, gone });
        }
    }

    fn say(&mut self, presence: Presence) {
        self.effects.push_back(Effect::Say(presence));
    }
}

fn forged() -> Refused {
    let sentence = "Pinfold-Forwarded does not come from a node of this cluster. Clients leave it out; nodes share \
                    one --peer-secret-file.";
    Refused::with_reason(403, "forged_forward", sentence)
}

/// Days since the shard's clock started, told apart for 180 years.
fn day(now: Millis) -> u16 {
    (now / 86_400_000) as u16
}
