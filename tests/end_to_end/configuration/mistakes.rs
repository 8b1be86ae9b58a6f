//! Each mistake by its name: file, line and column, what is allowed, exit code 2, and nobody listens.

use std::net::TcpListener;

use super::{pinfold, written};
use crate::program::scratch_folder;

/// `serve` with this file ends with 2, without a look at the port that it should listen at, and says all of this.
fn assert_refused(name: &str, contents: impl AsRef<[u8]>, parts: &[&str]) {
    let scratch = scratch_folder(&format!("configuration/{name}"));
    let file = written(&scratch, "pinfold.toml", contents);
    // Whoever would listen there fails in another way.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    for command in [
        &["serve", "--listen", &taken][..],
        &["config", "check"],
        &["config", "show"],
    ] {
        let arguments = [command, &["--config", &file]].concat();
        let finished = pinfold(&arguments, &[], &scratch);
        let told = &finished.output;
        assert_eq!(
            finished.status.code(),
            Some(2),
            "{name}: {arguments:?}: {told}"
        );
        for part in parts {
            let part = part.replace("FILE", &file);
            assert!(told.contains(&part), "{name}: {part} is not in:\n{told}");
        }
        assert!(!told.contains("geheim"), "{name}: {told}");
    }
}

#[test]
fn an_unknown_key() {
    assert_refused(
        "unknown",
        "\nlisen = '127.0.0.1:8080'\n",
        &["FILE:2:1: unknown key 'lisen': did you mean 'listen'?"],
    );
}

#[test]
fn a_key_in_the_wrong_table() {
    assert_refused(
        "misplaced",
        "[times]\nsessions-max = 5\n",
        &["FILE:2:1: ", "it belongs into the table [limits]"],
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_refused(
        "type",
        "cores = '2'\n",
        &[
            "FILE:1:9: invalid value '2' for 'cores': must be a number from 1 to 512, without quotes",
        ],
    );
}

#[test]
fn a_value_out_of_range() {
    assert_refused(
        "range",
        "[limits]\nsessions-max = 0\n",
        &[
            "FILE:2:16: invalid value 0 for 'limits.sessions-max': must be a number from 1 to 100000000",
        ],
    );
}

#[test]
fn more_than_the_machine_has() {
    assert_refused(
        "machine",
        "cores = 512\n",
        &["FILE:1:9: invalid value '512' for 'cores': must be a number from 1 to "],
    );
}

#[test]
fn a_secret_that_cannot_be_read() {
    assert_refused(
        "secret",
        "state-key-file = 'nowhere/key'\nadmin-token-file = '/nowhere/token'\n",
        &[
            "FILE:1:18: invalid value '",
            "/nowhere/key' for 'state-key-file': must be a file that can be read: No such file",
            "FILE:2:20: invalid value '/nowhere/token' for 'admin-token-file': must be a file that can be read",
        ],
    );
}

#[test]
fn a_secret_in_the_file_itself() {
    assert_refused(
        "password",
        "node = 'a'\n[cluster]\nredis = 'redis://:geheim@127.0.0.1:1'\nno-forward = true\n",
        &["FILE:3:9: ", "'cluster.redis'", "redis-password-file"],
    );
}

#[test]
fn a_key_that_is_said_twice() {
    assert_refused(
        "twice",
        "node = 'a'\nnode = 'b'\n",
        &["FILE:2:1: 'node' is said twice"],
    );
}

#[test]
fn what_is_no_toml() {
    assert_refused(
        "syntax",
        "node = 'a'\nlisten = 127.0.0.1:8080\n",
        &["FILE:2:", "a text is in quotes"],
    );
}

#[test]
fn what_is_no_text() {
    assert_refused(
        "latin1",
        b"node = 'a'\n# gr\xfcn\n",
        &["FILE:2:5: ", "UTF-8"],
    );
}

#[test]
fn a_file_that_is_too_large() {
    let large = "#".repeat((16 << 20) + 1);
    assert_refused("large", large, &["FILE: ", "at most 16MiB"]);
}

#[test]
fn a_file_that_is_not_there() {
    let scratch = scratch_folder("configuration/missing");
    let file = scratch.join("nowhere.toml").display().to_string();
    let by_option = pinfold(&["serve", "--config", &file], &[], &scratch);
    let by_variable = pinfold(&["serve"], &[("PINFOLD_CONFIG", &file)], &scratch);
    for finished in [by_option, by_variable] {
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        let told = format!("{file}: the configuration file cannot be read: No such file");
        assert!(finished.output.contains(&told), "{finished:?}");
    }
}

#[test]
fn options_that_do_not_go_together() {
    assert_refused(
        "together",
        "listen = '127.0.0.1:8080'\nadmin = '0.0.0.0:9464'\n[cluster]\nadvertise = 'http://10.0.0.1:8080'\n",
        &[
            "FILE:2:9: invalid value '0.0.0.0:9464' for 'admin': must be a loopback address",
            "FILE:4:13: invalid value 'http://10.0.0.1:8080' for 'cluster.advertise': makes no sense without --redis",
        ],
    );
}

#[test]
fn a_policy_that_is_none() {
    assert_refused(
        "policy",
        "[policy]\nread = 'anyone'\nraed = 'nobody'\n",
        &["FILE:3:1: unknown field `raed`, expected one of `preset`"],
    );
    assert_refused(
        "policy_word",
        "node = 'a'\npolicy = 'readonly'\n",
        &["FILE:2:10: unknown variant `readonly`, expected one of `open`, `read-only`, `closed`"],
    );
    assert_refused(
        "policy_scope",
        "[policy.tools]\n'echo' = 'board\\write'\n",
        &["FILE:2:10: the policy names the scope \"board\\write\", which is none"],
    );
    assert_refused(
        "policy_pattern",
        "[policy.resources]\n'board://{me}/*' = 'anyone'\n",
        &["FILE:2:1: the policy has the pattern \"board://{me}/*\""],
    );
}

#[test]
fn a_policy_for_scopes_that_nobody_has() {
    assert_refused(
        "policy_nobody",
        "[policy]\nlist = 'anyone'\nread = 'board:read'\n",
        &[
            "FILE:2:8: 'policy' has rules for scopes",
            "--auth token, jwt or proxy",
        ],
    );
    let rules = (0..257).map(|number| format!("tool{number} = 'nobody'\n"));
    assert_refused(
        "policy_many",
        format!("[policy.tools]\n{}", rules.collect::<String>()),
        &[
            "FILE:2:",
            "'policy' has 257 rules, and at most 256 are taken",
        ],
    );
}

#[test]
fn the_first_mistake_that_hides_the_others() {
    let mistakes = "lisen = 'x'\ncores = 0\nadmin-token-file = '/nowhere/token'\nnode = a\n[limits]\nretry = '1s'\n";
    let scratch = scratch_folder("configuration/all");
    let file = written(&scratch, "pinfold.toml", mistakes);
    let finished = pinfold(&["serve", "--config", &file], &[], &scratch);
    let begins = format!("error: {file}:");
    let lines = finished
        .output
        .lines()
        .filter_map(|line| line.strip_prefix(&begins));
    let numbers: Vec<&str> = lines.filter_map(|line| line.split(':').next()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "6"], "{}", finished.output);
}

