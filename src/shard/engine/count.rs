//! What the engine counts of requests, sessions and deliveries; see `stats`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::arena::Arena;
use super::call::CallState;
use super::fanout::Listener;
use super::session::Session;
use super::stats::{CoreStats, Operation, OperationEnd, StreamCounts, name_in};
use super::{Engine, Refused};
use crate::mcp::{ProtocolVersion, RpcMethod};
use crate::shard::view::EndReason;
use crate::wire::header_value;

impl Engine {
    /// A request of this method was refused before anything began.
    pub(super) fn count_refused(
        &mut self,
        method: Option<RpcMethod>,
        version: Option<ProtocolVersion>,
        refused: &Refused,
    ) {
        let end = OperationEnd::Error(refused.error.code);
        self.stats.operations.count(method, version, end);
    }

    /// It was answered at once.
    pub(super) fn count_answered(
        &mut self,
        method: Option<RpcMethod>,
        version: Option<ProtocolVersion>,
    ) {
        let end = OperationEnd::Fine;
        self.stats.operations.count(method, version, end);
    }

    /// A call begins. `mirrored` is what the head says of its name.
    pub(super) fn begin_operation(
        &mut self,
        method: Option<RpcMethod>,
        params: Option<&RawValue>,
        mirrored: Option<&str>,
    ) -> Operation {
        let name = match mirrored {
            _ if method != Some(RpcMethod::ToolsCall) => None,
            Some(name) => header_value::decode(name).ok(),
            None => params.and_then(|it| name_in(it.get())).map(Cow::Borrowed),
        };
        let operations = &mut self.stats.operations;
        operations.begin(self.now, method, name.as_deref())
    }

    /// A call is over.
    pub(super) fn count_end(&mut self, state: &CallState, end: OperationEnd) {
        let operations = &mut self.stats.operations;
        operations.end(self.now, state.operation, state.version, end);
    }

    /// A session is over.
    pub(super) fn count_session_end(&mut self, session: &Session, why: EndReason) {
        let began = u64::from(session.created_at_s) * 1000;
        let lived = self.now.saturating_sub(began);
        self.stats.count_session_end(why, session.version(), lived);
    }

    /// All but the connections; `streams` is how many exchanges are answered by one.
    pub(in crate::shard) fn stats_into(&self, streams: usize, copy: &mut CoreStats) {
        self.stats.copy_into(copy);
        copy.conflated = self.fanout.conflated();
        let (sessions, listeners) = (self.sessions.len(), self.fanout.listener_count());
        // Each session has one listener, and each listen stream.
        let listen = listeners.saturating_sub(sessions);
        let heard = self.fanout.sink_count();
        let gauges = &mut copy.gauges;
        gauges.sessions = sessions;
        gauges.listeners = listeners;
        gauges.calls = self.calls.len();
        gauges.streams = StreamCounts {
            get: heard.saturating_sub(listen),
            post: streams.saturating_sub(heard),
            listen,
        };
        gauges.memory_lines = [
            ("connections", 0),
            ("sessions", sessions * Arena::<Session>::entry_size()),
            (
                "streams",
                self.streams.len() * Arena::<super::Stream>::entry_size(),
            ),
            ("listeners", listeners * Arena::<Listener>::entry_size()),
            ("calls", self.calls.len() * Arena::<CallState>::entry_size()),
            ("subscriptions", self.fanout.bytes()),
            ("requests_and_answers", self.memory.used()),
        ];
    }
}
