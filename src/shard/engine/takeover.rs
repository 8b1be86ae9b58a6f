//! Sessions that change their node: this one takes over those of a node that is gone or drains, and lets go of its own.
//!
//! A node is told by others, through the control thread, and believes it: [`Engine::handle_adopt`] is for a session whose record
//! says already that it is here, [`Engine::handle_let_go`] for those whose records say that they are elsewhere. In between,
//! nobody takes over what is here before [`Engine::handle_lease`] says; from then on this core serves no session that others
//! may have (`503`, `cut_off`) until it has the lease again.
//!
//! What an adopted session lost is said once: everything that it may hear of is pending when it arrives, and a question of the
//! process before has a number that no later one has. Its subscriptions are asked for anew, as its client would.
//!
//! Where nodes do not do this, [`Engine`] has no [`Takeover`] and no lease, and a request costs a comparison of two numbers.

mod lease;

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::value::RawValue;

pub(super) use self::lease::NO_LEASE;
use super::client_info::ClientInfo;
use super::fanout::{Lease, ListenerKey, ListenerKind, WantedTopic};
use super::moved::place_of;
use super::session::{LOG_LEVEL_DEFAULT, Session};
use super::session_lifecycle::SessionEnding;
use super::{Engine, ExchangeOwner, SessionEvent, SessionId, SessionKey, Wire};
use crate::app::call::{LISTS, Lifecycle, NotifyRefused, Subscriber};
use crate::clients::Client;
use crate::mcp::{Era, ProtocolVersion};
use crate::principal::PrincipalId;
use crate::shard::engine::arena::Key;
use crate::shard::portable::PortableSession;
use crate::shard::stays::NotTaken;
use crate::shard::view::{AdoptedRow, Portability};

/// Sessions whose records are written again at a look at the timers. A client that changes much between two looks costs one.
const CHANGED_AT_ONCE: usize = 128;
/// Of states in records that are written again as soon as they change, between two looks, about. What changes beyond that waits
/// for the next look, and once for all that changes of a session.
const SAID_AT_ONCE: usize = 128 * 1024;
/// Of states in records that are written again at a look, about: one of them may have 64 KiB.
pub(super) const ANNOUNCED_BYTES_AT_ONCE: usize = 1024 * 1024;

/// For each time that a session was taken over it asks its client by numbers of their own.
const ASKS_OF_A_NODE: u32 = 20;

/// What a core knows of sessions beside the sessions, where they may change their node.
#[derive(Default)]
pub(super) struct Takeover {
    adopted: HashMap<SessionKey, Adopted>,
    /// Records of these do not say how they are now, in the order in which they changed.
    changed: VecDeque<SessionKey>,
    is_changed: HashSet<SessionKey>,
    /// Of [`SAID_AT_ONCE`], since the last look. It does not travel: whoever goes on may say as much at once.
    said: usize,
    /// What these need to live on is more than a record may have.
    too_large: HashSet<SessionKey>,
    /// So many left for other nodes since the process began: ids of this process may name sessions that are elsewhere.
    let_go: u64,
    /// The lease is over, and streams were ended.
    is_cut_off: bool,
}

/// Of a session that was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adopted {
    pub(super) fence: u64,
    /// In Unix milliseconds. 0: nobody knows.
    pub(super) created_at: u64,
}

/// What a state says, understood.
struct Understood {
    version: ProtocolVersion,
    client_info: Rc<ClientInfo>,
    principal: Option<PrincipalId>,
    interests: Vec<WantedTopic>,
}

