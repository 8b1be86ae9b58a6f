//! All clients, on one thread. Whose stream breaks pauses, and then goes to the next address.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use serde::Serialize;

use super::client::{Back, Client, Happened};
use crate::Outcome;
use crate::loader::{self, OPENING_MAX, READY_MAX};

pub(super) struct Crowd {
    clients: Vec<Client>,
    epoll: OwnedFd,
    /// Where they go.
    target: SocketAddr,
    pause: Duration,
    /// Who pauses, and until when: the first of them in front.
    pausing: VecDeque<(Instant, usize)>,
    pub(super) counts: Counts,
    scratch: Box<[u8]>,
}

/// What must not happen, and what may.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Counts {
    /// 404: the session is gone.
    pub(super) lost: u64,
    pub(super) initialized_again: u64,
    /// Whose stream did not come back, or had nothing to say.
    pub(super) silent: u64,
    /// 503: to be asked again.
    pub(super) refused_503: u64,
    /// Answered with something else, or not at all.
    pub(super) failed: u64,
}

const OPEN_WITHIN: Duration = Duration::from_secs(120);
/// Far longer than it may take: who has not heard by then does not.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const SCRATCH_BYTES: usize = 64 * 1024;

impl Crowd {
    pub(super) fn open(target: SocketAddr, count: usize, pause: Duration) -> Outcome<Crowd> {
        let mut crowd = Crowd {
            clients: (0..count).map(|_| Client::new()).collect(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            target,
            pause,
            pausing: VecDeque::new(),
            counts: Counts::default(),
            scratch: vec![0; SCRATCH_BYTES].into(),
        };
        let began = Instant::now();
        let mut begun = 0;
        loop {
            let open = crowd.clients.iter().filter(|it| it.listens()).count();
            if open == count {
                return Ok(crowd);
            }
            if began.elapsed() > OPEN_WITHIN {
                return Err(format!("only {open} streams were opened").into());
            }
            while begun < count && begun - open < OPENING_MAX {
                crowd.clients[begun].open(target, begun)?;
                crowd.watch(begun)?;
                begun += 1;
            }
            crowd.turn()?;
        }
    }

    /// Everybody listens, and hears of something that is published from now on.
    pub(super) fn all_hear(&mut self) -> Outcome<()> {
        self.clients
            .iter_mut()
            .for_each(|it| it.back = Back::default());
        let began = Instant::now();
        while !self
            .clients
            .iter()
            .all(|it| it.listens() && it.back.heard.is_some())
        {
            if began.elapsed() > BACK_WITHIN {
                return Err("a client does not hear what is published".into());
            }
            self.turn()?;
        }
        Ok(())
    }

    pub(super) fn listen_for(&mut self, time: Duration) -> Outcome<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.turn()?;
        }
        Ok(())
    }

    /// Their node is about to be killed: each way back begins now, and leads there.
    pub(super) fn go_next_to(&mut self, target: SocketAddr) {
        self.target = target;
        self.clients
            .iter_mut()
            .for_each(|it| it.back = Back::default());
    }

    /// Until all have heard something on a new stream, or will not. Each one's way.
    pub(super) fn come_back(&mut self) -> Outcome<Vec<Back>> {
        let began = Instant::now();
        let is_back = |it: &Client| it.back.broke.is_some() && it.back.heard.is_some();
        while !self.clients.iter().all(is_back) && began.elapsed() < BACK_WITHIN {
            self.turn()?;
        }
        let silent = self.clients.iter().filter(|it| !is_back(it)).count();
        self.counts.silent += silent as u64;
        Ok(self.clients.iter().map(|it| it.back).collect())
    }

    fn turn(&mut self) -> Outcome<()> {
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        let events = loader::wait(&self.epoll, &mut ready, Duration::from_millis(1))?;
        let indexes: Vec<usize> = events.iter().map(|it| { it.data }.u64() as usize).collect();
        for index in indexes {
            match self.clients[index].read(&mut self.scratch)? {
                Happened::Nothing => {}
                Happened::Ended => self.ended(index),
                Happened::Refused(status) => self.refused(index, status)?,
            }
        }
        while self
            .pausing
            .front()
            .is_some_and(|it| it.0 <= Instant::now())
        {
            if let Some((_, index)) = self.pausing.pop_front() {
                self.resume(index);
            }
        }
        Ok(())
    }

    fn ended(&mut self, index: usize) {
        // A stream that had begun breaks once; a request that is not answered is a failure.
        let client = &mut self.clients[index];
        self.counts.failed += u64::from(!client.listens());
        client.back.heard = None;
        self.pause(index);
    }

    fn refused(&mut self, index: usize, status: u16) -> Outcome<()> {
        match status {
            404 => {
                self.counts.lost += 1;
                self.counts.initialized_again += 1;
                self.clients[index].open(self.target, index)?;
                return self.watch(index);
            }
            503 => {
                self.counts.refused_503 += 1;
                self.clients[index].back.refused += 1;
            }
            _ => self.counts.failed += 1,
        }
        self.pause(index);
        Ok(())
    }

    fn pause(&mut self, index: usize) {
        self.clients[index].pause();
        self.pausing.push_back((Instant::now() + self.pause, index));
    }

    fn resume(&mut self, index: usize) {
        let asked = self.clients[index].resume(self.target, index);
        if asked.and_then(|()| self.watch(index)).is_err() {
            self.counts.failed += 1;
            self.pause(index);
        }
    }

    /// The set forgets a socket that is closed.
    fn watch(&self, index: usize) -> Outcome<()> {
        let socket = self.clients[index].socket.as_ref();
        let socket = socket.ok_or("it is not connected")?;
        let data = EventData::new_u64(index as u64);
        Ok(epoll::add(&self.epoll, socket, data, EventFlags::IN)?)
    }
}
