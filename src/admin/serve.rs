//! The admin listener's loop: accept, read a request, answer, and nobody stays longer than they should.
//!
//! It runs on a monoio runtime with a timer, on a thread that the caller makes. An accept is never cancelled
//! (a cancelled one that had succeeded would leak its socket); past the limit connections are accepted and
//! told 503.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable,
};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::{sleep, timeout};
use monoio_codec::FramedRead;

use super::clerk::Clerk;
use super::http::{Bad, Found, RequestDecoder, holds_back};
use super::response::Response;
use super::routes::{answer, refuse_lines};
use super::stream::serve_lines;
use super::{BODY_BYTES_MAX, Desk, Token};

pub(super) type Reader = FramedRead<OwnedReadHalf<TcpStream>, ()>;
type Writer = OwnedWriteHalf<TcpStream>;

/// Operators, probes and a few publishers; each may hold 1 MiB of body, or of answers, and a line.
const CONNECTIONS_MAX: usize = 64;

/// From the answer before to the last byte of the next request: slow bodies and idle connections end here.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// For a peer to take a response, or a part of one: some hundred kilobytes at most.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a refused peer is listened to, so that it reads the refusal before the connection resets.
const LINGER: Duration = Duration::from_secs(1);

/// Before accepting again when accepting failed: descriptors are short, and need time to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may publish, and what.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What publishing asks for; `None` on loopback addresses only.
    pub token: Option<Token>,
    /// The listener's address is a loopback address: `Host` must be one, too.
    pub loopback: bool,
    /// `Limits::uri_bytes_max`.
    pub uri_bytes_max: usize,
    /// Bytes of one line of NDJSON.
    pub line_bytes_max: usize,
}

impl Rules {
    /// The rules for a listener at `address`, which needs a token unless it is on loopback.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<Token>, uri_bytes_max: usize) -> Self {
        let loopback = address.ip().is_loopback();
        assert!(loopback || token.is_some(), "checked by the configuration");
        Rules {
            token,
            loopback,
            uri_bytes_max,
            line_bytes_max: BODY_BYTES_MAX,
        }
    }

    /// Makes lines long enough for contents of this many bytes, as base64 or with half of their characters escaped.
    #[must_use]
    pub fn for_contents(mut self, bytes_max: usize) -> Self {
        self.line_bytes_max = BODY_BYTES_MAX + bytes_max.saturating_mul(3) / 2;
        self
    }
}

/// Serves for as long as the thread lives.
///
/// # Errors
/// The listener cannot be registered with this thread's runtime.
pub async fn serve_admin(
    listener: std::net::TcpListener,
    desk: Rc<dyn Desk>,
    rules: Rules,
) -> std::io::Result<()> {
    // Under epoll a blocking accept would hold up the whole thread; under io_uring a non-blocking one would
    // not wait.
    listener.set_nonblocking(monoio::utils::is_legacy())?;
    let listener = TcpListener::from_std(listener)?;
    let rules = Rc::new(rules);
    let open = Rc::new(Cell::new(0));
    let clerk = Rc::new(Clerk::new(desk));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let seat = Seat::take(&open);
                let (clerk, rules) = (clerk.clone(), rules.clone());
                monoio::spawn(async move {
                    if seat.in_room() {
                        serve_connection(stream, &clerk, &rules).await;
                    } else {
                        turn_off(stream).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection's place in the count of open ones.
struct Seat {
    open: Rc<Cell<usize>>,
}

impl Seat {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Seat { open: open.clone() }
    }

    fn in_room(&self) -> bool {
        self.open.get() <= CONNECTIONS_MAX
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

async fn serve_connection(stream: TcpStream, clerk: &Clerk, rules: &Rules) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = FramedRead::new(reader, ());
    loop {
        let found = match read_request(&mut reader, &mut writer).await {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(Bad::Io(error)) => {
                tracing::debug!(%error, "an admin connection broke");
                return;
            }
            Err(Bad::Request(status, sentence)) => {
                let response = Response::error(status, sentence);
                return refuse(reader.get_mut(), &mut writer, &response).await;
            }
        };
        let goes_on = match found {
            Found::WaitsForContinue => send_continue(&mut writer).await,
            Found::Request(request) => {
                let response = answer(&request, clerk, rules).await;
                let with_body = request.head.method != Method::HEAD;
                let keep_alive = request.keeps_alive();
                send(&mut writer, response.emit(with_body, keep_alive)).await && keep_alive
            }
            Found::Lines(head, body) => {
                if let Some(response) = refuse_lines(&head, rules) {
                    return refuse(reader.get_mut(), &mut writer, &response).await;
                }
                if holds_back(&head) && !send_continue(&mut writer).await {
                    return;
                }
                serve_lines(&head, body, &mut reader, &mut writer, clerk, rules).await
            }
        };
        if !goes_on {
            return linger(reader.get_mut(), &mut writer).await;
        }
    }
}

/// The next request; `None` when the peer has none, or none came in time.
async fn read_request(reader: &mut Reader, writer: &mut Writer) -> Result<Option<Found>, Bad> {
    let mut decoder = RequestDecoder::default();
    let mut time_left = Box::pin(sleep(REQUEST_TIMEOUT));
    loop {
        let found = monoio::select! {
            found = reader.next_with(&mut decoder) => found,
            () = &mut time_left => None,
        };
        match found {
            Some(Ok(Found::WaitsForContinue)) => {
                if !send_continue(writer).await {
                    return Ok(None);
                }
            }
            Some(Ok(found)) => return Ok(Some(found)),
            Some(Err(bad)) => return Err(bad),
            None if decoder.is_inside() => {
                return Err(Bad::Request(
                    408,
                    "The request's body did not arrive in time.",
                ));
            }
            None => return Ok(None),
        }
    }
}

async fn send_continue(writer: &mut Writer) -> bool {
    send(writer, b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await
}

pub(super) async fn send(writer: &mut Writer, bytes: Vec<u8>) -> bool {
    matches!(
        timeout(WRITE_TIMEOUT, writer.write_all(bytes)).await,
        Ok((Ok(_), _))
    )
}

async fn turn_off(stream: TcpStream) {
    let busy = Response::error(
        503,
        "Too many connections to the admin listener; try again.",
    )
    .with("Retry-After", "1");
    let (mut reader, mut writer) = stream.into_split();
    refuse(&mut reader, &mut writer, &busy).await;
}

async fn refuse(reader: &mut OwnedReadHalf<TcpStream>, writer: &mut Writer, response: &Response) {
    if send(writer, response.emit(true, false)).await {
        linger(reader, writer).await;
    }
}

/// Reads what the peer still sends: closing on unread bytes would reset the connection and take the answer with it.
async fn linger(reader: &mut OwnedReadHalf<TcpStream>, writer: &mut Writer) {
    if writer.shutdown().await.is_ok() {
        let _ = timeout(LINGER, drain(reader)).await;
    }
}

async fn drain(reader: &mut OwnedReadHalf<TcpStream>) {
    let mut scratch = vec![0; 16 * 1024];
    loop {
        let (read, back) = reader.read(scratch).await;
        scratch = back;
        if !matches!(read, Ok(bytes) if bytes > 0) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
