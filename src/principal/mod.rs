//! Who somebody is: what is known of them, and the sixteen bytes that stand for them. How it is found out is
//! [`auth`](crate::auth)'s.

mod id;
mod identity;

pub use self::id::{NoPrincipal, PrincipalId};
pub use self::identity::{Identity, Scopes, UnixSeconds, is_scope};
