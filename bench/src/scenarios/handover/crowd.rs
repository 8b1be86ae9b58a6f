//! All clients, on one thread: streams that are followed, readers that are slow, and connections that ask.

use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use serde::Serialize;

use super::asker::{Asker, Heard, Manner};
use super::faults::Faults;
use super::operator::{Shared, ms};
use super::stream::Stream;
use super::{ERAS, HandoverOptions};
use crate::Outcome;
use crate::loader::{self, READY_MAX};

pub(super) struct Crowd<'a> {
    options: &'a HandoverOptions,
    target: SocketAddr,
    host: String,
    epoll: OwnedFd,
    streams: Vec<Stream>,
    askers: Vec<Option<Asker>>,
    vacant: Vec<usize>,
    shorts: Shorts,
    window: Window,
    pub(super) faults: Faults,
    pub(super) answers: u64,
    scratch: Box<[u8]>,
}

#[derive(Default)]
struct Shorts {
    opened: usize,
    under_way: usize,
}

/// The longest waits of a while.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Window {
    /// Between two events at a stream that reads.
    pub(super) silence_ms: f64,
    /// Of a request on a connection of its own, and on one that was there.
    pub(super) short_ms: f64,
    pub(super) steady_ms: f64,
}

/// While nothing was handed over, and around each hand-over.
#[derive(Default)]
pub(super) struct Windows {
    pub(super) at_rest: Vec<Window>,
    pub(super) hand_overs: Vec<Window>,
}

const OPENING_MAX: usize = 256;
const OPEN_WITHIN: Duration = Duration::from_secs(120);
const STEADY: usize = 8;
const SHORTS_MAX: usize = 256;
/// The kernel doubles it.
const SLOW_RECEIVE_BYTES: usize = 4096;
/// Slow readers read in the first part of each while.
const SLOW_EVERY: Duration = Duration::from_millis(500);
const SLOW_FOR: Duration = Duration::from_millis(150);
/// What a hand-over did to clients is seen so long after it.
const AFTER: Duration = Duration::from_millis(300);
/// No event for so long means that none is on its way.
const QUIET: Duration = Duration::from_secs(5);

