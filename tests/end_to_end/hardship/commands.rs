//! The commands by which an operator looks at a node and acts on it, with the program: what each role may do, and what each
//! command says when it may not, when nobody listens, and of what is not there. `pinfold top` runs in a terminal of its own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{PATIENCE, Process, status};
use crate::program::{output_of, scratch_folder};
use crate::server::binary;
use crate::terminal::Terminal;

/// A node of which operators, publishers and onlookers have a token each.
struct Guarded {
    node: Process,
    files: Vec<(&'static str, String)>,
}

const ROLES: [(&str, &str); 3] = [
    ("operate", "--admin-token-file"),
    ("publish", "--admin-publish-token-file"),
    ("read", "--admin-read-token-file"),
];

impl Guarded {
    fn start(scratch: &Path) -> Guarded {
        let files: Vec<(&str, String)> = ROLES
            .iter()
            .map(|(role, _)| {
                let file = scratch.join(role);
                std::fs::write(&file, format!("{role}-token\n")).expect("a token can be written");
                (*role, file.display().to_string())
            })
            .collect();
        let named = ROLES.iter().zip(&files);
        let options: Vec<&str> = named
            .flat_map(|((_, option), (_, file))| [*option, file])
            .collect();
        let node = Process::start(&options, scratch);
        Guarded { node, files }
    }

    fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.node.ports.admin)
    }

    fn file(&self, role: &str) -> &str {
        let found = self.files.iter().find(|(name, _)| *name == role);
        &found.expect("it has one").1
    }

    /// Runs a command with the token of a role.
    fn run(&self, role: &str, command: &str) -> Output {
        pinfold(&format!(
            "{command} --admin {} --token-file {}",
            self.admin(),
            self.file(role)
        ))
    }

    /// A session of a client of that name.
    fn joined_by(&self, client: &str) -> String {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"{client}","version":"1"}}}}}}"#
        );
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--max-time", "30", "-d", &body])
            .args(["-H", "Content-Type: application/json"])
            .args(["-H", "Accept: application/json, text/event-stream"])
            .arg(format!("http://127.0.0.1:{}/mcp", self.node.ports.client));
        let answered = output_of(&mut curl);
        assert!(answered.status.success(), "{answered:?}");
        let listed = self.run("read", &format!("sessions list --json --client {client}"));
        let row: Value = serde_json::from_slice(&listed.stdout).expect("one line of JSON");
        row["name"].as_str().expect("it has a name").to_owned()
    }
}

fn pinfold(command: &str) -> Output {
    output_of(Command::new(binary()).args(command.split(' ')))
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The exit code, and all that was said.
fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), said(output))
}

#[test]
fn a_token_that_does_more_than_its_role() {
    let scratch = scratch_folder("hardship/roles");
    let mut it = Guarded::start(&scratch);
    let name = it.joined_by("bob");
    for (command, least) in [
        ("cluster", "read"),
        ("sessions ended", "read"),
        ("publish tools", "publish"),
        (&format!("sessions end {name}"), "operate"),
    ] {
        for role in ["read", "publish", "operate"] {
            let rank = |role: &str| {
                ["read", "publish", "operate"]
                    .iter()
                    .position(|it| *it == role)
            };
            let (code, said) = ended(&it.run(role, command));
            if rank(role) >= rank(least) {
                assert_eq!(code, Some(0), "{command} as {role}: {said}");
            } else {
                assert_ne!(code, Some(0), "{command} as {role}: {said}");
                let lacks = format!("this needs {least}");
                assert!(
                    said.contains("403") && said.contains(&lacks),
                    "{command}: {said}"
                );
            }
        }
    }
    // Another one from one moment to the next, and the others as they were.
    let metrics = format!("{}/metrics", it.admin());
    let ask = |token: &str| status(&metrics, Some(token), PATIENCE);
    assert_eq!((ask("read-token"), ask("second")), (Some(200), Some(401)));
    std::fs::write(it.file("read"), "second\n").expect("a token can be written");
    it.node.signal("HUP");
    it.node.until_it_says("the admin read token was read again");
    assert_eq!((ask("read-token"), ask("second")), (Some(401), Some(200)));
    // One that operators have already would make onlookers of them all.
    std::fs::write(it.file("read"), "operate-token\n").expect("a token can be written");
    it.node.signal("HUP");
    it.node.until_it_says("another role");
    assert_eq!(
        (ask("second"), ask("operate-token")),
        (Some(200), Some(200))
    );
    it.node.ends_on_sigterm();
}

