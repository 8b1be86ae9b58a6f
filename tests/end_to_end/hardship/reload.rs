//! SIGHUP and the configuration file: what can change does, what cannot is named, and a file with a mistake changes nothing.

use std::path::{Path, PathBuf};

use super::{PATIENCE, Process, status};
use crate::program::scratch_folder;

struct Configured {
    node: Process,
    file: PathBuf,
}

impl Configured {
    fn start(lines: &str, scratch: &Path) -> Configured {
        let file = scratch.join("pinfold.toml");
        std::fs::write(&file, lines).expect("a file can be written");
        let shown = file.to_str().expect("a plain path");
        let node = Process::start(&["--config", shown], scratch);
        Configured { node, file }
    }

    /// Says another thing, and that it should be read; then waits for an answer.
    fn says(&self, lines: &str, answer: &str) {
        let before = self.node.log().matches(answer).count();
        std::fs::write(&self.file, lines).expect("a file can be written");
        self.node.signal("HUP");
        self.node
            .until(answer, || self.node.log().matches(answer).count() > before);
    }
}

#[test]
fn a_log_level_that_wants_a_restart() {
    let scratch = scratch_folder("hardship/level");
    let mut it = Configured::start("log = 'warn'\n", &scratch);
    assert!(!it.node.log().contains(" INFO "), "{}", it.node.log());
    it.says("log = 'debug'\n", "the log's level is debug from now on");
    it.says("log = 'debug'\n", "nothing has changed");
    it.node.signal("USR1");
    it.node.until_it_says("status core=0 counts=");
    it.node.ends_on_sigterm();
}

#[test]
fn a_change_that_nobody_is_told_of() {
    let scratch = scratch_folder("hardship/restart");
    let mut it = Configured::start("[limits]\nsessions-max = 10\n", &scratch);
    let wants = "this has changed, and wants a restart key=\"limits.sessions-max\" value=\"20\"";
    it.says("[limits]\nsessions-max = 20\n", wants);
    // It still does, and what can change does so beside it.
    it.says("log = 'debug'\n[limits]\nsessions-max = 20\n", wants);
    it.node.until_it_says("the log's level is debug");
    it.says(
        "log = 'debug'\n[limits]\nsessions-max = 10\n",
        "nothing has changed",
    );
    it.node.ends_on_sigterm();
}

#[test]
fn a_file_with_a_mistake_that_changes_something() {
    let scratch = scratch_folder("hardship/mistake");
    let mut it = Configured::start("log = 'info'\n", &scratch);
    let place = |line: usize, column: usize| {
        format!(
            "everything stays as it was: {}:{line}:{column}: ",
            it.file.display()
        )
    };
    it.says("log = 'debug'\nlisen = 'x'\n", &place(2, 1));
    it.says(
        "log = 'debug'\ncores = 0\nadmin-token-file = '/nowhere'\n",
        &place(3, 20),
    );
    it.node.until_it_says(&place(2, 9));
    std::fs::remove_file(&it.file).expect("it was there");
    it.node.signal("HUP");
    it.node
        .until_it_says("the configuration file cannot be read");
    it.says("log = 'info'\n", "nothing has changed");
    assert!(
        !it.node.log().contains("the log's level"),
        "{}",
        it.node.log()
    );
    it.node.ends_on_sigterm();
}

/// Its path is relative, and another one after the change.
#[test]
fn a_token_of_the_file_that_was_exchanged() {
    let scratch = scratch_folder("hardship/token-of-file");
    for (name, token) in [("one", "first\n"), ("two", "second\n")] {
        std::fs::write(scratch.join(name), token).expect("a token can be written");
    }
    let mut it = Configured::start("admin-token-file = 'one'\n", &scratch);
    let metrics = format!("http://127.0.0.1:{}/metrics", it.node.ports.admin);
    let ask = |token: &str| status(&metrics, Some(token), PATIENCE);
    assert_eq!((ask("first"), ask("second")), (Some(200), Some(401)));
    it.says(
        "admin-token-file = 'two'\n",
        "the admin token was read again",
    );
    assert_eq!((ask("first"), ask("second")), (Some(401), Some(200)));
    // A listener that asks for a token does not become one that asks for none.
    it.says("", "wants a restart key=\"admin-token-file\"");
    assert_eq!((ask("first"), ask("second")), (Some(401), Some(200)));
    it.node.ends_on_sigterm();
}
