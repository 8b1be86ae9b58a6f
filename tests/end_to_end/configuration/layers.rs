//! Who has the last word, and what is said of it.

use serde_json::Value;

use super::{printed, repository, written};
use crate::ports::free_port;
use crate::program::scratch_folder;
use crate::server::{App, Placement, Server};

/// Value and origin of a key.
fn of<'a>(shown: &'a Value, key: &str) -> (&'a Value, &'a Value) {
    let all = shown.as_array().expect("a list");
    let found = all.iter().find(|it| it["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in: {shown}"));
    (&found["value"], &found["from"])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|wrong| panic!("{wrong}: {text}"))
}

#[test]
fn a_later_layer_that_loses() {
    let scratch = scratch_folder("configuration/layers");
    let lines = "node = 'file'\napp = 'conformance'\n[limits]\nsessions-max = 1000\nconnections-max = 7\n[times]\nretry = '2s'\n";
    let file = written(&scratch, "pinfold.toml", lines);
    let variables = [
        ("PINFOLD_NODE", "variable"),
        ("PINFOLD_SESSIONS_MAX", "2000"),
        ("PINFOLD_CONFIG", &file),
    ];
    let arguments = [
        "config",
        "show",
        "--json",
        "--sessions-max",
        "3000",
        "--no-forward",
    ];
    let shown = json(&printed(&arguments, &variables, &scratch));

    let (value, from) = of(&shown, "limits.sessions-max");
    assert_eq!(
        (value, &from["kind"], &from["name"]),
        (&3000.into(), &"flag".into(), &"--sessions-max".into())
    );
    let (value, from) = of(&shown, "node");
    assert_eq!(
        (value, &from["kind"], &from["name"]),
        (
            &"variable".into(),
            &"variable".into(),
            &"PINFOLD_NODE".into()
        )
    );
    let (value, from) = of(&shown, "times.retry");
    assert_eq!((value, &from["kind"]), (&"2s".into(), &"file".into()));
    assert_eq!(
        (&from["file"], &from["line"], &from["column"]),
        (&file.as_str().into(), &7.into(), &9.into())
    );
    let (value, from) = of(&shown, "times.keep-alive");
    assert_eq!((value, &from["kind"]), (&"15s".into(), &"default".into()));
    assert_eq!(of(&shown, "cluster.no-forward").0, &serde_json::json!(true));
    assert_eq!(
        of(&shown, "limits.sessions-per-client-max").0,
        &serde_json::json!(750),
        "a quarter"
    );

    let table = printed(
        &arguments.map(|it| {
            if it == "--json" {
                "--drain-window=1s"
            } else {
                it
            }
        }),
        &variables,
        &scratch,
    );
    let line = |key: &str| {
        table
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(line("app ").ends_with(&format!("{file}:2")), "{table}");
    assert!(line("node ").ends_with("PINFOLD_NODE"), "{table}");
    assert!(
        line("cluster.drain-window ").ends_with("--drain-window"),
        "{table}"
    );
    assert!(line("log ").ends_with("default"), "{table}");
}

#[test]
fn what_is_shown_as_a_file_reads_back() {
    let scratch = scratch_folder("configuration/toml");
    let token = written(&scratch, "token", "s3cret");
    let lines = "allow-origin = ['https://a.example', 'https://b.example']\nadmin-token-file = 'token'\ntrusted-proxy = []\n[times]\nretry = '2s'\n";
    let file = written(&scratch, "pinfold.toml", lines);
    let told = [
        "--config",
        &file,
        "--cores",
        "1",
        "--body-bytes-max",
        "2MiB",
    ];
    let show = |how: &str, told: &[&str]| {
        printed(&[&["config", "show", how], told].concat(), &[], &scratch)
    };
    std::fs::create_dir_all(scratch.join("elsewhere")).expect("a folder");
    let copy = written(&scratch, "elsewhere/copy.toml", show("--toml", &told));
    let (first, second) = (
        json(&show("--json", &told)),
        json(&show("--json", &["--config", &copy])),
    );
    for it in first.as_array().expect("a list") {
        let key = it["key"].as_str().expect("a key");
        assert_eq!(of(&second, key).0, &it["value"], "{key}");
        let is_default = it["from"]["kind"] == "default";
        assert_eq!(of(&second, key).1["kind"] == "default", is_default, "{key}");
    }
    assert_eq!(of(&second, "admin-token-file").0, &serde_json::json!(token));
    assert_eq!(of(&second, "trusted-proxy").0, &Value::Array(Vec::new()));
}

/// A rule has its line, a word the name of whoever said it, and the word outside of the file counts.
#[test]
fn a_policy_that_is_not_the_one_in_force() {
    let scratch = scratch_folder("configuration/policy");
    let rules = "[policy]\nread = 'anyone'\n[policy.tools]\n'a*' = 'nobody'\n[policy.resources]\n'board://x' = {publish = 'nobody'}\n";
    let file = written(&scratch, "pinfold.toml", rules);
    let show = |told: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["config", "show", "--config", &file], told].concat();
        printed(&arguments, variables, &scratch)
    };
    let shown = json(&show(&["--json"], &[]));
    for (key, value, line) in [
        ("policy.read", "anyone", 2),
        ("policy.tools.\"a*\"", "nobody", 4),
        ("policy.resources.\"board://x\".publish", "nobody", 6),
    ] {
        let (said, from) = of(&shown, key);
        assert_eq!(
            (said, &from["line"]),
            (&value.into(), &line.into()),
            "{key}"
        );
    }
    let keys = shown.as_array().expect("a list").iter();
    let keys: Vec<_> = keys.filter_map(|it| it["key"].as_str()).collect();
    assert!(!keys.contains(&"policy"), "{keys:?}");
    let table = show(&[], &[]);
    let line = table.lines().find(|it| it.starts_with("policy.read "));
    let line = line.unwrap_or_default();
    assert!(
        line.contains("anyone") && line.ends_with(&format!("{file}:2")),
        "{table}"
    );

    let copy = written(&scratch, "copy.toml", show(&["--toml"], &[]));
    let again = json(&printed(
        &["config", "show", "--json", "--config", &copy],
        &[],
        &scratch,
    ));
    for it in shown.as_array().expect("a list") {
        let key = it["key"].as_str().expect("a key");
        assert_eq!(of(&again, key).0, &it["value"], "{key}");
    }

    let overruled = [
        (
            show(&["--json", "--policy", "closed"], &[]),
            "closed",
            "--policy",
        ),
        (
            show(&["--json"], &[("PINFOLD_POLICY", "read-only")]),
            "read-only",
            "PINFOLD_POLICY",
        ),
    ];
    for (text, word, name) in overruled {
        let shown = json(&text);
        let (value, from) = of(&shown, "policy");
        assert_eq!((value, &from["name"]), (&word.into(), &name.into()));
        assert!(!text.contains("policy.read"), "{text}");
    }
    let word = written(&scratch, "word.toml", "policy = 'read-only'\n");
    let shown = json(&printed(
        &["config", "show", "--json", "--config", &word],
        &[],
        &scratch,
    ));
    let (value, from) = of(&shown, "policy");
    assert_eq!((value, &from["line"]), (&"read-only".into(), &1.into()));
}

