//! The server under test: started on free ports, ready before a test goes on, ended with SIGTERM.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::ports::free_port;
use crate::processes::{Mark, signal};
use crate::program::{EndedWithItsTest, output_of, wait};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Far longer than any drain.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// For a line to be written, on a machine that is busy with other things.
const LOG_LIMIT: Duration = Duration::from_secs(60);
const LOG_POLL: Duration = Duration::from_millis(20);
const START_ATTEMPTS: usize = 5;

#[derive(Clone, Copy, Debug)]
pub(crate) enum App {
    Board,
    Conformance,
}

impl App {
    /// # Panics
    /// The program was built without the application of the official suites.
    pub(crate) fn arguments(self) -> [&'static str; 2] {
        match self {
            App::Board => ["--app", "board"],
            App::Conformance => {
                static KNOWN: OnceLock<bool> = OnceLock::new();
                let known = KNOWN.get_or_init(|| {
                    // Help does not name it, and is not shown beside a name that is none.
                    let arguments = ["serve", "--app", "conformance", "--help"];
                    let help = output_of(Command::new(binary()).args(arguments));
                    help.status.success()
                });
                assert!(
                    *known,
                    "{:?} does not have the application of the official suites: build it with `--features conformance`",
                    binary()
                );
                ["--app", "conformance"]
            }
        }
    }
}

/// Which core accepts a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Placement {
    OneCore,
    AtRandom,
}

/// Where a server listens: chosen before it starts, for those who must know beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) admin: u16,
}

