//! Sessions: made by `initialize`, found by their id, ended by DELETE, by expiry, or to make room.

use std::rc::Rc;

use serde_json::value::RawValue;
use thin_vec::ThinVec;

use super::arena::Key;
use super::call::AnswerTo;
use super::client_info::ClientInfo;
use super::fanout::{ListenerKind, WantedTopic};
use super::keys::StreamKey;
use super::moved::{key_of, place_of};
use super::params::{self, Initialize};
use super::post::Post;
use super::session::Session;
use super::stats::OperationEnd;
use super::{
    CallKey, Closed, Engine, EngineOutput, ExchangeOwner, MissReason, Refused, Request,
    RequestFields, SessionKey, Wire,
};
use crate::app::call::{LISTS, NotifyRefused, SessionEnd, Subscriber};
use crate::mcp::{Era, ProtocolVersion, RpcMethod};
use crate::principal::PrincipalId;
use crate::wire::session_id::{Locator, SessionId};

/// What other nodes should know of a session's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionEnding {
    /// Its client, its idleness, or another's need ended it: no record of it should stay, also while the node takes its
    /// leave.
    Over(SessionEnd),
    /// Its stream is over, and was all of it.
    WithItsStream(Closed),
    /// It would live on if the process did.
    WithTheProcess,
    /// It leaves for whichever node is asked for it first: its record is to say so.
    LetGo,
    /// Another node has it: its record says so.
    TakenOver,
}

impl Engine {
    pub(super) fn serve_initialize(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        post: Post<'_>,
        id: &str,
        params: Option<&RawValue>,
    ) {
        let (key, fields) = (post.request.exchange, &post.request.fields);
        // An empty id is none. To a revision without sessions any is.
        let named = fields.session.as_ref();
        if let Some(named) = named.filter(|it| !it.text.is_empty() && !fields.is_modern()) {
            let refused = match self.locate_own(post.request, named.id.as_ref()) {
                Ok(_) => Refused::new(
                    400,
                    "This session is initialized: initialize opens a new one, without Mcp-Session-Id.",
                ),
                Err(refused) => refused,
            };
            self.count_refused(Some(RpcMethod::Initialize), None, &refused);
            return wire.refuse(key, Some(id), &refused);
        }
        let session = params::parse::<Initialize<'_>>(params)
            .map_err(|error| Refused::rpc(400, error))
            .and_then(|params| self.open_session(wire, post.request, &params));
        let session = match session {
            Ok(session) => session,
            Err(refused) => {
                self.count_refused(Some(RpcMethod::Initialize), None, &refused);
                return wire.refuse(key, Some(id), &refused);
            }
        };
        let version = self.version_of(session);
        let version = version.unwrap_or(ProtocolVersion::LATEST_LEGACY);
        self.count_answered(Some(RpcMethod::Initialize), Some(version));
        let result = self.initialize_result(version);
        let session_id = self.session_id_field(session);
        self.trace_named(wire, key, |it| it.session_name(session));
        wire.answer_result(key, id, &result, &[("Mcp-Session-Id", &session_id)]);
    }

    pub(super) fn initialize_result(&self, version: ProtocolVersion) -> String {
        format!(
            r#"{{"protocolVersion":"{}",{}}}"#,
            version.as_str(),
            self.description.legacy_members
        )
    }

    fn open_session(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        params: &Initialize<'_>,
    ) -> Result<SessionKey, Refused> {
        let client_info = self
            .profiles
            .intern(params.capabilities, params.client_info)
            .map_err(|error| Refused::rpc(400, error))?;
        let version = ProtocolVersion::negotiate(&params.protocol_version);
        let session = self.make_session(wire, request, (version, client_info))?;
        self.count_requests(session, 1);
        self.begin_session(session, request);
        Ok(session)
    }

