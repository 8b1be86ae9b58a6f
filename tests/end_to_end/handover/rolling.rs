//! The script of deploy/ for several hosts, on three real nodes of one cluster: hosts that are this machine, whose systemd knows no
//! more than to reload and to restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use serde_json::json;

use super::{Said, Upgraded, ask, script};
use crate::cluster::client::Session;
use crate::cluster::node::{Node, peer_secret};
use crate::cluster::redis::Redis;
use crate::cluster::stream::Stream;
use crate::program::scratch_folder;
use crate::server::{App, binary};
use crate::waits::{OverAtItsEnd, agent, wait_for, wait_until};

const HOSTS: [&str; 3] = ["a", "b", "c"];

/// What stands in the place of the hosts' tools. What `systemctl` does is a script, to which the host is `$HOST`.
struct Hosts {
    tools: PathBuf,
}

impl Hosts {
    fn new(test: &str, systemctl: &str) -> Hosts {
        let tools = scratch_folder(&format!("handover/{test}"));
        script(&tools.join("systemctl"), systemctl);
        let said = "cat \"$(dirname \"$0\")/said-$HOST\"";
        script(&tools.join("journalctl"), said);
        script(&tools.join("ssh"), "export HOST=\"$1\"\nexec sh -c \"$2\"");
        for host in HOSTS {
            fs::write(tools.join(format!("said-{host}")), "").expect("our own folder");
        }
        Hosts { tools }
    }

    fn roll(&self, program: &Path, variables: &[(&str, &str)]) -> Said {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/rolling-upgrade");
        let mut command = Command::new(script);
        command.arg(program).args(HOSTS).stdin(Stdio::null());
        let path = format!("{}:/usr/bin:/bin", self.tools.display());
        command.env("PATH", path).envs(variables.iter().copied());
        Said::by(&mut command)
    }
}

/// Three nodes that share a Redis, each with a program of its own.
fn cluster(test: &str) -> (Redis, [Upgraded; 3]) {
    let scratch = scratch_folder(&format!("handover/{test}_cluster"));
    let redis = Redis::start(&scratch);
    let (url, secret) = (redis.url(), peer_secret(&scratch));
    let nodes = HOSTS.map(|name| {
        let options = [
            "--node",
            name,
            "--redis",
            &url,
            "--peer-secret-file",
            &secret,
        ];
        Upgraded::start(&format!("{test}_{name}"), App::Board, &options)
    });
    for node in &nodes {
        wait_for("all three are known", || {
            let all = ask(&format!("{}/node?cluster", node.admin()))?;
            (all["nodes"].as_array()?.len() == 3).then_some(())
        });
    }
    (redis, nodes)
}

#[test]
fn three_hosts_of_which_one_loses_a_session_or_is_upgraded_after_another_one_failed() {
    let (_redis, nodes) = cluster("rolling_three");
    let admin = |host: usize| nodes[host].admin();
    let reload = format!(
        "test \"$1\" = reload || exit 1
        case $HOST in a) admin={};; b) admin={};; c) admin={};; esac
        exec {} upgrade --wait --admin $admin >\"$(dirname \"$0\")/said-$HOST\" 2>&1",
        admin(0),
        admin(1),
        admin(2),
        binary().display()
    );
    let hosts = Hosts::new("rolling_three", &reload);
    let folder = scratch_folder("handover/rolling_three_targets");
    for (host, node) in HOSTS.iter().zip(&nodes) {
        // The script puts the program where the node was started from.
        std::os::unix::fs::symlink(&node.folder, folder.join(host)).expect("our own folder");
    }
    let target = format!("{}/$HOST/pinfold", folder.display());
    let variables = [("TARGET", target.as_str())];
    let sessions = nodes.iter().map(|node| Session::open(&node.mcp()));
    let sessions: Vec<Session> = sessions.collect();
    let mut streams: Vec<Stream> = nodes
        .iter()
        .zip(&sessions)
        .map(|(node, session)| {
            session.subscribe("board://rolling");
            Stream::of_session(node.address(), &session.id).expect_open()
        })
        .collect();
    let before = [0, 1, 2].map(|host: usize| nodes[host].pid());
    let said = hosts.roll(&binary(), &variables);
    assert_eq!(said.code, Some(0), "{said:?}\n{}", nodes[0].log());
    let told = said.text.matches("has taken over as process").count();
    assert_eq!(told, HOSTS.len(), "{said:?}");
    for (host, node) in nodes.iter().enumerate() {
        let process = format!("as process {}, with ", node.pid());
        assert!(said.text.contains(&process), "{process}: {said:?}");
        assert_ne!(node.pid(), before[host]);
    }
    assert!(
        said.text.contains("1 session, after a pause of "),
        "{said:?}"
    );
    nodes[1].publish(&["board://rolling".to_owned()]);
    for (stream, session) in streams.iter_mut().zip(&sessions) {
        stream.wait_to_hear("notifications/resources/updated board://rolling");
        assert!(!stream.has_ended());
        assert_eq!(session.ping().status, 200);
        assert_eq!(session.through(&nodes[2].mcp()).ping().status, 200);
    }
    // A node that refuses is where it ends: the one before has the new program, the one behind it nothing of it.
    let drained = agent().post(&format!("{}/drain", admin(1))).send("");
    assert!(drained.is_ok(), "{drained:?}");
    let before = [0, 2].map(|host: usize| nodes[host].pid());
    let said = hosts.roll(&binary(), &variables);
    assert_eq!(said.code, Some(1), "{said:?}");
    for part in [
        "b: not upgraded",
        "the node drains or ends",
        "RESTART=1",
        "were not touched",
    ] {
        assert!(said.text.contains(part), "{part}: {said:?}");
    }
    assert!(!said.text.contains("== c"), "{said:?}");
    assert_ne!(nodes[0].pid(), before[0]);
    assert_eq!(nodes[2].pid(), before[1]);
    nodes.into_iter().for_each(Upgraded::ends);
}

