//! Opens sessions of the legacy era, one connection after the other, for wrk to ask in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Outcome;
use crate::loader::http::{Head, ResponseReader, Sink};
use crate::loader::protocol::Protocol;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// `initialize` and `notifications/initialized`.
const STEPS: usize = 2;

pub(super) fn open(server: SocketAddr, count: usize) -> Outcome<Vec<String>> {
    (0..count).map(|_| open_one(server)).collect()
}

fn open_one(server: SocketAddr) -> Outcome<String> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    let mut heads = Heads::default();
    let mut reader = ResponseReader::default();
    let mut scratch = [0; 4096];
    for step in 0..STEPS {
        let session = heads.session.as_deref();
        let request = Protocol::Legacy.request(step, 0, session, &server.to_string());
        let request = request.ok_or("a step that the protocol does not have")?;
        socket.write_all(request.as_bytes())?;
        loop {
            let count = socket.read(&mut scratch)?;
            if count == 0 {
                return Err("the server closed a connection".into());
            }
            if reader.feed(&scratch[..count], &mut heads)?.1 {
                break;
            }
        }
        if !(200..300).contains(&heads.status) {
            return Err(format!(
                "step {step} of opening a session was answered {}",
                heads.status
            )
            .into());
        }
    }
    let session = heads.session.ok_or("`initialize` opened no session")?;
    Ok(session.into())
}

#[derive(Default)]
struct Heads {
    status: u16,
    session: Option<Box<str>>,
}

impl Sink for Heads {
    fn head(&mut self, head: Head) {
        self.status = head.status;
        self.session = head.session_id.or(self.session.take());
    }

    fn body(&mut self, _: &[u8]) {}
}
