//! What one entry of each kind weighs. Every byte more is paid for each connection, session and stream of a node:
//! change a number here only together with the reason, and `Limits` with it where the memory bill grows.

use pinfold::shard::Shard;

#[test]
fn an_entry_that_grew_unnoticed() {
    let sizes = Shard::entry_sizes();
    let all = [
        sizes.connection,
        sizes.session,
        sizes.stream,
        sizes.listener,
        sizes.call,
    ];
    assert_eq!(
        all,
        [120, 128, 80, 96, 80],
        "connection, session, stream, listener, call"
    );
}
