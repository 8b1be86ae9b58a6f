//! What a request shows of who asks, as it came.

use super::bearer::bearer;
use super::{Reason, UnixSeconds};
use crate::clients::{Client, Millis};

/// A field of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownField<'a> {
    Absent,
    Once(&'a str),
    /// Two parties could read it in two ways.
    Twice,
}

impl<'a> ShownField<'a> {
    /// As a head gives it; whatever is wrong with it is that it came twice.
    pub fn of<E>(field: Result<Option<&'a str>, E>) -> ShownField<'a> {
        match field {
            Ok(None) => ShownField::Absent,
            Ok(Some(value)) => ShownField::Once(value),
            Err(_) => ShownField::Twice,
        }
    }
}

/// What a request shows of who asks.
pub struct Shown<'a, F> {
    /// `Authorization`, as it came.
    pub authorization: ShownField<'a>,
    /// It comes from where the proxy is ([`Rules::is_proxy`](super::Rules::is_proxy)).
    pub is_from_proxy: bool,
    /// Whose request it is while nobody knows more, for the limits of one client.
    pub client: Option<Client>,
    /// When it is looked at, by a clock that nobody sets.
    pub at_ms: Millis,
    /// Any other field, by its name in any case.
    pub field: F,
    /// What came of a question that was asked for this request before. Then there is not another one.
    pub searched: Option<Searched>,
}

/// What came of a search for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// The keys that are known are those that the issuer has.
    Done,
    /// The issuer was asked a moment ago, and not for this: they are those that it had in this second.
    Before(UnixSeconds),
    /// The issuer does not answer, or too many want to know.
    CannotTell,
}

impl<'a, F> Shown<'a, F> {
    /// The bearer token in `Authorization`.
    pub(super) fn token(&self) -> Result<&'a str, Reason> {
        match self.authorization {
            ShownField::Absent => Err(Reason::Missing),
            ShownField::Once(value) => bearer(value),
            ShownField::Twice => Err(Reason::Doubled),
        }
    }
}
