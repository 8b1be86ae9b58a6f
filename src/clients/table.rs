//! What each client holds, and how fast it opens sessions, for the whole node.
//!
//! The table is in parts with a lock each, taken when a connection or a session opens or closes. An entry lives while
//! its client holds something or has used of its rate: there are never more than twice as many as connections, sessions
//! and the `initialize` of a second together, whatever addresses are claimed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Client;
use crate::limits::{ClientLimits, Limits, MODEST_INITIALIZE_PER_SECOND};

/// Enough for as many cores to hardly ever meet.
const PARTS: usize = 64;
/// Below this a part is not worth a look for entries that nobody needs.
const SWEEP_AT_MIN: usize = 64;

/// Milliseconds of a monotonic clock that starts with the process, and that all cores share.
pub type Millis = u64;

/// Why a client gets nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It has as many of these as one client may.
    Held,
    /// It opens them faster than one client may.
    OwnRate,
    /// All clients together open them faster than the node allows.
    NodeRate,
}

/// How much one client has of what it may have only so much of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub sessions: u32,
    pub connections: u32,
}

#[derive(Debug)]
pub struct Clients {
    limits: ClientLimits,
    parts: Vec<Mutex<ClientsPart>>,
    hasher: RandomState,
    /// `initialize` requests of the whole node.
    rate: Mutex<Bucket>,
    /// By the binary order of magnitude of their sessions: how many clients hold so many.
    magnitudes: [AtomicUsize; u32::BITS as usize + 1],
}

#[derive(Debug)]
struct ClientsPart {
    entries: HashMap<Client, ClientEntry>,
    sweep_at: usize,
}

#[derive(Debug)]
struct ClientEntry {
    holds: Holds,
    /// `initialize` requests that it may send now.
    rate: Bucket,
    /// Those among them that it gets also when others want more than there is.
    modest: Bucket,
}

/// So many a second, and as many at once.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    size: f64,
    since: Millis,
}

impl Bucket {
    fn full(per_second: u32, now: Millis) -> Bucket {
        let size = f64::from(per_second);
        Bucket {
            tokens: size,
            size,
            since: now,
        }
    }

    fn fill(&mut self, now: Millis) {
        let new = now.saturating_sub(self.since) as f64 * self.size / 1000.0;
        self.tokens = (self.tokens + new).min(self.size);
        self.since = self.since.max(now);
    }

    fn has_one(&self) -> bool {
        self.tokens >= 1.0
    }

    fn take(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }
}

impl ClientEntry {
    fn new(limits: &ClientLimits, now: Millis) -> ClientEntry {
        let rate = limits.initialize_per_second_max;
        ClientEntry {
            holds: Holds::default(),
            rate: Bucket::full(rate, now),
            modest: Bucket::full(rate.min(MODEST_INITIALIZE_PER_SECOND), now),
        }
    }

    fn is_needed(&mut self, now: Millis) -> bool {
        self.rate.fill(now);
        self.holds != Holds::default() || self.rate.tokens < self.rate.size
    }
}

impl Clients {
    #[must_use]
    pub fn new(limits: &Limits) -> Clients {
        let part = || ClientsPart {
            entries: HashMap::new(),
            sweep_at: SWEEP_AT_MIN,
        };
        Clients {
            limits: limits.of_client(),
            parts: (0..PARTS).map(|_| Mutex::new(part())).collect(),
            hasher: RandomState::new(),
            rate: Mutex::new(Bucket::full(limits.initialize_per_second_max, 0)),
            magnitudes: [const { AtomicUsize::new(0) }; u32::BITS as usize + 1],
        }
    }

    /// Counts one more session of this client. Somebody without an address has the node's limits only.
    ///
    /// # Errors
    /// Why there may be none, and nothing was counted.
    pub fn open_session(&self, client: Option<Client>, now: Millis) -> Result<(), Excess> {
        let Some(client) = client else {
            return self.take_rate(true, now);
        };
        let mut part = self.part(client);
        if let Some(entry) = part.entries.get_mut(&client) {
            if entry.holds.sessions as usize >= self.limits.sessions_max {
                return Err(Excess::Held);
            }
            entry.rate.fill(now);
            entry.modest.fill(now);
            if !entry.rate.has_one() {
                return Err(Excess::OwnRate);
            }
        }
        let known = part.entries.get(&client);
        self.take_rate(known.is_none_or(|it| it.modest.has_one()), now)?;
        let entry = part.entry(client, &self.limits, now);
        entry.rate.take();
        entry.modest.take();
        let before = entry.holds.sessions;
        entry.holds.sessions += 1;
        self.note_magnitude(before, before + 1);
        Ok(())
    }

