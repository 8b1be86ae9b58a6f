//! What forwarding has for its core.

use crate::forward::{PassageKey, RelayBuffer, Returning};
use crate::shard::{ConnectionKey, Located};
use std::net::TcpStream as StdStream;

/// What the core does about it.
pub(in crate::runtime) enum CoreAction {
    Located {
        connection: ConnectionKey,
        located: Located,
    },
    Hold {
        key: PassageKey,
        what: RelayBuffer,
        count: usize,
    },
    Return {
        stream: StdStream,
        returning: Returning,
    },
}
