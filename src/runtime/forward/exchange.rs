//! One request and its answer, between two sockets. Both directions run at once, in one task: a body may still be
//! coming while the owner answers it, and a client may leave at any time.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use monoio::net::TcpStream;
use monoio::time::timeout;

use super::unanswered::{Request, unanswered};
use super::{Abroad, Client, Known, pool};
use crate::forward::request::{Outgoing, Rest};
use crate::forward::response::{Incoming, Taken};
use crate::limits::Limits;
use crate::runtime::core::Core;
use crate::runtime::socket;
use crate::shard::{Gone, Located};
use crate::wire::forwarded::STICKY_COOKIE;
use crate::wire::http1::Method;
use crate::wire::session_id::SessionId;

/// How a request that was passed on ended.
pub(super) enum Ended {
    /// The client has its answer; the connection takes the next request.
    Answered { read_ahead: Vec<u8> },
    /// The answer is a stream, and its head has been passed on.
    Opened {
        owner: TcpStream,
        session: SessionId,
        body: Rest,
        read_ahead: Vec<u8>,
    },
    /// The owner is not there: the request is answered here, with the reason.
    NotPassedOn { read: Vec<u8>, gone: Gone },
    /// So is the connection.
    Over,
}

/// How often a silent owner is looked for: one that hangs takes requests and answers none.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// On every stream and for every call a node says something at each of its `--keep-alive`, which may be longer than
/// this node's. So this much silence is no fault while its node is said to live.
const SILENCE_BORNE: Duration = Duration::from_secs(10 * 60);
const KEEP_ALIVES_MISSED: u32 = 2;
const SILENCE_SLACK: Duration = Duration::from_secs(5);

/// Bytes of a body that came after its head, kept until it is answered: a part of [`super::EXCHANGE_BYTES`]. Whoever sent
/// more is told why there will be no answer all the same, but on a connection that ends with it.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// After so much silence an owner is worth a look, if its times are this node's.
pub(super) fn silence_of_two(limits: &Limits) -> Duration {
    Duration::from_millis(limits.keep_alive_ms) * KEEP_ALIVES_MISSED + SILENCE_SLACK
}

/// And after so much it is as good as dead, whatever is said of it.
pub(super) fn silence_max(limits: &Limits) -> Duration {
    silence_of_two(limits).max(SILENCE_BORNE)
}

/// Two sockets and what is known of both sides.
struct Exchange<'a> {
    core: &'a Core,
    abroad: &'a Abroad,
    client: &'a TcpStream,
    owner: &'a TcpStream,
    cookie: Option<String>,
    silence_max: Duration,
    stall_max: Duration,
    pipeline_bytes_max: usize,
    /// The client's bytes after its request.
    read_ahead: RefCell<Vec<u8>>,
    /// What came of the body since, for this node to answer the request if its owner will not. None: it was too much.
    kept: RefCell<Option<Vec<u8>>>,
    /// The whole request was sent.
    sent: Cell<bool>,
    /// The client sends nothing more, and so the owner was told.
    ended: Cell<bool>,
    session: SessionId,
    method: Method,
}

/// What came of the client behind its request.
enum Ahead {
    Some,
    /// As much as may be is here.
    Enough,
    Ended,
}

/// How the answer's way to the client ended.
enum Passed {
    Whole {
        closes: bool,
    },
    /// The head, and what came with it; this is to come.
    Opened(Rest),
    /// The owner broke off, or speaks no HTTP.
    Broken {
        unstarted: bool,
    },
    /// It has said nothing, and its node is lost.
    Lost(Gone),
    /// The client takes no more.
    ClientLeft,
}