    /// A session that had its place before, on another core or in another process: it goes on, however many there are by
    /// now, and whatever its client has used of its rate.
    pub fn take_in_session(&self, client: Option<Client>, now: Millis) {
        let Some(client) = client else { return };
        let mut part = self.part(client);
        let entry = part.entry(client, &self.limits, now);
        let before = entry.holds.sessions;
        entry.holds.sessions += 1;
        self.note_magnitude(before, before + 1);
    }

    pub fn close_session(&self, client: Option<Client>) {
        let Some(client) = client else { return };
        if let Some(entry) = self.part(client).entries.get_mut(&client) {
            let before = entry.holds.sessions;
            debug_assert!(before > 0, "more sessions closed than opened");
            entry.holds.sessions = before.saturating_sub(1);
            self.note_magnitude(before, entry.holds.sessions);
        }
    }

    /// # Errors
    /// [`Excess::Held`], and nothing was counted.
    pub fn open_connection(&self, client: Option<Client>, now: Millis) -> Result<(), Excess> {
        let Some(client) = client else { return Ok(()) };
        let mut part = self.part(client);
        let known = part.entries.get(&client);
        let held = known.map_or(0, |entry| entry.holds.connections);
        if held as usize >= self.limits.connections_max {
            return Err(Excess::Held);
        }
        let entry = part.entry(client, &self.limits, now);
        entry.holds.connections += 1;
        Ok(())
    }

    /// A connection that had its place before: it may go on, however many there are by now.
    pub fn take_in_connection(&self, client: Option<Client>, now: Millis) {
        let Some(client) = client else { return };
        let mut part = self.part(client);
        part.entry(client, &self.limits, now).holds.connections += 1;
    }

    pub fn close_connection(&self, client: Option<Client>) {
        let Some(client) = client else { return };
        if let Some(entry) = self.part(client).entries.get_mut(&client) {
            debug_assert!(entry.holds.connections > 0, "more closed than opened");
            entry.holds.connections = entry.holds.connections.saturating_sub(1);
        }
    }

    /// Sessions of this client, on all cores.
    #[must_use]
    pub fn sessions_of(&self, client: Option<Client>) -> u32 {
        client.map_or(0, |client| self.holds(client).sessions)
    }

    #[must_use]
    pub fn holds(&self, client: Client) -> Holds {
        let part = self.part(client);
        part.entries
            .get(&client)
            .map_or_else(Holds::default, |entry| entry.holds)
    }

    /// Whether any client holds sessions of a greater order of magnitude than so many.
    #[must_use]
    pub fn anyone_holds_more_than(&self, sessions: u32) -> bool {
        let above = &self.magnitudes[magnitude(sessions) + 1..];
        above.iter().any(|it| it.load(Ordering::Relaxed) > 0)
    }

    /// Clients that the table knows of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.locked().map(|part| part.entries.len()).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that hold something, in the order of their addresses: for tests.
    #[must_use]
    pub fn holders(&self) -> Vec<(Client, Holds)> {
        let mut all = Vec::new();
        for part in self.locked() {
            let held = part.entries.iter().map(|(&client, it)| (client, it.holds));
            all.extend(held.filter(|(_, holds)| *holds != Holds::default()));
        }
        all.sort_unstable_by_key(|(client, _)| *client);
        all
    }