impl Takeover {
    /// A session ended, or left. What was known of it, and whether its record is still to be written.
    pub(super) fn forget(&mut self, key: SessionKey) -> (Adopted, bool) {
        // Its place in the queue is passed over. Wherever it goes it is measured anew.
        let was_changed = self.is_changed.remove(&key) | self.too_large.remove(&key);
        (self.adopted.remove(&key).unwrap_or_default(), was_changed)
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn let_go_count(&self) -> u64 {
        self.let_go
    }

    pub(super) fn count_let_go_from(&mut self, count: u64) {
        self.let_go = count;
    }
}

impl Engine {
    /// A session of a node that is gone goes on here.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(in crate::shard) fn handle_adopt(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        id: SessionId,
        fence: u64,
        state: &PortableSession,
    ) -> Result<(), NotTaken> {
        if self.takeover.is_none() {
            return Err(NotTaken::NotAdopted);
        }
        if self.is_draining() {
            return Err(NotTaken::Draining);
        }
        if let Ok(key) = self.locate(Some(&id)) {
            // It is, and was claimed again: what its record says next has the higher number.
            self.raise_fence(key, fence);
            self.announce_opened(key);
            return Ok(());
        }
        if self.moved.find(&place_of(&id)).is_some() {
            // No two sessions were ever opened at one place.
            return Err(NotTaken::Malformed);
        }
        let understood = self.understand(state)?;
        let client = understood
            .principal
            .map(|it| Client::of_principal(it.to_bytes()));
        // It had its place among its client's elsewhere.
        self.commons.clients.take_in_session(client, self.now);
        let Ok(lease) = self.take_room(wire, client, &understood) else {
            self.commons.clients.close_session(client);
            self.profiles.release(understood.client_info);
            return Err(NotTaken::Full);
        };
        let listener = self.open_adopted_listener(&understood);
        self.fanout.settle_all(listener, &lease);
        // Nobody knows what it was notified of.
        self.fanout.rewind_unknown(listener);
        let key = self.move_in_adopted(&id, fence, state, (understood, listener, client));
        self.announce_opened(key);
        self.tell_adopted(key, listener);
        Ok(())
    }

    /// For a session of this client, which counts already, and for its subscriptions.
    fn take_room(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        client: Option<Client>,
        understood: &Understood,
    ) -> Result<Lease, NotTaken> {
        let taken = self.take_place(wire, client);
        taken.map_err(|_| NotTaken::Full)?;
        let lease = self.fanout.lease(client, &understood.interests, self.now);
        lease.map_err(|_| {
            self.commons.sessions.give_back(1);
            NotTaken::Full
        })
    }

    fn understand(&mut self, state: &PortableSession) -> Result<Understood, NotTaken> {
        let version = ProtocolVersion::parse(&state.revision);
        let version = version.filter(|it| it.era() == Era::Legacy && it.is_streamable());
        let version = version.ok_or(NotTaken::Malformed)?;
        let principal = state.principal.as_deref();
        let principal = principal.map(PrincipalId::parse);
        let principal = match principal {
            Some(None) => return Err(NotTaken::Malformed),
            Some(Some(principal)) => Some(principal),
            None => None,
        };
        if principal.is_some() != self.rights.is_some() {
            // Where nobody is asked who they are it would be everybody's, and where all are nobody's.
            return Err(NotTaken::NotAdopted);
        }
        let capabilities = match state.capabilities.is_null() {
            true => "{}".to_owned(),
            false => state.capabilities.to_string(),
        };
        let info = (!state.client_info.is_null()).then(|| state.client_info.to_string());
        let client_info = self.read_again(&capabilities, info.as_deref());
        let wanted = state.subscriptions.iter();
        let wanted = wanted.take(self.limits.subscriptions_max);
        let wanted = wanted.filter(|uri| self.check_uri(uri).is_ok());
        let interests = wanted.filter_map(|uri| self.interest(uri).ok().flatten());
        let interests = interests.collect();
        Ok(Understood {
            version,
            client_info: client_info.ok_or(NotTaken::Malformed)?,
            principal,
            interests,
        })
    }

    /// What a client said of itself before it came here. None: nobody can have said that.
    pub(super) fn read_again(
        &mut self,
        capabilities: &str,
        info: Option<&str>,
    ) -> Option<Rc<ClientInfo>> {
        let json = |text| serde_json::from_str::<Box<RawValue>>(text).ok();
        let info = match info {
            Some(info) => Some(json(info)?),
            None => None,
        };
        let client_info = self.profiles.intern(&json(capabilities)?, info.as_deref());
        client_info.ok()
    }

    /// It hears of all lists: what its principal may not hear of goes when a token is shown, and nothing is delivered before.
    fn open_adopted_listener(&mut self, understood: &Understood) -> ListenerKey {
        // The session's key is needed for its listener and the listener's for the session.
        let voice = ListenerKind::Session(Key::from_parts(0, 0));
        let listener = self.fanout.open(voice, self.offset);
        for (topic, _) in &LISTS {
            if self.description.announces(topic) {
                let interest = WantedTopic::of(topic.clone());
                self.fanout.subscribe(listener, &interest);
            }
        }
        self.fanout.reserve(listener, understood.interests.len());
        for interest in &understood.interests {
            self.fanout.subscribe(listener, interest);
        }
        if let Some(principal) = understood.principal {
            self.bind(listener, principal);
        }
        listener
    }

