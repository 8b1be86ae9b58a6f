//! Whoever looks after the program: a service manager that is told which process serves, and a parent as process 1 of a container.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Upgraded, ask};
use crate::crowd::{Habit, Listener, open_session, uri};
use crate::program::{EndedWithItsTest, output_of, scratch_folder, wait};
use crate::server::{App, Ports, binary};
use crate::waits::{PATIENCE, agent, wait_for, wait_until};

#[test]
fn a_service_manager_that_is_told_of_another_process_or_too_late() {
    let folder = scratch_folder("handover/notify_socket");
    let path = folder.join("s");
    let socket = UnixDatagram::bind(&path).expect("a socket in our own folder");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a time limit can be set");
    let heard = || {
        let mut bytes = [0; 4096];
        let count = socket.recv(&mut bytes).expect("it is told");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let node = Upgraded::start_by("notify", App::Board, &[], |program| {
        let mut command = Command::new(program);
        command.env("NOTIFY_SOCKET", &path);
        command
    });
    assert_eq!(heard(), "READY=1\n");
    for _ in 0..2 {
        node.upgrade();
        assert_eq!(heard(), format!("MAINPID={}\n", node.pid()));
    }
    node.is_now("exit 1");
    node.refuses("exit status: 1");
    node.ends();
    assert_eq!(heard(), "STOPPING=1\n");
    socket.set_nonblocking(true).expect("a socket");
    assert!(socket.recv(&mut [0; 64]).is_err(), "nothing else was said");
}

/// In a PID namespace of its own, where the program is process 1, as in a container.
fn as_process_1(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(program);
    command
}

fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).stdout == b"0\n"
}

/// False, and said, where the machine does not let us have one: then the test is not run.
fn has_namespaces() -> bool {
    let done = output_of(&mut as_process_1(Path::new("true")));
    if !done.status.success() {
        println!("NOT RUN: no PID namespace can be made here: {done:?}");
    }
    done.status.success()
}

/// Its number out here.
fn process_1(node: &Upgraded) -> u32 {
    let is_1 = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        number_inside(&status) == Some(1)
    };
    let found = node.processes().into_iter().find(is_1);
    found.expect("somebody is process 1")
}

/// By the kernel's word of a process: its number in the namespace that it is in, if that is another one than ours.
fn number_inside(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|it| it.strip_prefix("NSpid:"))?;
    let (_, inside) = numbers.trim().rsplit_once('\t')?;
    inside.parse().ok()
}

/// The only child that process 1 has, by its number out here. For a moment the one before is that yet, and ends.
fn only_child(node: &Upgraded) -> u32 {
    let (parent, serving) = (process_1(node), node.pid());
    wait_for("whoever ended was waited for", || {
        let [child] = children(parent)[..] else {
            return None;
        };
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        (number_inside(&status) == Some(serving)).then_some(child)
    })
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    // Nobody's are listed of one that has ended.
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|it| it.parse().ok())
        .collect()
}

#[test]
fn a_container_that_ends_with_an_upgrade() {
    if !has_namespaces() {
        return;
    }
    let mut node = Upgraded::start_by("process_1", App::Board, &[], as_process_1);
    // unshare(1), and the parent.
    node.beside = 2;
    let parent = process_1(&node);
    let session = open_session(node.address());
    let mut listener = Listener::open(node.address(), Some(session), Habit::Reads);
    for _ in 0..3 {
        node.upgrade();
        only_child(&node);
        node.publish(&[uri(0)]);
        wait_for("it is told", || {
            listener.read();
            listener.heard.remove(&uri(0)).map(drop)
        });
    }
    node.signal("HUP", parent);
    wait_for("it hears signals", || {
        node.log()
            .contains("nothing to be read again")
            .then_some(())
    });
    node.signal("TERM", parent);
    let status = wait_for("the container ends", || {
        wait(&mut node.first.0, Duration::ZERO)
    });
    assert!(status.success(), "{status}");
    node.is_gone();
}

#[test]
fn a_container_that_ends_otherwise_than_its_node() {
    if !has_namespaces() {
        return;
    }
    let mut node = Upgraded::start_by("process_1_killed", App::Board, &[], as_process_1);
    node.beside = 2;
    node.upgrade();
    node.signal("KILL", only_child(&node));
    let status = wait_for("the container ends", || {
        wait(&mut node.first.0, Duration::ZERO)
    });
    assert_eq!(status.code(), Some(128 + 9));
    let mut node = Upgraded::start_by(
        "process_1_alone",
        App::Board,
        &["--no-parent"],
        as_process_1,
    );
    node.beside = 1;
    assert_eq!(node.pid(), 1);
    node.signal("TERM", process_1(&node));
    let status = wait_for("the container ends", || {
        wait(&mut node.first.0, Duration::ZERO)
    });
    assert!(status.success(), "{status}");
    node.is_gone();
}

