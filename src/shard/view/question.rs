//! What is asked.

use serde_json::Value;

use super::connection::ConnectionsQuestion;
use super::place::{Part, RowPosition, ViewPlace};
use super::row::SessionRow;
use crate::app::call::Topic;
use crate::mcp::Era;
use crate::principal::PrincipalId;
use crate::wire::operator_name::{ConnectionName, OperatorName};

/// One question to one core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewQuestion {
    Rows(RowsQuestion),
    Detail(OperatorName),
    /// It ends now.
    End(OperatorName),
    /// All of a principal end, from a place on.
    EndAllOf {
        principal: PrincipalId,
        from: ViewPlace,
    },
    /// Its streams end so that its client comes back for them. A session goes on.
    Drain(OperatorName),
    /// What ended last.
    Ended,
    /// Who is connected.
    Connections(ConnectionsQuestion),
    /// It is cut now.
    EndConnection(ConnectionName),
    /// How many hear of it.
    Subscribers(Topic),
}

/// The rows from a place on that pass, of those that come after one position of the list and before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsQuestion {
    pub from: ViewPlace,
    pub filter: SessionFilter,
    pub order: ViewOrder,
    /// The last row that was shown before.
    pub after: Option<RowPosition>,
    /// As many come before this one as anybody wants.
    pub before: Option<RowPosition>,
}

/// Which rows pass. The default lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    pub principal: Option<PrincipalId>,
    /// A part of the name that the client gives itself, in any case.
    pub client_name: Option<Box<str>>,
    /// The whole version that it says.
    pub client_version: Option<Box<str>>,
    pub era: Option<Era>,
    pub state: Option<RowState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// A stream is open for it, or a call under way.
    Open,
    /// Neither.
    Idle,
    /// The kernel has not taken all that was written to it: its client does not read.
    Slow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewOrder {
    pub by: SortBy,
    /// The largest first.
    pub is_descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    Age,
    /// Bytes, then events.
    Pending,
    /// When it was last active.
    Activity,
}

/// Events that tell apart rows with as many bytes.
const EVENTS_BITS: u32 = 20;

impl ViewOrder {
    /// What sorts a row: less comes first.
    #[must_use]
    pub fn rank(self, row: &SessionRow) -> u64 {
        let value = match self.by {
            // Who is oldest came first.
            SortBy::Age => u64::MAX - row.created_at,
            SortBy::Pending => {
                let events = u64::from(row.pending_events).min((1 << EVENTS_BITS) - 1);
                (row.pending_bytes.min(u64::MAX >> EVENTS_BITS) << EVENTS_BITS) | events
            }
            SortBy::Activity => row.last_active,
        };
        match self.is_descending {
            true => u64::MAX - value,
            false => value,
        }
    }
}

impl SessionFilter {
    /// Whether rows of a part can pass at all.
    pub(in crate::shard) fn wants(&self, part: Part) -> bool {
        match self.era {
            None => true,
            Some(Era::Legacy) => part == Part::Sessions,
            Some(Era::Modern) => part == Part::ListenStreams,
        }
    }

    /// What is looked at first.
    pub(in crate::shard) fn is_of(
        &self,
        principal: Option<PrincipalId>,
        info: Option<&Value>,
    ) -> bool {
        let said = |member: &str| info?.get(member)?.as_str();
        let is_named = |part: &str| said("name").is_some_and(|name| contains(name, part));
        self.principal.is_none_or(|it| principal == Some(it))
            && self.client_name.as_deref().is_none_or(is_named)
            && (self.client_version.as_deref()).is_none_or(|it| said("version") == Some(it))
    }

    /// What is left to be looked at.
    pub(in crate::shard) fn passes(&self, row: &SessionRow) -> bool {
        let is_in = |state| match state {
            RowState::Open => row.is_open,
            RowState::Idle => !row.is_open,
            RowState::Slow => row.blocked_since.is_some(),
        };
        self.state.is_none_or(is_in)
    }
}

impl RowsQuestion {
    pub(in crate::shard) fn wants(&self, position: RowPosition) -> bool {
        self.after.is_none_or(|after| position > after)
            && self.before.is_none_or(|before| position < before)
    }
}

/// Whether a text has a part, in any case of ASCII.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let mut windows = text.windows(part.len().max(1));
    part.is_empty() || windows.any(|it| it.eq_ignore_ascii_case(part))
}
