//! One request and its answer, between two sockets. Both directions run at once: a body may still be coming while the
//! owner answers it, and a client may leave at any time.
//!
//! ```text
//! Asking ─▶ Connecting ─▶ Passing ─┬─▶ the answer is whole: the connection takes its next request, or ─▶ Lingering
//!    │           │                 ├─▶ a stream has opened: a relay
//!    │           │                 └─▶ nothing was answered ─▶ Probing ─▶ Lingering
//!    └───────────┴─▶ the owner is not there: answered here ◀──────┘
//! ```

use super::owners::KnownOwner;
use super::request::{BodyRest, Outgoing};
use super::response::{Added, ResponseProgress};
use super::unsent::UnsentBytes;
use crate::budget::Charge;
use crate::limits::Limits;
use crate::shard::{Millis, MissReason};
use crate::wire::Malformed;
use crate::wire::forwarded::STICKY_COOKIE;
use crate::wire::http1::Method;

/// How often a silent owner is looked for: one that hangs takes requests and answers none.
const LOOK_EVERY_MS: Millis = 2_000;
/// On every stream and for every call a node says something at each of its `--keep-alive`, which may be longer than
/// this node's. So this much silence is no fault while its node is said to live.
const SILENCE_BORNE_MS: Millis = 10 * 60 * 1_000;
const KEEP_ALIVES_MISSED: Millis = 2;
const SILENCE_SLACK_MS: Millis = 5_000;

/// Bytes of a body that came after its head, kept until it is answered: a part of [`super::EXCHANGE_BYTES`]. Whoever sent
/// more is told why there will be no answer all the same, but on a connection that ends with it.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// How much of what a client whose request was too large to be kept still sends is read, so that it can read its answer.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// After so much silence an owner is worth a look, if its times are this node's.
pub(super) fn silence_of_two_ms(limits: &Limits) -> Millis {
    limits.keep_alive_ms * KEEP_ALIVES_MISSED + SILENCE_SLACK_MS
}

/// And after so much it is as good as dead, whatever is said of it.
pub(super) fn silence_max_ms(limits: &Limits) -> Millis {
    silence_of_two_ms(limits).max(SILENCE_BORNE_MS)
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExchangeStep {
    /// Where its session is.
    Asking,
    /// A connection to its owner.
    Connecting,
    /// Both sides.
    Passing,
    /// Whether the owner that broke off is there.
    Probing,
    /// That the client reads its last answer: what it still sends is read so long.
    Lingering { until: Millis, left: usize },
}

pub(super) struct ForwardedExchange {
    pub(super) step: ExchangeStep,
    pub(super) method: Method,
    /// The request as it came, for this node to answer it if its owner will not. None: it was too much.
    asked: Option<Vec<u8>>,
    /// Bytes of it that came after its head.
    later: usize,
    rest: BodyRest,
    /// The client's bytes after its request.
    read_ahead: Vec<u8>,
    pub(super) to_owner: UnsentBytes,
    pub(super) to_client: UnsentBytes,
    /// Its node, from the moment in which it is known.
    pub(super) owner: Option<KnownOwner>,
    /// The owner takes what it is sent.
    takes: bool,
    incoming: ResponseProgress,
    /// The owner's connection ends with its answer.
    closes: bool,
    complete: bool,
    /// The sticky cookie that the client sent, and then the line that gives it the owner's.
    cookie: Option<Box<str>>,
    /// Since then the owner is waited for, and when it is to be looked for. None: that is under way.
    waits_since: Millis,
    look_at: Option<Millis>,
    /// For what is held of the request and its answer while both are under way.
    _charge: Charge,
}

/// What became of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It goes on.
    On,
    /// The answer is whole, and the client has it.
    Whole,
    /// The answer is a stream, and its head has been passed on.
    Opened,
    /// The owner broke off, or speaks no HTTP.
    Broken { unstarted: bool },
    /// It has said nothing, and its node is lost.
    Lost(MissReason),
    /// The client takes no more.
    ClientLeft,
    /// What it sends of its request is no body.
    Malformed(Malformed),
    /// So it is, after its last answer.
    Over,
    /// The owner has been silent: is it there?
    Look,
}

impl ForwardedExchange {
    pub(super) fn new(outgoing: Outgoing, mut read: Vec<u8>, charge: Charge) -> ForwardedExchange {
        let read_ahead = read.split_off(outgoing.used);
        let to_owner = UnsentBytes::of(outgoing.bytes);
        ForwardedExchange {
            step: ExchangeStep::Asking,
            method: outgoing.method,
            asked: Some(read),
            later: 0,
            rest: outgoing.rest,
            read_ahead,
            to_owner,
            to_client: UnsentBytes::default(),
            owner: None,
            takes: true,
            incoming: ResponseProgress::new(),
            closes: false,
            complete: false,
            cookie: outgoing.cookie,
            waits_since: 0,
            look_at: None,
            _charge: charge,
        }
    }