/// A user's manager of systemd, in namespaces of its own and a control group of its own.
struct Manager {
    child: EndedWithItsTest,
    runtime: PathBuf,
    groups: Vec<PathBuf>,
}

/// Where systemd keeps its groups: with the one hierarchy, with both, with the old one.
const HIERARCHIES: [&str; 3] = [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
];

const IN_ITS_NAMESPACES: &str = "\
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system || exit
for group; do echo $$ >\"$group/cgroup.procs\" || exit; done
/lib/systemd/systemd --user --unit=basic.target &
wait";

impl Manager {
    /// None, and it is said why, if none can be started here.
    fn start(folder: &Path, unit: &str) -> Option<Manager> {
        let runtime = folder.join("run");
        let units = folder.join("configuration/systemd/user");
        fs::create_dir_all(&runtime).expect("our own folder");
        fs::create_dir_all(&units).expect("our own folder");
        fs::write(units.join("pinfold.service"), unit).expect("our own folder");
        let name = format!("pinfold-test-{}", std::process::id());
        let all = HIERARCHIES.map(Path::new).into_iter();
        let groups: Vec<_> = all
            .filter(|it| it.join("cgroup.procs").exists())
            .map(|it| it.join(&name))
            .filter(|it| fs::create_dir(it).is_ok())
            .collect();
        let log = fs::File::create(folder.join("manager.log")).expect("our own folder");
        let child = Command::new("unshare")
            .args([
                "--mount",
                "--cgroup",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["sh", "-c", IN_ITS_NAMESPACES, "sh"])
            .args(&groups)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("XDG_CONFIG_HOME", folder.join("configuration"))
            .env("HOME", folder)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let Ok(child) = child else {
            println!("NOT RUN: there is no unshare(1) here");
            return None;
        };
        let mut manager = Manager {
            child: EndedWithItsTest(child),
            runtime,
            groups,
        };
        let runs = wait_for("a manager runs or ends", || {
            let ended = wait(&mut manager.child.0, Duration::ZERO).is_some();
            let (is_active, _) = manager.systemctl(&["is-active", "basic.target"]);
            (ended || is_active).then_some(!ended)
        });
        if !runs {
            let log = fs::read_to_string(folder.join("manager.log")).unwrap_or_default();
            println!("NOT RUN: no manager of systemd can be started here: {log}");
        }
        runs.then_some(manager)
    }

    /// Whether it did what it was told, and what it said.
    fn systemctl(&self, arguments: &[&str]) -> (bool, String) {
        let Some(inside) = children(self.child.0.id()).pop() else {
            return (false, "it has not started, or has ended".to_owned());
        };
        // It answers whom it can see.
        let mut command = Command::new("nsenter");
        command.args(["--target", &inside.to_string(), "--mount", "--pid"]);
        command.args(["systemctl", "--user"]).args(arguments);
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        let done = output_of(&mut command);
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    fn does(&self, arguments: &[&str]) {
        let (is_done, said) = self.systemctl(arguments);
        assert!(is_done, "{arguments:?}: {said}");
    }

    /// The kernel's word of the process that has this number in its namespace. Other namespaces have that number, too.
    fn status_of(&self, pid: u32) -> Option<String> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let inside = children(self.child.0.id()).pop()?;
        let own = namespace(&inside.to_string())?;
        let mut all = fs::read_dir("/proc").expect("there is /proc").flatten();
        all.find_map(|it| {
            let status = fs::read_to_string(it.path().join("status")).ok()?;
            let is_it = number_inside(&status) == Some(pid);
            (is_it && namespace(it.file_name().to_str()?)? == own).then_some(status)
        })
    }

    fn shown(&self, property: &str) -> String {
        let (_, text) = self.systemctl(&["show", "--value", "-p", property, "pinfold"]);
        text.trim().to_owned()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // All that it started is in its namespace, and ends with that.
        let _ = self.child.0.kill();
        let _ = self.child.0.wait();
        for group in &self.groups {
            let mut remove = Command::new("find");
            remove
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
            let remove = remove.stderr(Stdio::null());
            // What has just ended is in its group for a moment yet. One that is left over harms nobody, and a test that has failed
            // says why by itself.
            let deadline = Instant::now() + PATIENCE;
            while group.exists() && Instant::now() < deadline {
                let _ = remove.status();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The unit of deploy/ for this program and these ports: with its sandbox, but for what only the system's own manager can do.
fn unit(program: &Path, ports: Ports) -> String {
    const LEFT_OUT: [&str; 5] = [
        // A user of its own.
        "DynamicUser",
        // Of this machine.
        "EnvironmentFile",
        // These hide places that are not there in the namespace of the test's manager.
        "ProtectHome",
        "ProtectKernelLogs",
        "ProtectKernelTunables",
    ];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/pinfold.service");
    let file = fs::read_to_string(file).expect("the repository has it");
    let service = file.lines().skip_while(|line| *line != "[Service]");
    let lines = service
        .take_while(|line| *line != "[Install]")
        .filter(|line| {
            let key = line.split_once('=').map(|(key, _)| key);
            key.is_none_or(|key| !LEFT_OUT.contains(&key))
        });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    text = text.replace("/usr/local/bin/pinfold", &program.display().to_string());
    for (name, value) in [
        ("LISTEN", format!("127.0.0.1:{}", ports.client)),
        ("ADMIN", format!("127.0.0.1:{}", ports.admin)),
        ("ADMIN_URL", format!("http://127.0.0.1:{}", ports.admin)),
        ("CORES", "2".to_owned()),
    ] {
        text += &format!("\nEnvironment=PINFOLD_{name}={value}");
    }
    text + "\n"
}

/// Whoever serves is in it, the successor of a hand-over as well as who was started by systemd.
fn is_in_the_sandbox(manager: &Manager, url: &str) {
    let pid = wait_for("it serves", || ask(url)?["pid"].as_u64());
    let status = manager.status_of(pid as u32);
    let wanted = ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"];
    let status = status.expect("it is in the manager's namespace");
    for line in wanted {
        assert!(status.lines().any(|it| it == line), "{line}: {status}");
    }
}

#[test]
fn a_reload_of_the_service_that_systemd_takes_for_its_end() {
    let folder = scratch_folder("handover/systemd");
    let program = folder.join("pinfold");
    std::os::unix::fs::symlink(binary(), &program).expect("a link can be made");
    let ports = Ports::free();
    let Some(manager) = Manager::start(&folder, &unit(&program, ports)) else {
        return;
    };
    let url = format!("http://127.0.0.1:{}/node", ports.admin);
    let pid = || wait_for("it serves", || ask(&url)?["pid"].as_u64()) as u32;
    manager.does(&["start", "pinfold"]);
    is_in_the_sandbox(&manager, &url);
    let address = ([127, 0, 0, 1], ports.client).into();
    let mut listener = Listener::open(address, Some(open_session(address)), Habit::Reads);
    for _ in 0..3 {
        let before = pid();
        manager.does(&["reload", "pinfold"]);
        assert_ne!(pid(), before);
        is_in_the_sandbox(&manager, &url);
        wait_for("systemd knows who serves", || {
            (manager.shown("MainPID") == pid().to_string()).then_some(())
        });
        wait_until("the old process has ended", || {
            manager.shown("ActiveState") == "active" && manager.status_of(before).is_none()
        });
        assert_eq!(
            (manager.shown("SubState"), manager.shown("NRestarts")),
            ("running".into(), "0".into())
        );
        let publish = agent().post(&format!("http://127.0.0.1:{}/publish", ports.admin));
        let item: Value = serde_json::json!({ "uri": uri(0) });
        publish.send(item.to_string()).expect("it is taken");
        wait_for("it is told", || {
            listener.read();
            listener.heard.remove(&uri(0)).map(drop)
        });
    }
    // A program that cannot take over: the reload fails, and the service goes on.
    let before = pid();
    fs::remove_file(&program).expect("our own folder");
    fs::write(&program, "#!/bin/sh\nexit 1\n").expect("our own folder");
    let (is_done, _) = manager.systemctl(&["reload", "pinfold"]);
    assert!(!is_done);
    assert_eq!(
        (manager.shown("ActiveState"), pid()),
        ("active".into(), before)
    );
    fs::remove_file(&program).expect("our own folder");
    std::os::unix::fs::symlink(binary(), &program).expect("a link can be made");
    // One that dies is started again, though systemd did not start it.
    manager.does(&["kill", "--kill-whom=main", "-s", "KILL", "pinfold"]);
    wait_for("it is started again", || {
        (manager.shown("NRestarts") == "1").then_some(())
    });
    assert_ne!(pid(), before);
    manager.does(&["stop", "pinfold"]);
    assert_eq!(manager.shown("ActiveState"), "inactive");
    assert_eq!(manager.shown("Result"), "success");
}
