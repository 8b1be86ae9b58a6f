//! The admin listener's loop: accept, read a request, answer, and nobody stays longer than they should.
//!
//! It runs on a monoio runtime with a timer, on a thread that the caller makes. An accept is never cancelled
//! (a cancelled one that had succeeded would leak its socket): whoever comes gets in, and the [`ConnectionLimit`] says who
//! leaves for it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::Abortable;
use http::Method;
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, Splitable};
use monoio::net::TcpStream;
use monoio::time::{sleep, timeout};
use monoio_codec::FramedRead;
use monoio_http::common::request::RequestHead;

use super::OperatorBackend;
use super::connection::{ConnectionWriter, Reader, send};
use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use super::framing::RequestError;
use super::http::{AdminInput, RequestDecoder, holds_back};
use super::idempotent::IdempotentPublisher;
use super::policy::AdminPolicy;
use super::response::AdminResponse;
use super::roles::AdminTokens;
use super::routes::{answer, is_publishing, refuse_lines, traced};
use super::stream::{LinesPublisher, serve_lines};
use super::trace::{self, TraceQuestion};
use crate::acceptor::Acceptor;
use crate::log_throttle::LogThrottles;
use crate::runtime::keep_to_itself;
use crate::tasks;

/// From a connection's beginning to the last byte of its first head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// From the answer before to the last byte of the next head, and from there to the body's last byte: slow bodies and
/// idle connections end here. Twice as long as Prometheus waits between two scrapes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a refused peer is listened to, so that it reads the refusal before the connection resets.
const LINGER: Duration = Duration::from_secs(1);