pub(super) async fn pass_on(
    core: &Rc<Core>,
    abroad: &Abroad,
    client: &Client,
    mut read: Vec<u8>,
) -> Ended {
    let (outgoing, known) = match prepare(core, abroad, client, &read).await {
        Ok(prepared) => prepared,
        Err(gone) => return Ended::NotPassedOn { read, gone },
    };
    if outgoing.method == Method::Get {
        abroad.becomes_stream(client.place);
    }
    let pooled = abroad.pool.borrow_mut().take(known.address);
    let connected = match pooled {
        Some(stream) => Ok(stream),
        None => pool::connect(known.address).await,
    };
    let owner = match connected {
        Ok(owner) => owner,
        Err(fault) => return not_there(abroad, &outgoing, &known, &fault, read),
    };
    let (session, method) = (outgoing.session, outgoing.method);
    let read_ahead = read.split_off(outgoing.used);
    let exchange = Exchange::new(core, abroad, client, &owner, &outgoing, &known, read_ahead);
    let passed = exchange.run(outgoing).await;
    let (sent, ended) = (exchange.sent.get(), exchange.ended.get());
    let read_ahead = exchange.read_ahead.take();
    let request = Request {
        session,
        method,
        bytes: exchange.kept.take().map(|kept| {
            read.extend_from_slice(&kept);
            read.extend_from_slice(&read_ahead);
            read
        }),
    };
    match passed {
        Passed::Whole { closes: false } if sent => {
            if !ended {
                abroad.pool.borrow_mut().put(known.address, owner);
            }
            Ended::Answered { read_ahead }
        }
        Passed::Opened(body) => Ended::Opened {
            owner,
            session,
            body,
            read_ahead,
        },
        Passed::Broken { unstarted: true } => {
            abroad.forget(session);
            let again = pool::connect(known.address).await;
            // Else the process is gone, and what it did of this request went with it.
            let is_there = !again.is_err_and(|fault| pool::is_of_the_peer(&fault));
            let gone = (!is_there).then_some(Gone::OwnerUnreachable);
            unanswered(abroad, client, request, gone).await
        }
        Passed::Lost(gone) => unanswered(abroad, client, request, Some(gone)).await,
        Passed::Broken { .. } | Passed::ClientLeft => {
            abroad.say_if_deleted(session, method);
            Ended::Over
        }
        Passed::Whole { .. } => Ended::Over,
    }
}

/// # Errors
/// Why it cannot be passed on.
async fn prepare(
    core: &Core,
    abroad: &Abroad,
    client: &Client,
    read: &[u8],
) -> Result<(Outgoing, Known), Gone> {
    let outgoing = {
        let secret = abroad.joined.secret.as_ref().ok_or(Gone::CannotTell)?;
        let shard = core.shard.borrow();
        Outgoing::read(read, shard.limits(), abroad.node, secret, client.address)
    };
    let outgoing = outgoing.ok_or(Gone::CannotTell)?;
    let session = outgoing.session;
    if let Some(known) = abroad.known(session) {
        return Ok((outgoing, known));
    }
    // Another request has found in the meantime that nobody is there, which is no reason for this one.
    match abroad.ask(session).await {
        Located::Gone(gone) => Err(gone),
        Located::There => match abroad.known(session) {
            Some(known) => Ok((outgoing, known)),
            None => Err(Gone::OwnerUnreachable),
        },
    }
}

fn not_there(
    abroad: &Abroad,
    outgoing: &Outgoing,
    known: &Known,
    fault: &io::Error,
    read: Vec<u8>,
) -> Ended {
    if !pool::is_of_the_peer(fault) {
        if abroad.may_complain() {
            tracing::warn!(address = %known.address, %fault, "no connection to another node could be opened, for want \
                of something on this machine: open files (ulimit -n), or local ports (net.ipv4.ip_local_port_range)");
        }
        let gone = Gone::CannotTell;
        return Ended::NotPassedOn { read, gone };
    }
    // Whoever watches the node hears of it with the reason that the client is told.
    tracing::debug!(session = %outgoing.session.redacted(), address = %known.address, %fault,
        "a session's node does not take connections");
    abroad.forget(outgoing.session);
    let gone = Gone::OwnerUnreachable;
    Ended::NotPassedOn { read, gone }
}

