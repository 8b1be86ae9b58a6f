//! One node of a fleet: a server that keeps its name and its ports when it is started again.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::scope;

use serde_json::Value;

use super::client::{self, Answer};
use super::redis::Redis;
use super::wait_until;
use crate::processes::signal;
use crate::server::{App, Placement, Ports, Server};
use crate::waits::agent;

/// So short that a test of leaving takes seconds, so long that the proxy's health check (1 s) notices.
const DRAIN_NOTICE: &str = "2500ms";
const DRAIN_WINDOW: &str = "2s";
const PEER_SECRET: &str = "the nodes of one test share this secret";
const START_ATTEMPTS: usize = 5;
/// Options of nodes whose sessions end with them.
pub(super) const ENDING: [&str; 2] = ["--on-owner-loss", "404"];

pub(crate) struct Node {
    pub(crate) name: String,
    ports: Ports,
    app: App,
    placement: Placement,
    options: Vec<String>,
    log: PathBuf,
    server: Option<Server>,
}

impl Node {
    pub(crate) fn start(name: &str, app: App, redis: Option<&Redis>, scratch: &Path) -> Node {
        Node::start_placed(name, app, Placement::OneCore, redis, &[], scratch)
    }

    /// One whose sessions end with it.
    pub(crate) fn start_ending(name: &str, redis: &Redis, scratch: &Path) -> Node {
        let placement = Placement::OneCore;
        Node::start_placed(name, App::Board, placement, Some(redis), &ENDING, scratch)
    }

    pub(crate) fn start_placed(
        name: &str,
        app: App,
        placement: Placement,
        redis: Option<&Redis>,
        more: &[&str],
        scratch: &Path,
    ) -> Node {
        let url = redis.map(Redis::url);
        (0..START_ATTEMPTS)
            .find_map(|_| {
                let ports = Ports::free();
                let mut options = own_options(name, scratch);
                options.extend(more.iter().map(|it| (*it).to_owned()));
                if let Some(url) = &url {
                    options.extend(joined_options(ports, url, scratch));
                }
                Node::try_start(name, ports, (app, placement), options, scratch)
            })
            .unwrap_or_else(|| panic!("node {name} does not start:\n{}", read_log(scratch, name)))
    }

    /// A node with options of the test's own. It must start.
    pub(crate) fn start_with(name: &str, options: &[&str], scratch: &Path) -> Node {
        (0..START_ATTEMPTS)
            .find_map(|_| {
                let ports = Ports::free();
                let advertise = format!("http://127.0.0.1:{}", ports.client);
                let mut all = own_options(name, scratch);
                all.extend(["--advertise".to_owned(), advertise]);
                all.extend(options.iter().map(|it| (*it).to_owned()));
                let app = (App::Board, Placement::OneCore);
                Node::try_start(name, ports, app, all, scratch)
            })
            .unwrap_or_else(|| panic!("node {name} does not start:\n{}", read_log(scratch, name)))
    }

    fn try_start(
        name: &str,
        ports: Ports,
        (app, placement): (App, Placement),
        options: Vec<String>,
        scratch: &Path,
    ) -> Option<Node> {
        let mut node = Node {
            name: name.to_owned(),
            ports,
            app,
            placement,
            options,
            log: log_of(scratch, name),
            server: None,
        };
        node.server = node.launch();
        node.runs().then_some(node)
    }

    fn launch(&self) -> Option<Server> {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        Server::start_at(self.ports, &options, self.app, self.placement, &self.log)
    }

