//! A node that goes on in a new process of its program (`pinfold upgrade`): nobody who is connected notices, and if it comes to
//! nothing, nobody either, and whoever asked for it hears why.

mod clients;
mod deployed;
pub(crate) mod failures;
mod limits;
mod load;
mod node;
mod rolling;
mod streams;
mod supervised;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::processes::{Mark, signal};
use crate::program::{EndedWithItsTest, output_of, scratch_folder, wait};
use crate::server::{App, Ports, binary};
use crate::waits::{agent, wait_for, wait_until};

const START_ATTEMPTS: usize = 5;

/// A node whose process may be another one by now. The program is a link, as a deploy may change it.
pub(super) struct Upgraded {
    first: EndedWithItsTest,
    /// Of the first process, and of all that come of it.
    mark: Mark,
    ports: Ports,
    folder: PathBuf,
    /// Those of them that serve nobody.
    beside: usize,
}

/// What the command said.
#[derive(Debug)]
pub(super) struct Said {
    code: Option<i32>,
    text: String,
}

impl Upgraded {
    pub(super) fn start(test: &str, app: App, options: &[&str]) -> Upgraded {
        Upgraded::start_by(test, app, options, |program| Command::new(program))
    }

    /// `begin` says how the program of that path is started, before its arguments.
    pub(super) fn start_by(
        test: &str,
        app: App,
        options: &[&str],
        begin: impl Fn(&Path) -> Command,
    ) -> Upgraded {
        let folder = scratch_folder(&format!("handover/{test}"));
        let link = folder.join("pinfold");
        symlink(binary(), &link).expect("a link can be made");
        let two_cores = ["--cores", "2", "--place-at-random"];
        let options = [options, &two_cores].concat();
        // Another program may take a port between our look and the server's bind: then the next ones do.
        let started = (0..START_ATTEMPTS).find_map(|_| {
            let mut command = begin(&link);
            command.arg("serve").args(&options);
            Upgraded::launch(command, app, &folder)
        });
        started.unwrap_or_else(|| panic!("pinfold does not start: see {}", folder.display()))
    }

    /// `None` if it ends before it is ready.
    fn launch(mut command: Command, app: App, folder: &Path) -> Option<Upgraded> {
        let ports = Ports::free();
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("server.log"));
        let log = log.expect("a log can be made in the scratch folder");
        let also = log.try_clone().expect("a file handle can be cloned");
        let mark = Mark::new();
        mark.put_on(&mut command);
        command
            .args(["--listen", &format!("127.0.0.1:{}", ports.client)])
            .args(["--admin", &format!("127.0.0.1:{}", ports.admin)])
            .args(app.arguments())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also);
        let first = command
            .spawn()
            .unwrap_or_else(|fault| panic!("{command:?} does not start: {fault}"));
        let mut node = Upgraded {
            first: EndedWithItsTest(first),
            mark,
            ports,
            folder: folder.to_owned(),
            beside: 0,
        };
        wait_for("it is ready", || {
            let ended = wait(&mut node.first.0, Duration::ZERO).is_some();
            (ended || node.is_ready()).then_some(!ended)
        })
        .then_some(node)
    }

    fn is_ready(&self) -> bool {
        ask(&format!("{}/readyz", self.admin())).is_some()
    }

    pub(super) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.client).into()
    }

    pub(super) fn mcp(&self) -> String {
        format!("http://{}/mcp", self.address())
    }

    pub(super) fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Of the process that answers.
    pub(super) fn pid(&self) -> u32 {
        let url = format!("{}/node", self.admin());
        wait_for("somebody answers", || ask(&url)?["pid"].as_u64()) as u32
    }

    /// Of the process that answers.
    pub(super) fn open_files(&self) -> usize {
        let all = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        all.expect("it is of the same user").count()
    }

    pub(super) fn publish(&self, uris: &[String]) {
        let items: Vec<Value> = uris.iter().map(|uri| json!({ "uri": uri })).collect();
        let url = format!("{}/publish", self.admin());
        let answer = agent().post(&url).send(Value::from(items).to_string());
        let answer = answer.expect("an answer").into_body().read_to_string();
        let answer = answer.expect("a body");
        assert!(!answer.contains("\"accepted\":false"), "{answer}");
    }

    /// What is started at the next upgrade instead: a shell's script.
    pub(super) fn is_now(&self, script: &str) {
        let file = self.folder.join("script");
        self::script(&file, script);
        self.relink(&file);
    }

    /// The program is itself again.
    pub(super) fn is_itself(&self) {
        self.relink(&binary());
    }

    /// In one step, as a deploy does it.
    fn relink(&self, target: &Path) {
        let new = self.folder.join("new");
        symlink(target, &new).expect("a link can be made");
        fs::rename(&new, self.folder.join("pinfold")).expect("our own folder");
    }

    pub(super) fn upgrading(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["upgrade", "--wait", "--admin", &self.admin()]);
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn ask_for_upgrade(&self) -> Said {
        Said::by(&mut self.upgrading())
    }

    /// The new process serves, and the old one has ended.
    pub(super) fn upgrade(&self) {
        let before = self.pid();
        let said = self.ask_for_upgrade();
        assert_eq!(said.code, Some(0), "{said:?}\n{}", self.log());
        let named = format!("as process {}", self.pid());
        assert!(said.text.contains(&named), "{named}: {said:?}");
        assert_ne!(before, self.pid(), "{said:?}");
        self.has_one_process();
    }

    /// It came to nothing: why is said, and the same process goes on alone.
    pub(super) fn refuses(&self, why: &str) {
        let before = self.pid();
        let said = self.ask_for_upgrade();
        assert_eq!(said.code, Some(1), "{said:?}\n{}", self.log());
        assert!(said.text.contains(why), "{why}: {said:?}");
        assert!(said.text.contains("goes on"), "{said:?}");
        self.goes_on_as(before);
    }

    pub(super) fn goes_on_as(&self, before: u32) {
        self.has_one_process();
        assert_eq!(self.pid(), before);
        assert!(self.is_ready());
    }

    /// Whoever else was started for it is gone.
    pub(super) fn has_one_process(&self) {
        wait_until("one process is left", || {
            self.processes().len() == 1 + self.beside
        });
    }

    /// All that have not ended, whatever they are.
    pub(super) fn processes(&self) -> BTreeSet<u32> {
        self.mark.processes()
    }

    pub(super) fn signal(&self, name: &str, pid: u32) {
        assert!(signal(name, pid), "{pid} is gone:\n{}", self.log());
    }

    pub(super) fn is_gone(&self) {
        wait_until("all processes end", || self.processes().is_empty());
        let log = self.log();
        assert!(!log.contains("panicked at"), "{log}");
    }

    /// On SIGTERM, whichever process it is by now.
    pub(super) fn ends(self) {
        self.signal("TERM", self.pid());
        self.is_gone();
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        self.mark.kill_all();
    }
}

impl Said {
    fn by(command: &mut Command) -> Said {
        Said::of(output_of(command))
    }

    fn of(done: Output) -> Said {
        let text = [done.stdout, done.stderr].concat();
        Said {
            code: done.status.code(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// A program that is a shell's script.
fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("our own folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// What is answered, if it is 200.
pub(super) fn ask(url: &str) -> Option<Value> {
    let request = ureq::get(url).config();
    let request = request.timeout_global(Some(Duration::from_secs(10)));
    let answer = request
        .build()
        .call()
        .ok()?
        .into_body()
        .read_to_string()
        .ok()?;
    Some(serde_json::from_str(&answer).unwrap_or_default())
}