    /// While less than half is left, those who have opened many lately leave the rest to those who have not.
    fn take_rate(&self, modest: bool, now: Millis) -> Result<(), Excess> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.fill(now);
        if !rate.has_one() || !(modest || rate.tokens > rate.size / 2.0) {
            return Err(Excess::NodeRate);
        }
        rate.take();
        Ok(())
    }

    fn note_magnitude(&self, before: u32, after: u32) {
        let (before, after) = (magnitude(before), magnitude(after));
        if before != after {
            self.magnitudes[after].fetch_add(1, Ordering::Relaxed);
            if before > 0 {
                self.magnitudes[before].fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn part(&self, client: Client) -> MutexGuard<'_, ClientsPart> {
        let index = self.hasher.hash_one(client) as usize % PARTS;
        self.parts[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> impl Iterator<Item = MutexGuard<'_, ClientsPart>> {
        self.parts
            .iter()
            .map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientsPart {
    fn entry(&mut self, client: Client, limits: &ClientLimits, now: Millis) -> &mut ClientEntry {
        if self.entries.len() >= self.sweep_at && !self.entries.contains_key(&client) {
            self.entries.retain(|_, entry| entry.is_needed(now));
            self.sweep_at = SWEEP_AT_MIN.max(2 * self.entries.len());
            // A crowd that has left does not leave its memory behind.
            self.entries.shrink_to(self.sweep_at);
        }
        self.entries
            .entry(client)
            .or_insert_with(|| ClientEntry::new(limits, now))
    }
}

/// 0 for none, 1 for one, 2 for two and three, 3 for four to seven, …
fn magnitude(sessions: u32) -> usize {
    (u32::BITS - sessions.leading_zeros()) as usize
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn client(number: u32) -> Option<Client> {
        Some(Client::of(IpAddr::V4(Ipv4Addr::from_bits(number + 2))))
    }

    fn clients(limits: Limits) -> Clients {
        Clients::new(&limits)
    }

    #[test]
    fn a_client_that_takes_all_sessions_of_a_second() {
        let clients = clients(Limits {
            initialize_per_second_max: 1_000,
            initialize_per_second_per_client_max: Some(1_000),
            ..Limits::default()
        });
        let greedy = (0..3_000).filter(|_| clients.open_session(client(0), 0).is_ok());
        assert_eq!(greedy.count(), 500, "half of it");
        assert_eq!(clients.open_session(client(0), 0), Err(Excess::NodeRate));
        for other in 1..=8 {
            let opened = (0..50).filter(|_| clients.open_session(client(other), 0).is_ok());
            assert_eq!(opened.count(), 50, "of client {other}");
        }
        assert!(clients.open_session(client(0), 1_000).is_ok());
    }

    #[test]
    fn a_client_that_is_faster_than_one_may_be() {
        let clients = clients(Limits {
            initialize_per_second_per_client_max: Some(3),
            ..Limits::default()
        });
        let opened = |now| {
            (0..9)
                .filter(|_| clients.open_session(client(0), now).is_ok())
                .count()
        };
        assert_eq!((opened(0), opened(1_000), opened(1_334)), (3, 3, 1));
        assert_eq!(clients.open_session(client(0), 1_334), Err(Excess::OwnRate));
        assert_eq!(clients.open_session(client(1), 1_334), Ok(()));
    }

    #[test]
    fn a_claim_of_another_address_each_time_that_fills_the_table() {
        let clients = clients(Limits::default());
        for number in 0..200_000 {
            let now = u64::from(number / 10);
            assert_eq!(clients.open_session(client(number), now), Ok(()));
            clients.close_session(client(number));
        }
        // 10 of them in a millisecond: each is forgotten once its bucket is full again.
        assert!(
            clients.len() <= 2 * PARTS * SWEEP_AT_MIN,
            "{}",
            clients.len()
        );
        assert!(clients.holders().is_empty());
    }

    #[test]
    fn one_that_holds_more_is_known_by_its_magnitude() {
        let clients = clients(Limits::default());
        (0..5).for_each(|_| clients.open_session(client(0), 0).unwrap());
        clients.open_session(client(1), 0).unwrap();
        assert!(clients.anyone_holds_more_than(1) && clients.anyone_holds_more_than(3));
        assert!(!clients.anyone_holds_more_than(4), "4 to 7 are alike");
        (0..4).for_each(|_| clients.close_session(client(0)));
        assert!(clients.anyone_holds_more_than(0) && !clients.anyone_holds_more_than(1));
    }
}
