//! Where keys and tokens come from: issuers that are asked, files that are read, and programs that know who somebody is.
//!
//! What they mean is [`auth`](crate::auth)'s; here is all of it that waits. A [`CredentialStore`] holds the [`Rules`] in force and
//! tells whoever shares them of the next ones. An issuer has a thread of its own, so that one that hangs delays no other.

mod fetch;
mod files;
mod hook;
mod issuer;
mod store;
#[cfg(test)]
mod tests;
mod travel;

use std::sync::Arc;

use crate::auth::{Identifier, NewToken, Rules, VerifiedBounds};

pub use self::files::read_token_file;
pub use self::hook::{Answer, Authenticate, Presented};
pub(crate) use self::issuer::read_keys;
pub use self::store::{Authenticator, CredentialStore};

/// A token of 256 random bits, for a token file.
///
/// # Errors
/// The machine has no randomness.
pub fn new_token() -> Result<NewToken, String> {
    random().map(NewToken::of)
}

/// A core's identifier, with a key of its own.
///
/// # Errors
/// The machine has no randomness.
pub fn identifier(rules: Arc<Rules>) -> Result<Identifier, String> {
    let key = (random()?, u64::from_le_bytes(random()?));
    Ok(Identifier::new(rules, key, VerifiedBounds::default()))
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], String> {
    let mut bytes = [0; BYTES];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| format!("the machine has no randomness: {error}"))?;
    Ok(bytes)
}
