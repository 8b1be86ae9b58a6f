//! A Redis of the bench's own, for scenarios of several nodes: on loopback, keeping nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::workspace::root;

pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
}

/// Where `tests/setup` puts it.
const OF_THE_TESTS: &str = "tests/clients/.tools/redis/redis-server";
const READY_WITHIN: Duration = Duration::from_secs(10);

/// # Errors
/// There is no Redis to start: better known before anything is measured than in the middle.
pub(crate) fn present() -> Outcome<()> {
    let asked = Command::new(program())
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match asked {
        Ok(status) if status.success() => Ok(()),
        _ => Err("there is no redis-server: tests/setup brings one, or install it".into()),
    }
}

impl Redis {
    pub(crate) fn start() -> Outcome<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let port = address.port().to_string();
        let mut command = Command::new("setpriv");
        let child = command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program())
            .args(["--bind", "127.0.0.1", "--port", &port])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|fault| format!("cannot start {command:?}: {fault}"))?;
        let mut redis = Redis { child, address };
        redis.await_ready()?;
        Ok(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn await_ready(&mut self) -> Outcome<()> {
        let started = Instant::now();
        while self.ping().is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "Redis does not start ({status}): tests/setup brings one, or install redis-server"
                )
                .into());
            }
            if started.elapsed() > READY_WITHIN {
                return Err("Redis is not ready".into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ping(&self) -> Outcome<()> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(READY_WITHIN))?;
        socket.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        socket.read_exact(&mut answer)?;
        match &answer {
            b"+PONG\r\n" => Ok(()),
            other => Err(format!("Redis answered {}", other.escape_ascii()).into()),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It keeps nothing that could be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn program() -> PathBuf {
    let of_the_tests = root().join(OF_THE_TESTS);
    match of_the_tests.exists() {
        true => of_the_tests,
        false => "redis-server".into(),
    }
}
