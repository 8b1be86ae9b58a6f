//! Sessions that are not here: of another node, of an earlier process, or gone. And what the other nodes should know
//! of those that are. Why sessions end with their node: `docs/decisions/0006-sessions-end-with-their-node.md`.
//!
//! A request for another node's session waits, unread beyond its head, until the driver knows whether that node lives
//! ([`Effect::Locate`](super::Effect::Locate)). Then its connection leaves with all that was read of it
//! ([`Effect::Forward`](super::Effect::Forward)), or the request is served here: with a 404 that says why.

use serde::{Deserialize, Serialize};

use super::messages::error_message;
use super::portable::PortableSession;
use super::refused::Refused;
use super::wheel::Millis;
use crate::app::call::NotifyRefused;
use crate::mcp::ProtocolVersion;
use crate::wire::forwarded::PeerSecret;
use crate::wire::session_id::SessionId;

/// What a shard must know to live among other nodes.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// None: requests are neither passed on nor taken from other nodes.
    pub secret: Option<PeerSecret>,
}

/// Why a session is not had: `data.reason` of the answer. It travels under these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissReason {
    /// No node knows it.
    Unknown,
    /// Deleted, or idle for too long.
    Expired,
    /// It lived in an earlier process of its node.
    OwnerRestarted,
    /// Its node has written no heartbeat for some seconds.
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
    /// This node has taken it over: it is on this core.
    Here {
        core: u16,
    },
    Gone(MissReason),
}

/// What other nodes, or whoever watches this one, should know.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    Opened {
        session: SessionId,
        info: Box<SessionInfo>,
    },
    /// It is there: said when it is used, once a day, and now and then to find out whether its record still is.
    Active { session: SessionId },
    /// It is over, or was found to be: also a session of another node or process that its client deletes here.
    Ended { session: SessionId },
    /// It ends because its process does.
    Restarting { session: SessionId },
    /// It is here no more, and any node may take it over: its record says so.
    LetGo {
        session: SessionId,
        info: Box<SessionInfo>,
    },
    /// A request for a session that should be here and is not.
    Missed {
        session: SessionId,
        gone: MissReason,
    },
    /// A request was passed on to its session's node, which broke off before it answered: the client got 502.
    BrokeOff { session: SessionId },
    /// A request was refused that claimed to come from another node.
    Forged,
}

/// What a session's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    pub version: ProtocolVersion,
    /// `name` and `version` of `clientInfo`, if it says so.
    pub client_name: Option<Box<str>>,
    pub client_version: Option<Box<str>>,
    /// By this shard's clock.
    pub created_at: Millis,
    /// How often it was taken over: whoever has it writes no record over one with a higher number.
    pub fence: u64,
    /// For whoever takes it over. None: it cannot be taken over.
    pub state: Option<Box<PortableSession>>,
}

impl MissReason {
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            MissReason::Unknown => "unknown",
            MissReason::Expired => "expired",
            MissReason::OwnerRestarted => "owner_restarted",
            MissReason::OwnerDown => "owner_down",
            MissReason::OwnerUnreachable | MissReason::CannotTell => "owner_unreachable",
            MissReason::Misrouted => "misrouted",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            MissReason::Unknown => "this id was never given out, or long ago.",
            MissReason::Expired => "it was deleted, or idle for too long.",
            MissReason::OwnerRestarted => {
                "the node that had it was restarted since, and sessions live in its memory."
            }
            MissReason::OwnerDown => "the node that had it is down.",
            MissReason::OwnerUnreachable => "the node that has it does not answer.",
            MissReason::Misrouted => {
                "another node has it, and this one does not pass requests on: the proxy should route by the node's \
                 name, which leads the session id."
            }
            MissReason::CannotTell => {
                "another node has it, and where that is cannot be found out now."
            }
        }
    }

    pub(super) fn refused(self) -> Refused {
        if self == MissReason::CannotTell {
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
            MissReason::CannotTell => 503,
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
            "HTTP/1.1 {} {name}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            refused.status,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

impl From<NotifyRefused> for MissReason {
    fn from(why: NotifyRefused) -> Self {
        match why {
            NotifyRefused::OwnerRestarted => MissReason::OwnerRestarted,
            NotifyRefused::Expired => MissReason::Expired,
            NotifyRefused::OtherNode
            | NotifyRefused::Unknown
            | NotifyRefused::Full
            | NotifyRefused::Busy => MissReason::Unknown,
        }
    }
}
