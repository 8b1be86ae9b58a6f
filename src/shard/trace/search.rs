//! What a principal had open and under way before somebody watched it: looked for in all that a core has, a portion at a time,
//! since others wait meanwhile. What comes while this goes on is watched from its beginning.

use super::{TraceId, Traces};
use crate::principal::PrincipalId;

/// Among what is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum SearchedPart {
    /// Sessions, and listen streams.
    Listeners,
    Calls,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct TraceSearch {
    pub(in crate::shard) id: TraceId,
    pub(in crate::shard) principal: PrincipalId,
    pub(in crate::shard) part: SearchedPart,
    /// The next one.
    pub(in crate::shard) slot: u32,
}

impl TraceSearch {
    pub(in crate::shard) fn new(id: TraceId, principal: PrincipalId) -> TraceSearch {
        TraceSearch {
            id,
            principal,
            part: SearchedPart::Listeners,
            slot: 0,
        }
    }
}

impl Traces {
    pub(in crate::shard) fn next_search(&mut self, id: TraceId) -> Option<TraceSearch> {
        let at = self.searches.iter().position(|it| it.id == id)?;
        self.searches.remove(at)
    }

    /// There is more to be looked at.
    pub(in crate::shard) fn search_on(&mut self, search: TraceSearch) {
        self.searches.push_back(search);
    }
}
