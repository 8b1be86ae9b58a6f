//! A core as it is written down, with some bytes changed on the way: whoever reads it may refuse it, and goes on with nothing else
//! than what a core may have.
//!
//! The input is a list of changes to the state of a release: three bytes are a place (twice) and what is there. What a shard takes
//! lives on for a while: its clients send something, time passes, and they leave.

use pinfold::internals::limits::Limits;
use pinfold::internals::shard::{Cluster, FrozenShard, Shard, ShardSetup};

use crate::support::node;

/// With a session and its stream, a listen stream, half a request, slow readers and one that ends.
const STATE: &[u8] = include_bytes!("../../tests/states/0.1.0.core");

/// That of the state.
const INCARNATION: u64 = 0x00b0_0700;

pub(crate) fn core_state(input: &[u8]) {
    let mut state = STATE.to_vec();
    for change in input.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % state.len();
        state[place] = change[2];
    }
    let Ok(frozen) = rmp_serde::from_slice::<FrozenShard>(&state) else {
        return;
    };
    let now = 1_000;
    let mut shard = Shard::new(
        ShardSetup {
            cluster: Some(Cluster { secret: None }),
            // Sessions of other nodes may be in it.
            adoption: true,
            ..node::setup(0, 2, Limits::default(), INCARNATION)
        },
        now,
    );
    let Ok(keys) = shard.handle_resume(now, frozen) else {
        return;
    };
    drain(&mut shard, now);
    for &key in &keys {
        let _ = shard.wants_bytes(key);
        shard.handle_written(now, key, 0);
        drain(&mut shard, now);
        shard.handle_bytes(
            now,
            key,
            b"}\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        );
        drain(&mut shard, now);
    }
    for now in [now + 1, now + 60_000, now + 4_000_000] {
        shard.handle_timeout(now);
        drain(&mut shard, now);
    }
    for key in keys {
        shard.handle_disconnect(now, key);
    }
    drain(&mut shard, now);
}

fn drain(shard: &mut Shard, now: u64) {
    let mut bytes = Vec::new();
    while shard.poll_effect().is_some() {}
    while let Some(key) = shard.poll_transmit(&mut bytes) {
        shard.handle_written(now, key, 0);
        while shard.poll_effect().is_some() {}
    }
    while shard.poll_fanout(now, &mut bytes).is_some() {}
    while shard.poll_effect().is_some() {}
}
