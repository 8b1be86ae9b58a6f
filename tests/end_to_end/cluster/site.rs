//! The rest of the site: three small web servers that say which of them answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct RestOfTheSite {
    addresses: Vec<SocketAddr>,
    over: Arc<AtomicBool>,
}

impl RestOfTheSite {
    pub(super) fn start() -> RestOfTheSite {
        let over = Arc::new(AtomicBool::new(false));
        let start = |number: usize| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            let over = over.clone();
            std::thread::spawn(move || serve(&listener, number, &over));
            address
        };
        let addresses = (0..3).map(start).collect();
        RestOfTheSite { addresses, over }
    }

    pub(super) fn urls(&self) -> Vec<String> {
        let url = |address: &SocketAddr| format!("http://{address}");
        self.addresses.iter().map(url).collect()
    }
}

impl Drop for RestOfTheSite {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            // Wakes the listener; that it is gone already is as good.
            let _ = TcpStream::connect(address);
        }
    }
}

fn serve(listener: &TcpListener, number: usize, over: &AtomicBool) {
    for socket in listener.incoming() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(socket) = socket {
            std::thread::spawn(move || answer(&socket, number));
        }
    }
}

/// Every request on this connection; what was asked does not matter.
fn answer(mut socket: &TcpStream, number: usize) {
    let body = format!("site {number}");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut lines = BufReader::new(socket).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() && socket.write_all((head.clone() + &body).as_bytes()).is_err() {
            return;
        }
    }
}
