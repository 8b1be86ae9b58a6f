//! What waits for Redis, as it is written down for the process that goes on in this one's place.

use serde::{Deserialize, Serialize};

use super::{Pending, RecordChange, session};
use crate::mcp::ProtocolVersion;
use crate::shard::{PortableSession, SessionInfo};
use crate::wire::session_id::SessionId;

/// As it is written down, oldest first.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct PendingState {
    changes: Vec<(String, ChangeState)>,
    lost: bool,
}

#[derive(Serialize, Deserialize)]
enum ChangeState {
    Refresh,
    Write(InfoState),
    Release(InfoState),
    MarkTerminated,
    Remove,
}

#[derive(Serialize, Deserialize)]
struct InfoState {
    version: String,
    client_name: Option<Box<str>>,
    client_version: Option<Box<str>>,
    created_at: u64,
    #[serde(default)]
    fence: u64,
    #[serde(default)]
    state: Option<Box<PortableSession>>,
}

impl ChangeState {
    fn of(change: &RecordChange) -> ChangeState {
        match change {
            RecordChange::Refresh => ChangeState::Refresh,
            RecordChange::MarkTerminated => ChangeState::MarkTerminated,
            RecordChange::Remove => ChangeState::Remove,
            RecordChange::Write(info) => ChangeState::Write(InfoState::of(info)),
            RecordChange::Release(info) => ChangeState::Release(InfoState::of(info)),
        }
    }

    /// None: of a version of MCP that this program does not know.
    fn change(self) -> Option<RecordChange> {
        Some(match self {
            ChangeState::Refresh => RecordChange::Refresh,
            ChangeState::MarkTerminated => RecordChange::MarkTerminated,
            ChangeState::Remove => RecordChange::Remove,
            ChangeState::Write(info) => RecordChange::Write(info.info()?),
            ChangeState::Release(info) => RecordChange::Release(info.info()?),
        })
    }
}

impl InfoState {
    fn of(info: &SessionInfo) -> InfoState {
        let SessionInfo {
            version,
            client_name,
            client_version,
            created_at,
            fence,
            state,
        } = info;
        InfoState {
            version: version.as_str().to_owned(),
            client_name: client_name.clone(),
            client_version: client_version.clone(),
            created_at: *created_at,
            fence: *fence,
            state: state.clone(),
        }
    }

    fn info(self) -> Option<Box<SessionInfo>> {
        let InfoState {
            version,
            client_name,
            client_version,
            created_at,
            fence,
            state,
        } = self;
        Some(Box::new(SessionInfo {
            version: ProtocolVersion::parse(&version)?,
            client_name,
            client_version,
            created_at,
            fence,
            state,
        }))
    }
}

impl PendingState {
    /// What was said after all of that; `lost`: with more that found no room.
    pub(in crate::cluster) fn also(
        &mut self,
        said: impl Iterator<Item = (SessionId, RecordChange)>,
        lost: bool,
    ) {
        let said = said.map(|(session, change)| (session.text(), ChangeState::of(&change)));
        self.changes.extend(said);
        self.lost |= lost;
    }
}

impl Pending {
    pub(in crate::cluster) fn state(&self) -> PendingState {
        let Pending {
            keys: _,
            process: _,
            is_guarded: _,
            pending_max: _,
            order,
            changes,
            state_bytes: _,
            under_way,
            lost,
        } = self;
        let first = under_way.iter().map(|(session, it)| (session.text(), it));
        let waiting = order
            .iter()
            .filter_map(|it| Some((session(*it).text(), changes.get(it)?)));
        let all = first.chain(waiting);
        PendingState {
            changes: all.map(|(id, it)| (id, ChangeState::of(it))).collect(),
            lost: *lost,
        }
    }

    /// What another process had, before anything else.
    pub(in crate::cluster) fn resume(&mut self, state: PendingState) {
        self.lost |= state.lost;
        for (id, change) in state.changes {
            match (SessionId::parse(&id), change.change()) {
                (Some(session), Some(change)) => self.add(session, change),
                // Whatever it was, all sessions are announced again.
                _ => self.lost = true,
            }
        }
    }
}