    /// A session that is not told to anybody yet ([`Engine::begin_session`]).
    pub(super) fn make_session(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
        (version, client_info): (ProtocolVersion, Rc<ClientInfo>),
    ) -> Result<SessionKey, Refused> {
        let client = request.client;
        if let Err(refused) = self.admit_session(wire, client) {
            self.profiles.release(client_info);
            return Err(refused);
        }
        // The session's key is needed for its listener and the listener's for the session.
        let listener = self
            .fanout
            .open(ListenerKind::Session(Key::from_parts(0, 0)), self.offset);
        let session = self.sessions.insert(Session::new(
            (self.secrets)(),
            version.is_streamable().then_some(version),
            (client_info, client),
            listener,
            (self.offset, self.now),
        ));
        self.fanout
            .set_voice(listener, ListenerKind::Session(session));
        self.open_grant(listener, request);
        self.arm_session(session);
        Ok(session)
    }

    /// `initialize` has come.
    pub(super) fn begin_session(&mut self, session: SessionKey, request: &Request<'_>) {
        let Some(listener) = self.sessions.get(session).map(|it| it.listener) else {
            return;
        };
        let identity = request.identity.as_deref();
        for (topic, _) in &LISTS {
            if self.description.announces(topic) && self.may_hear_of(identity, topic).is_ok() {
                let interest = WantedTopic::of(topic.clone());
                self.fanout.subscribe(listener, &interest);
            }
        }
        self.announce_opened(session);
        self.hook_opened(session, request.address);
    }

    /// Something is open or under way for it. An open stream is activity.
    pub(super) fn is_in_use(&self, session: &Session) -> bool {
        let connected = |stream: &StreamKey| {
            self.streams
                .get(*stream)
                .is_some_and(|stream| stream.exchange.is_some())
        };
        !session.calls.is_empty()
            || session
                .standalone
                .iter()
                .chain(&session.streams)
                .any(connected)
    }

    /// The session of a legacy request, which is active by that.
    ///
    /// # Errors
    /// 400 without an id, 404 with `data.reason` for a session that is not here.
    pub(super) fn find_session(&mut self, request: &Request<'_>) -> Result<SessionKey, Refused> {
        let session = self.seek_session(request)?;
        self.touch_session(session);
        self.refresh_grant(session, request);
        Ok(session)
    }

    /// The same, but the session is as active as it was.
    pub(super) fn seek_session(&mut self, request: &Request<'_>) -> Result<SessionKey, Refused> {
        let Some(named) = &request.fields.session else {
            let sentence = "This request needs the Mcp-Session-Id that initialize answered with.";
            return Err(Refused::new(400, sentence));
        };
        self.locate_own(request, named.id.as_ref())
    }

    /// The session of this core that an id names, if it is that of whoever asks.
    ///
    /// # Errors
    /// Why it is not had. Of somebody else's nobody can tell that it is there.
    fn locate_own(
        &mut self,
        request: &Request<'_>,
        id: Option<&SessionId>,
    ) -> Result<SessionKey, Refused> {
        let located = self.locate_by(&request.fields, id);
        self.check_own(located, request.word, id, request.principal())
    }

    /// The same of a session that was looked for. Where somebody is asked who they are, a session that ended is as
    /// unknown as one that never was: else it could be told from somebody else's, which is neither.
    pub(super) fn check_own(
        &mut self,
        located: Result<SessionKey, NotifyRefused>,
        word: Option<MissReason>,
        id: Option<&SessionId>,
        principal: Option<PrincipalId>,
    ) -> Result<SessionKey, Refused> {
        let why = match located {
            Ok(key) if self.is_of(key, principal) => return self.check_lease(key).map(|()| key),
            // Nobody else is told anything: it is there.
            Ok(_) => return Err(self.unknown().refused()),
            Err(why) => why,
        };
        let refused = self.miss(word, id, why);
        match (principal, why) {
            (Some(_), NotifyRefused::Unknown | NotifyRefused::Expired) if word.is_none() => {
                Err(self.unknown().refused())
            }
            _ => Err(refused),
        }
    }

