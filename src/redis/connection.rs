//! One connection: commands of many callers in flight at once, answers in the order of the commands.
//!
//! Two tasks serve it, one that sends what was queued and one that hands out what comes back. Both end when the
//! connection is closed, which is for good: by a fault, by an answer that does not come in time, or by the drop of the
//! last handle.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use monoio::time::timeout;

use super::frame::{FrameError, Scanner};
use super::reply::{Protocol, Reply};
use super::transport::Transport;
use super::{Command, RedisFault};
use crate::tasks;

/// Of one answer, past which the connection ends. What asks for much asks for parts of it.
pub const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that wait to be sent, and batches that wait for their answers, before further ones are refused.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;
const IN_FLIGHT_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// For what has arrived to be read, at least.
const MOMENT: Duration = Duration::from_millis(10);

/// A handle; clones are the same connection.
#[derive(Clone)]
pub struct RedisConnection {
    handle: Rc<Handle>,
}

/// Closes the connection when nobody can call it any more.
struct Handle {
    shared: Rc<RedisConnectionInner>,
}

struct RedisConnectionInner {
    transport: Transport,
    protocol: Cell<Protocol>,
    limit: Duration,
    /// When something came.
    heard: Cell<Instant>,
    inside: RefCell<InFlight>,
}

#[derive(Default)]
struct InFlight {
    unsent: Vec<u8>,
    waiting: VecDeque<CommandBatch>,
    /// Of the sending task, while there is nothing to send.
    sender: Option<Waker>,
    /// Of whoever waits for the end.
    watchers: Vec<Waker>,
    closed: Option<RedisFault>,
}

/// Commands that were queued together.
struct CommandBatch {
    missing: usize,
    replies: Vec<Reply>,
    answer: oneshot::Sender<Vec<Reply>>,
}

impl RedisConnection {
    pub(super) fn start(transport: Transport, limit: Duration) -> Self {
        let shared = Rc::new(RedisConnectionInner {
            transport,
            protocol: Cell::new(Protocol::Resp3),
            limit,
            heard: Cell::new(Instant::now()),
            inside: RefCell::default(),
        });
        tasks::spawn(send_queued(shared.clone()));
        tasks::spawn(hand_out(shared.clone()));
        let handle = Rc::new(Handle { shared });
        RedisConnection { handle }
    }