/// The header line that sends a client which keeps cookies straight to the owner from now on.
fn steering(abroad: &Abroad, outgoing: &Outgoing, owner: &str) -> Option<String> {
    let has = outgoing.cookie.as_deref()?;
    (has != owner && !owner.is_empty()).then(|| {
        format!(
            "Set-Cookie: {STICKY_COOKIE}={owner}; Path={}; HttpOnly; Secure; SameSite=Strict\r\n",
            abroad.path
        )
    })
}

impl<'a> Exchange<'a> {
    fn new(
        core: &'a Core,
        abroad: &'a Abroad,
        client: &'a Client,
        owner: &'a TcpStream,
        outgoing: &Outgoing,
        known: &Known,
        read_ahead: Vec<u8>,
    ) -> Self {
        let shard = core.shard.borrow();
        let limits = shard.limits();
        Exchange {
            core,
            abroad,
            client: &client.stream,
            owner,
            cookie: steering(abroad, outgoing, &known.cookie),
            silence_max: silence_max(limits),
            stall_max: Duration::from_millis(limits.write_stall_ms),
            pipeline_bytes_max: limits.pipeline_bytes_max,
            read_ahead: RefCell::new(read_ahead),
            kept: RefCell::new(Some(Vec::new())),
            sent: Cell::new(false),
            ended: Cell::new(false),
            session: outgoing.session,
            method: outgoing.method,
        }
    }

    async fn run(&self, outgoing: Outgoing) -> Passed {
        let there = pin!(self.pass_request(outgoing.bytes, outgoing.rest));
        let back = pin!(self.pass_answer());
        match select(back, there).await {
            Either::Left((passed, _)) => passed,
            Either::Right(((), _)) => Passed::ClientLeft,
        }
    }