/// Whoever said it is named.
#[test]
fn a_mistake_that_is_not_the_files() {
    let scratch = scratch_folder("configuration/variable");
    let file = written(
        &scratch,
        "pinfold.toml",
        "admin-token-file = '/nowhere/of-the-file'\n",
    );
    let variable = [("PINFOLD_ADMIN_TOKEN_FILE", "/nowhere/of-the-variable")];
    let by_variable = pinfold(&["serve", "--config", &file], &variable, &scratch);
    assert!(
        by_variable
            .output
            .contains("for 'PINFOLD_ADMIN_TOKEN_FILE': must be a file"),
        "{by_variable:?}"
    );
    let option = [
        "serve",
        "--config",
        &file,
        "--admin-token-file=/nowhere/of-the-option",
    ];
    let by_option = pinfold(&option, &variable, &scratch);
    assert!(
        by_option
            .output
            .contains("for '--admin-token-file': must be a file"),
        "{by_option:?}"
    );
    for finished in [by_variable, by_option] {
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        assert!(!finished.output.contains("of-the-file"), "{finished:?}");
    }
}

/// It is said, and no more: others have variables of such names, too.
#[test]
fn a_variable_that_was_mistyped_and_that_nobody_notices() {
    let scratch = scratch_folder("configuration/variable");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let listen = format!("--listen={taken}");
    let variables = [
        ("PINFOLD_SESSION_MAX", "7"),
        ("PINFOLD_SERVICE_HOST", "10.0.0.1"),
    ];
    let sentence = "there is no variable PINFOLD_SESSION_MAX, and nobody reads it: did you mean PINFOLD_SESSIONS_MAX?";
    for (command, code) in [
        (&["config", "check"][..], 0),
        (&["config", "show"], 0),
        // It got as far as the port.
        (&["serve", &listen], 1),
    ] {
        let finished = pinfold(command, &variables, &scratch);
        let told = &finished.output;
        assert_eq!(finished.status.code(), Some(code), "{command:?}: {told}");
        assert_eq!(told.matches(sentence).count(), 1, "{command:?}: {told}");
        assert!(!told.contains("PINFOLD_SERVICE_HOST"), "{told}");
    }
}
