//! What comes out of a shard for its driver to do: what either half wants done, in one list.

use serde_json::value::RawValue;

use super::exchange::{Closed, ConnectionKey};
use super::{AskedByPeer, CallKey, Look, Millis, SessionEvent, engine, http};
use crate::app::call::{AskFailed, Call, Lifecycle};
use crate::budget::Charge;
use crate::clients::{Client, Ticket};
use crate::wire::session_id::SessionId;

/// What the driver is to do.
pub enum Effect {
    /// Let the application work on this. Its answer comes by [`Shard::handle_outcome`](super::Shard::handle_outcome).
    Start { call: CallKey, request: Call },
    /// Nobody waits for this call any more: drop it.
    Cancel(CallKey),
    /// What the client answered to a request of this call.
    Answered {
        call: CallKey,
        ask: u32,
        answer: Result<Box<RawValue>, AskFailed>,
    },
    /// The connection belongs on another core, together with what was read of it.
    Move {
        connection: ConnectionKey,
        core: u16,
        bytes: Vec<u8>,
        ticket: Ticket,
    },
    /// Run this on a thread that may take its time, and say what came of it by [`Shard::handle_looked`](super::Shard::handle_looked); its charge
    /// ends with that, whoever still waits for it.
    Look {
        connection: ConnectionKey,
        look: Look,
        charge: Charge,
    },
    /// Find out whether the node of this session lives, and say so by [`Shard::handle_located`](super::Shard::handle_located).
    Locate {
        connection: ConnectionKey,
        session: SessionId,
    },
    /// The connection leaves for another node, together with what was read of it: a whole head and what follows.
    /// Its key is stale.
    Forward {
        connection: ConnectionKey,
        bytes: Vec<u8>,
        /// Whose request it is.
        client: Option<Client>,
        ticket: Ticket,
    },
    /// Find out who sent this request, and say so by [`Shard::handle_identified`](super::Shard::handle_identified), with the
    /// question's number.
    #[cfg(feature = "auth")]
    Identify(http::UnknownSender),
    /// Find out what this node answers to an operator who asked another one, and say so by
    /// [`Shard::handle_peer_answer`](super::Shard::handle_peer_answer).
    AskOperators(AskedByPeer),
    /// Call [`Shard::handle_released`](super::Shard::handle_released) after so many milliseconds: until then nothing is written to this connection.
    Hold {
        connection: ConnectionKey,
        ms: Millis,
    },
    /// The node is full, and the sessions to end are rather on another core: ask all of them, by
    /// [`Shard::handle_make_room`](super::Shard::handle_make_room).
    MakeRoom { holds: u32 },
    /// Tell the application; nothing waits for it.
    Lifecycle(Lifecycle),
    /// Tell the other nodes; nothing waits for it.
    Announce(SessionEvent),
    /// A stream of notifications was ended for what its client is no longer, or may no longer; for whoever counts.
    HearingEnded(Closed),
    /// Reading was paused ([`Shard::wants_bytes`](super::Shard::wants_bytes)) and goes on.
    Read(ConnectionKey),
    /// No more bytes will be written: half-close, and go on reading until the peer closes.
    ShutdownWrite(ConnectionKey),
    /// The connection is over and its key is stale.
    Close {
        connection: ConnectionKey,
        reason: Closed,
    },
}

impl From<http::HttpOutput> for Effect {
    fn from(output: http::HttpOutput) -> Self {
        use http::HttpOutput;
        match output {
            HttpOutput::Move {
                connection,
                core,
                bytes,
                ticket,
            } => Effect::Move {
                connection,
                core,
                bytes,
                ticket,
            },
            HttpOutput::Look {
                connection,
                body,
                tree_bytes,
                charge,
            } => Effect::Look {
                connection,
                look: Look::new(body, tree_bytes),
                charge,
            },
            HttpOutput::Forward {
                connection,
                bytes,
                client,
                ticket,
            } => Effect::Forward {
                connection,
                bytes,
                client,
                ticket,
            },
            #[cfg(feature = "auth")]
            HttpOutput::Identify(sender) => Effect::Identify(sender),
            HttpOutput::AskOperators(asked) => Effect::AskOperators(asked),
            HttpOutput::Hold { connection, ms } => Effect::Hold { connection, ms },
            HttpOutput::Read(connection) => Effect::Read(connection),
            HttpOutput::ShutdownWrite(connection) => Effect::ShutdownWrite(connection),
            HttpOutput::Close { connection, reason } => Effect::Close { connection, reason },
            HttpOutput::Forged => Effect::Announce(SessionEvent::Forged),
        }
    }
}

impl From<engine::EngineOutput> for Effect {
    fn from(output: engine::EngineOutput) -> Self {
        use engine::EngineOutput;
        match output {
            EngineOutput::Start { call, request } => Effect::Start { call, request },
            EngineOutput::Cancel(call) => Effect::Cancel(call),
            EngineOutput::Answered { call, ask, answer } => Effect::Answered { call, ask, answer },
            EngineOutput::Locate { exchange, session } => Effect::Locate {
                connection: exchange,
                session,
            },
            EngineOutput::MakeRoom { holds } => Effect::MakeRoom { holds },
            EngineOutput::Lifecycle(event) => Effect::Lifecycle(event),
            EngineOutput::Announce(presence) => Effect::Announce(presence),
            EngineOutput::HearingEnded(why) => Effect::HearingEnded(why),
        }
    }
}
