//! A real Redis on a port of its own: started, stopped, hung, and asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ports::free_port;

const PASSWORD: &str = "open-sesame";
const START_LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Redis {
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let mut redis = Redis {
            child: None,
            port: free_port(),
        };
        redis.launch();
        redis
    }

    pub(crate) fn launch(&mut self) {
        let port = self.port.to_string();
        let child = Command::new(program())
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--dir", env!("CARGO_TARGET_TMPDIR")])
            .arg("--user")
            .args(crate::acl::user(PASSWORD))
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server starts: run tests/setup, or install it"));
        let until = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "Redis does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        let child = self.child.as_mut().expect("it was started");
        let ended = child.try_wait().expect("our own child");
        assert!(ended.is_none(), "somebody else has its port: {ended:?}");
    }

    /// For a node, which may do what deploy/README.md says.
    pub(crate) fn url(&self) -> String {
        format!("redis://pinfold:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }

    /// The answer as Redis writes it; a bulk string without its length.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("Redis is there");
        let mut command = format!("*{}\r\n", args.len());
        for arg in args {
            command.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        stream.write_all(command.as_bytes()).expect("it listens");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("it answers");
        let line = line.trim_end();
        match line.strip_prefix('$').map(str::parse::<usize>) {
            Some(Ok(length)) => {
                let mut text = vec![0; length];
                reader.read_exact(&mut text).expect("the rest");
                String::from_utf8(text).expect("text")
            }
            _ => line.to_owned(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// As `tests/setup` installs it, or as the system has it.
fn program() -> String {
    let installed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/.tools/redis/redis-server");
    if installed.exists() {
        return installed.display().to_string();
    }
    "redis-server".to_owned()
}