    /// Sends a command; it has its place in the order when this returns, before the future is polled.
    /// An error that Redis answers is a [`Reply`]: only an answer that is none is a fault.
    pub fn call(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Reply, RedisFault>> + use<> {
        self.call_within(command, self.handle.shared.limit)
    }

    /// As [`call`](RedisConnection::call), for a command that is slow on purpose.
    pub fn call_within(
        &self,
        command: Command,
        limit: Duration,
    ) -> impl Future<Output = Result<Reply, RedisFault>> + use<> {
        let replies = self.call_all_within(&[command], limit);
        async move { replies.await?.pop().ok_or(RedisFault::NotRedis) }
    }

    /// Sends commands with nothing between them. One answer each, in order.
    pub fn call_all(
        &self,
        commands: &[Command],
    ) -> impl Future<Output = Result<Vec<Reply>, RedisFault>> + use<> {
        self.call_all_within(commands, self.handle.shared.limit)
    }

    /// Of answers that are large, or on their way through a slow network, the time is not taken: only of silence.
    pub fn call_all_within(
        &self,
        commands: &[Command],
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<Reply>, RedisFault>> + use<> {
        let shared = self.handle.shared.clone();
        let queued = shared.queue(commands);
        async move {
            let (mut queued, mut since) = (queued?, Instant::now());
            loop {
                // What came while this thread had no time is read in this moment.
                let left = limit.saturating_sub(since.elapsed()).max(MOMENT);
                match timeout(left, &mut queued).await {
                    Ok(Ok(replies)) => return Ok(replies),
                    Ok(Err(oneshot::Canceled)) => return Err(shared.fault()),
                    Err(_) if shared.heard.get() > since => since = shared.heard.get(),
                    Err(_) => {
                        shared.close(RedisFault::TimedOut);
                        return Err(shared.fault());
                    }
                }
            }
        }
    }

    /// Waits for the connection's end and says why it ended.
    pub async fn closed(&self) -> RedisFault {
        let shared = &self.handle.shared;
        poll_fn(|context| {
            let mut inside = shared.inside.borrow_mut();
            match &inside.closed {
                Some(fault) => Poll::Ready(fault.clone()),
                None => {
                    inside.watchers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.handle.shared.inside.borrow().closed.is_none()
    }

    /// Closes it for all its handles.
    pub fn close(&self) {
        self.handle.shared.close(RedisFault::Down);
    }

    /// The server knows no other protocol.
    pub(super) fn speak_resp2(&self) {
        self.handle.shared.protocol.set(Protocol::Resp2);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(RedisFault::Down);
    }
}

impl RedisConnectionInner {
    fn queue(&self, commands: &[Command]) -> Result<oneshot::Receiver<Vec<Reply>>, RedisFault> {
        let mut inside = self.inside.borrow_mut();
        if let Some(fault) = &inside.closed {
            return Err(fault.clone());
        }
        if inside.unsent.len() > UNSENT_BYTES_MAX || inside.waiting.len() >= IN_FLIGHT_MAX {
            return Err(RedisFault::Busy);
        }
        let (answer, queued) = oneshot::channel();
        if commands.is_empty() {
            // Nobody else has the other end yet.
            let _ = answer.send(Vec::new());
            return Ok(queued);
        }
        commands
            .iter()
            .for_each(|command| command.emit(&mut inside.unsent));
        inside.waiting.push_back(CommandBatch {
            missing: commands.len(),
            replies: Vec::with_capacity(commands.len()),
            answer,
        });
        if let Some(sender) = inside.sender.take() {
            sender.wake();
        }
        Ok(queued)
    }

    fn fault(&self) -> RedisFault {
        let inside = self.inside.borrow();
        inside.closed.clone().unwrap_or(RedisFault::Down)
    }

    /// The first fault is the one that counts.
    fn close(&self, fault: RedisFault) {
        let mut inside = self.inside.borrow_mut();
        if inside.closed.is_some() {
            return;
        }
        inside.closed = Some(fault);
        inside.unsent = Vec::new();
        let waiting = std::mem::take(&mut inside.waiting);
        let mut wakers = std::mem::take(&mut inside.watchers);
        wakers.extend(inside.sender.take());
        drop(inside);
        self.transport.shut_down();
        // Those that wait find the fault.
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn hand_out(&self, reply: Reply) -> Result<(), RedisFault> {
        let mut inside = self.inside.borrow_mut();
        let batch = inside.waiting.front_mut().ok_or(RedisFault::NotRedis)?;
        batch.replies.push(reply);
        batch.missing -= 1;
        if batch.missing == 0
            && let Some(batch) = inside.waiting.pop_front()
        {
            drop(inside);
            // Whoever asked may have gone.
            let _ = batch.answer.send(batch.replies);
        }
        Ok(())
    }

    /// Waits for something to send. None: the connection is closed.
    async fn unsent(&self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            let mut inside = self.inside.borrow_mut();
            if inside.closed.is_some() {
                return Poll::Ready(None);
            }
            if inside.unsent.is_empty() {
                inside.sender = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Some(std::mem::take(&mut inside.unsent)))
        })
        .await
    }
}

async fn send_queued(shared: Rc<RedisConnectionInner>) {
    while let Some(bytes) = shared.unsent().await {
        if let Err(fault) = shared.transport.send_all(&bytes).await {
            return shared.close(RedisFault::broken(&fault));
        }
    }
}

async fn hand_out(shared: Rc<RedisConnectionInner>) {
    let mut inbox = ReplyBuffer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let received = match shared.transport.receive(&mut buffer).await {
            Ok(0) => Err(RedisFault::Broken("it was closed by the other side".into())),
            Ok(count) => {
                shared.heard.set(Instant::now());
                inbox.take(&buffer[..count], &shared)
            }
            Err(fault) => Err(RedisFault::broken(&fault)),
        };
        if let Err(fault) = received {
            return shared.close(fault);
        }
    }
}

/// Bytes of a reply that is not whole yet.
#[derive(Default)]
struct ReplyBuffer {
    bytes: Vec<u8>,
    scanner: Scanner,
}

impl ReplyBuffer {
    fn take(&mut self, received: &[u8], shared: &RedisConnectionInner) -> Result<(), RedisFault> {
        self.bytes.extend_from_slice(received);
        let mut used = 0;
        while let Some(len) = self.next_reply(used)? {
            let bytes = &self.bytes[used..used + len];
            let reply = Reply::read(bytes, shared.protocol.get());
            used += len;
            if let Some(reply) = reply.map_err(fault_of)? {
                shared.hand_out(reply)?;
            }
        }
        self.bytes.drain(..used);
        if self.bytes.len() > REPLY_BYTES_MAX {
            return Err(RedisFault::TooLarge);
        }
        if self.bytes.is_empty() && self.bytes.capacity() > READ_BYTES {
            self.bytes = Vec::new();
        }
        Ok(())
    }

    fn next_reply(&mut self, used: usize) -> Result<Option<usize>, RedisFault> {
        if used == self.bytes.len() {
            return Ok(None);
        }
        let end = self.scanner.scan(&self.bytes[used..]).map_err(fault_of)?;
        if end.is_some() {
            self.scanner = Scanner::default();
        } else if self.scanner.len_min() > REPLY_BYTES_MAX {
            return Err(RedisFault::TooLarge);
        }
        Ok(end)
    }
}

fn fault_of(unreadable: FrameError) -> RedisFault {
    match unreadable {
        FrameError::NotResp => RedisFault::NotRedis,
        FrameError::TooLarge => RedisFault::TooLarge,
    }
}
