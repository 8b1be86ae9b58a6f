//! A server that answers every request by a stream of two events, after the time that it is told, and says in the first
//! whether it read the body apart from its head.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::Duration;

pub(super) const APART: &str = "data: apart\n\n";
const TOGETHER: &str = "data: whole\n\n";

pub(super) struct Backend {
    pub(super) address: SocketAddr,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    hold_us: AtomicU64,
    stays_open: AtomicBool,
    apart: AtomicUsize,
}

impl Backend {
    pub(super) fn start() -> std::io::Result<Backend> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let told = Arc::new(Told::default());
        let shared = told.clone();
        spawn(move || {
            for socket in listener.incoming().flatten() {
                let told = shared.clone();
                // Whatever is wrong with one connection, it is over.
                spawn(move || _ = serve(socket, &told));
            }
        });
        Ok(Backend { address, told })
    }

    pub(super) fn set(&self, hold: Duration, stays_open: bool) {
        self.told.hold_us.store(hold.as_micros() as u64, Relaxed);
        self.told.stays_open.store(stays_open, Relaxed);
        self.told.apart.store(0, Relaxed);
    }

    /// How many bodies were read apart since it was told anything.
    pub(super) fn apart(&self) -> usize {
        self.told.apart.load(Relaxed)
    }
}

fn serve(mut socket: TcpStream, told: &Told) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    while let Some(apart) = read_request(&mut socket)? {
        told.apart.fetch_add(usize::from(apart), Relaxed);
        let hold = told.hold_us.load(Relaxed);
        if hold > 0 {
            sleep(Duration::from_micros(hold));
        }
        let event = if apart { APART } else { TOGETHER };
        let begin = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
            event.len()
        );
        socket.write_all(begin.as_bytes())?;
        sleep(match told.stays_open.load(Relaxed) {
            true => Duration::from_secs(4),
            false => Duration::from_millis(5),
        });
        socket.write_all(b"6\r\ndata:\n\r\n0\r\n\r\n")?;
    }
    Ok(())
}

/// Whether its body came in a read of its own; `None` at the end. There is never more than one request under way.
fn read_request(socket: &mut TcpStream) -> std::io::Result<Option<bool>> {
    let mut inbox = Vec::new();
    let mut buffer = [0; 4096];
    let mut apart = false;
    loop {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        inbox.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&inbox).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        if body.len() >= length.and_then(|it| it.parse().ok()).unwrap_or(0) {
            return Ok(Some(apart));
        }
        apart = true;
    }
}
