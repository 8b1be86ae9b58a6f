//! One legacy client's session: what was negotiated, what it subscribed to, and what is under way for it.

use super::client_info::ClientInfo;
use super::fanout::ListenerKey;
use super::keys::{CallKey, StreamKey};
use super::stream::STANDALONE;
use super::wheel::{Millis, Timer};
use crate::clients::Client;
use crate::mcp::ProtocolVersion;

use std::rc::Rc;

use thin_vec::ThinVec;

pub(super) struct Session {
    pub(super) secret: [u8; 16],
    /// The revision that `initialize` settled on. None: it has not come yet, which is so of HTTP+SSE alone, whose sessions open
    /// with their stream.
    pub(super) settled: Option<ProtocolVersion>,
    /// `logging/setLevel`, 0 debug … 7 emergency.
    pub(super) log_level: u8,
    pub(super) client_info: Rc<ClientInfo>,
    pub(super) listener: ListenerKey,
    /// The GET stream, from its first opening to the session's end.
    pub(super) standalone: Option<StreamKey>,
    /// Where the listener stood when the GET stream was last opened: a client that comes back without
    /// `Last-Event-ID` may have lost anything after that.
    pub(super) opened_at: u64,
    /// Answers to POSTs that are unfinished or can still be resumed.
    pub(super) streams: ThinVec<StreamKey>,
    pub(super) calls: ThinVec<CallKey>,
    pub(super) next_stream: u32,
    pub(super) next_ask: u32,
    pub(super) last_active: Millis,
    /// Who opened it.
    pub(super) client: Option<Client>,
    /// Seconds by the shard's clock.
    pub(super) created_at_s: u32,
    /// The day on which the other nodes were last told of it.
    pub(super) announced_on: u16,
    /// Requests of its client so far, `initialize` included. For operators, as the next.
    pub(super) requests: u32,
    /// Targeted messages that were written to it so far; its listener counts topics.
    pub(super) messages: u32,
    pub(super) timer: Timer,
}

impl Session {
    /// As it begins, at this offset and time.
    pub(super) fn new(
        secret: [u8; 16],
        settled: Option<ProtocolVersion>,
        (client_info, client): (Rc<ClientInfo>, Option<Client>),
        listener: ListenerKey,
        (offset, now): (u64, Millis),
    ) -> Session {
        Session {
            secret,
            settled,
            log_level: LOG_LEVEL_DEFAULT,
            client_info,
            listener,
            standalone: None,
            opened_at: offset,
            streams: ThinVec::new(),
            calls: ThinVec::new(),
            next_stream: STANDALONE + 1,
            next_ask: 1,
            last_active: now,
            client,
            created_at_s: u32::try_from(now / 1000).unwrap_or(u32::MAX),
            announced_on: 0,
            requests: 0,
            messages: 0,
            timer: Timer::default(),
        }
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.settled.unwrap_or(ProtocolVersion::V2024_11_05)
    }

    /// It is one of HTTP+SSE: it has one stream, on which everything goes that the server says, and ends with it.
    pub(super) fn is_its_stream(&self) -> bool {
        !self.version().is_streamable()
    }

    pub(super) fn forget_call(&mut self, call: CallKey) {
        self.calls.retain(|&other| other != call);
        if self.calls.is_empty() {
            self.calls = ThinVec::new();
        }
    }

    pub(super) fn forget_stream(&mut self, stream: StreamKey) {
        self.streams.retain(|&other| other != stream);
        if self.streams.is_empty() {
            self.streams = ThinVec::new();
        }
    }
}

/// What a session gets that never asked for a level.
pub(super) const LOG_LEVEL_DEFAULT: u8 = 1;