impl<'a> Crowd<'a> {
    pub(super) fn open(target: SocketAddr, options: &'a HandoverOptions) -> Outcome<Crowd<'a>> {
        let mut crowd = Crowd {
            options,
            target,
            host: target.to_string(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            streams: Vec::new(),
            askers: Vec::new(),
            vacant: Vec::new(),
            shorts: Shorts::default(),
            window: Window::default(),
            faults: Faults::default(),
            answers: 0,
            scratch: vec![0; 64 * 1024].into(),
        };
        crowd.open_streams()?;
        for _ in 0..STEADY {
            crowd.open_asker(Manner::Steady)?;
        }
        for _ in 0..options.pieces {
            crowd.open_asker(Manner::InPieces)?;
        }
        Ok(crowd)
    }

    fn open_streams(&mut self) -> Outcome<()> {
        let began = Instant::now();
        let mut open = 0;
        while open < self.options.streams {
            while self.streams.len() < self.options.streams
                && self.streams.len() - open < OPENING_MAX
            {
                self.open_stream()?;
            }
            if began.elapsed() > OPEN_WITHIN {
                return Err(format!("only {open} streams were opened").into());
            }
            for index in self.wait(Duration::from_millis(100))? {
                let Some(stream) = self.streams.get_mut(index) else {
                    continue;
                };
                let was_open = stream.is_open;
                let read = stream.read(&mut self.scratch, &self.host, || 0)?;
                read.ok_or("the server closed a connection")?;
                open += usize::from(stream.is_open && !was_open);
            }
        }
        for stream in self.streams.iter().filter(|it| it.is_slow()) {
            epoll::delete(&self.epoll, &stream.socket)?;
        }
        Ok(())
    }

    fn open_stream(&mut self) -> Outcome<()> {
        let index = self.streams.len();
        let is_slow = index < self.options.slow;
        let socket = loader::socket_of(self.target, index)?;
        if is_slow {
            socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
        }
        socket.connect(&self.target.into())?;
        let socket = TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN)?;
        let mut stream = Stream::new(socket, ERAS[index % ERAS.len()], is_slow);
        stream.ask(&self.host)?;
        self.streams.push(stream);
        Ok(())
    }

    fn open_asker(&mut self, manner: Manner) -> Outcome<()> {
        // From addresses that streams do not have.
        let number = self.options.streams + 8_000 + self.shorts.opened + self.askers.len();
        let asker = Asker::connect(self.target, number, manner)?;
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.askers.push(None);
            self.askers.len() - 1
        });
        let data = EventData::new_u64((self.streams.len() + slot) as u64);
        epoll::add(&self.epoll, &asker.socket, data, EventFlags::IN)?;
        self.askers[slot] = Some(asker);
        Ok(())
    }

    /// Until all hand-overs are over and everything that was published is here.
    pub(super) fn follow(&mut self, shared: &Shared) -> Outcome<Windows> {
        let began = Instant::now();
        let mut windows = Windows::default();
        let (mut begun, mut done) = (0, 0);
        let mut closes: Option<Instant> = None;
        let mut latest = Instant::now();
        loop {
            let now = Instant::now();
            if shared.begun.load(SeqCst) > begun {
                begun += 1;
                windows.at_rest.push(self.take_window());
            }
            if shared.done.load(SeqCst) > done {
                done += 1;
                closes = Some(now + AFTER);
            }
            if closes.is_some_and(|it| now >= it) {
                closes = None;
                windows.hand_overs.push(self.take_window());
            }
            let ends = shared.all_published.load(SeqCst);
            let slow_read = ends
                || now.duration_since(began).as_millis() % SLOW_EVERY.as_millis()
                    < SLOW_FOR.as_millis();
            if self.turn(shared, slow_read, done, began.elapsed())? {
                latest = Instant::now();
            }
            shared.heard.store(self.heard_by_all(), SeqCst);
            if shared.all_done.load(SeqCst) && self.shorts.opened >= self.options.connections {
                shared.publishes_no_more.store(true, SeqCst);
            }
            let published = shared.published.load(SeqCst);
            if ends && (self.has_all(published) || latest.elapsed() > QUIET) {
                self.end(published);
                return Ok(windows);
            }
        }
    }

    fn heard_by_all(&self) -> u64 {
        let reading = self.streams.iter();
        let reading = reading.filter(|it| it.is_open && !it.is_slow());
        reading
            .map(|it| it.seen.heard())
            .min()
            .unwrap_or(u64::MAX / 2)
    }

    fn has_all(&self, published: u64) -> bool {
        self.shorts.under_way == 0
            && self
                .streams
                .iter()
                .all(|it| it.seen.has_all(published, it.is_slow()))
    }

    /// True if an event came.
    fn turn(
        &mut self,
        shared: &Shared,
        slow_read: bool,
        hand_overs: usize,
        since: Duration,
    ) -> Outcome<bool> {
        let ends = shared.all_published.load(SeqCst);
        let mut heard = false;
        for index in self.wait(Duration::from_millis(1))? {
            match index.checked_sub(self.streams.len()) {
                None => heard |= self.read_stream(index, shared),
                Some(slot) => self.read_asker(slot),
            }
        }
        if slow_read {
            for index in 0..self.options.slow {
                heard |= self.read_stream(index, shared);
            }
        }
        let now = Instant::now();
        for slot in 0..self.askers.len() {
            if let Some(asker) = &mut self.askers[slot]
                && !(ends && asker.is_in_pieces())
                && !asker.send_due(now, hand_overs, &mut self.faults)
            {
                self.drop_asker(slot);
            }
        }
        self.open_due(since);
        Ok(heard)
    }

    fn open_due(&mut self, since: Duration) {
        let due = since.as_secs_f64() * self.options.connections_per_second();
        let due = (due as usize).min(self.options.connections);
        while self.shorts.opened < due && self.shorts.under_way < SHORTS_MAX {
            self.shorts.opened += 1;
            match self.open_asker(Manner::Short) {
                Ok(()) => self.shorts.under_way += 1,
                Err(fault) => {
                    self.faults.connections_refused += 1;
                    self.faults
                        .say(format!("a connection was not made: {fault}"));
                }
            }
        }
    }

    fn read_stream(&mut self, index: usize, shared: &Shared) -> bool {
        let stream = &mut self.streams[index];
        if !stream.is_open {
            return false;
        }
        let fault = match stream.read(&mut self.scratch, &self.host, || {
            shared.publishing.load(SeqCst)
        }) {
            Ok(Some(count)) => return count > 0,
            Ok(None) => "it ended".to_owned(),
            Err(fault) => fault.to_string(),
        };
        stream.is_open = false;
        // A slow one is not in the set.
        let _ = epoll::delete(&self.epoll, &stream.socket);
        self.faults.streams_ended += 1;
        self.faults.say(format!("stream {index}: {fault}"));
        false
    }

    fn read_asker(&mut self, slot: usize) {
        let Some(asker) = &mut self.askers[slot] else {
            return;
        };
        let is_short = asker.is_short();
        match asker.read(&mut self.scratch, &mut self.faults) {
            Heard::Nothing => {}
            Heard::Broken => self.drop_asker(slot),
            Heard::Answer(after) => {
                self.answers += 1;
                let window = match is_short {
                    true => &mut self.window.short_ms,
                    false => &mut self.window.steady_ms,
                };
                *window = window.max(ms(after));
                if is_short {
                    self.drop_asker(slot);
                }
            }
        }
    }

    fn drop_asker(&mut self, slot: usize) {
        if let Some(asker) = self.askers[slot].take() {
            self.shorts.under_way -= usize::from(asker.is_short());
            self.vacant.push(slot);
        }
    }

    fn take_window(&mut self) -> Window {
        let streams = self.streams.iter_mut().filter(|it| !it.is_slow());
        let silences = streams.map(|it| std::mem::take(&mut it.seen.silence_ns));
        let silence = silences.max().unwrap_or_default();
        let window = std::mem::take(&mut self.window);
        Window {
            silence_ms: silence as f64 / 1e6,
            ..window
        }
    }

    fn end(&mut self, published: u64) {
        for stream in &self.streams {
            stream
                .seen
                .tell(published, stream.is_slow(), &mut self.faults);
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.streams.iter().map(|it| it.seen.events()).sum()
    }

    fn wait(&self, at_most: Duration) -> Outcome<Vec<usize>> {
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        let events = loader::wait(&self.epoll, &mut ready, at_most)?;
        let indexes = events.iter().map(|it| { it.data }.u64() as usize);
        Ok(indexes.collect())
    }
}