    /// There is a connection to the owner.
    pub(super) fn begin(&mut self, now: Millis, path: &str) {
        self.step = ExchangeStep::Passing;
        let owner = self.owner.as_ref().map_or("", |it| &it.cookie);
        self.cookie = steering(path, self.cookie.as_deref(), owner);
        self.to_owner.start(now);
        self.wait_for_owner(now);
    }

    fn wait_for_owner(&mut self, now: Millis) {
        (self.waits_since, self.look_at) = (now, Some(now + LOOK_EVERY_MS));
    }

    fn is_passing(&self) -> bool {
        self.step == ExchangeStep::Passing
    }

    /// The owner has the whole request.
    pub(super) fn is_sent(&self) -> bool {
        self.takes && self.rest.is_nothing() && self.to_owner.is_empty()
    }

    /// A body goes on as it comes; what is behind it waits for the answer, and no more of it is read than may be.
    pub(super) fn reads_client(&self, ahead_max: usize) -> bool {
        let takes = !self.rest.is_nothing() || self.read_ahead.len() < ahead_max;
        match self.step {
            ExchangeStep::Passing => self.to_owner.is_empty() && takes,
            ExchangeStep::Lingering { .. } => true,
            _ => false,
        }
    }

    pub(super) fn reads_owner(&self) -> bool {
        self.is_passing() && self.to_client.is_empty()
    }

    pub(super) fn writes_owner(&self) -> bool {
        self.is_passing() && !self.to_owner.is_empty()
    }

    pub(super) fn client_bytes(&mut self, now: Millis, bytes: &[u8], sink: &mut Vec<u8>) -> Passed {
        if let ExchangeStep::Lingering { left, .. } = &mut self.step {
            *left = left.saturating_sub(bytes.len());
            return if *left == 0 { Passed::Over } else { Passed::On };
        }
        let used = match self.rest.take(bytes, sink) {
            Ok(used) => used,
            Err(fault) => return Passed::Malformed(fault),
        };
        let (body, behind) = bytes.split_at(used);
        self.read_ahead.extend_from_slice(behind);
        self.keep(body);
        if self.takes {
            self.to_owner.push(now, body);
        }
        Passed::On
    }

    fn keep(&mut self, body: &[u8]) {
        self.later += body.len();
        if self.later > KEPT_BYTES_MAX {
            self.asked = None;
        } else if let Some(asked) = &mut self.asked {
            asked.extend_from_slice(body);
        }
    }

    /// The client sends nothing more. It may wait for its answer, or be gone: the owner finds that out as it does for
    /// clients of its own.
    pub(super) fn client_end(&self, ended: bool) -> Passed {
        match self.step {
            ExchangeStep::Lingering { .. } => Passed::Over,
            _ if ended || !self.rest.is_nothing() => Passed::ClientLeft,
            _ => Passed::On,
        }
    }

    pub(super) fn client_fault(&self) -> Passed {
        match self.step {
            ExchangeStep::Lingering { .. } => Passed::Over,
            _ => Passed::ClientLeft,
        }
    }

    pub(super) fn owner_bytes(&mut self, now: Millis, bytes: &[u8], sink: &mut Vec<u8>) -> Passed {
        let unstarted = self.incoming.is_unstarted();
        // What the owner has not waited for comes all the same, and is not told from a next request.
        let closes = !self.is_sent();
        let cookie = self.cookie.as_deref();
        let out = self.to_client.begin(now);
        let added = Added { cookie, closes };
        let Ok(taken) = self.incoming.take(bytes, added, out, sink) else {
            // Nothing of what came with it is passed on.
            self.to_client.clear();
            return Passed::Broken { unstarted };
        };
        self.closes |= taken.closes;
        self.complete |= taken.complete;
        self.passed_on(now)
    }

    /// The owner sends nothing more, which is the end that an answer without a length has.
    pub(super) fn owner_end(&self) -> Passed {
        match self.closes {
            true => Passed::Whole,
            false => self.owner_fault(),
        }
    }

    pub(super) fn owner_fault(&self) -> Passed {
        let unstarted = self.incoming.is_unstarted();
        Passed::Broken { unstarted }
    }

    /// An owner that takes no more may still have something to say, and its answer's end is the end of this.
    pub(super) fn owner_takes_no_more(&mut self) {
        self.takes = false;
        self.to_owner.clear();
    }

    pub(super) fn sent_to_owner(&mut self, now: Millis, count: usize) {
        self.to_owner.sent(now, count);
    }