#[test]
fn a_secret_that_is_shown() {
    let scratch = scratch_folder("configuration/secret");
    let token = written(&scratch, "token", "geheim-token\n");
    let variables = [
        ("PINFOLD_REDIS", "redis://who:geheim@127.0.0.1:1"),
        ("PINFOLD_ADMIN_TOKEN_FILE", &token),
    ];
    let told = ["--node", "a", "--no-forward"];
    for command in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["config", "show", "--toml"],
        &["config", "check"],
    ] {
        let text = printed(&[command, &told].concat(), &variables, &scratch);
        assert!(!text.contains("geheim"), "{command:?}: {text}");
        assert!(
            text.contains("redis://who:…@127.0.0.1:1"),
            "{command:?}: {text}"
        );
    }
}

/// Help, and what is refused, may be read by others.
#[test]
fn a_password_that_the_help_shows() {
    let scratch = scratch_folder("configuration/help");
    let variable = |url| [("PINFOLD_REDIS", url)];
    let help = printed(
        &["serve", "--help"],
        &variable("redis://:geheim@h"),
        &scratch,
    );
    assert!(
        help.contains("PINFOLD_REDIS") && !help.contains("geheim"),
        "{help}"
    );
    let refused = super::pinfold(&["serve"], &variable("redis://:geheim@h:x"), &scratch);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = refused.output;
    assert!(
        told.contains("--redis") && !told.contains("geheim"),
        "{told}"
    );
}

