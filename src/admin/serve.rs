//! The admin listener's loop: accept, read a request, answer, and nobody stays longer than they should.
//!
//! It runs on a monoio runtime with a timer, on a thread that the caller makes. An accept is never cancelled
//! (a cancelled one that had succeeded would leak its socket): whoever comes gets in, and the [`ConnectionLimit`] says who
//! leaves for it.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Abortable, select};
use http::{Method, Version};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, Splitable};
use monoio::net::TcpStream;
use monoio::time::{sleep, timeout};
use monoio_codec::FramedRead;
use monoio_http::common::request::RequestHead;

use super::OperatorBackend;
use super::connection::{ConnectionWriter, Reader, send};
use super::connection_limit::{ConnectionLimit, ConnectionPermit};
use super::framing::RequestError;
use super::http::{AdminInput, AdminRequest, RequestDecoder, holds_back};
use super::idempotent::IdempotentPublisher;
use super::pause::{AdminPause, RequestProgress, RequestStage};
use super::policy::AdminPolicy;
use super::response::AdminResponse;
use super::roles::AdminTokens;
use super::routes::{answer, asks_for_handover, is_publishing, refuse_lines, traced};
use super::stream::{LinesPublisher, serve_lines};
use super::trace::{self, TraceQuestion};
use crate::acceptor::Acceptor;
use crate::log_throttle::LogThrottles;
use crate::tasks;
use crate::wire::response::LAST_CHUNK;

/// From a connection's beginning to the last byte of its first head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// From the answer before to the last byte of the next head, and from there to the body's last byte: slow bodies and
/// idle connections end here. Twice as long as Prometheus waits between two scrapes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a refused peer is listened to, so that it reads the refusal before the connection resets.
const LINGER: Duration = Duration::from_secs(1);

/// Before accepting again when accepting failed: descriptors are short, and need time to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the listener looks whether requests are under way still.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The listener at work.
pub(crate) struct AdminServer {
    acceptor: Acceptor,
    publisher: IdempotentPublisher,
    policy: AdminPolicy,
    room: Rc<ConnectionLimit>,
    pause: Rc<AdminPause>,
}

impl AdminServer {
    pub(crate) fn new(
        acceptor: Acceptor,
        backend: Rc<dyn OperatorBackend>,
        policy: AdminPolicy,
    ) -> Rc<AdminServer> {
        Rc::new(AdminServer {
            acceptor,
            publisher: IdempotentPublisher::new(backend),
            policy,
            room: Rc::default(),
            pause: Rc::default(),
        })
    }