/// Before accepting again when accepting failed: descriptors are short, and need time to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the listening socket is closed; those who are there then are the caller's to end.
pub(crate) async fn serve_admin(
    acceptor: Rc<Acceptor>,
    backend: Rc<dyn OperatorBackend>,
    policy: AdminPolicy,
) {
    let policy = Rc::new(policy);
    let room = Rc::new(ConnectionLimit::default());
    let publisher = Rc::new(IdempotentPublisher::new(backend));
    let (throttles, opened) = (LogThrottles::default(), Instant::now());
    loop {
        match acceptor.accept().await {
            Ok(None) => return,
            Ok(Some((stream, _))) => {
                keep_to_itself(&stream);
                let (permit, cut) = room.enter();
                let (publisher, policy) = (publisher.clone(), policy.clone());
                let served =
                    async move { serve_connection(stream, &permit, &publisher, &policy).await };
                // Dropped where it waits, it leaves nothing half done: a seat that is cut has no request.
                tasks::spawn(Abortable::new(served, cut));
                // Whoever sent a request together with the connection is answered before the next one comes.
                yield_once().await;
            }
            Err(error) => {
                let now_ms = u64::try_from(opened.elapsed().as_millis()).unwrap_or(u64::MAX);
                if let Some(unlogged) = throttles.admit("accept", now_ms) {
                    tracing::warn!(%error, unlogged, "the admin listener cannot accept");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Everything else that can run does so first.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn serve_connection(
    stream: TcpStream,
    permit: &ConnectionPermit,
    publisher: &IdempotentPublisher,
    policy: &AdminPolicy,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = FramedRead::new(reader, ());
    let mut head_timeout = HEAD_TIMEOUT;
    loop {
        let found = match read_request(&mut reader, &mut writer, head_timeout).await {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(RequestError::Io(error)) => {
                tracing::debug!(%error, "an admin connection broke");
                return;
            }
            Err(RequestError::Request(status, sentence)) => {
                let response = AdminResponse::error(status, sentence);
                return refuse(reader.get_mut(), &mut writer, &response).await;
            }
        };
        let goes_on = match found {
            AdminInput::Begun { .. } => true,
            AdminInput::Request(request) => {
                let both = (reader.get_mut(), &mut writer);
                let response = match traced(&request.head, policy) {
                    Some(wanted) => {
                        let asked = (wanted, &policy.tokens);
                        watch(asked, &request.head, both, permit, publisher).await
                    }
                    None if is_publishing(&request.head, policy) && !permit.begin_publishing() => {
                        Some(too_many_publishers())
                    }
                    None => Some(answer(&request, publisher, policy).await),
                };
                let Some(response) = response else {
                    return linger(reader.get_mut(), &mut writer).await;
                };
                permit.wait();
                let with_body = request.head.method != Method::HEAD;
                let keep_alive = request.keeps_alive();
                send(&mut writer, response.emit(with_body, keep_alive)).await && keep_alive
            }
            AdminInput::Lines(head, body) => {
                if let Some(response) = refuse_lines(&head, policy) {
                    return refuse(reader.get_mut(), &mut writer, &response).await;
                }
                if !permit.begin_publishing() {
                    return refuse(reader.get_mut(), &mut writer, &too_many_publishers()).await;
                }
                permit.between_lines();
                if holds_back(&head) && !send_continue(&mut writer).await {
                    return;
                }
                let publisher = LinesPublisher {
                    permit,
                    publisher,
                    policy,
                };
                serve_lines(&head, body, &mut reader, &mut writer, publisher).await
            }
        };
        if !goes_on {
            return linger(reader.get_mut(), &mut writer).await;
        }
        permit.wait();
        head_timeout = REQUEST_TIMEOUT;
    }
}

/// Shows what somebody asks and is sent, to the end of that or of the connection. Some: why nobody is watched.
async fn watch(
    (wanted, tokens): (Result<TraceQuestion, AdminResponse>, &AdminTokens),
    head: &RequestHead,
    (reader, writer): (&mut OwnedReadHalf<TcpStream>, &mut ConnectionWriter),
    permit: &ConnectionPermit,
    publisher: &IdempotentPublisher,
) -> Option<AdminResponse> {
    let question = match wanted {
        Ok(question) => question,
        Err(refusal) => return Some(refusal),
    };
    let feed = match question.begin(publisher).await {
        Ok(feed) => feed,
        Err(refusal) => return Some(refusal),
    };
    permit.watch();
    // Nothing more is expected of the peer but that it leaves.
    trace::serve(head, (question, tokens), feed, writer, drain(reader)).await;
    permit.wait();
    None
}

/// The next request; `None` when the peer has none, or its head did not come in time.
async fn read_request(
    reader: &mut Reader,
    writer: &mut ConnectionWriter,
    head_timeout: Duration,
) -> Result<Option<AdminInput>, RequestError> {
    let mut decoder = RequestDecoder::default();
    let mut time_left = Box::pin(sleep(head_timeout));
    loop {
        let found = monoio::select! {
            found = reader.next_with(&mut decoder) => found,
            () = &mut time_left => None,
        };
        match found {
            Some(Ok(AdminInput::Begun { holds_back })) => {
                if holds_back && !send_continue(writer).await {
                    return Ok(None);
                }
                time_left = Box::pin(sleep(REQUEST_TIMEOUT));
            }
            Some(Ok(found)) => return Ok(Some(found)),
            Some(Err(bad)) => return Err(bad),
            None if decoder.is_inside() => {
                return Err(RequestError::Request(
                    408,
                    "The request's body did not arrive in time.",
                ));
            }
            None => return Ok(None),
        }
    }
}

async fn send_continue(writer: &mut ConnectionWriter) -> bool {
    send(writer, b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()).await
}

fn too_many_publishers() -> AdminResponse {
    AdminResponse::error(
        503,
        "Too many are publishing on the admin listener at this moment; try again.",
    )
    .with("Retry-After", "1")
}

async fn refuse(
    reader: &mut OwnedReadHalf<TcpStream>,
    writer: &mut ConnectionWriter,
    response: &AdminResponse,
) {
    if send(writer, response.emit(true, false)).await {
        linger(reader, writer).await;
    }
}

/// Reads what the peer still sends: closing on unread bytes would reset the connection and take the answer with it.
async fn linger(reader: &mut OwnedReadHalf<TcpStream>, writer: &mut ConnectionWriter) {
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
