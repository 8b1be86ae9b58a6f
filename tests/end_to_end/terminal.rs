//! `pinfold top` in a terminal of its own: what stands on it, and keys that somebody types.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{EndedWithItsTest, wait};
use crate::server::binary;

/// For what takes some seconds when all is well, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Terminal {
    size: (u16, u16),
    child: EndedWithItsTest,
    keys: ChildStdin,
    screen: PathBuf,
}

impl Terminal {
    /// Columns and lines.
    pub(crate) fn with_top(options: &[&str], size: (u16, u16), scratch: &Path) -> Terminal {
        let (columns, lines) = size;
        let screen = scratch.join(format!("screen-{columns}x{lines}"));
        let top = format!(
            "stty cols {columns} rows {lines}; exec {} top --interval 200ms {}",
            binary().display(),
            options.join(" ")
        );
        let mut child = Command::new("script")
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--echo",
                "never",
                "--command",
                &top,
            ])
            .arg(&screen)
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("script(1) is there");
        let keys = child.stdin.take().expect("it is a pipe");
        Terminal {
            size,
            child: EndedWithItsTest(child),
            keys,
            screen,
        }
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.screen).unwrap_or_default()).into_owned()
    }

    /// What somebody would read there now.
    pub(crate) fn shown(&self) -> String {
        let (columns, lines) = self.size;
        let mut terminal = vt100::Parser::new(lines, columns, 0);
        terminal.process(self.written().as_bytes());
        terminal.screen().contents()
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads keys");
        self.keys.flush().expect("it reads keys");
    }

    /// Waits until these words stand there.
    pub(crate) fn until(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(words) {
            let shown = self.shown();
            assert!(
                Instant::now() < deadline,
                "{words} is not on the screen:\n{shown}"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Somebody closes it.
    pub(crate) fn kill(&mut self) {
        self.child.0.kill().expect("it runs");
    }

    /// What ran there ends by itself.
    pub(crate) fn ends(&mut self) {
        let status = wait(&mut self.child.0, PATIENCE).expect("it ends");
        assert!(status.success(), "{status}: {}", self.written());
        // The screen of the shell is back.
        assert!(
            self.written().contains("\u{1b}[?1049l"),
            "{}",
            self.written()
        );
    }
}