#[test]
fn sessions_that_are_not_there_and_listeners_that_are_not() {
    let scratch = scratch_folder("hardship/sessions");
    let mut it = Guarded::start(&scratch);
    let (bob, eve) = (it.joined_by("bob"), it.joined_by("eve"));
    let (code, listed) = ended(&it.run("read", "sessions list --sort activity"));
    assert_eq!(code, Some(0), "{listed}");
    assert!(listed.contains(&bob) && listed.contains(&eve), "{listed}");
    let (code, page) = ended(&it.run("read", "sessions list --limit 1"));
    assert!(code == Some(0) && page.contains("1 of 2: --all"), "{page}");
    let (_, all) = ended(&it.run("read", "sessions list --all --json"));
    assert_eq!(all.lines().count(), 2, "{all}");
    let (code, shown) = ended(&it.run("read", &format!("sessions show {bob}")));
    assert!(
        code == Some(0) && shown.contains("bob 1, legacy"),
        "{shown}"
    );
    let (code, told) = ended(&it.run("operate", &format!("sessions end {bob}")));
    assert!(
        code == Some(0) && told.contains("1 session was ended"),
        "{told}"
    );
    let (_, gone) = ended(&it.run("read", "sessions ended --json"));
    assert!(
        gone.contains(&bob) && gone.contains("\"operator\""),
        "{gone}"
    );
    let (code, told) = ended(&it.run("read", &format!("sessions show {bob}")));
    assert!(code == Some(1) && told.contains("404"), "{told}");
    let (code, told) = ended(&it.run("operate", "sessions end n1.nothing"));
    assert!(
        code == Some(2) && told.contains("pinfold sessions list"),
        "{told}"
    );
    // Nobody is there to be asked.
    let all_of = "sessions end --principal dc18d98ab34b2f83b5913fec82dc81e9";
    let (code, told) = ended(&it.run("operate", all_of));
    assert!(code == Some(2) && told.contains("--yes"), "{told}");
    let (code, told) = ended(&it.run("operate", &format!("{all_of} --yes")));
    assert!(
        code == Some(0) && told.contains("0 sessions were ended"),
        "{told}"
    );
    for command in ["sessions list", "cluster", "top --once", "sessions ended"] {
        let (code, told) = ended(&pinfold(&format!("{command} --admin {}", it.admin())));
        assert!(code == Some(1) && told.contains("401"), "{command}: {told}");
        let (code, told) = ended(&pinfold(&format!("{command} --admin http://127.0.0.1:1")));
        assert!(
            code == Some(3) && told.contains("nothing listens"),
            "{command}: {told}"
        );
        let (code, told) = ended(&pinfold(&format!("{command} --token-file /nowhere")));
        assert!(
            code == Some(2) && told.contains("--token-file"),
            "{command}: {told}"
        );
    }
    let (code, frame) = ended(&it.run("read", "top --once --interval 300ms"));
    assert!(
        code == Some(0) && frame.contains(&eve) && frame.contains("ready"),
        "{frame}"
    );
    let (code, told) = ended(&it.run("read", "top"));
    assert!(code == Some(2) && told.contains("--once"), "{told}");
    it.node.ends_on_sigterm();
}

impl Guarded {
    /// `pinfold top` with the token of a role.
    fn top(&self, role: &str, size: (u16, u16), scratch: &Path) -> Terminal {
        Terminal::with_top(
            &["--admin", &self.admin(), "--token-file", self.file(role)],
            size,
            scratch,
        )
    }
}

#[test]
fn a_session_that_is_ended_with_keys_alone() {
    let scratch = scratch_folder("hardship/top");
    let mut it = Guarded::start(&scratch);
    for size in [(80, 24), (200, 60)] {
        let name = it.joined_by("bob");
        let mut terminal = it.top("operate", size, &scratch);
        terminal.until(&name);
        // What only the large one has room for.
        assert_eq!(terminal.shown().contains("PRINCIPAL"), size.0 == 200);
        terminal.types("e");
        terminal.until("y ends it");
        terminal.types("n");
        terminal.until("nothing was ended");
        terminal.types("\r");
        terminal.until("log level");
        terminal.types("e");
        terminal.until("y ends it");
        terminal.types("y");
        terminal.until("was ended");
        let (_, gone) = ended(&it.run("read", "sessions ended --limit 1"));
        assert!(gone.contains(&name) && gone.contains("operator"), "{gone}");
        terminal.types("q");
        terminal.ends();
    }
    it.node.ends_on_sigterm();
}

/// Its keys come from nowhere any more, and it must not look for them for ever.
#[test]
fn a_terminal_that_is_gone() {
    let scratch = scratch_folder("hardship/top-gone");
    let mut it = Guarded::start(&scratch);
    let name = it.joined_by("bob");
    let mut terminal = it.top("read", (80, 24), &scratch);
    terminal.until(&name);
    let admin = it.admin();
    let runs = || {
        let mut command = Command::new("pgrep");
        command.args(["-f", &format!("top .*--admin {admin}")]);
        !output_of(&mut command).stdout.is_empty()
    };
    assert!(runs());
    terminal.kill();
    it.node.until("top is gone, too", || !runs());
    it.node.ends_on_sigterm();
}

#[test]
fn a_node_that_goes_away_before_somebodys_eyes() {
    let scratch = scratch_folder("hardship/top-alone");
    let mut it = Guarded::start(&scratch);
    let name = it.joined_by("bob");
    let mut terminal = it.top("read", (80, 24), &scratch);
    terminal.until(&name);
    // A role that may only look is told so.
    terminal.types("ey");
    terminal.until("was not ended: 403");
    it.node.ends_on_sigterm();
    terminal.until("NO ANSWER, trying again every");
    // Ctrl-C
    terminal.types("\u{3}");
    terminal.ends();
}
