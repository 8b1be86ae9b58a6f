//! The loader: one thread, one epoll set, N clients of one server, and the connection that publishes.
//!
//! Level-triggered and one read per ready connection, so that an event costs one `recv` and its share of an
//! `epoll_wait`. While a broadcast is under way it never sleeps: waking it would be the server's expense, an interrupt
//! to another CPU for almost every event, which clients elsewhere do not cause. It counts each event of each client, so a delivery that is missing or comes twice is seen.

pub(crate) mod admin;
pub(crate) mod asker;
mod client;
pub(crate) mod http;
pub(crate) mod pace;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod sse;

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use serde::{Deserialize, Serialize};

use self::admin::Admin;
pub(crate) use self::client::socket_of;
use self::client::{Client, Way};
use self::protocol::{NEEDLE, Protocol};
use crate::Outcome;

/// All that a loader has to know of its server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) protocol: Protocol,
    /// How many each client subscribes to.
    pub(crate) topics: usize,
    /// The body of each publication, which publishes all topics at once.
    pub(crate) publication: String,
    /// What a floor is to send.
    pub(crate) event: Option<Vec<u8>>,
    /// So many clients, and no more, are to be on their way to an open stream at any time.
    pub(crate) opening_max: usize,
}

impl Target {
    /// Without clients yet.
    pub(crate) fn loader(&self) -> Outcome<Loader> {
        let mut admin = Admin::connect(self.admin, &self.publication)?;
        if let Some(event) = &self.event {
            admin.ask("POST /event", event)?;
        }
        let mut loader = Loader::new(self.listen, self.protocol, self.topics, admin)?;
        loader.open_at_once(self.opening_max);
        Ok(loader)
    }
}

/// The access token of a client, by its number.
pub(crate) type TokenOf = Box<dyn Fn(usize) -> String>;

pub(crate) struct Loader {
    epoll: OwnedFd,
    way: Way,
    needle: Finder<'static>,
    clients: Vec<Client>,
    /// Opened like the others, and read no more.
    stalled: Vec<Client>,
    /// Events each client got since the last broadcast started.
    received: Vec<u32>,
    admin: Admin,
    opening_max: usize,
    /// What each client shows.
    token: Option<TokenOf>,
    scratch: Box<[u8]>,
    /// What the first client read last.
    sample: Vec<u8>,
}

/// What became of one publication. Times are nanoseconds from just before it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Broadcast {
    pub(crate) first_ns: u64,
    pub(crate) last_ns: u64,
    /// Clients that got all of it.
    pub(crate) received: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Clients that did not get all of it in time.
    pub(crate) lost: u64,
    /// Deliveries beyond what was due to one client.
    pub(crate) extra: u64,
}

const ADMIN: u64 = u64::MAX;
/// Clients on their way to an open stream; below any listener's backlog (4,096 here), for who finds it full tries again a
/// second later.
pub(crate) const OPENING_MAX: usize = 256;
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// A delivery that takes longer counts as lost.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);
/// The kernel doubles it.
const STALLED_RECEIVE_BYTES: usize = 4096;
const SCRATCH_BYTES: usize = 64 * 1024;
pub(crate) const READY_MAX: usize = 1024;

pub(crate) type Ready = [MaybeUninit<Event>; READY_MAX];

