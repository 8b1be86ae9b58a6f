//! A real Redis: in memory only, on a port of its own, with a password, to be stopped, hung, flushed and asked.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use super::{POLL, acl, wait_until};
use crate::ports::free_port;
use crate::processes::signal;
use crate::program::{EndedWithItsTest, wait};
use crate::tools;

pub(crate) const PASSWORD: &str = "open-sesame";
const START_ATTEMPTS: usize = 5;

pub(crate) struct Redis {
    child: Option<EndedWithItsTest>,
    port: u16,
    folder: PathBuf,
}

/// What it answered, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Null,
    Integer(i64),
    Text(String),
    List(Vec<Reply>),
    Error(String),
}

impl Redis {
    pub(crate) fn start(scratch: &Path) -> Redis {
        let folder = scratch.join("redis");
        std::fs::create_dir_all(&folder).expect("a folder for Redis");
        for _ in 0..START_ATTEMPTS {
            let mut redis = Redis {
                child: None,
                port: free_port(),
                folder: folder.clone(),
            };
            if redis.launch() {
                return redis;
            }
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("Redis does not start:\n{log}");
    }

    /// False if it ended instead.
    fn launch(&mut self) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"));
        let log = log.expect("a log can be made in the scratch folder");
        let port = self.port.to_string();
        let mut command = Command::new(tools::redis_server());
        command
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--requirepass",
                PASSWORD,
            ])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(&self.folder)
            .arg("--user")
            .args(acl::user(PASSWORD));
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut child = EndedWithItsTest(child);
        while !self.answers() {
            if wait(&mut child.0, POLL).is_some() {
                return false;
            }
        }
        self.child = Some(child);
        true
    }

    fn answers(&self) -> bool {
        self.try_command(&["PING"]) == Some(Reply::Text("PONG".into()))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// For a node, which may do what deploy/README.md says.
    pub(crate) fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    pub(crate) fn url_with(&self, password: &str) -> String {
        format!("redis://pinfold:{password}@127.0.0.1:{}", self.port)
    }

    /// It is gone at once, with all that it held and did not [`save`](Redis::save).
    pub(crate) fn stop(&mut self) {
        drop(self.child.take().expect("Redis runs"));
    }

    /// The next one has what this one has now.
    pub(crate) fn save(&self) {
        assert_eq!(self.command(&["SAVE"]), Reply::Text("OK".into()));
    }

    /// The next one has nothing.
    pub(crate) fn forget_saved(&self) {
        // There need not be any.
        let _ = std::fs::remove_file(self.folder.join("dump.rdb"));
    }

    /// On the same port, with what was saved.
    pub(crate) fn start_again(&mut self) {
        assert!(self.launch(), "Redis does not start again");
    }

    /// It takes connections (the kernel does) and answers nothing.
    pub(crate) fn hang(&self) {
        self.signal("STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("CONT");
        wait_until("Redis answers again", || self.answers());
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("Redis runs");
        assert!(signal(name, child.0.id()), "kill -s {name}");
    }

    pub(crate) fn command(&self, words: &[&str]) -> Reply {
        self.try_command(words).expect("Redis answers")
    }

    pub(crate) fn flush(&self) {
        assert_eq!(self.command(&["FLUSHALL"]), Reply::Text("OK".into()));
    }

    /// A session's record, while there is one.
    pub(crate) fn record(&self, session: &str) -> Option<String> {
        match self.command(&["GET", &key(session)]) {
            Reply::Text(text) => Some(text),
            Reply::Null => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn has_record(&self, session: &str) -> bool {
        self.record(session).is_some()
    }

    /// Calls of these commands since it started.
    pub(crate) fn calls(&self, commands: &[&str]) -> u64 {
        let Reply::Text(stats) = self.command(&["INFO", "commandstats"]) else {
            panic!("INFO answers with text");
        };
        let calls = |command: &&str| -> u64 {
            let head = format!("cmdstat_{command}:calls=");
            let line = stats.lines().find_map(|line| line.strip_prefix(&head));
            let count = line.and_then(|line| line.split(',').next());
            count.map_or(0, |count| count.parse().expect("a number"))
        };
        commands.iter().map(calls).sum()
    }

    fn try_command(&self, words: &[&str]) -> Option<Reply> {
        ask(self.port, words)
    }
}

/// As the default user, over a connection of its own. `None`: nobody is there, or it went away.
pub(crate) fn ask(port: u16, words: &[&str]) -> Option<Reply> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_secs(120)))
        .ok()?;
    let mut request = Vec::new();
    for words in [&["AUTH", PASSWORD], words] {
        request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
    socket.write_all(&request).ok()?;
    let mut read = Vec::new();
    read_reply(&mut socket, &mut read)?;
    read_reply(&mut socket, &mut read)
}

/// Of a session's record.
pub(crate) fn key(session: &str) -> String {
    format!("mcp:session:{session}")
}

fn read_reply(socket: &mut TcpStream, read: &mut Vec<u8>) -> Option<Reply> {
    loop {
        if let Some((frame, used)) = decode(read).expect("RESP") {
            let reply = Reply::from(frame);
            read.drain(..used);
            return Some(reply);
        }
        let mut buffer = [0; 16 * 1024];
        let count = socket.read(&mut buffer).ok()?;
        if count == 0 {
            return None;
        }
        read.extend_from_slice(&buffer[..count]);
    }
}

impl From<OwnedFrame> for Reply {
    fn from(frame: OwnedFrame) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        match frame {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => {
                Reply::Text(text(bytes))
            }
            OwnedFrame::Error(message) => Reply::Error(message),
            OwnedFrame::Integer(number) => Reply::Integer(number),
            OwnedFrame::Array(items) => Reply::List(items.into_iter().map(Reply::from).collect()),
            OwnedFrame::Null => Reply::Null,
        }
    }
}