impl Ports {
    pub(crate) fn free() -> Ports {
        Ports {
            client: free_port(),
            admin: free_port(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Server {
    child: EndedWithItsTest,
    /// Of the process and of its successors.
    mark: Mark,
    log: PathBuf,
    ports: Ports,
}

impl Server {
    /// Starts a server and waits until it says that it is ready.
    pub(crate) fn start(app: App, placement: Placement, scratch: &Path) -> Server {
        Server::start_with(&[], app, placement, scratch)
    }

    /// As [`start`](Server::start), with more options.
    pub(crate) fn start_with(
        options: &[&str],
        app: App,
        placement: Placement,
        scratch: &Path,
    ) -> Server {
        let log = scratch.join("server.log");
        // Another program may take a port between our look and the server's bind: then the next ones do.
        (0..START_ATTEMPTS)
            .find_map(|_| Server::start_at(Ports::free(), options, app, placement, &log))
            .unwrap_or_else(|| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("pinfold does not start:\n{log}");
            })
    }

    /// Starts a server at these ports; what it says is appended to `log`. `None` if it ends before it is ready.
    pub(crate) fn start_at(
        ports: Ports,
        options: &[&str],
        app: App,
        placement: Placement,
        log: &Path,
    ) -> Option<Server> {
        let mut command = Command::new(binary());
        command.arg("serve");
        Server::launch(command, ports, options, app, placement, log)
    }

    /// As [`start_with`](Server::start_with), on one core, and with each system call counted: `strace` leaves its table
    /// in `summary`.
    pub(crate) fn start_traced(
        strace: &Path,
        summary: &Path,
        options: &[&str],
        app: App,
        scratch: &Path,
    ) -> Server {
        let log = scratch.join("server.log");
        let mut command = Command::new(strace);
        command.args(["-f", "-c", "-o"]).arg(summary);
        command.arg(binary()).arg("serve");
        let ports = Ports::free();
        Server::launch(command, ports, options, app, Placement::OneCore, &log).unwrap_or_else(
            || {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("pinfold does not start under strace, which needs to be allowed to trace its child:\n{log}");
            },
        )
    }

    fn launch(
        mut command: Command,
        ports: Ports,
        options: &[&str],
        app: App,
        placement: Placement,
        log: &Path,
    ) -> Option<Server> {
        let mut file = File::options();
        let file = file.create(true).append(true).open(log);
        let file = file.expect("a log can be made in the scratch folder");
        let also = file.try_clone().expect("a file handle can be cloned");
        command
            .args(["--listen", &format!("127.0.0.1:{}", ports.client)])
            .args(["--admin", &format!("127.0.0.1:{}", ports.admin)])
            .args(app.arguments())
            .args(match placement {
                Placement::OneCore => ["--cores", "1"].as_slice(),
                Placement::AtRandom => ["--cores", "2", "--place-at-random"].as_slice(),
            })
            .args(options);
        let mark = Mark::new();
        mark.put_on(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(also)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut server = Server {
            child: EndedWithItsTest(child),
            mark,
            log: log.to_owned(),
            ports,
        };
        server.becomes_ready().then_some(server)
    }

    /// False if it ended instead.
    fn becomes_ready(&mut self) -> bool {
        let ready = format!("{}/readyz", self.admin());
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if wait(&mut self.child.0, Duration::ZERO).is_some() {
                return false;
            }
            let answer = ureq::get(&ready)
                .config()
                .timeout_global(Some(Duration::from_secs(10)))
                .build()
                .call();
            if answer.is_ok() {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "pinfold is not ready after {START_LIMIT:?}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn mcp(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.ports.client)
    }

    pub(crate) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// The process and its successors, as far as they have not ended.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        self.mark.processes()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A thread of its own writes the log: what happened may be there some moments after it could be seen elsewhere.
    pub(crate) fn wait_to_log(&self, words: &str) {
        let deadline = Instant::now() + LOG_LIMIT;
        while !self.log().contains(words) {
            let log = self.log();
            assert!(Instant::now() < deadline, "no {words} in the log:\n{log}");
            std::thread::sleep(LOG_POLL);
        }
    }

    /// Ends the server below strace, which then writes its table and ends with the same status.
    pub(crate) fn end_traced(mut self) {
        let tracer = self.child.0.id();
        let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children"));
        let server = children.expect("the kernel lists children");
        let server = server.trim().parse().expect("strace has one child");
        assert!(
            signal("TERM", server)
                && wait(&mut self.child.0, STOP_LIMIT).is_some_and(|status| status.success()),
            "the server under strace does not end well:\n{}",
            self.log()
        );
    }

    /// SIGTERM, then exit 0 in good time and no panic in the log.
    pub(crate) fn stop(self) -> Result<(), String> {
        assert!(
            signal("TERM", self.child.0.id()),
            "the server ended by itself:\n{}",
            self.log()
        );
        self.ended()
    }

    /// It was told to end: exit 0 in good time and no panic in the log.
    pub(crate) fn ended(mut self) -> Result<(), String> {
        match wait(&mut self.child.0, STOP_LIMIT) {
            None => Err(format!(
                "the server still runs {STOP_LIMIT:?} after SIGTERM:\n{}",
                self.log()
            )),
            Some(status) if !status.success() => Err(format!(
                "the server ended with {status} on SIGTERM:\n{}",
                self.log()
            )),
            Some(_) if self.log().contains("panicked at") => {
                Err(format!("the server panicked:\n{}", self.log()))
            }
            Some(_) if self.left_something() => {
                Err(format!("a call outlived its client:\n{}", self.log()))
            }
            Some(_) => Ok(()),
        }
    }

    /// A core had something to wait for, and ended with it all the same.
    fn left_something(&self) -> bool {
        let log = self.log();
        let says = |core: &str, word: &str| {
            let mut lines = log.lines().filter(|line| line.contains(core));
            lines.any(|line| line.contains(word))
        };
        let mut cores = ["core=0", "core=1"].into_iter();
        cores.any(|core| says(core, ": draining ") && !says(core, ": drained: "))
    }
}

impl Drop for Server {
    /// Whoever has taken over from it ends with its test, too.
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.0.kill();
        self.mark.kill_all();
    }
}

pub(crate) fn binary() -> PathBuf {
    std::env::var_os("PINFOLD_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_pinfold")),
        PathBuf::from,
    )
}
