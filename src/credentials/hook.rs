//! A program that this library is in and that knows by itself who somebody is.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use crate::auth::{Identity, Reason};

/// What a program says of somebody, as soon as it knows.
pub type Answer = Pin<Box<dyn Future<Output = Result<Identity, Reason>>>>;

/// Finds out who asks. It is asked once for a bearer token whose identity says until when it is valid, and for every request
/// otherwise; its future runs on the core of the request, needs no `Send`, and has
/// five seconds.
///
/// Closures and functions are one:
///
/// ```
/// use pinfold::{Authenticator, Identity, Presented, Reason};
///
/// async fn look_up(key: &str) -> Option<String> {
///     // A database, another service.
///     (key == "k-4711").then(|| "alice".to_owned())
/// }
///
/// let hook = |presented: Presented| async move {
///     let key = presented.field("x-api-key").ok_or(Reason::Missing)?;
///     let user = look_up(key).await.ok_or(Reason::UnknownToken)?;
///     Ok(Identity::new("my-users", &user).with_scopes("board:read"))
/// };
/// let authenticator = Authenticator::hook(hook);
/// # let _ = authenticator;
/// ```
pub trait Authenticate: Send + Sync {
    /// Who shows this, or why it is nobody.
    fn authenticate(&self, presented: Presented) -> Answer;
}

impl<F, R> Authenticate for F
where
    F: Fn(Presented) -> R + Send + Sync,
    R: Future<Output = Result<Identity, Reason>> + 'static,
{
    fn authenticate(&self, presented: Presented) -> Answer {
        Box::pin(self(presented))
    }
}

/// What a request says, for whoever has to know who asks.
#[derive(Clone, Default)]
pub struct Presented {
    fields: Vec<(Box<str>, Box<str>)>,
    peer: Option<IpAddr>,
}

impl Presented {
    /// The fields of a head, in their order.
    pub fn new<'a>(
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        peer: Option<IpAddr>,
    ) -> Presented {
        let owned = |(name, value): (&str, &str)| (name.into(), value.into());
        Presented {
            fields: fields.into_iter().map(owned).collect(),
            peer,
        }
    }

    /// The only field of this name, in any case. None also if there are several, which two parties could read in two ways.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self
            .fields
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let first = named.next()?;
        named.next().is_none().then_some(&*first.1)
    }

    /// From where the connection comes, which may be a proxy.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

/// Credentials are in it.
impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({} fields)", self.fields.len())
    }
}
