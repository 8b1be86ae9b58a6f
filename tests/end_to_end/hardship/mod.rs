//! What happens to a node from the side of its operator: outputs that take nothing, signals, threads that die or hang.
//! It serves, or says that it does not; SIGTERM always ends it.

mod commands;
pub(crate) mod outputs;
mod reload;
mod signals;
mod threads;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::processes::signal;
use crate::program::{EndedWithItsTest, wait};
use crate::server::{Ports, binary};
use crate::waits::agent;

/// For what takes some seconds when all is well, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const START_ATTEMPTS: usize = 5;
/// For one look of several: nobody may be left to answer.
const WITHIN_A_MOMENT: Duration = Duration::from_secs(2);

/// A node, and where what it says goes.
pub(crate) struct Process {
    child: EndedWithItsTest,
    pub(crate) ports: Ports,
    log: PathBuf,
}

/// One of a node's two outputs.
pub(crate) enum Output {
    /// To the test's file.
    Log,
    /// Closed before the program starts.
    Closed,
    Into(Box<dyn Fn() -> Stdio>),
}

impl Process {
    /// A node of two cores that has become ready, with both outputs in its log.
    fn start(options: &[&str], scratch: &Path) -> Process {
        Process::start_with(options, &Output::Log, &Output::Log, scratch)
    }

    pub(crate) fn start_with(
        options: &[&str],
        stdout: &Output,
        stderr: &Output,
        scratch: &Path,
    ) -> Process {
        // Another program may take a port between our look and the server's bind: then the next ones do.
        (0..START_ATTEMPTS)
            .find_map(|_| {
                let ports = Ports::free();
                Process::launch(ports, options, stdout, stderr, scratch).becomes_ready()
            })
            .unwrap_or_else(|| panic!("pinfold does not start: see {}", scratch.display()))
    }

    fn launch(
        ports: Ports,
        options: &[&str],
        stdout: &Output,
        stderr: &Output,
        scratch: &Path,
    ) -> Process {
        let log = scratch.join("server.log");
        let closed = |output: &Output| matches!(output, Output::Closed);
        let script = match (closed(stdout), closed(stderr)) {
            (false, false) => "exec \"$@\"",
            (true, false) => "exec \"$@\" >&-",
            (false, true) => "exec \"$@\" 2>&-",
            (true, true) => "exec \"$@\" >&- 2>&-",
        };
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(binary())
            .args(["serve", "--cores", "2", "--drain-window", "100ms"])
            .args(["--listen", &format!("127.0.0.1:{}", ports.client)])
            .args(["--admin", &format!("127.0.0.1:{}", ports.admin)])
            .args(options)
            .stdin(Stdio::null())
            .stdout(stdout.open(&log))
            .stderr(stderr.open(&log))
            .spawn()
            .expect("a shell can be started");
        let child = EndedWithItsTest(child);
        Process { child, ports, log }
    }

    /// None if it ended instead.
    fn becomes_ready(mut self) -> Option<Process> {
        let deadline = Instant::now() + PATIENCE;
        while self.probe(self.ports.admin) != Some(200) {
            if wait(&mut self.child.0, POLL).is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "not ready: {}", self.log());
        }
        Some(self)
    }

    /// What `/readyz` says at a port. None: nobody answers.
    fn probe(&self, port: u16) -> Option<u16> {
        let url = format!("http://127.0.0.1:{port}/readyz");
        status(&url, None, WITHIN_A_MOMENT)
    }

    /// Until `/readyz` at both ports says so; a port whose thread hangs or is gone need not.
    fn until_ready_is(&self, status: u16, silent: &[u16]) {
        for port in [self.ports.client, self.ports.admin] {
            if silent.contains(&port) {
                continue;
            }
            self.until(&format!("/readyz at {port} says {status}"), || {
                self.probe(port) == Some(status)
            });
        }
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let log = self.log();
            assert!(
                Instant::now() < deadline,
                "{what}: not within {PATIENCE:?}:\n{log}"
            );
            std::thread::sleep(POLL);
        }
    }

    fn until_it_says(&self, words: &str) {
        self.until(words, || self.log().contains(words));
    }

    fn signal(&self, name: &str) {
        assert!(signal(name, self.child.0.id()), "kill -s {name}");
    }

    fn runs(&mut self) -> bool {
        wait(&mut self.child.0, Duration::ZERO).is_none()
    }

    fn ends(&mut self) -> ExitStatus {
        let ended = wait(&mut self.child.0, PATIENCE);
        ended.unwrap_or_else(|| panic!("it still runs:\n{}", self.log()))
    }

    /// SIGTERM, and the exit code of a node that left in good order.
    fn ends_on_sigterm(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ends().code(), Some(0), "{}", self.log());
    }

    fn metric(&self, name: &str) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.admin);
        let mut answer = agent()
            .get(&url)
            .call()
            .expect("the admin listener answers");
        let page = answer.body_mut().read_to_string().expect("a page");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in:\n{page}"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Output {
    fn open(&self, log: &Path) -> Stdio {
        match self {
            Output::Log => {
                let file = std::fs::File::options().create(true).append(true).open(log);
                file.expect("a log can be made in the scratch folder")
                    .into()
            }
            Output::Closed => Stdio::null(),
            Output::Into(open) => open(),
        }
    }
}

/// The status of an answer to GET, over a connection of its own.
fn status(url: &str, token: Option<&str>, within: Duration) -> Option<u16> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(within))
        .build();
    let mut request = ureq::Agent::new_with_config(config).get(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    request.call().ok().map(|answer| answer.status().as_u16())
}
