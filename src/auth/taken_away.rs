//! What other rules take away from those who were let in by the ones before. Requests are identified anew by themselves; this
//! is for what stays open.

use std::collections::BTreeSet;

use super::PrincipalId;

#[derive(Clone, Debug)]
pub(crate) struct TakenAway {
    /// Somebody may do other things than before, perhaps fewer.
    pub(crate) is_other_policy: bool,
    pub(crate) withdrawn: Withdrawn,
    /// Whose credentials were taken back, up to some second.
    pub(crate) revoked: Vec<PrincipalId>,
}

/// Whose credentials count no more. Of a stream no token is kept to be looked at anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Withdrawn {
    #[default]
    None,
    /// Of these principals at least one token is in the token file no more, or says other things.
    Of(BTreeSet<PrincipalId>),
    /// Anybody's: a key that signed tokens is gone, and nobody knows whose.
    Unknown,
}

impl TakenAway {
    /// Nobody lost anything.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.is_other_policy && self.withdrawn == Withdrawn::None && self.revoked.is_empty()
    }
}

impl Withdrawn {
    /// Both.
    pub(crate) fn and(self, other: Withdrawn) -> Withdrawn {
        match (self, other) {
            (Withdrawn::None, one) | (one, Withdrawn::None) => one,
            (Withdrawn::Of(mut these), Withdrawn::Of(those)) => {
                these.extend(those);
                Withdrawn::Of(these)
            }
            (Withdrawn::Unknown, _) | (_, Withdrawn::Unknown) => Withdrawn::Unknown,
        }
    }
}
