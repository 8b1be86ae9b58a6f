//! What the program prints about itself: an example of a file, the schema for editors, completions, pages for `man`.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{printed, repository, written};
use crate::program::{run, scratch_folder};
use crate::tools::script;

/// The example with each of its lines in force that has a value.
fn without_comments(example: &str) -> String {
    let is_value = |line: &&str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.bytes().all(|it| it.is_ascii_lowercase() || it == b'-')
    };
    let lines = example
        .lines()
        .filter_map(|line| match line.strip_prefix("# ") {
            Some(commented) => Some(commented).filter(is_value),
            None => Some(line),
        });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_example_that_cannot_be_used() {
    let scratch = scratch_folder("configuration/init");
    let example = printed(&["config", "init"], &[], &scratch);
    let file = written(&scratch, "example.toml", &example);
    let check = |file: &str| printed(&["config", "check", "--config", file], &[], &scratch);
    assert_eq!(check(&file), printed(&["config", "check"], &[], &scratch));
    let full = without_comments(&example);
    assert!(full.lines().count() > 30, "{full}");
    let full = written(&scratch, "full.toml", full);
    assert_eq!(check(&full), check(&file));
}

/// What an operator copies.
#[test]
fn a_policy_in_a_document_that_cannot_be_used() {
    let scratch = scratch_folder("configuration/documents");
    let tokens = written(&scratch, "tokens", "");
    let mut example = printed(&["config", "init"], &[], &scratch);
    let at = example
        .rfind("# [policy]")
        .expect("the example of a policy");
    let example = example.split_off(at).replace("\n# ", "\n");
    let example = example.trim_start_matches("# ").replace("\n#\n", "\n");
    let of = |path: &str| {
        let text = repository(path);
        let blocks = text.split("```toml\n").skip(1);
        let mut blocks = blocks.filter_map(|it| it.split("```").next());
        let found = blocks.find(|it| it.starts_with("[policy]"));
        found
            .unwrap_or_else(|| panic!("no policy in {path}"))
            .to_owned()
    };
    for policy in [example, of("README.md"), of("deploy/README.md")] {
        let file = written(&scratch, "pinfold.toml", &policy);
        let told = ["--auth", "token", "--auth-token-file", &tokens];
        let check = [&["config", "check", "--config", &file][..], &told].concat();
        let finished = super::pinfold(&check, &[], &scratch);
        assert_eq!(finished.status.code(), Some(0), "{policy}: {finished:?}");
        let show = [&["config", "show", "--config", &file][..], &told].concat();
        assert!(
            printed(&show, &[], &scratch).contains("policy.tools."),
            "{policy}"
        );
    }
}

#[test]
fn a_schema_that_is_not_the_programs() {
    let scratch = scratch_folder("configuration/schema");
    let schema = printed(&["config", "schema"], &[], &scratch);
    assert!(
        schema == repository("deploy/pinfold.schema.json"),
        "pinfold config schema > deploy/pinfold.schema.json"
    );
}

/// What the program takes is right in an editor, and what it refuses is underlined there.
#[test]
fn an_editor_that_knows_better() {
    let scratch = scratch_folder("configuration/editor");
    let schema = written(
        &scratch,
        "schema.json",
        repository("deploy/pinfold.schema.json"),
    );
    let example = without_comments(&printed(&["config", "init"], &[], &scratch));
    let bad = [
        "lisen = '127.0.0.1:8080'",
        "sessions-max = 5",
        "cores = '2'",
        "cores = 0",
        "cores = 513",
        "app = 'bored'",
        "log = 'loud'",
        "allow-host = 'a.example'",
        "admin-token-file = ''",
        "[limit]\nsessions-max = 5",
        "[limits]\nsessions-max = 100000001",
        "[limits]\nbody-bytes-max = '4MB'",
        "[limits]\nbody-bytes-max = 1",
        "[times]\nkeep-alive = 15",
        "[times]\nkeep-alive = '15'",
        "[times]\nkeep_alive = '15s'",
        "[cluster]\nno-forward = 'yes'",
        "policy = 'readonly'",
        "[policy]\nraed = 'anyone'",
        "[policy]\nread = []",
        "[policy]\nread = true",
        "[policy.resources]\n'board://x' = {write = 'anyone'}",
    ];
    for text in bad {
        let file = written(&scratch, "bad.toml", text);
        let refused = super::pinfold(&["config", "check", "--config", &file], &[], &scratch);
        assert_eq!(refused.status.code(), Some(2), "{text}: {refused:?}");
    }
    let good = [
        &repository("deploy/pinfold.toml"),
        &example,
        "[limits]\nbody-bytes-max = 65536\nmemory-max = '4gib'",
        "policy = 'read-only'",
        "[policy]\npreset = 'closed'\nlist = 'anyone'\n[policy.tools]\n'a*' = 'nobody'\n\
         [policy.resources]\n'board://x' = {read = 'anyone'}\n'board://y' = 'anyone'",
        "trusted-proxy = []\ncores = 2\n[cluster]\ndrain-notice = '0s'",
    ];
    let cases = written(
        &scratch,
        "cases.json",
        json!({"good": good, "bad": bad}).to_string(),
    );
    let mut command = script("configuration.py");
    command.args([schema, cases]);
    let finished = run(&mut command, &scratch.join("python"));
    assert!(finished.status.success(), "{}", finished.output);
}

#[test]
fn completions_that_a_shell_does_not_take() {
    let scratch = scratch_folder("configuration/completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell], &[], &scratch);
        for word in ["serve", "traefik", "sessions-max"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
        let file = written(&scratch, shell, &script);
        if ["bash", "zsh", "fish"].contains(&shell) && is_installed(shell) {
            let checked = run(
                Command::new(shell).args(["-n", &file]),
                &scratch.join("checked"),
            );
            assert!(checked.status.success(), "{shell}: {}", checked.output);
        }
    }
    assert!(is_installed("bash"), "nobody has looked at any of them");
}

#[test]
fn pages_that_man_complains_of() {
    let scratch = scratch_folder("configuration/man");
    let folder = scratch.join("man1");
    printed(
        &["man", folder.to_str().expect("a plain path")],
        &[],
        &scratch,
    );
    let first = printed(&["man"], &[], &scratch);
    for name in [
        "pinfold",
        "pinfold-serve",
        "pinfold-config",
        "pinfold-config-show",
        "pinfold-publish",
        "pinfold-watch",
        "pinfold-traefik",
    ] {
        let page = folder.join(format!("{name}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(text.contains(".TH"), "{name}: {text}");
        assert!(
            name != "pinfold-serve" || text.contains("PINFOLD_LISTEN"),
            "no variables: {text}"
        );
        assert!(
            name != "pinfold" || text == first,
            "what is printed is another page"
        );
        if is_installed("groff") {
            lint(&page, &scratch);
        }
    }
}

/// Every warning of groff is a mistake.
fn lint(page: &Path, scratch: &Path) {
    let mut command = Command::new("groff");
    // A value too long for its line is no fault of the page.
    command
        .args(["-man", "-Kutf8", "-Tutf8", "-ww", "-Wbreak", "-z"])
        .arg(page);
    let finished = run(&mut command, &scratch.join("groff"));
    let said = finished.output;
    assert!(
        finished.status.success() && said.is_empty(),
        "{}: {said}",
        page.display()
    );
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
