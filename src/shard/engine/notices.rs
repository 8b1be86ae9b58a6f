//! Messages from outside of any call for one session, or for all: they wait on the session's standalone stream
//! until a GET is open, and leave by the fan-out, together with topics.

use std::rc::Rc;

use super::fanout::updated_params;
use super::keys::StreamKey;
use super::messages::notification_message;
use super::stream::{OutgoingMessage, STANDALONE, Stream};
use super::{Closed, Engine, ExchangeOwner, SessionId, SessionKey, Wire};
use crate::app::call::{Notice, NotifyRefused, RESOURCE, Topic};
use crate::mcp::RpcMethod;

impl Engine {
    /// Notifies one session of this core.
    ///
    /// # Errors
    /// Why it was not notified. If too much is waiting for it, its connection is closed as well: the client is to come
    /// back for what waits.
    pub(in crate::shard) fn handle_notice(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        session: &str,
        notice: &Notice,
    ) -> Result<(), NotifyRefused> {
        let session = self.locate(SessionId::parse(session).as_ref())?;
        let text = match notice {
            Notice::Changed(Topic::Resource(uri)) => {
                let session = self.sessions.get(session).ok_or(NotifyRefused::Expired)?;
                updated(self.fanout.spelled(session.listener, uri))
            }
            notice => text(notice),
        };
        let message = self
            .message(wire, Some(session), &text)
            .map_err(|_| NotifyRefused::Full)?;
        self.queue_notice(wire, session, notice, &message)
    }

    /// Notifies every session of this core. `offset` is the place that this took in the log.
    pub(in crate::shard) fn handle_notice_to_all(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        offset: u64,
        notice: &Notice,
    ) {
        self.offset = offset;
        // Kept once for all of them.
        let message = self.small_message(&text(notice));
        let sessions: Vec<SessionKey> = self.sessions.iter().map(|(key, _)| key).collect();
        for session in sessions {
            // One that is full learns it by the end of its stream.
            let _ = self.queue_notice(wire, session, notice, &message);
        }
    }

    fn queue_notice(
        &mut self,
        wire: &mut impl Wire<ExchangeOwner>,
        key: SessionKey,
        notice: &Notice,
        message: &Rc<OutgoingMessage>,
    ) -> Result<(), NotifyRefused> {
        let session = self.sessions.get(key).ok_or(NotifyRefused::Expired)?;
        if let Notice::Message { level, .. } = notice
            && *level < session.log_level
        {
            return Ok(());
        }
        let listener = session.listener;
        let bytes_max = self.limits.stream_queue_bytes_max;
        let key = self.standalone(key).ok_or(NotifyRefused::Expired)?;
        let stream = self.streams.get_mut(key).ok_or(NotifyRefused::Expired)?;
        if !stream.has_room(message.data.len(), bytes_max) {
            if let Some(connection) = stream.exchange {
                self.abort_stream(wire, key, connection, Closed::SlowReader);
            }
            return Err(NotifyRefused::Full);
        }
        stream.push(message.clone(), bytes_max);
        stream.trim(bytes_max, |_| None);
        self.fanout.has_messages(listener);
        Ok(())
    }

    /// The standalone stream of a session, made when it is first needed.
    pub(super) fn standalone(&mut self, key: SessionKey) -> Option<StreamKey> {
        let session = self.sessions.get_mut(key)?;
        if session.standalone.is_none() {
            session.standalone = Some(self.streams.insert(Stream::new(Some(key), STANDALONE, 0)));
        }
        session.standalone
    }
}

/// What a session is sent.
fn text(notice: &Notice) -> Vec<u8> {
    match notice {
        Notice::Message { params, .. } => {
            notification_message(RpcMethod::LogMessage.name(), Some(params))
        }
        Notice::Changed(topic) => match topic.list() {
            Ok(_) => notification_message(topic.kind().notification.name(), None),
            Err(uri) => updated(uri),
        },
    }
}

fn updated(uri: &str) -> Vec<u8> {
    notification_message(RESOURCE.notification.name(), Some(&updated_params(uri)))
}
