//! Who somebody is: what is known of them, and the sixteen bytes that stand for them; and what they may want to do. How the one is
//! found out, and who decides on the other, is [`auth`](crate::auth)'s.

mod action;
mod id;
mod identity;

pub use self::action::{Action, Decision, ListKind, Permits};
pub use self::id::{NoPrincipal, PrincipalId};
pub use self::identity::{Identity, Scopes, UnixSeconds, is_scope};
