//! A server under test: its process, pinned, from ready to gone.

use std::error::Error;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::loader::admin::Admin;
use crate::loader::process::LoaderProcess;
use crate::loader::protocol::{Protocol, publication};
use crate::loader::{Loader, OPENING_MAX, Target};
use crate::machine::{self, CpuTime, LOADER_CPU, Memory, SERVER_CPU};
use crate::workspace::root;

/// What can be measured.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// `pinfold`, or another program with the same command line.
    Pinfold(PathBuf),
    /// The bare loop, and the bytes of the event it sends.
    Floor(Vec<u8>),
    /// Something else that takes `--listen` and `--admin` and answers `GET /readyz` and `POST /publish` there.
    Other(Launch),
}

/// How another server is started and used.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What is to be posted to publish, where it is not what pinfold takes.
    pub(crate) publication: Option<&'static str>,
    /// How many clients may be on their way at once.
    pub(crate) opening_max: usize,
}

impl Program {
    /// `pinfold` as a user gets it, up to date with this tree, or another program with its command line.
    pub(crate) fn pinfold(other: Option<&Path>) -> Outcome<Self> {
        Ok(Program::Pinfold(match other {
            Some(path) => path.canonicalize()?,
            None => built()?.clone(),
        }))
    }
}

/// Built when it is first asked for.
fn built() -> Outcome<&'static PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--release", "--package", "pinfold"];
    let status = Command::new(cargo)
        .args(arguments)
        .args(["--bin", "pinfold", "--features", "conformance"])
        .current_dir(root())
        .status()?;
    if !status.success() {
        return Err("pinfold does not build".into());
    }
    // The bench itself was built into the same directory.
    let here = std::env::current_exe()?;
    Ok(BUILT.get_or_init(|| here.with_file_name("pinfold")))
}

pub(crate) struct Server {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    event: Option<Vec<u8>>,
    launch: Option<Launch>,
    /// Where a peer's own words go: they matter if it fails, and not otherwise.
    log: Option<PathBuf>,
}

/// How a program is run.
pub(crate) struct Setup<'a> {
    /// As many cores, and where they run.
    pub(crate) cpus: &'static [usize],
    /// Further arguments for pinfold.
    pub(crate) arguments: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            cpus: &[SERVER_CPU],
            arguments: &[],
        }
    }
}

/// All load comes from a few addresses, which may take all there is. As variables: a version without them goes on.
const ONE_CLIENT: [&str; 4] = [
    "PINFOLD_CONNECTIONS_PER_CLIENT_MAX",
    "PINFOLD_SESSIONS_PER_CLIENT_MAX",
    "PINFOLD_INITIALIZE_PER_SECOND_PER_CLIENT_MAX",
    "PINFOLD_CALLS_PER_CLIENT_MAX",
];

const READY_WITHIN: Duration = Duration::from_secs(10);
/// Of a peer's log, that a fault repeats.
const LOG_LINES: usize = 3;
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

impl Server {
    /// Starts the program, with one core, on ports of its own and returns when it serves.
    pub(crate) fn start(program: &Program) -> Outcome<Self> {
        Server::start_with(program, &Setup::default())
    }

