//! What the other nodes should know of sessions: which are here, which ended, and which were asked for here in vain.

use super::session_lifecycle::SessionEnding;
use super::takeover::ANNOUNCED_BYTES_AT_ONCE;
use super::{
    Engine, EngineOutput, Millis, MissReason, SessionEvent, SessionId, SessionInfo, SessionKey,
};
use crate::app::call::SessionEnd;
use crate::shard::portable::PortableSession;

/// Of a client's name and of its version, in a record.
const CLIENT_TEXT_CHARS_MAX: usize = 64;
/// How many sessions are announced per look at the timers: a hundred thousand take seconds, and nobody notices.
const ANNOUNCE_AT_ONCE: usize = 1024;

/// How many looks it takes at least to verify every record once: a minute, at a look every 1.5 s.
const VERIFY_ROUND: usize = 40;
/// How many records are verified at a look: 6 KB to Redis. A hundred thousand sessions of a core take forty minutes; but of
/// many that were lost the first that is missed brings back all.
const VERIFY_AT_ONCE: usize = 64;

impl Engine {
    /// Announces every session again, some at each look at the timers: whoever kept their records has lost them.
    pub(in crate::shard) fn handle_announce(&mut self) {
        self.announced = Some(0);
    }

    /// Says of some sessions that they are there, the next ones each time: whoever keeps their records looks whether it
    /// still has them.
    pub(in crate::shard) fn handle_verify(&mut self) {
        if !self.is_clustered {
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
            self.say(SessionEvent::Active { session });
        }
        self.verified = from + count;
    }

    /// The process ends, and every session with it that does not go on elsewhere.
    pub(in crate::shard) fn handle_end(&mut self) {
        let sessions: Vec<_> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in sessions {
            let id = self.session_id(key);
            let why = match self.let_go_at_end(key) {
                true => SessionEnd::TakenOver,
                false => {
                    self.announce_restarting(id);
                    SessionEnd::NodeEnds
                }
            };
            self.note_session_ended(key, SessionEnding::Over(why));
            if self.is_begun(key) {
                self.hook_ended(id, why);
            }
        }
    }

    pub(super) fn announce_some(&mut self) {
        let Some(from) = self.announced else { return };
        let keys: Vec<SessionKey> = self
            .sessions
            .range(from, ANNOUNCE_AT_ONCE)
            .map(|(key, _)| key)
            .collect();
        let (mut next, mut bytes) = (from + ANNOUNCE_AT_ONCE, 0);
        for key in keys {
            bytes += self.announce_opened(key);
            if bytes >= ANNOUNCED_BYTES_AT_ONCE {
                next = key.index as usize + 1;
                break;
            }
        }
        self.announced = (next < self.sessions.slot_count()).then_some(next);
    }

    /// Bytes of what it takes to live on elsewhere, about, as far as that is said with it.
    pub(super) fn announce_opened(&mut self, key: SessionKey) -> usize {
        let today = day(self.now);
        let Some(info) = self.session_info(key) else {
            return 0;
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.announced_on = today;
        }
        let session = self.session_id(key);
        let bytes = info.state.as_deref().map_or(0, PortableSession::weight);
        self.say(SessionEvent::Opened { session, info });
        bytes
    }

    /// What its record says. None: nobody has records, or there is no such session.
    pub(super) fn session_info(&mut self, key: SessionKey) -> Option<Box<SessionInfo>> {
        if !self.is_clustered {
            return None;
        }
        let (fence, state) = (self.adopted(key).fence, self.portable_state(key));
        let session = self.sessions.get(key)?;
        let info = session.client_info.info.as_ref();
        let text = |member: &str| {
            let text = info?.get(member)?.as_str()?;
            Some(text.chars().take(CLIENT_TEXT_CHARS_MAX).collect())
        };
        Some(Box::new(SessionInfo {
            version: session.version(),
            client_name: text("name"),
            client_version: text("version"),
            created_at: u64::from(session.created_at_s) * 1000,
            fence,
            state,
        }))
    }

    /// A session is used; its record lives on for another while if that is told once a day.
    pub(super) fn announce_active(&mut self, key: SessionKey) {
        let today = day(self.now);
        if !self.is_clustered {
            return;
        }
        if let Some(session) = self.sessions.get_mut(key)
            && session.announced_on != today
        {
            session.announced_on = today;
            let session = self.session_id(key);
            self.say(SessionEvent::Active { session });
        }
    }

    pub(super) fn announce_ended(&mut self, session: SessionId) {
        if self.is_clustered {
            self.say(SessionEvent::Ended { session });
        }
    }

    pub(super) fn announce_restarting(&mut self, session: SessionId) {
        if self.is_clustered {
            self.say(SessionEvent::Restarting { session });
        }
    }

    pub(super) fn announce_missed(&mut self, session: Option<&SessionId>, gone: MissReason) {
        if self.is_clustered
            && let Some(&session) = session
        {
            self.say(SessionEvent::Missed { session, gone });
        }
    }

    pub(super) fn say(&mut self, presence: SessionEvent) {
        self.outputs.push_back(EngineOutput::Announce(presence));
    }
}

/// Days since the shard's clock started, told apart for 180 years.
fn day(now: Millis) -> u16 {
    (now / 86_400_000) as u16
}
