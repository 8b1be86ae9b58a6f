//! What one entry of each kind weighs. Every byte more is paid for each connection, session and stream of a node:
//! change a number here only together with the reason, and `Limits` with it where the memory bill grows.
//!
//! A connection has no future: what it keeps besides its entry is its place in the runtime's table, which the test beside
//! `SOCKET_BYTES` (src/runtime/sockets.rs) holds. Futures are those of calls that are worked on (bench/tests/allocations.rs
//! holds the application's part) and of writes that the kernel did not take at once.

use pinfold::internals::shard::Shard;

#[test]
fn an_entry_that_grew_unnoticed() {
    let sizes = Shard::entry_sizes();
    // A call has 8 bytes for what it is counted as when it is over: its method, its tool, and when it began. It lives as long as
    // somebody works on it, and takes two thousand besides.
    // A listener has 8 bytes for by what it hears, in a block of its own where anybody is asked. Of a session 8, of a listener
    // 16 are for operators: how many requests came and events went, since when a listen stream is there and what its client
    // calls itself. Both are plain increments where the entry is in the cache already; a table beside would cost a look at it.
    let all = [
        sizes.connection,
        sizes.session,
        sizes.stream,
        sizes.listener,
        sizes.call,
    ];
    assert_eq!(
        all,
        [128, 120, 80, 128, 104],
        "connection, session, stream, listener, call"
    );
}
