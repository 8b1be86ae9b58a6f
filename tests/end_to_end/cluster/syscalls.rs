//! Counted, not timed, as in [`crate::syscalls`]: system calls of a node for a request that it passes on.

use std::collections::BTreeMap;
use std::path::Path;

use super::forwarding::{PING, PONG, post};
use super::node::peer_secret;
use super::owner::{Peer, PlayedOwner};
use super::redis::{Redis, Reply};
use super::wait_until;
use crate::program::scratch_folder;
use crate::server::{App, Server};
use crate::syscalls::{calls, per_step};
use crate::tools::strace;

/// Calls for a `ping` that is passed on and comes alone, over a connection that is there already. Seen with io_uring: two
/// waits that end, each with a look at who has sent something; two reads, two sends; a look whether the owner's connection
/// is still good, and at the client's address; six changes of what is waited for, since the client's connection leaves the
/// core's set for that of what is passed on, and comes back. epoll has four more to find out that its set is ready.
const PER_FORWARDED_PING_MAX: f64 = 16.5;
const PER_FORWARDED_PING_WITH_EPOLL_MAX: f64 = 21.0;

#[test]
fn a_ping_that_is_passed_on_in_more_steps_than_it_takes() {
    for driver in ["auto", "epoll"] {
        let scratch = scratch_folder(&format!("cluster/syscalls-{driver}"));
        let [fewer, more] = [100, 600].map(|count| counted(&scratch, driver, count));
        let calls = per_step(fewer, more, 500);
        let all: f64 = calls.values().sum();
        // `auto` is epoll where io_uring is forbidden.
        let most = match calls.contains_key("io_uring_enter") {
            true => PER_FORWARDED_PING_MAX,
            false => PER_FORWARDED_PING_WITH_EPOLL_MAX,
        };
        assert!(
            all <= most,
            "{driver}: {all} calls for a ping that is passed on: {calls:?}"
        );
    }
}

fn counted(scratch: &Path, driver: &str, count: usize) -> BTreeMap<String, f64> {
    let redis = Redis::start(scratch);
    let (url, secret) = (redis.url(), peer_secret(scratch));
    let options = [
        "--driver",
        driver,
        "--node",
        "traced",
        "--redis",
        &url,
        "--peer-secret-file",
        &secret,
        "--advertise",
        "http://127.0.0.1:1",
    ];
    let summary = scratch.join(format!("{count}.strace"));
    let server = Server::start_traced(&strace(), &summary, &options, App::Board, scratch);
    let owner = PlayedOwner::join(&redis);
    wait_until("a heartbeat", || {
        redis.command(&["EXISTS", "mcp:node:traced"]) == Reply::Integer(1)
    });
    let request = post(&PlayedOwner::session(0));
    let mut client = Peer::connect(server.address());
    client.write(&request);
    let mut connection = owner.accept();
    for step in 0..count {
        if step > 0 {
            client.write(&request);
        }
        connection.read_to(PING);
        connection.write(PONG);
        client.read_to("pong");
    }
    server.end_traced();
    let summary = std::fs::read_to_string(&summary).expect("strace left a summary");
    calls(&summary)
}
