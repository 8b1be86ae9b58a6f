//! Sessions: made by `initialize`, found by their id, ended by DELETE, by expiry, or to make room.

use serde_json::value::RawValue;
use thin_vec::ThinVec;

use super::answer::Refused;
use super::arena::Key;
use super::call::AnswerTo;
use super::elsewhere::Gone;
use super::fanout::{Interest, Voice};
use super::params::{self, Initialize};
use super::post::PostFields;
use super::request::version_of;
use super::session::{LOG_LEVEL_DEFAULT, Session};
use super::stream::StreamKey;
use super::{ConnectionKey, Effect, SessionKey, Shard};
use crate::app::call::{SessionEnd, Subscriber, TellRefused, Topic};
use crate::mcp::{Era, ProtocolVersion};
use crate::wire::HeadView;
use crate::wire::session_id::{Locator, SessionId};

/// What other nodes should know of a session's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its client, its idleness, or another's need ended it: no record of it should stay, also while the node takes its
    /// leave.
    Over(SessionEnd),
    /// It would live on if the process did.
    WithTheProcess,
}

impl Shard {
    pub(super) fn serve_initialize(
        &mut self,
        key: ConnectionKey,
        fields: PostFields<'_>,
        id: &str,
        params: Option<&RawValue>,
    ) {
        // An empty id is none. To a revision without sessions any is.
        let names = |id: &&str| !id.is_empty() && !fields.is_modern();
        if let Some(named) = fields.session_id.filter(names) {
            let refused = match self.locate(named) {
                Ok(_) => Refused::new(
                    400,
                    "This session is initialized: initialize opens a new one, without Mcp-Session-Id.",
                ),
                Err(why) => self.miss(key, named, why),
            };
            return self.refuse(key, Some(id), &refused);
        }
        let session = params::parse::<Initialize<'_>>(params)
            .map_err(|error| Refused::rpc(400, error))
            .and_then(|params| self.open_session(key, &params));
        let session = match session {
            Ok(session) => session,
            Err(refused) => return self.refuse(key, Some(id), &refused),
        };
        let version = self
            .sessions
            .get(session)
            .map_or(ProtocolVersion::LATEST_LEGACY, |it| it.version);
        let result = format!(
            r#"{{"protocolVersion":"{}",{}}}"#,
            version.as_str(),
            self.introduction.legacy_members
        );
        let session_id = self.session_id_field(session);
        self.answer_result(key, id, &result, &[("Mcp-Session-Id", &session_id)]);
    }

    fn open_session(
        &mut self,
        key: ConnectionKey,
        params: &Initialize<'_>,
    ) -> Result<SessionKey, Refused> {
        let client = self.client_of(key);
        let profile = self
            .profiles
            .intern(params.capabilities, params.client_info)
            .map_err(|error| Refused::rpc(400, error))?;
        if let Err(refused) = self.admit_session(client) {
            self.profiles.release(profile);
            return Err(refused);
        }
        // The session's key is needed for its listener and the listener's for the session.
        let listener = self
            .fanout
            .open(Voice::Session(Key::from_parts(0, 0)), self.offset);
        let session = self.sessions.insert(Session {
            secret: (self.secrets)(),
            version: ProtocolVersion::negotiate(&params.protocol_version),
            log_level: LOG_LEVEL_DEFAULT,
            profile,
            listener,
            standalone: None,
            opened_at: self.offset,
            streams: ThinVec::new(),
            calls: ThinVec::new(),
            next_stream: super::stream::STANDALONE + 1,
            next_ask: 1,
            last_active: self.now,
            client,
            created_at_s: u32::try_from(self.now / 1000).unwrap_or(u32::MAX),
            announced_on: 0,
            timer: Default::default(),
        });
        self.fanout.set_voice(listener, Voice::Session(session));
        for topic in [Topic::Tools, Topic::Prompts, Topic::Resources] {
            if self.introduction.announces(&topic) {
                self.fanout.subscribe(listener, &Interest::of(topic));
            }
        }
        self.arm_session(session);
        self.announce_opened(session);
        self.tell_opened(session);
        Ok(session)
    }

