//! What all cores of a node count together, and what becomes of it when another process goes on with the node. Nobody calls this:
//! it does not compile before somebody has decided on a new field.

use super::Commons;

const _: fn(&Commons) = |commons| {
    let Commons {
        // Taken there by all that arrives.
        connections: _,
        sessions: _,
        subscription_bytes: _,
        memory: _,
        // What each holds likewise. How fast each may connect and ask the node writes down.
        clients: _,
        // Operators read it, and the log was told.
        ended: _,
        // A setting.
        proxies: _,
    } = commons;
};
