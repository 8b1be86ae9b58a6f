//! What becomes of a request that was passed on and that its owner did not answer.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use monoio::net::TcpStream;
use monoio::time::timeout;

use super::exchange::Ended;
use super::{Abroad, Client};
use crate::runtime::socket;
use crate::shard::{Gone, Presence};
use crate::wire::http1::Method;
use crate::wire::session_id::SessionId;

/// How much of what a client whose request was too large to be kept still sends is read, and for how long, so that it can read its answer.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
const LINGER_FOR: Duration = Duration::from_secs(2);

/// A request that its owner did not answer.
pub(super) struct Request {
    pub(super) session: SessionId,
    pub(super) method: Method,
    /// None: too much of it came to be kept.
    pub(super) bytes: Option<Vec<u8>>,
}

/// Nothing was passed on of an answer. `gone`: why there will be none, if that is known.
pub(super) async fn unanswered(
    abroad: &Abroad,
    client: &Client,
    request: Request,
    gone: Option<Gone>,
) -> Ended {
    let session = request.session;
    let answer = match (gone, request.bytes) {
        (Some(gone), Some(read)) => return Ended::NotPassedOn { read, gone },
        (Some(gone), None) => {
            abroad.say(Presence::Missed { session, gone });
            gone.last_answer()
        }
        (None, _) => {
            abroad.say(Presence::BrokeOff { session });
            broke_off().into_bytes()
        }
    };
    abroad.say_if_deleted(session, request.method);
    // Best effort: the connection ends whether the client reads this or not.
    let _ = socket::send(&client.stream, &answer);
    linger(&client.stream).await;
    Ended::Over
}

/// What a client is still sending would take the answer with it, if the connection closed at once.
async fn linger(client: &TcpStream) {
    socket::shutdown(client, Shutdown::Write);
    let mut left = LINGER_BYTES_MAX;
    let mut nobody_reads_it = [0; 16 * 1024];
    let read_to_the_end = async {
        while left > 0 && client.readable(false).await.is_ok() {
            match socket::receive(client, &mut nobody_reads_it) {
                Ok(0) => return,
                Ok(count) => left = left.saturating_sub(count),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // A client that goes on after that learns nothing.
    let _ = timeout(LINGER_FOR, read_to_the_end).await;
}

/// Half a request was answered by nobody: not even the owner's restart would tell what became of it.
fn broke_off() -> String {
    let message = "The node that has this session broke off before it answered, and whether it did what was asked is \
                   not known. Send initialize again if this goes on.";
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":-32600,"message":"{message}","data":{{"reason":"owner_unreachable"}}}}}}"#
    );
    format!(
        "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
