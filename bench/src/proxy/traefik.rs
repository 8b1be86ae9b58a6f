//! A Traefik as everybody has one, in front of one server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;

const READY_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Traefik {
    child: Child,
    pub(super) address: SocketAddr,
    folder: PathBuf,
}

impl Traefik {
    pub(super) fn start(program: &Path, server: SocketAddr) -> Outcome<Traefik> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = std::env::temp_dir().join(format!("pinfold-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let (statics, dynamic) = (folder.join("traefik.yml"), folder.join("plain.yml"));
        let entry = format!(
            "entryPoints: {{web: {{address: '{address}'}}}}\nproviders: {{file: {{filename: '{}'}}}}\n",
            dynamic.display()
        );
        let routes = format!(
            "http:\n  routers: {{all: {{rule: 'PathPrefix(`/`)', service: one}}}}\n  \
             services: {{one: {{loadBalancer: {{servers: [{{url: 'http://{server}'}}]}}}}}}\n"
        );
        std::fs::write(&dynamic, routes)?;
        std::fs::write(&statics, entry)?;
        let mut command = Command::new("setpriv");
        let child = command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .arg(format!("--configFile={}", statics.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|fault| format!("cannot start {command:?}: {fault}; tests/setup brings it"))?;
        let traefik = Traefik {
            child,
            address,
            folder,
        };
        traefik.becomes_ready()?;
        Ok(traefik)
    }

    /// It listens some moments before it has read its routes, and answers 404 until then.
    fn becomes_ready(&self) -> Outcome<()> {
        let since = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if since.elapsed() > READY_WITHIN {
                return Err("Traefik does not start".into());
            }
            sleep(Duration::from_millis(100));
        }
        sleep(Duration::from_secs(3));
        Ok(())
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