#[test]
fn a_program_that_is_taken_from_the_process_that_has_taken_over() {
    let hosts = Hosts::new(
        "rolling_not_ready",
        "process=$(dirname \"$0\")/process-$HOST
        case $1 in
        show) cat \"$process\";;
        reload) echo 2 >\"$process\"; exit 1;;
        esac",
    );
    for host in HOSTS {
        fs::write(hosts.tools.join(format!("process-{host}")), "1").expect("our own folder");
    }
    let target = hosts.tools.join("pinfold");
    fs::write(&target, "the program before").expect("our own folder");
    let before = target.display().to_string();
    let said = hosts.roll(&binary(), &[("TARGET", before.as_str())]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.text.contains("a: the new program has taken over"),
        "{said:?}"
    );
    assert!(
        !said.text.contains("goes on and serves") && !said.text.contains("== b"),
        "{said:?}"
    );
    let length = |path: &Path| fs::metadata(path).expect("it is there").len();
    assert_eq!(length(&target), length(&binary()), "it was put back");
    assert_eq!(length(&hosts.tools.join("pinfold.old")), 18);
}

/// Whoever waits for what this thread does need not wait any more, also when it panics.
struct GoneAtItsEnd<'a>(&'a Path);

impl Drop for GoneAtItsEnd<'_> {
    fn drop(&mut self) {
        // If not, it is waited for until the script's time is over.
        let _ = fs::write(self.0.join("gone"), "");
    }
}

/// What `systemctl restart` does is done here: the test has the processes.
#[test]
fn a_host_that_is_restarted_before_the_last_one_is_ready() {
    let hosts = Hosts::new(
        "rolling_restart",
        "test \"$1\" = restart || exit 1
        folder=$(dirname \"$0\")
        : >\"$folder/stop-$HOST\"
        until [ -e \"$folder/started-$HOST\" ]; do test ! -e \"$folder/gone\" || exit 1; sleep 0.05; done",
    );
    let scratch = scratch_folder("handover/rolling_restart_cluster");
    let redis = Redis::start(&scratch);
    let mut nodes = HOSTS.map(|name| Node::start(name, App::Board, Some(&redis), &scratch));
    let admins = [0, 1, 2].map(|host: usize| nodes[host].admin());
    // Each host's own address is what its curl asks.
    script(
        &hosts.tools.join("curl"),
        &format!(
            "case $HOST in a) admin={};; b) admin={};; c) admin={};; esac
            date +%s%N >>\"$(dirname \"$0\")/asked-$HOST\"
            exec /usr/bin/curl -fsS -o /dev/null \"$admin/readyz\"",
            admins[0], admins[1], admins[2]
        ),
    );
    let program = scratch.join("pinfold");
    fs::copy(binary(), &program).expect("our own folder");
    let over = AtomicBool::new(false);
    let said = scope(|scope| {
        let (tools, nodes, over) = (&hosts.tools, &mut nodes, &over);
        let systemd = scope.spawn(move || {
            let _gone = GoneAtItsEnd(tools);
            for (host, name) in HOSTS.iter().enumerate() {
                let stop = tools.join(format!("stop-{name}"));
                wait_until("it is to be restarted, or will not be", || {
                    stop.exists() || over.load(Ordering::Relaxed)
                });
                // Whoever had his turn is ready by now.
                for before in &admins[..host] {
                    assert!(ask(&format!("{before}/readyz")).is_some(), "{before}");
                }
                nodes[host].stop().unwrap_or_else(|fault| panic!("{fault}"));
                nodes[host].start_again();
                fs::write(tools.join(format!("started-{name}")), "").expect("our own folder");
            }
        });
        let target = program.display().to_string();
        let rolling = OverAtItsEnd(over);
        let said = hosts.roll(&binary(), &[("TARGET", &target), ("RESTART", "1")]);
        drop(rolling);
        systemd.join().expect("each was restarted");
        said
    });
    assert_eq!(said.code, Some(0), "{said:?}");
    for host in HOSTS {
        assert!(
            said.text.contains(&format!("{host}: restarted, and ready")),
            "{said:?}"
        );
        let asked = fs::read_to_string(hosts.tools.join(format!("asked-{host}")));
        assert!(asked.is_ok_and(|it| !it.is_empty()), "{host} was asked");
    }
    nodes[0].publish(&json!([{"uri": "board://a", "contents": "x"}]));
    Node::stop_all(&mut nodes);
}