    fn move_in_adopted(
        &mut self,
        id: &SessionId,
        fence: u64,
        state: &PortableSession,
        (understood, listener, client): (Understood, ListenerKey, Option<Client>),
    ) -> SessionKey {
        let session = Session {
            log_level: state.log_level.unwrap_or(LOG_LEVEL_DEFAULT).min(7),
            next_ask: ((fence as u32) << ASKS_OF_A_NODE).max(1),
            ..Session::new(
                id.secret,
                Some(understood.version),
                (understood.client_info, client),
                listener,
                (self.offset, self.now),
            )
        };
        let key = self.move_in(id, session);
        self.fanout.set_voice(listener, ListenerKind::Session(key));
        self.arm_session(key);
        let created_at = state.created_at;
        self.note_adopted(key, Adopted { fence, created_at });
        key
    }

    /// To the application it opens here, and whatever it hears of begins.
    fn tell_adopted(&mut self, key: SessionKey, listener: ListenerKey) {
        self.hook_opened(key, None);
        let subscriber = Subscriber::Session(self.session_id(key));
        let uris: Vec<_> = self.fanout.uris_of(listener).collect();
        for uri in uris {
            self.queue_hook(Lifecycle::Subscribed(uri, subscriber));
        }
    }

    pub(super) fn note_adopted(&mut self, key: SessionKey, adopted: Adopted) {
        if let Some(takeover) = &mut self.takeover
            && adopted != Adopted::default()
        {
            takeover.adopted.insert(key, adopted);
        }
    }

    fn raise_fence(&mut self, key: SessionKey, fence: u64) {
        if let Some(takeover) = &mut self.takeover {
            let adopted = takeover.adopted.entry(key).or_default();
            adopted.fence = adopted.fence.max(fence);
        }
    }

    /// What is known of where it comes from. Nothing, as a rule.
    pub(super) fn adopted(&self, key: SessionKey) -> Adopted {
        let takeover = self.takeover.as_ref();
        let adopted = takeover.and_then(|it| it.adopted.get(&key));
        adopted.copied().unwrap_or_default()
    }

    /// Other nodes have these sessions now, each under this number.
    pub(in crate::shard) fn handle_let_go(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        sessions: &[(SessionId, u64)],
    ) {
        if self.takeover.is_none() {
            return;
        }
        for (id, fence) in sessions {
            if let Ok(key) = self.locate(Some(id))
                && self.adopted(key).fence < *fence
            {
                self.send_elsewhere(wire, key, SessionEnding::TakenOver);
            }
        }
    }

    /// A session leaves for another node, or ends with this one if it cannot go on elsewhere; its client comes back there.
    pub(super) fn send_elsewhere(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: SessionKey,
        ending: SessionEnding,
    ) {
        let session = self.sessions.get(key);
        let standalone = session.and_then(|it| self.streams.get(it.standalone?)?.exchange);
        if let Some(exchange) = standalone {
            wire.end_after_answer(exchange);
            self.emit_retry(wire, exchange);
        }
        let ending = match ending {
            SessionEnding::LetGo if !self.is_portable_now(key) => SessionEnding::WithTheProcess,
            ending => ending,
        };
        if self.end_session(wire, key, ending)
            && ending != SessionEnding::WithTheProcess
            && let Some(takeover) = &mut self.takeover
        {
            takeover.let_go += 1;
        }
    }

    /// Whether any other node could go on with it.
    pub(super) fn is_portable(&self, key: SessionKey) -> bool {
        let is_streamable = |it: &Session| !it.is_its_stream();
        self.sessions.get(key).is_some_and(is_streamable)
            && self
                .takeover
                .as_ref()
                .is_some_and(|it| !it.too_large.contains(&key))
    }

    /// The same, of one that may have become too large since its record was written.
    fn is_portable_now(&mut self, key: SessionKey) -> bool {
        let takeover = self.takeover.as_ref();
        match takeover.is_some_and(|it| it.is_changed.contains(&key)) {
            true => self.portable_state(key).is_some(),
            false => self.is_portable(key),
        }
    }