    /// Something is open or under way for it. An open stream is activity.
    pub(super) fn is_in_use(&self, session: &Session) -> bool {
        let connected = |stream: &StreamKey| {
            self.streams
                .get(*stream)
                .is_some_and(|stream| stream.connection.is_some())
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
    pub(super) fn find_session(
        &mut self,
        key: ConnectionKey,
        id: Option<&str>,
    ) -> Result<SessionKey, Refused> {
        let session = self.seek_session(key, id)?;
        self.touch_session(session);
        Ok(session)
    }

    /// The same, but the session is as active as it was.
    pub(super) fn seek_session(
        &mut self,
        key: ConnectionKey,
        id: Option<&str>,
    ) -> Result<SessionKey, Refused> {
        let Some(text) = id else {
            let sentence = "This request needs the Mcp-Session-Id that initialize answered with.";
            return Err(Refused::new(400, sentence));
        };
        self.locate(text).map_err(|why| self.miss(key, text, why))
    }

    pub(super) fn touch_session(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.last_active = self.now;
        }
        self.announce_active(key);
    }

    pub(super) fn miss(&mut self, key: ConnectionKey, id: &str, why: TellRefused) -> Refused {
        let asked = self
            .connections
            .get(key)
            .and_then(|connection| connection.gone);
        let gone = match asked.unwrap_or_else(|| why.into()) {
            Gone::Expired if self.is_draining() => Gone::OwnerRestarted,
            gone => gone,
        };
        self.announce_missed(id, gone);
        gone.refused()
    }

    /// Which session of this core an id names: an index and a comparison in constant time.
    pub(super) fn locate(&self, id: &str) -> Result<SessionKey, TellRefused> {
        let id = SessionId::parse(id).ok_or(TellRefused::Unknown)?;
        if id.node != self.node {
            return Err(TellRefused::OtherNode);
        }
        if id.locator.boot != self.boot {
            return Err(TellRefused::OwnerRestarted);
        }
        let key = Key::from_parts(id.locator.slot, id.locator.generation);
        match self.sessions.get(key) {
            Some(session) if id.locator.core == self.core && id.secret_eq(&session.secret) => {
                Ok(key)
            }
            Some(_) => Err(TellRefused::Unknown),
            None => Err(TellRefused::Expired),
        }
    }

    pub(super) fn session_id(&self, key: SessionKey) -> SessionId {
        let locator = Locator {
            core: self.core,
            slot: key.index,
            generation: key.serial,
            boot: self.boot,
        };
        let secret = self
            .sessions
            .get(key)
            .map_or([0; 16], |session| session.secret);
        SessionId {
            node: self.node,
            locator,
            secret,
        }
    }

    pub(super) fn serve_delete(&mut self, key: ConnectionKey, request: &HeadView<'_>) {
        let modern = match version_of(request.field("mcp-protocol-version")) {
            Ok(version) => version.is_some_and(|version| version.era() == Era::Modern),
            Err(refused) => return self.refuse(key, None, &refused),
        };
        let Some(id) = request.field("mcp-session-id").filter(|_| !modern) else {
            let sentence =
                "DELETE ends the session that Mcp-Session-Id names; 2026-07-28 has none.";
            return self.refuse(key, None, &Refused::method_not_allowed(sentence));
        };
        match self.find_session(key, Some(id)) {
            Ok(session) => {
                self.end_session(session, Ending::Over(SessionEnd::Deleted));
                self.answer(key, 204, &[], b"");
            }
            Err(refused) => {
                // Whoever had it, its client is done with it: no record of it should stay.
                if let Some(session) = SessionId::parse(id) {
                    self.announce_ended(session);
                }
                self.refuse(key, None, &refused);
            }
        }
    }

    /// Ends a session with all that is open for it. True if there was one.
    pub(super) fn end_session(&mut self, key: SessionKey, ending: Ending) -> bool {
        let id = self.session_id(key);
        let Some(session) = self.sessions.remove(key) else {
            return false;
        };
        let why = match ending {
            Ending::WithTheProcess => {
                self.announce_restarting(id);
                SessionEnd::NodeEnds
            }
            Ending::Over(why) => {
                self.announce_ended(id);
                why
            }
        };
        self.profiles.release(session.profile);
        self.close_listener(session.listener, Subscriber::Session(id));
        for call in session.calls {
            let Some(state) = self.calls.remove(call) else {
                continue;
            };
            self.uncount_call(&state);
            self.effects.push_back(Effect::Cancel(call));
            if let AnswerTo::Connection(connection) | AnswerTo::Plain(connection) = state.answer_to
            {
                let refused = Refused::with_reason(
                    404,
                    "expired",
                    "The session was ended while this request was served.",
                );
                self.refuse(connection, Some(&state.id), &refused);
                self.freed.push_back(connection);
            }
        }
        for stream in session.standalone.into_iter().chain(session.streams) {
            self.end_silent(stream);
            if let Some(connection) = self
                .streams
                .remove(stream)
                .and_then(|stream| stream.connection)
            {
                self.release(connection);
            }
        }
        self.commons.sessions.give_back(1);
        self.commons.clients.close_session(session.client);
        self.tell_ended(id, why);
        true
    }

    /// Ends the stream on a connection, which is free for the next request then, or closed if it cannot be.
    pub(super) fn release(&mut self, key: ConnectionKey) {
        self.end_stream(key);
        self.freed.push_back(key);
    }
}