impl Loader {
    /// Clients subscribe to `topics` topics, and `admin` publishes all of them at once.
    pub(crate) fn new(
        target: SocketAddr,
        protocol: Protocol,
        topics: usize,
        admin: Admin,
    ) -> Outcome<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        admin.non_blocking()?;
        epoll::add(
            &epoll,
            &admin.socket,
            EventData::new_u64(ADMIN),
            EventFlags::IN,
        )?;
        Ok(Loader {
            epoll,
            way: Way::new(target, protocol, topics),
            needle: Finder::new(NEEDLE).into_owned(),
            clients: Vec::new(),
            stalled: Vec::new(),
            received: Vec::new(),
            admin,
            opening_max: OPENING_MAX,
            token: None,
            scratch: vec![0; SCRATCH_BYTES].into(),
            sample: Vec::new(),
        })
    }

    /// So many clients, and no more, are to be on their way to an open stream at any time.
    pub(crate) fn open_at_once(&mut self, opening_max: usize) {
        self.opening_max = opening_max;
    }

    /// Each client shows the access token of its number.
    pub(crate) fn show(&mut self, token: TokenOf) {
        self.token = Some(token);
    }

    /// Opens clients until there are `count`, all of them ready.
    pub(crate) fn open_to(&mut self, count: usize) -> Outcome<Duration> {
        let started = Instant::now();
        let mut ready_clients = self.clients.len();
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        while ready_clients < count {
            while self.clients.len() < count
                && self.clients.len() - ready_clients < self.opening_max
            {
                self.open_one()?;
            }
            if started.elapsed() > OPEN_WITHIN {
                return Err(format!("only {ready_clients} of {count} clients were served").into());
            }
            for event in wait(&self.epoll, &mut ready, Duration::from_secs(1))? {
                if let Some(index) = client_index(event) {
                    ready_clients += usize::from(self.receive(index)?.ready);
                }
            }
        }
        Ok(started.elapsed())
    }

    /// The last `count` clients read nothing any more; their kernel keeps little for them.
    pub(crate) fn stall(&mut self, count: usize) -> Outcome<()> {
        for _ in 0..count {
            let client = self.clients.pop().ok_or("there are not so many clients")?;
            self.received.pop();
            epoll::delete(&self.epoll, &client.socket)?;
            socket2::SockRef::from(&client.socket).set_recv_buffer_size(STALLED_RECEIVE_BYTES)?;
            self.stalled.push(client);
        }
        Ok(())
    }

    fn open_one(&mut self) -> Outcome<()> {
        let index = self.clients.len();
        let token = self.token.as_ref().map(|of| of(index).into());
        let client = Client::connect(index, &self.way, token)?;
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, client.socket.as_fd(), data, EventFlags::IN)?;
        self.clients.push(client);
        self.received.push(0);
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Outcome<client::Progress> {
        let client = &mut self.clients[index];
        let progress = client.receive(&mut self.scratch, &self.needle, &self.way)?;
        if index == 0 && progress.events > 0 {
            self.sample.clear();
            self.sample
                .extend_from_slice(&self.scratch[..progress.bytes]);
        }
        Ok(progress)
    }

    /// Reads whatever comes for so long, asleep in between: how often something came.
    pub(crate) fn rest(&mut self, time: Duration) -> Outcome<u64> {
        let until = Instant::now() + time;
        let mut reads = 0;
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(reads);
            }
            for event in wait(&self.epoll, &mut ready, left)? {
                if let Some(index) = client_index(event) {
                    reads += u64::from(self.receive(index)?.bytes > 0);
                }
            }
        }
    }

    /// Reads until the server has ended every client's stream: when each ended, from now, in order.
    pub(crate) fn await_ends(&mut self, within: Duration) -> Outcome<Vec<Duration>> {
        let started = Instant::now();
        let mut ends = Vec::with_capacity(self.clients.len());
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        while ends.len() < self.clients.len() {
            if started.elapsed() > within {
                let left = self.clients.len() - ends.len();
                return Err(format!("{left} streams went on after {within:?}").into());
            }
            for event in wait(&self.epoll, &mut ready, Duration::from_millis(100))? {
                let Some(index) = client_index(event) else {
                    // The connection that publishes ends too.
                    epoll::delete(&self.epoll, &self.admin.socket)?;
                    continue;
                };
                let client = &mut self.clients[index];
                if client.has_ended(&mut self.scratch) {
                    epoll::delete(&self.epoll, &client.socket)?;
                    ends.push(started.elapsed());
                }
            }
        }
        Ok(ends)
    }

    /// Publishes once and waits until every client got it. `receipt` hears the time of each delivery.
    pub(crate) fn broadcast(&mut self, receipt: impl FnMut(u64)) -> Outcome<Broadcast> {
        self.received.fill(0);
        let published = Instant::now();
        self.admin.publish()?;
        self.collect(published, false, receipt)
    }

    /// Publishes; [`collect_published`](Loader::collect_published) waits for it.
    pub(crate) fn publish(&mut self) -> Outcome<Instant> {
        self.received.fill(0);
        let published = Instant::now();
        self.admin.publish()?;
        Ok(published)
    }

    pub(crate) fn collect_published(&mut self, since: Instant) -> Outcome<Broadcast> {
        self.collect(since, false, |_| {})
    }

    /// Publishes, lets the events pile up in the sockets, and only then reads them: how long the reading took.
    /// For servers that answer a publication when all of it is sent.
    pub(crate) fn read_at_once(&mut self) -> Outcome<(Broadcast, Duration)> {
        self.received.fill(0);
        self.admin.socket.set_nonblocking(false)?;
        self.admin.publish()?;
        while !self.admin.receive(&mut self.scratch)? {}
        self.admin.non_blocking()?;
        let started = Instant::now();
        let broadcast = self.collect(started, true, |_| {})?;
        Ok((broadcast, started.elapsed()))
    }

    fn collect(
        &mut self,
        since: Instant,
        mut answered: bool,
        mut receipt: impl FnMut(u64),
    ) -> Outcome<Broadcast> {
        let clients = self.clients.len() as u64;
        // A floor tells everybody one thing.
        let due = match self.way.protocol {
            Protocol::Raw => 1,
            _ => self.way.topics as u64,
        };
        let mut broadcast = Broadcast::default();
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        while !answered || broadcast.received < clients {
            let events = wait(&self.epoll, &mut ready, Duration::ZERO)?;
            if events.is_empty() && since.elapsed() > DELIVERED_WITHIN {
                broadcast.lost = clients - broadcast.received;
                break;
            }
            for event in events {
                let Some(index) = client_index(event) else {
                    answered |= self.admin.receive(&mut self.scratch)?;
                    continue;
                };
                let progress = self.receive(index)?;
                if progress.events == 0 {
                    continue;
                }
                let now_ns = since.elapsed().as_nanos() as u64;
                broadcast.bytes += progress.bytes as u64;
                if broadcast.first_ns == 0 {
                    broadcast.first_ns = now_ns;
                }
                let before = u64::from(self.received[index]);
                let after = before + progress.events;
                self.received[index] = after as u32;
                broadcast.events += progress.events;
                broadcast.extra += after.saturating_sub(due.max(before));
                if before < due && after >= due {
                    broadcast.received += 1;
                    broadcast.last_ns = now_ns;
                    receipt(now_ns);
                }
            }
        }
        Ok(broadcast)
    }

    /// The bytes of one event as they came, transfer framing included.
    pub(crate) fn sample(&self) -> &[u8] {
        &self.sample
    }
}

fn client_index(event: &Event) -> Option<usize> {
    let data = event.data;
    (data.u64() != ADMIN).then(|| data.u64() as usize)
}

/// Whoever is ready by then.
pub(crate) fn wait<'a>(
    epoll: &OwnedFd,
    ready: &'a mut Ready,
    at_most: Duration,
) -> Outcome<&'a [Event]> {
    let timeout = Timespec {
        tv_sec: at_most.as_secs() as i64,
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    match epoll::wait(epoll, &mut ready[..], Some(&timeout)) {
        Ok((events, _)) => Ok(events),
        Err(rustix::io::Errno::INTR) => Ok(&[]),
        Err(fault) => Err(fault.into()),
    }
}
