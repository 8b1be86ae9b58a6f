//! Who gets in: an issuer of our own for keys and faults, one that others wrote for the SDKs' own ways to a token.

mod issuer;
mod issuer_faults;
mod logins;
mod protected;
#[path = "../../../src/auth/tests/issuer.rs"]
#[allow(
    dead_code,
    reason = "the unit tests of the library have it, too, and use more of it"
)]
mod signer;
mod step_up;
mod tokens;

pub(crate) use self::issuer::{AuthorizationServer, claims};
pub(crate) use self::logins::{Login, OidcProvider};
pub(crate) use self::signer::Issuer;
