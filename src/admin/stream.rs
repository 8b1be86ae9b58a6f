//! `POST /publish` with lines (NDJSON) of any number: an answer per line, in order, written as they are done.
//!
//! One future reads, publishes and leaves answers in a [`ResponseBuffer`], the other writes what is in it; neither is dropped
//! while items are under way. What is held of one request is bounded: a line that has not ended, the lines of one
//! read, and a buffer of answers. A publisher that does not read its answers fills the buffer and is not read from any
//! more. Neither is one whose place another publisher needs. A publisher that sends everything before it reads anything is
//! served while its answers fit the buffer and the socket, some 10,000 lines at least. Otherwise it is closed after
//! [`WRITE_TIMEOUT`](super::connection::WRITE_TIMEOUT).

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Version};
use monoio::io::OwnedWriteHalf;
use monoio::net::TcpStream;
use monoio::time::sleep;
use monoio_http::common::request::RequestHead;

use super::connection::{Reader, send};
use super::connection_limit::ConnectionPermit;
use super::framing::RequestError;
use super::http::keeps_alive;
use super::idempotent::IdempotentPublisher;
use super::lines::{InputLine, LineSplitter};
use super::long_body::LongBody;
use super::pause::RequestProgress;
use super::policy::AdminPolicy;
use super::response::stream_head;
use super::roles::AdminRole;
use super::{PublishItem, PublishOutcome, item, publish, refused};
use crate::wire::response::LAST_CHUNK;

/// Answers that wait to be written: at 33 bytes for an accepted item, 30,000 of them.
const TRAY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one chunk of answers.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Between two lines. A publisher that keeps its request open sends an empty line now and then.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Lines that are published together.
const GROUP_LINES_MAX: usize = 256;

/// Between two looks at a node that is saturated, and how long it is looked at before lines are refused as busy.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
const BUSY_PAUSES_MAX: u32 = 2000;

/// Whose lines they are, and what becomes of them.
pub(super) struct LinesPublisher<'a> {
    pub(super) permit: &'a ConnectionPermit,
    pub(super) progress: &'a RequestProgress,
    pub(super) publisher: &'a IdempotentPublisher,
    pub(super) policy: &'a AdminPolicy,
}

/// Serves one request's body. Whether the connection can be used for another request.
pub(super) async fn serve_lines(
    head: &RequestHead,
    body: LongBody,
    reader: &mut Reader,
    writer: &mut OwnedWriteHalf<TcpStream>,
    publisher: LinesPublisher<'_>,
) -> bool {
    let keep_alive = keeps_alive(head);
    // HTTP/1.0 has no chunks: the connection's end is the body's.
    let chunked = head.version == Version::HTTP_11;
    let buffer = ResponseBuffer::default();
    let taking = async {
        let mut line_reader = LineReader {
            permit: publisher.permit,
            progress: publisher.progress,
            publisher: publisher.publisher,
            policy: publisher.policy,
            headers: &head.headers,
            buffer: &buffer,
            patience: BUSY_PAUSES_MAX,
        };
        let ended = line_reader.take_all(body, reader).await;
        publisher.permit.wait();
        buffer.close(ended);
    };
    let begin = stream_head("application/x-ndjson", chunked, keep_alive);
    let giving = async {
        let sent = give_all(begin, chunked, &buffer, writer).await;
        buffer.abandon();
        sent
    };
    let ((), sent) = futures_util::future::join(taking, giving).await;
    sent && keep_alive && !publisher.progress.is_closing()
}

/// Why a request's body gives no more lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyEnd {
    Complete,
    /// The rest cannot be read, with a sentence for the publisher.
    Broken(&'static str),
}

const ROOM_IS_NEEDED: BodyEnd = BodyEnd::Broken(
    "Too many publish on the admin listener, and this one sent no line for longest; send the rest again.",
);

const TOKEN_REPLACED: BodyEnd = BodyEnd::Broken(
    "The token that this request began with was replaced; send the rest with the one that is in force.",
);

const HANDED_OVER: BodyEnd = BodyEnd::Broken(
    "The node goes on in another process at this moment; send the rest again, it is there in an instant.",
);

struct LineReader<'a> {
    permit: &'a ConnectionPermit,
    progress: &'a RequestProgress,
    publisher: &'a IdempotentPublisher,
    policy: &'a AdminPolicy,
    /// With the token, which may be replaced meanwhile.
    headers: &'a HeaderMap,
    buffer: &'a ResponseBuffer,
    /// Pauses that are left for a node that is saturated.
    patience: u32,
}