    pub(super) fn sent_to_client(&mut self, now: Millis, count: usize) -> Passed {
        self.to_client.sent(now, count);
        match self.step {
            ExchangeStep::Passing => self.passed_on(now),
            _ => Passed::On,
        }
    }

    /// Looks where the answer stands when the client has all that came of it.
    fn passed_on(&mut self, now: Millis) -> Passed {
        if !self.to_client.is_empty() {
            return Passed::On;
        }
        if self.complete {
            return Passed::Whole;
        }
        let is_open = matches!(self.incoming, ResponseProgress::Body(BodyRest::Chunked(_)));
        if is_open && self.method == Method::Get && self.is_sent() {
            return Passed::Opened;
        }
        self.wait_for_owner(now);
        Passed::On
    }

    /// `None`: whatever it waits for, the driver says so in time.
    pub(super) fn due(&self, stall_max: Millis) -> Option<Millis> {
        match self.step {
            ExchangeStep::Passing => {
                let look = self.look_at.filter(|_| self.to_client.is_empty());
                let stalls = [
                    self.to_owner.stalls_at(stall_max),
                    self.to_client.stalls_at(stall_max),
                ];
                look.into_iter().chain(stalls.into_iter().flatten()).min()
            }
            ExchangeStep::Lingering { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) fn timeout(&mut self, now: Millis, limits: &Limits) -> Passed {
        if let ExchangeStep::Lingering { until, .. } = self.step {
            return if now >= until {
                Passed::Over
            } else {
                Passed::On
            };
        }
        let is_over = |due: Option<Millis>| due.is_some_and(|due| now >= due);
        let stall_max = limits.write_stall_ms;
        if is_over(self.to_client.stalls_at(stall_max)) {
            return Passed::ClientLeft;
        }
        if is_over(self.to_owner.stalls_at(stall_max)) {
            self.owner_takes_no_more();
        }
        if !self.to_client.is_empty() || !is_over(self.look_at) {
            return Passed::On;
        }
        if now >= self.waits_since + silence_max_ms(limits) {
            return self.owner_fault();
        }
        self.look_at = None;
        Passed::Look
    }

    /// What came of a look for the owner. Some: it is lost.
    pub(super) fn looked(&mut self, now: Millis, gone: Option<MissReason>) -> Passed {
        if !self.is_passing() || self.look_at.is_some() {
            // It has said something since.
            return Passed::On;
        }
        match gone {
            Some(gone) if self.incoming.is_unstarted() => Passed::Lost(gone),
            Some(_) => Passed::Broken { unstarted: false },
            None => {
                self.look_at = Some(now + LOOK_EVERY_MS);
                Passed::On
            }
        }
    }

    /// Answered, unless the owner or the request is not done yet.
    pub(super) fn takes_the_next(&self) -> bool {
        !self.closes && self.is_sent()
    }

    pub(super) fn answer_last(&mut self, now: Millis, answer: &[u8], until: Millis) {
        self.linger(until);
        self.to_client.clear();
        self.to_client.push(now, answer);
    }

    /// The client has its last answer, or has it when it has taken what is unsent.
    pub(super) fn linger(&mut self, until: Millis) {
        let left = LINGER_BYTES_MAX;
        self.step = ExchangeStep::Lingering { until, left };
        self.to_owner.clear();
    }

    /// Nothing of an answer has been passed on.
    pub(super) fn is_unanswered(&self) -> bool {
        self.incoming.is_unstarted()
    }

    pub(super) fn is_lingering(&self) -> bool {
        matches!(self.step, ExchangeStep::Lingering { .. })
    }

    pub(super) fn ahead(&self) -> usize {
        self.read_ahead.len()
    }

    pub(super) fn take_ahead(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.read_ahead)
    }

    /// All that the client sent. None: it was too much to be kept.
    pub(super) fn take_all(&mut self) -> Option<Vec<u8>> {
        let mut all = self.asked.take()?;
        all.append(&mut self.read_ahead);
        Some(all)
    }

    pub(super) fn take_body(&mut self) -> BodyRest {
        match &mut self.incoming {
            ResponseProgress::Body(body) => std::mem::replace(body, BodyRest::Nothing),
            _ => BodyRest::Nothing,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let asked = self.asked.as_ref().map_or(0, Vec::len);
        let unsent = self.to_owner.bytes().len() + self.to_client.bytes().len();
        asked + unsent + self.read_ahead.len() + self.incoming.held_bytes()
    }
}

/// The header line that sends a client which keeps cookies straight to the owner from now on.
fn steering(path: &str, has: Option<&str>, owner: &str) -> Option<Box<str>> {
    let is_another = has? != owner && !owner.is_empty();
    is_another.then(|| {
        format!(
            "Set-Cookie: {STICKY_COOKIE}={owner}; Path={path}; HttpOnly; Secure; SameSite=Strict\r\n"
        )
        .into()
    })
}
