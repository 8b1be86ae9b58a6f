//! All that a node has beside its cores, and what becomes of it when another process goes on with the node. Nobody calls this: it
//! does not compile before somebody has decided on a new field.

use super::handle::NodeInner;

const _: fn(&NodeInner) = |node| {
    let NodeInner {
        // Read anew by the other process, from the same configuration.
        options: _,
        watch: _,
        // The offset that was given last: `node_state`. Its cores' mailboxes are empty.
        publisher: _,
        // By what arrives, and with the node's state: `clients::travel`.
        commons: _,
        // Counted since the process began: whoever reads them sees that it is another one.
        counters: _,
        stats: _,
        // Read anew by the other process.
        authorities: _,
        // Tokens and policy likewise; what was taken back and the keys of issuers go before the cores: `NodePart::Rules`.
        #[cfg(feature = "auth")]
            credentials: _,
        // The sockets that listen go along, and those of the admin listener.
        addresses: _,
        admin_address: _,
        // Both processes have to agree on these (`handover::words`).
        cores: _,
        driver: _,
        fell_back: _,
        // A node that drains or ends is not handed on.
        drained: _,
        ended: _,
        // What it has goes ahead, piece by piece: `contents_copy`.
        store: _,
        // Told before anything is made: `NodeFacts`.
        state_key: _,
        // Of this process.
        handover: _,
    } = node;
};
