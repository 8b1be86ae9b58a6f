//! All that a core has, and how it travels to the process that takes this one's place (`runtime::standstill`). Nobody calls this: it
//! does not compile before somebody has decided on a new field.

use super::Core;

const _: fn(&Core) = |core| {
    let Core {
        number: _,
        // All of it, and what it has under way: `CoreState::shard`.
        shard: _,
        // Made anew; what it has of its own is written down by the node.
        application: _,
        // The node's, and made anew by it.
        publisher: _,
        sealer: _,
        blocking: _,
        traces: _,
        // Its streams: `CoreState::passed_on`.
        forwarding: _,
        // The node's: `node::travel`.
        #[cfg(feature = "auth")]
            credentials: _,
        // Sockets are watched anew, when the core may.
        readiness: _,
        // Beside its state.
        sockets: _,
        // Shut while it stands still.
        quiet: _,
        // `CoreState::unsent`
        unsent: _,
        // There are none: `CallUnderWay`.
        calls: _,
        // There is nothing: it pumps before it stands still.
        pumping: _,
        begun: _,
        fanout: _,
        // Of its log.
        throttles: _,
        endings: _,
        scratch: _,
    } = core;
};