    pub(crate) fn start_with(program: &Program, setup: &Setup<'_>) -> Outcome<Self> {
        let (listen, admin) = (free_port()?, free_port()?);
        // Whatever ends the loader ends its server: setpriv asks the kernel for that and becomes the program.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        let event = match program {
            Program::Pinfold(path) => {
                command.arg(path);
                command.args(["serve", "--app", "board", "--log", "warn", "--cores"]);
                command.arg(setup.cpus.len().to_string());
                command.args(setup.arguments);
                None
            }
            Program::Floor(event) => {
                command.arg(std::env::current_exe()?).arg("floor");
                Some(event.clone())
            }
            Program::Other(launch) => {
                command.arg(&launch.program).args(&launch.arguments);
                None
            }
        };
        let launch = match program {
            Program::Other(launch) => Some(launch.clone()),
            _ => None,
        };
        let log = launch.is_some().then(|| log_file(listen));
        if let Some(log) = &log {
            command.stderr(File::create(log)?);
        }
        command
            .arg("--listen")
            .arg(listen.to_string())
            .arg("--admin")
            .arg(admin.to_string())
            .env("PINFOLD_LOG", "warn")
            .envs(ONE_CLIENT.map(|name| (name, "100000000")))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // A child runs where its parent does at that moment.
        machine::pin_to_any(setup.cpus)?;
        let child = command.spawn();
        machine::pin_to(LOADER_CPU)?;
        let child = child.map_err(|fault| format!("cannot start {command:?}: {fault}"))?;
        let mut server = Server {
            child,
            listen,
            admin,
            event,
            launch,
            log,
        };
        match server.await_ready() {
            Ok(()) => Ok(server),
            Err(fault) => Err(server.explain(fault)),
        }
    }

    fn await_ready(&mut self) -> Outcome<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended before it was ready: {status}").into());
            }
            let asked =
                Admin::connect(self.admin, "").and_then(|mut admin| admin.ask("GET /readyz", b""));
            match asked {
                Ok(()) => return Ok(()),
                Err(fault) if started.elapsed() > READY_WITHIN => {
                    return Err(format!("the server is not ready: {fault}").into());
                }
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The fault with the last words of a peer, which may tell the reason.
    pub(crate) fn explain(&self, fault: Box<dyn Error>) -> Box<dyn Error> {
        let log = self.log.as_ref().map(fs::read);
        let log = log.and_then(Result::ok).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        match lines[lines.len().saturating_sub(LOG_LINES)..] {
            [] => fault,
            ref last => format!("{fault}; its last words: {}", last.join(" / ")).into(),
        }
    }

    /// What a loader has to know of this server. Its clients subscribe to so many topics, which are published at once.
    fn target(&self, protocol: Protocol, topics: usize) -> Target {
        let launch = self.launch.as_ref();
        let own = launch.and_then(|it| it.publication);
        Target {
            listen: self.listen,
            admin: self.admin,
            protocol,
            topics,
            publication: own.map_or_else(|| publication(topics), str::to_owned),
            event: self.event.clone(),
            opening_max: launch.map_or(OPENING_MAX, |it| it.opening_max),
        }
    }

    /// A loader in this process, without clients yet.
    pub(crate) fn loader(&self, protocol: Protocol, topics: usize) -> Outcome<Loader> {
        self.target(protocol, topics).loader()
    }

    /// A loader that has a process of its own, without clients yet.
    pub(crate) fn loader_process(
        &self,
        protocol: Protocol,
        topics: usize,
    ) -> Outcome<LoaderProcess> {
        LoaderProcess::start(&self.target(protocol, topics))
    }

    /// What the process has used, after giving it a moment to go to sleep.
    pub(crate) fn cpu_time(&self) -> Outcome<CpuTime> {
        sleep(Duration::from_millis(5));
        machine::cpu_time(self.child.id())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The process that was started.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where operators ask.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn memory(&self) -> Outcome<Memory> {
        machine::memory(self.child.id())
    }

    pub(crate) fn driver(&self) -> &'static str {
        machine::driver(self.child.id())
    }

    /// Asks the process to end, as a deploy does.
    pub(crate) fn terminate(&self) {
        if let Some(process) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
    }

    /// `kill -9`: it has no time for anything.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the process: asked first, then made to.
    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            // Its number may be another process's by now.
            return;
        }
        self.terminate();
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOPPED_WITHIN {
                eprintln!("the server did not end within {STOPPED_WITHIN:?} of SIGTERM");
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if let Some(log) = &self.log {
            // If not, it stays among temporary files.
            let _ = fs::remove_file(log);
        }
    }
}

/// Of this run and this server.
fn log_file(listen: SocketAddr) -> PathBuf {
    let name = format!("pinfold-bench-{}-{}", std::process::id(), listen.port());
    std::env::temp_dir().join(name).with_extension("log")
}

/// Free a moment ago, which is as good as it gets without handing over a socket.
fn free_port() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