    /// Serves until the listening socket is closed; those who are there then are the caller's to end.
    pub(crate) async fn serve(self: Rc<Self>) {
        let (throttles, opened) = (LogThrottles::default(), Instant::now());
        loop {
            match self.acceptor.accept().await {
                Ok(None) => return,
                Ok(Some((stream, _))) => {
                    let (permit, cut) = self.room.enter();
                    let (server, progress) = (self.clone(), self.pause.enter());
                    let served =
                        async move { server.serve_connection(stream, &permit, &progress).await };
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

    pub(crate) async fn close(&self) {
        self.acceptor.close().await;
    }

    /// Nobody is accepted and no request is begun from now on; those under way are answered. How many hold up a hand-over when the
    /// time is over. `insists`: only those whose requests were begun do.
    pub(crate) async fn quiesce(&self, until: Instant, insists: bool) -> usize {
        self.acceptor.pause().await;
        self.pause.begin();
        loop {
            let held_up = self.pause.held_up(insists);
            if held_up == 0 || Instant::now() >= until {
                return held_up;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What is to be known in the next process: the keys under which items were published.
    pub(crate) fn state(&self) -> Vec<u8> {
        let written = rmp_serde::to_vec_named(&self.publisher.state());
        written.expect("values with names can be written down")
    }

    /// Goes on with what another process had. Nothing of what it cannot read is known: then items are published again that are
    /// sent again.
    pub(crate) fn resume(&self, state: &[u8]) {
        if state.is_empty() {
            return;
        }
        match rmp_serde::from_slice(state) {
            Ok(state) => self.publisher.resume(state),
            Err(fault) => {
                tracing::error!(%fault, "keys under which items were published are forgotten: they cannot be read");
            }
        }
    }

    /// The hand-over came to nothing.
    pub(crate) fn go_on(&self) {
        self.pause.end();
        self.acceptor.resume();
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

impl AdminServer {
    async fn serve_connection(
        &self,
        stream: TcpStream,
        permit: &ConnectionPermit,
        progress: &RequestProgress,
    ) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = FramedRead::new(reader, ());
        let mut head_timeout = HEAD_TIMEOUT;
        loop {
            let found = match read_request(&mut reader, &mut writer, head_timeout, progress).await {
                Ok(Some(found)) => found,
                Ok(None) if progress.is_closing() => {
                    return linger(reader.get_mut(), &mut writer).await;
                }
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
            progress.set(RequestStage::Answering);
            let ends = (&mut reader, &mut writer);
            if !self.serve_request(found, ends, permit, progress).await {
                progress.set(RequestStage::Idle);
                return linger(reader.get_mut(), &mut writer).await;
            }
            permit.wait();
            progress.set(RequestStage::Idle);
            head_timeout = REQUEST_TIMEOUT;
        }
    }

    /// Whether the connection can be used for another one.
    async fn serve_request(
        &self,
        found: AdminInput,
        (reader, writer): (&mut Reader, &mut ConnectionWriter),
        permit: &ConnectionPermit,
        progress: &RequestProgress,
    ) -> bool {
        match found {
            AdminInput::Begun { .. } => true,
            AdminInput::Request(request) => {
                let ends = (reader.get_mut(), &mut *writer);
                let response = self.respond(&request, ends, permit, progress).await;
                let Some(response) = response else {
                    return false;
                };
                permit.wait();
                progress.set(RequestStage::Writing);
                let with_body = request.head.method != Method::HEAD;
                let keep_alive = request.keeps_alive() && !progress.is_closing();
                send(writer, response.emit(with_body, keep_alive)).await && keep_alive
            }
            AdminInput::Lines(head, body) => {
                if let Some(response) = refuse_lines(&head, &self.policy) {
                    send(writer, response.emit(true, false)).await;
                    return false;
                }
                if !permit.begin_publishing() {
                    send(writer, too_many_publishers().emit(true, false)).await;
                    return false;
                }
                permit.between_lines();
                if holds_back(&head) && !send_continue(writer).await {
                    return false;
                }
                let publisher = LinesPublisher {
                    permit,
                    progress,
                    publisher: &self.publisher,
                    policy: &self.policy,
                };
                serve_lines(&head, body, reader, writer, publisher).await
            }
        }
    }

    /// None: what was to be shown has been.
    async fn respond(
        &self,
        request: &AdminRequest,
        ends: (&mut OwnedReadHalf<TcpStream>, &mut ConnectionWriter),
        permit: &ConnectionPermit,
        progress: &RequestProgress,
    ) -> Option<AdminResponse> {
        let (head, policy) = (&request.head, &self.policy);
        if let Some(wanted) = traced(head, policy) {
            progress.set(RequestStage::Idle);
            let asked = (wanted, &policy.tokens);
            return watch(asked, head, ends, (permit, progress), &self.publisher).await;
        }
        if is_publishing(head, policy) && !permit.begin_publishing() {
            return Some(too_many_publishers());
        }
        if asks_for_handover(head) {
            // It would wait for itself.
            progress.set(RequestStage::Idle);
        }
        Some(answer(request, &self.publisher, policy).await)
    }
}

/// Shows what somebody asks and is sent, to the end of that or of the connection. Some: why nobody is watched.
async fn watch(
    (wanted, tokens): (Result<TraceQuestion, AdminResponse>, &AdminTokens),
    head: &RequestHead,
    (reader, writer): (&mut OwnedReadHalf<TcpStream>, &mut ConnectionWriter),
    (permit, progress): (&ConnectionPermit, &RequestProgress),
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
    let left = async {
        select(pin!(drain(reader)), pin!(progress.closing())).await;
    };
    trace::serve(head, (question, tokens), feed, writer, left).await;
    if progress.is_closing() && head.version == Version::HTTP_11 {
        send(writer, LAST_CHUNK.to_vec()).await;
    }
    permit.wait();
    None
}

/// The next request; `None` when the peer has none, or its head did not come in time.
async fn read_request(
    reader: &mut Reader,
    writer: &mut ConnectionWriter,
    head_timeout: Duration,
    progress: &RequestProgress,
) -> Result<Option<AdminInput>, RequestError> {
    let mut decoder = RequestDecoder::default();
    let mut time_left = Box::pin(sleep(head_timeout));
    loop {
        // What is here already is taken first.
        let found = monoio::select! {
            biased;
            found = reader.next_with(&mut decoder) => found,
            () = &mut time_left => None,
            () = progress.may_close() => return Ok(None),
        };
        match found {
            Some(Ok(AdminInput::Begun { holds_back })) => {
                progress.set(RequestStage::Arriving);
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