/// The URL is in the file, the password is not.
#[test]
fn a_password_of_redis_from_a_file_of_its_own() {
    let scratch = scratch_folder("configuration/redis");
    written(&scratch, "password", "geheim\n");
    let lines = "node = 'a'\n[cluster]\nredis = 'redis://127.0.0.1:1'\nredis-password-file = 'password'\nno-forward = true\n";
    let file = written(&scratch, "pinfold.toml", lines);
    let checked = printed(&["config", "check", "--config", &file], &[], &scratch);
    assert!(
        checked.starts_with("ok: ") && checked.contains("redis://:…@127.0.0.1:1"),
        "{checked}"
    );
}

#[test]
fn the_file_of_ten_lines() {
    let scratch = scratch_folder("configuration/ten");
    let deployed = repository("deploy/pinfold.toml");
    let file = written(&scratch, "pinfold.toml", &deployed);
    let checked = printed(&["config", "check", "--config", &file], &[], &scratch);
    assert_eq!(checked.lines().count(), 1, "{checked}");
    assert!(
        checked.starts_with("ok: clients on 127.0.0.1:8080 at /mcp, admin on 127.0.0.1:9464;"),
        "{checked}"
    );
    assert!(
        repository("README.md").contains(&deployed),
        "the README has another one"
    );

    let (listen, admin) = (free_port(), free_port());
    let server = Server::start_at(
        crate::server::Ports {
            client: listen,
            admin,
        },
        &["--config", &file],
        App::Board,
        Placement::OneCore,
        &scratch.join("server.log"),
    );
    let server = server.expect("it starts with the file");
    server.stop().expect("and ends well");
}

#[test]
fn a_proxy_that_was_told_something_else_than_its_nodes() {
    let scratch = scratch_folder("configuration/traefik");
    let file = written(
        &scratch,
        "pinfold.toml",
        "endpoint = '/v1/mcp'\n[times]\nkeep-alive = '40s'\n",
    );
    let node = ["traefik", "--node", "a=http://10.0.0.1:8080"];
    let with = printed(&[&node[..], &["--config", &file]].concat(), &[], &scratch);
    let same = printed(
        &[&node[..], &["--endpoint", "/v1/mcp", "--keep-alive", "40s"]].concat(),
        &[],
        &scratch,
    );
    assert_eq!(with, same);
    let over = printed(
        &[&node[..], &["--config", &file, "--endpoint", "/mcp"]].concat(),
        &[],
        &scratch,
    );
    assert!(over.contains("/mcp") && !over.contains("/v1/mcp"), "{over}");
    let bad = written(&scratch, "bad.toml", "endpont = '/mcp'\n");
    let refused = super::pinfold(&[&node[..], &["--config", &bad]].concat(), &[], &scratch);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        refused
            .output
            .contains("bad.toml:1:1: unknown key 'endpont'"),
        "{refused:?}"
    );
}