    /// To all others it is unknown. Its listener says whose it is, from `initialize` on; it says nothing where nobody is asked.
    pub(super) fn is_of(&self, key: SessionKey, principal: Option<PrincipalId>) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|it| {
            let listener = self.fanout.listener(it.listener);
            let grant = listener.and_then(|it| it.grant.as_deref());
            grant.map(|it| it.principal) == principal
        })
    }

    /// What is said of a session that nobody has.
    fn unknown(&self) -> MissReason {
        match self.is_draining() {
            true => MissReason::OwnerRestarted,
            false => MissReason::Unknown,
        }
    }

    pub(super) fn touch_session(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.last_active = self.now;
        }
        self.announce_active(key);
    }

    /// `asked` is what somebody found out about it.
    pub(super) fn miss(
        &mut self,
        asked: Option<MissReason>,
        id: Option<&SessionId>,
        why: NotifyRefused,
    ) -> Refused {
        let gone = match asked.unwrap_or_else(|| why.into()) {
            MissReason::Expired if self.is_draining() => MissReason::OwnerRestarted,
            gone => gone,
        };
        self.announce_missed(id, gone);
        gone.refused()
    }

    /// Which session of this core an id names: an index and a comparison in constant time.
    pub(super) fn locate(&self, id: Option<&SessionId>) -> Result<SessionKey, NotifyRefused> {
        let id = id.ok_or(NotifyRefused::Unknown)?;
        let moved = self.moved.find(&place_of(id));
        if moved.is_none() && id.node != self.node {
            return Err(NotifyRefused::OtherNode);
        }
        if moved.is_none() && id.locator.incarnation != self.incarnation {
            return Err(NotifyRefused::OwnerRestarted);
        }
        let key = moved.unwrap_or(key_of(&id.locator));
        if moved.is_none() && self.moved.place_of(key).is_some() {
            return Err(NotifyRefused::Expired);
        }
        let is_here = moved.is_some() || id.locator.core == self.core;
        match self.sessions.get(key) {
            Some(session) if is_here && id.secret_eq(&session.secret) => Ok(key),
            Some(_) if is_here => Err(NotifyRefused::Unknown),
            // Of another core's sessions nothing is known here, whoever has that place among this one's.
            _ => Err(NotifyRefused::Expired),
        }
    }

    /// The same for a request, which names a session of its own transport.
    pub(super) fn locate_by(
        &self,
        fields: &RequestFields<'_>,
        id: Option<&SessionId>,
    ) -> Result<SessionKey, NotifyRefused> {
        let key = self.locate(id)?;
        let is_its_stream = self.sessions.get(key).is_some_and(Session::is_its_stream);
        match is_its_stream == fields.http_sse.is_some() {
            true => Ok(key),
            false => Err(NotifyRefused::Unknown),
        }
    }

    pub(super) fn session_id(&self, key: SessionKey) -> SessionId {
        let own = Locator {
            core: self.core,
            slot: key.index,
            generation: key.generation,
            incarnation: self.incarnation,
        };
        let (node, locator) = self.moved.place_of(key).unwrap_or((self.node, own));
        let secret = self
            .sessions
            .get(key)
            .map_or([0; 16], |session| session.secret);
        SessionId {
            node,
            locator,
            secret,
        }
    }

    fn session_id_field(&self, session: SessionKey) -> String {
        let mut text = String::with_capacity(crate::limits::SESSION_ID_BYTES_MAX);
        self.session_id(session).emit(&mut text);
        text
    }

    pub(super) fn serve_delete(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        request: &Request<'_>,
    ) {
        let (key, fields) = (request.exchange, &request.fields);
        let modern = match fields.version.spoken() {
            Ok(version) => version.is_some_and(|version| version.era() == Era::Modern),
            Err(refused) => return wire.refuse(key, None, &refused),
        };
        let Some(named) = fields.session.as_ref().filter(|_| !modern) else {
            let sentence =
                "DELETE ends the session that Mcp-Session-Id names; 2026-07-28 has none.";
            return wire.refuse(key, None, &Refused::method_not_allowed(sentence));
        };
        match self.find_session(request) {
            Ok(session) => {
                self.end_session(wire, session, SessionEnding::Over(SessionEnd::Deleted));
                wire.answer(key, 204, &[], b"");
            }
            Err(refused) => {
                // Whoever had it, its client is done with it: no record of it should stay. Where clients are somebody, it may be
                // another one's.
                if let Some(session) = named.id.filter(|_| request.identity.is_none()) {
                    self.announce_ended(session);
                }
                wire.refuse(key, None, &refused);
            }
        }
    }

    /// Ends a session with all that is open for it. True if there was one.
    pub(super) fn end_session(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: SessionKey,
        ending: SessionEnding,
    ) -> bool {
        if self.sessions.get(key).is_none() {
            return false;
        }
        let id = self.session_id(key);
        let was_begun = self.is_begun(key);
        self.trace_ended(wire, key, ending);
        self.note_session_ended(key, ending);
        let why = self.announce_ending(key, id, ending);
        if let Some(takeover) = &mut self.takeover {
            takeover.forget(key);
        }
        let Some(session) = self.sessions.remove(key) else {
            return false;
        };
        self.count_session_end(&session, ending.reason());
        self.moved.leaves(key);
        self.profiles.release(session.client_info);
        self.close_listener(session.listener, Subscriber::Session(id));
        self.end_calls(wire, session.calls, ending);
        for stream in session.standalone.into_iter().chain(session.streams) {
            self.end_silent(wire, stream);
            if let Some(connection) = self
                .streams
                .remove(stream)
                .and_then(|stream| stream.exchange)
            {
                wire.end_stream(connection);
            }
        }
        self.commons.sessions.give_back(1);
        self.commons.clients.close_session(session.client);
        if was_begun {
            self.hook_ended(id, why);
        }
        true
    }

    /// Before it goes: the other nodes are told what they should know, and the application hears what is given here.
    fn announce_ending(
        &mut self,
        key: SessionKey,
        id: SessionId,
        ending: SessionEnding,
    ) -> SessionEnd {
        match ending {
            SessionEnding::TakenOver => SessionEnd::TakenOver,
            SessionEnding::LetGo => {
                if !self.say_let_go(key, id) {
                    self.announce_restarting(id);
                }
                SessionEnd::TakenOver
            }
            SessionEnding::WithTheProcess => {
                self.announce_restarting(id);
                SessionEnd::NodeEnds
            }
            SessionEnding::WithItsStream(_) => {
                self.announce_ended(id);
                SessionEnd::Left
            }
            SessionEnding::Over(why) => {
                self.announce_ended(id);
                why
            }
        }
    }

    /// Their session is over.
    fn end_calls(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        calls: ThinVec<CallKey>,
        ending: SessionEnding,
    ) {
        for call in calls {
            let Some(state) = self.calls.remove(call) else {
                continue;
            };
            self.uncount_call(&state);
            self.take_inspected(call);
            self.count_end(&state, OperationEnd::Cancelled);
            self.outputs.push_back(EngineOutput::Cancel(call));
            if let AnswerTo::Exchange(connection) | AnswerTo::Plain(connection) = state.answer_to {
                wire.refuse(connection, Some(&state.id), &ending.refused());
            }
        }
    }
}

impl SessionEnding {
    /// The answer to a request that was served.
    fn refused(self) -> Refused {
        match self {
            // To many clients a 404 says that the session is over, which it is not.
            SessionEnding::LetGo | SessionEnding::TakenOver => Refused {
                retry_after_s: Some(1),
                ..Refused::with_reason(
                    503,
                    "taken_over",
                    "This session goes on at another node, and this request was not finished: it may be sent again.",
                )
            },
            _ => Refused::with_reason(
                404,
                "expired",
                "The session was ended while this request was served.",
            ),
        }
    }
}