impl LineReader<'_> {
    async fn take_all(&mut self, mut body: LongBody, reader: &mut Reader) -> BodyEnd {
        let mut lines = LineSplitter::new(self.policy.line_bytes_max);
        let mut whole = Vec::new();
        let tokens = &self.policy.tokens;
        let mut lost = Box::pin(tokens.lost(self.headers, AdminRole::Publish));
        while !body.is_finished() {
            let has_room = monoio::select! {
                has_room = self.buffer.has_room() => has_room,
                () = self.permit.asked_to_end() => return ROOM_IS_NEEDED,
                () = &mut lost => return TOKEN_REPLACED,
                () = self.progress.closing() => return HANDED_OVER,
            };
            if !has_room {
                return BodyEnd::Broken("The answers are not read.");
            }
            let found = monoio::select! {
                found = reader.next_with(&mut body) => found,
                () = sleep(SILENCE_MAX) => return BodyEnd::Broken("No line came in time; an empty one would do."),
                () = self.buffer.abandoned() => return BodyEnd::Broken("The answers are not read."),
                () = self.permit.asked_to_end() => return ROOM_IS_NEEDED,
                () = &mut lost => return TOKEN_REPLACED,
                () = self.progress.closing() => return HANDED_OVER,
            };
            match found {
                Some(Ok(piece)) => lines.feed(&piece.0, &mut whole),
                Some(Err(RequestError::Request(_, sentence))) => return BodyEnd::Broken(sentence),
                Some(Err(RequestError::Io(_))) | None => {
                    return BodyEnd::Broken("The body ended too early.");
                }
            }
            if whole.is_empty() {
                continue;
            }
            self.permit.publish();
            self.publish(&mut whole).await;
            self.permit.between_lines();
        }
        self.permit.publish();
        lines.finish(&mut whole);
        self.publish(&mut whole).await;
        BodyEnd::Complete
    }

    async fn publish(&mut self, lines: &mut Vec<InputLine>) {
        let mut items = lines
            .drain(..)
            .map(|line| item_of(&line, self.policy))
            .peekable();
        while items.peek().is_some() {
            let is_busy = !self.wait_for_the_node().await;
            let group = items.by_ref().take(GROUP_LINES_MAX).collect();
            for reply in self.publisher.publish(group, is_busy).await {
                self.buffer.put(&format!("{}\n", publish::render(&reply)));
            }
        }
    }

    /// Waits while the node is saturated, and says whether that ended; a node that stays so is not waited for again.
    async fn wait_for_the_node(&mut self) -> bool {
        while self.publisher.backend().is_saturated() {
            if self.patience == 0 {
                return false;
            }
            self.patience -= 1;
            sleep(BUSY_PAUSE).await;
        }
        self.patience = BUSY_PAUSES_MAX;
        true
    }
}

fn item_of(line: &InputLine, policy: &AdminPolicy) -> Result<PublishItem, PublishOutcome> {
    match line {
        InputLine::Text(text) => item::parse(text, policy.uri_bytes_max),
        InputLine::TooLong => Err(refused(
            "too_large",
            format!(
                "The line is longer than {} bytes, which is as much as one item may have",
                policy.line_bytes_max
            ),
        )),
    }
}

/// Writes the response. Whether all of it was written and the request was complete.
async fn give_all(
    head: String,
    chunked: bool,
    buffer: &ResponseBuffer,
    writer: &mut OwnedWriteHalf<TcpStream>,
) -> bool {
    if !send(writer, head.into_bytes()).await {
        return false;
    }
    while let Some(answers) = buffer.take().await {
        let bytes = if chunked { chunk(&answers) } else { answers };
        if !send(writer, bytes).await {
            tracing::debug!("a publisher does not read its answers; its connection is closed");
            return false;
        }
    }
    // Without the last chunk the publisher knows that the answers are not complete.
    let is_complete = buffer.ended() == Some(BodyEnd::Complete);
    if is_complete && chunked {
        return send(writer, LAST_CHUNK.to_vec()).await;
    }
    is_complete
}

pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Answers on their way from one future to the other, both of one task.
#[derive(Default)]
struct ResponseBuffer {
    inside: RefCell<ResponseBufferState>,
}

#[derive(Default)]
struct ResponseBufferState {
    /// Whole lines.
    answers: Vec<u8>,
    ended: Option<BodyEnd>,
    /// Nobody takes answers any more.
    is_abandoned: bool,
    waiting: Vec<Waker>,
}

impl ResponseBufferState {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        self.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

impl ResponseBuffer {
    fn put(&self, answer: &str) {
        let mut inside = self.inside.borrow_mut();
        inside.answers.extend_from_slice(answer.as_bytes());
        inside.wake();
    }

    /// Some answers; `None` once there will be no more.
    async fn take(&self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            let mut inside = self.inside.borrow_mut();
            if inside.answers.is_empty() {
                return match inside.ended {
                    Some(_) => Poll::Ready(None),
                    None => inside.wait(context),
                };
            }
            let bytes = inside.answers.len().min(CHUNK_BYTES_MAX);
            let rest = inside.answers.split_off(bytes);
            let taken = std::mem::replace(&mut inside.answers, rest);
            inside.wake();
            Poll::Ready(Some(taken))
        })
        .await
    }

    /// Waits until more answers may come; false if nobody will take them.
    async fn has_room(&self) -> bool {
        poll_fn(|context| {
            let mut inside = self.inside.borrow_mut();
            if inside.is_abandoned {
                return Poll::Ready(false);
            }
            if inside.answers.len() < TRAY_BYTES_MAX {
                return Poll::Ready(true);
            }
            inside.wait(context)
        })
        .await
    }

    async fn abandoned(&self) {
        poll_fn(|context| {
            let mut inside = self.inside.borrow_mut();
            if inside.is_abandoned {
                return Poll::Ready(());
            }
            inside.wait(context)
        })
        .await;
    }

    fn abandon(&self) {
        let mut inside = self.inside.borrow_mut();
        inside.is_abandoned = true;
        inside.wake();
    }

    /// The last answer was put; a reason that is not the body's end is told after it.
    fn close(&self, ended: BodyEnd) {
        let mut inside = self.inside.borrow_mut();
        if let BodyEnd::Broken(sentence) = ended {
            let line = format!("{}\n", serde_json::json!({ "error": sentence }));
            inside.answers.extend_from_slice(line.as_bytes());
        }
        inside.ended = Some(ended);
        inside.wake();
    }

    fn ended(&self) -> Option<BodyEnd> {
        self.inside.borrow().ended
    }
}
