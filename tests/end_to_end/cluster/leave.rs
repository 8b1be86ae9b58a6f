//! A node of several cores leaves: it stays for its sessions until none of its cores has anything left.

use std::process::Command;
use std::time::{Duration, Instant};

use pinfold::internals::wire::session_id::SessionId;

use super::client::Session;
use super::redis::{Redis, Reply};
use super::stream::Stream;
use super::{wait_for, wait_until};
use crate::program::scratch_folder;
use crate::server::{App, Placement, Ports, Server};

const NOTICE: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(20);

fn core_of(session: &Session) -> u16 {
    SessionId::parse(&session.id).expect("an id").locator.core
}

fn session_on(core: u16, url: &str) -> Session {
    wait_for("a session on that core", || {
        let session = Session::open(url);
        (core_of(&session) == core).then_some(session)
    })
}

/// The stream is on one core, and the other one has nothing to do from the first moment on.
#[test]
fn an_idle_core_that_ends_the_leave_of_the_whole_node() {
    let scratch = scratch_folder("cluster/leave");
    let redis = Redis::start(&scratch);
    let url = redis.url();
    let (notice, window) = (NOTICE.as_millis(), WINDOW.as_millis());
    let (notice, window) = (format!("{notice}ms"), format!("{window}ms"));
    let log = scratch.join("node.log");
    let start = || {
        let ports = Ports::free();
        let own = format!("http://127.0.0.1:{}", ports.client);
        let options = ["--node", "a", "--redis", &url, "--no-forward"];
        let times = ["--drain-notice", &notice, "--drain-window", &window];
        let options = [options.as_slice(), &times, &["--advertise", &own]].concat();
        Server::start_at(ports, &options, App::Board, Placement::AtRandom, &log)
    };
    let server = (0..5).find_map(|_| start()).expect("a node");
    let mcp = server.mcp();
    let (busy, idle) = (session_on(0, &mcp), session_on(1, &mcp));
    let mut stream = Stream::of_session(server.address(), &busy.id).expect_open();
    let record = || match redis.command(&["GET", "mcp:node:a"]) {
        Reply::Text(record) => record,
        other => panic!("no record of the node: {other:?}"),
    };
    wait_until("a heartbeat", || {
        redis.command(&["EXISTS", "mcp:node:a"]) == Reply::Integer(1)
    });

    let id = server.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status();
    assert!(sent.expect("kill is there").success());
    let told = Instant::now();
    // The idle core would have ended by then.
    while told.elapsed() < NOTICE + WINDOW / 4 {
        for session in [&busy, &idle] {
            let answer = session.ping();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert!(!record().contains("leaving"), "{}", record());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!stream.has_ended(), "it ends at the end of the window");
    wait_until("the stream ends", || stream.has_ended());
    wait_until("other nodes are told", || record().contains("leaving"));
    server.ended().unwrap_or_else(|fault| panic!("{fault}"));
}