    /// Sends the request as it comes, then watches the client. Ends when the client leaves, or sends no body.
    async fn pass_request(&self, bytes: Vec<u8>, mut rest: Rest) {
        // An owner that takes no more may still have something to say, and its answer's end is the end of this.
        let mut taken = self.write(self.owner, &bytes).await.is_ok();
        drop(bytes);
        while !rest.is_nothing() {
            if self.client.readable(false).await.is_err() {
                return;
            }
            match self.read_body(&mut rest) {
                Ok(more) => {
                    self.keep(&more);
                    taken = taken && self.write(self.owner, &more).await.is_ok();
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        self.sent.set(taken);
        while self.client.readable(false).await.is_ok() {
            match self.read_ahead() {
                Ok(Ahead::Some) => {}
                // Nothing more is read before the answer is out.
                Ok(Ahead::Enough) => std::future::pending().await,
                // It may wait for its answer, or be gone: the owner finds that out as it does for clients of its own.
                Ok(Ahead::Ended) => {
                    self.ended.set(true);
                    socket::shutdown(self.owner, Shutdown::Write);
                    std::future::pending().await
                }
                Err(_) => return,
            }
        }
    }

    fn keep(&self, more: &[u8]) {
        let mut kept = self.kept.borrow_mut();
        if let Some(bytes) = kept.as_mut() {
            bytes.extend_from_slice(more);
        }
        if kept.as_ref().is_some_and(|it| it.len() > KEPT_BYTES_MAX) {
            *kept = None;
        }
    }

    /// What of the body came now, as it is to be sent.
    fn read_body(&self, rest: &mut Rest) -> io::Result<Vec<u8>> {
        self.core.with_scratch(|scratch| {
            let count = socket::receive(self.client, scratch)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut sink = self.abroad.sink.borrow_mut();
            let used = rest
                .take(&scratch[..count], &mut sink)
                .ok_or(io::ErrorKind::InvalidData)?;
            self.read_ahead
                .borrow_mut()
                .extend_from_slice(&scratch[used..count]);
            Ok(scratch[..used].to_vec())
        })
    }

    fn read_ahead(&self) -> io::Result<Ahead> {
        self.core.with_scratch(|scratch| {
            let mut ahead = self.read_ahead.borrow_mut();
            match socket::receive(self.client, scratch) {
                Ok(0) => Ok(Ahead::Ended),
                Ok(count) => {
                    ahead.extend_from_slice(&scratch[..count]);
                    match ahead.len() < self.pipeline_bytes_max {
                        true => Ok(Ahead::Some),
                        false => Ok(Ahead::Enough),
                    }
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Ok(Ahead::Some),
                Err(fault) => Err(fault),
            }
        })
    }

    async fn pass_answer(&self) -> Passed {
        let mut incoming = Incoming::new();
        let mut closes = false;
        loop {
            let unstarted = incoming.is_unstarted();
            if let Err(gone) = self.wait_for_owner().await {
                return match gone {
                    Some(gone) if unstarted => Passed::Lost(gone),
                    _ => Passed::Broken { unstarted },
                };
            }
            let (taken, unsent) = match self.relay(&mut incoming) {
                Ok(relayed) => relayed,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => continue,
                Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => {
                    return Passed::ClientLeft;
                }
                // The end that an answer without a length has.
                Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof && closes => {
                    return Passed::Whole { closes };
                }
                Err(_) => return Passed::Broken { unstarted },
            };
            if !unsent.is_empty() && self.write(self.client, &unsent).await.is_err() {
                return Passed::ClientLeft;
            }
            closes |= taken.closes;
            if taken.complete {
                return Passed::Whole { closes };
            }
            if let Some(body) = self.opened(&mut incoming) {
                return Passed::Opened(body);
            }
        }
    }

    /// Waits for the owner's next word, and looks for its node now and then: an error is why there will be none, if
    /// that is known.
    async fn wait_for_owner(&self) -> Result<(), Option<Gone>> {
        let since = Instant::now();
        loop {
            match timeout(LOOK_EVERY, self.owner.readable(false)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => return Err(None),
                Err(_) if since.elapsed() >= self.silence_max => return Err(None),
                Err(_) => {
                    if let Some(gone) = self.abroad.lost(self.session).await {
                        return Err(Some(gone));
                    }
                }
            }
        }
    }

    /// What is to come of a stream that has just opened.
    fn opened(&self, incoming: &mut Incoming) -> Option<Rest> {
        match incoming {
            Incoming::Body(body @ Rest::Chunked(_))
                if self.method == Method::Get && self.sent.get() =>
            {
                Some(std::mem::replace(body, Rest::Nothing))
            }
            _ => None,
        }
    }

    /// Reads what the owner sent and sends what the client takes at once; returns the rest.
    ///
    /// # Errors
    /// `BrokenPipe` if the client is gone; anything else is the owner's.
    fn relay(&self, incoming: &mut Incoming) -> io::Result<(Taken, Vec<u8>)> {
        self.core.with_scratch(|scratch| {
            let count = socket::receive(self.owner, scratch)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut out = self.abroad.out.borrow_mut();
            let mut sink = self.abroad.sink.borrow_mut();
            out.clear();
            let cookie = self.cookie.as_deref();
            let taken = incoming
                .take(&scratch[..count], cookie, &mut out, &mut sink)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            let sent = match socket::send(self.client, &out) {
                Ok(sent) => sent,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            Ok((taken, out[sent..].to_vec()))
        })
    }

    async fn write(&self, to: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        write_all(to, bytes, self.stall_max).await
    }
}

/// # Errors
/// The connection is gone, or took nothing for `stall_max`.
pub(super) async fn write_all(to: &TcpStream, bytes: &[u8], stall_max: Duration) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match socket::send(to, &bytes[written..]) {
            Ok(count) => written += count,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                timeout(stall_max, to.writable(false))
                    .await
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