    /// As Traefik and the other nodes know it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.client)
    }

    pub(crate) fn mcp(&self) -> String {
        format!("{}/mcp", self.url())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.client))
    }

    pub(crate) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    pub(crate) fn runs(&self) -> bool {
        self.server.is_some()
    }

    /// All that it was and is by now, and that have not ended.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        let server = self.server.as_ref().expect("the node runs");
        server.processes()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.server.as_ref().expect("the node runs").id()
    }

    /// The sum of a metric over all its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let url = format!("{}/metrics", self.admin());
        let mut answer = agent()
            .get(&url)
            .call()
            .expect("the admin listener answers");
        let page = answer.body_mut().read_to_string().expect("a page");
        let of_name = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let values = page.lines().filter(of_name);
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`: no word to anyone.
    pub(crate) fn kill(&mut self) {
        drop(self.server.take().expect("the node runs"));
        // The kernel lets go of an io_uring's listener some moments after its process.
        let is_closed = || TcpStream::connect(("127.0.0.1", self.ports.client)).is_err();
        wait_until("the dead node's port is closed", is_closed);
    }

    /// It takes connections (the kernel does) and answers nothing.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// SIGHUP: it reads its configuration again.
    pub(crate) fn reload(&self) {
        self.signal("HUP");
    }

    /// The thread of `--break-thread` fails, or goes on.
    pub(crate) fn break_thread(&self) {
        self.signal("USR2");
    }

    fn signal(&self, name: &str) {
        let server = self.server.as_ref().expect("the node runs");
        assert!(signal(name, server.id()), "kill -s {name}");
    }

    /// SIGTERM; [`has_left`](Node::has_left) waits for what comes of it.
    pub(crate) fn leave(&self) {
        self.signal("TERM");
    }

    /// Waits until it has left in good order.
    pub(crate) fn has_left(&mut self) -> Result<(), String> {
        let server = self.server.take().expect("the node runs");
        let ended = server.ended();
        ended.map_err(|fault| format!("node {}: {fault}", self.name))
    }

    /// SIGTERM, and wait until it has left in good order.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let server = self.server.take().expect("the node runs");
        let stopped = server.stop();
        stopped.map_err(|fault| format!("node {}: {fault}", self.name))
    }

    /// Those that run end cleanly, all at once: each takes its time to leave.
    pub(crate) fn stop_all<'a>(nodes: impl IntoIterator<Item = &'a mut Node>) {
        scope(|scope| {
            for node in nodes.into_iter().filter(|node| node.runs()) {
                scope.spawn(|| node.stop().unwrap_or_else(|fault| panic!("{fault}")));
            }
        });
    }

    /// The same name and the same ports, another process.
    pub(crate) fn start_again(&mut self) {
        assert!(!self.runs(), "one process at a time");
        self.server = self.launch();
        assert!(
            self.runs(),
            "node {} does not start again:\n{}",
            self.name,
            self.log()
        );
    }

    /// Every item must be taken.
    pub(crate) fn publish(&self, items: &Value) {
        let answer = self.try_publish(items);
        let all = answer.status == 200 && !answer.body.contains("\"accepted\":false");
        assert!(all, "{answer:?}");
    }

    pub(crate) fn try_publish(&self, items: &Value) -> Answer {
        client::post(&format!("{}/publish", self.admin()), &[], items)
    }
}

/// What one node hands its client, another one must be able to take back.
fn own_options(name: &str, scratch: &Path) -> Vec<String> {
    let key = secret_file(scratch, "state-key", &"5e".repeat(32));
    let words = ["--node", name, "--state-key-file", &key];
    words.map(str::to_owned).to_vec()
}

fn joined_options(ports: Ports, redis: &str, scratch: &Path) -> Vec<String> {
    let advertise = format!("http://127.0.0.1:{}", ports.client);
    let secret = peer_secret(scratch);
    let pairs = [
        ("--redis", redis),
        ("--advertise", &advertise),
        ("--peer-secret-file", &secret),
        ("--drain-notice", DRAIN_NOTICE),
        ("--drain-window", DRAIN_WINDOW),
    ];
    let words = pairs.iter().flat_map(|(flag, value)| [*flag, *value]);
    words.map(str::to_owned).collect()
}

/// The file with the secret that the nodes of a test share.
pub(crate) fn peer_secret(scratch: &Path) -> String {
    secret_file(scratch, "peer-secret", PEER_SECRET)
}

fn secret_file(scratch: &Path, name: &str, secret: &str) -> String {
    let path = scratch.join(name);
    std::fs::write(&path, secret).expect("a secret can be written");
    path.display().to_string()
}

fn log_of(scratch: &Path, name: &str) -> PathBuf {
    scratch.join(format!("node-{name}.log"))
}

fn read_log(scratch: &Path, name: &str) -> String {
    std::fs::read_to_string(log_of(scratch, name)).unwrap_or_default()
}
