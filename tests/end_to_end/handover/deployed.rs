//! What deploy/ has for upgrades: the script for several hosts, and three nodes in containers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Said, Upgraded, script};
use crate::program::scratch_folder;
use crate::server::{App, binary};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

/// Hosts that are this machine, whose systemd knows no more than to reload.
#[test]
fn a_host_whose_program_is_half_of_one_or_stays_the_new_one_that_does_not_run() {
    let node = Upgraded::start("rolling", App::Board, &[]);
    let tools = scratch_folder("handover/rolling_tools");
    let upgrade = format!(
        "exec {} upgrade --wait --admin {}",
        binary().display(),
        node.admin()
    );
    script(&tools.join("systemctl"), &upgrade);
    script(&tools.join("journalctl"), "true");
    script(&tools.join("ssh"), "exec sh -c \"$2\"");
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let roll = |program: &Path| {
        let mut command = Command::new(deploy("systemd/rolling-upgrade"));
        command.arg(program).arg("10.0.0.1").stdin(Stdio::null());
        command
            .env("PATH", &path)
            .env("TARGET", node.folder.join("pinfold"));
        Said::by(&mut command)
    };
    let before = node.pid();
    let said = roll(&binary());
    assert_eq!(said.code, Some(0), "{said:?}\n{}", node.log());
    assert!(said.text.contains("has taken over as process"), "{said:?}");
    let upgraded = node.pid();
    assert_ne!(upgraded, before);
    let broken = tools.join("broken");
    script(&broken, "test \"$1\" = --version");
    let said = roll(&broken);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.text.contains("10.0.0.1: not upgraded"), "{said:?}");
    node.goes_on_as(upgraded);
    node.upgrade();
    node.ends();
}

#[test]
fn containers_whose_nodes_take_each_other_for_somebody_else() {
    let text = fs::read_to_string(deploy("compose/compose.yml")).expect("the repository has it");
    let mut file: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).expect("YAML");
    file.apply_merge().expect("what is merged is there");
    let file: Value = serde_json::to_value(&file).expect("names are texts");
    let folder = scratch_folder("handover/compose");
    let mut names = BTreeSet::new();
    for service in ["a", "b", "c"] {
        let node = &file["services"][service];
        assert_eq!(node["command"][0], "/opt/pinfold/pinfold");
        assert!(node["init"].is_null(), "process 1 is the program");
        let environment = node["environment"].as_object().expect("variables");
        assert_eq!(environment["PINFOLD_NODE"], service);
        // The containers' names are known among them alone.
        let here = |value: &str| value.replace(&format!("//{service}:"), "//127.0.0.1:");
        assert_eq!(
            environment["PINFOLD_ADVERTISE"],
            format!("http://{service}:8080")
        );
        names.insert(environment["PINFOLD_NODE"].to_string());
        let mut check = Command::new(binary());
        check.args(["config", "check"]).stdin(Stdio::null());
        for (name, value) in environment {
            let value = value.as_str().expect("a text");
            let Some(secret) = value.strip_prefix("/run/secrets/") else {
                check.env(name, here(value));
                continue;
            };
            let secret = folder.join(secret);
            fs::write(&secret, "0123456789abcdef".repeat(4)).expect("our own folder");
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("our own file");
            check.env(name, secret);
        }
        let said = Said::by(&mut check);
        assert_eq!(said.code, Some(0), "{said:?}");
    }
    assert_eq!(names.len(), 3);
}
