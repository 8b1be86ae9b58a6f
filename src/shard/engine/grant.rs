//! What somebody hears of things by, for as long as they do: whose a listener is, until when, and with which rights.
//!
//! Of an identity only that is kept which is looked at later, and rights that many have are kept once: a stream takes 56 bytes
//! more for it, also if each is another principal's. It travels with its listener (`fanout::travel`).

use std::rc::Rc;

use super::wheel::Timer;
use crate::principal::{PrincipalId, Scopes};

pub(super) struct Grant {
    pub(super) principal: PrincipalId,
    pub(super) rights: Rc<HeldRights>,
    /// The first second in which it is over, leeway included; `u32::MAX` if that depends on nothing but a revocation.
    pub(super) valid_until: u32,
    /// When the credentials were made; `u32::MAX` if nobody knows.
    pub(super) issued_at: u32,
    /// At its end, and some time after it, what is open by it ends.
    pub(super) timer: Timer,
    /// By which of the rules, counted by this core, the listener was looked at last; 0: by none of them.
    pub(super) looked: u32,
}

/// Each stream of somebody has one: with what malloc adds it is 48 bytes.
const _: () = assert!(size_of::<Grant>() == 40);

/// What somebody may do by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HeldRights {
    pub(super) scopes: Scopes,
    /// None: nothing in force asks what is their own.
    pub(super) names: Option<OwnNames>,
}

/// What a policy calls `{subject}` and `{tenant}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnNames {
    pub(super) subject: Box<str>,
    pub(super) tenant: Option<Box<str>>,
}

/// Past all that a clock says before 2106.
#[cfg(feature = "auth")]
pub(super) const NEVER: u32 = u32::MAX;