    /// For operators.
    pub(super) fn portability(&self, key: SessionKey) -> Portability {
        match self.sessions.get(key) {
            _ if self.takeover.is_none() => Portability::Off,
            Some(session) if session.is_its_stream() => Portability::HttpSse,
            _ if self.is_portable(key) => Portability::Portable,
            _ => Portability::TooLarge,
        }
    }

    /// For operators: what is known of it from elsewhere.
    pub(super) fn adopted_row(&self, key: SessionKey) -> Option<AdoptedRow> {
        let Adopted { fence, created_at } = self.adopted(key);
        (fence > 0).then_some(AdoptedRow { fence, created_at })
    }

    /// What another node would need. None: it cannot be taken over.
    pub(super) fn portable_state(&mut self, key: SessionKey) -> Option<Box<PortableSession>> {
        let created_at = self.adopted(key).created_at;
        let takeover = self.takeover.as_mut()?;
        let session = self.sessions.get(key).filter(|it| !it.is_its_stream())?;
        let listener = self.fanout.listener(session.listener)?;
        let subscriptions = self.fanout.spellings_of(session.listener);
        let log_level = Some(session.log_level).filter(|&it| it != LOG_LEVEL_DEFAULT);
        let info = session.client_info.info.as_deref();
        let state = subscriptions.map(|subscriptions| PortableSession {
            revision: session.version().as_str().to_owned(),
            log_level,
            capabilities: (*session.client_info.capabilities).clone(),
            client_info: info.cloned().unwrap_or_default(),
            principal: listener.grant.as_deref().map(|it| it.principal.to_string()),
            subscriptions,
            created_at,
        });
        let state = state.filter(PortableSession::fits);
        match state {
            Some(_) => takeover.too_large.remove(&key),
            None => takeover.too_large.insert(key),
        };
        state.map(Box::new)
    }

    /// What its record says of it is not true any more: what its client was told a moment ago is lost with this node until it is.
    pub(super) fn note_changed(&mut self, key: SessionKey) {
        let session = self.sessions.get(key);
        let Some(takeover) = &mut self.takeover else {
            return;
        };
        if session.is_none_or(Session::is_its_stream) {
            return;
        }
        if takeover.said >= SAID_AT_ONCE || takeover.has_changes() {
            if takeover.is_changed.insert(key) {
                takeover.changed.push_back(key);
            }
            return;
        }
        let cost = match self.announce_opened(key) {
            // It is too large, and was looked at all the same.
            0 => SAID_AT_ONCE,
            bytes => bytes,
        };
        if let Some(takeover) = &mut self.takeover {
            takeover.said += cost;
        }
    }

    pub(super) fn announce_changed(&mut self) {
        let (mut left, mut bytes) = (CHANGED_AT_ONCE, 0);
        if let Some(takeover) = &mut self.takeover {
            takeover.said = 0;
        }
        while left > 0
            && bytes < ANNOUNCED_BYTES_AT_ONCE
            && let Some(takeover) = &mut self.takeover
            && let Some(key) = takeover.changed.pop_front()
        {
            // Else it has ended since, which costs nothing.
            if takeover.is_changed.remove(&key) {
                left -= 1;
                bytes += self.announce_opened(key);
            }
        }
    }

    /// Whether an id that names nothing here may name something at another node.
    pub(super) fn may_be_elsewhere(&self, id: &SessionId) -> bool {
        let Some(takeover) = &self.takeover else {
            return false;
        };
        let is_own = id.process() == (self.node, self.incarnation);
        match is_own {
            true => {
                takeover.let_go > 0 && matches!(self.locate(Some(id)), Err(NotifyRefused::Expired))
            }
            false => self.locate(Some(id)).is_err(),
        }
    }

    /// The process ends, and its sessions go on elsewhere. False: this one cannot.
    pub(super) fn let_go_at_end(&mut self, key: SessionKey) -> bool {
        self.is_portable(key) && self.say_let_go(key, self.session_id(key))
    }

    /// False: it cannot go on elsewhere, and nothing was said.
    pub(super) fn say_let_go(&mut self, key: SessionKey, session: SessionId) -> bool {
        let info = self.session_info(key).filter(|it| it.state.is_some());
        let Some(info) = info else { return false };
        self.say(SessionEvent::LetGo { session, info });
        true
    }
}
