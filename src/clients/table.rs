//! What each client holds, and how fast it opens sessions, for the whole node.
//!
//! The table is in parts with a lock each, taken when a connection, a session or a subscription opens or closes. An entry lives while
//! its client holds something or has used of its rate: there are never more than twice as many as connections, sessions
//! and the `initialize` of a second together, whatever addresses are claimed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Client, RetryAfter, TokenBucket};
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
    OwnRate(RetryAfter),
    /// All clients together open them faster than the node allows.
    NodeRate(RetryAfter),
}

/// How much one client has of what it may have only so much of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub sessions: u32,
    pub connections: u32,
    /// Of subscriptions to resources, each as if nobody else heard of it.
    pub subscription_bytes: usize,
}

#[derive(Debug)]
pub struct Clients {
    pub(super) limits: ClientLimits,
    pub(super) parts: Vec<Mutex<ClientsPart>>,
    pub(super) hasher: RandomState,
    /// `initialize` requests of the whole node.
    pub(super) rate: Mutex<TokenBucket>,
    /// By the binary order of magnitude of their sessions: how many clients hold so many.
    pub(super) magnitudes: [AtomicUsize; u32::BITS as usize + 1],
}

#[derive(Debug)]
pub(super) struct ClientsPart {
    pub(super) entries: HashMap<Client, ClientEntry>,
    sweep_at: usize,
}

#[derive(Debug)]
pub(super) struct ClientEntry {
    pub(super) holds: Holds,
    /// `initialize` requests that it may send now.
    pub(super) rate: TokenBucket,
    /// Those among them that it gets also when others want more than there is.
    pub(super) modest: TokenBucket,
}

impl ClientEntry {
    fn new(limits: &ClientLimits) -> ClientEntry {
        let rate = limits.initialize_per_second_max;
        let modest = rate.min(MODEST_INITIALIZE_PER_SECOND);
        ClientEntry {
            holds: Holds::default(),
            rate: TokenBucket::new(rate, rate),
            modest: TokenBucket::new(modest, modest),
        }
    }

    fn is_needed(&self, now: Millis) -> bool {
        self.holds != Holds::default() || !self.rate.is_full(now)
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
            rate: Mutex::new(TokenBucket::new(
                limits.initialize_per_second_max,
                limits.initialize_per_second_max,
            )),
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
        let known = part.entries.get(&client);
        if let Some(entry) = known {
            if entry.holds.sessions as usize >= self.limits.sessions_max {
                return Err(Excess::Held);
            }
            entry.rate.check(now, 1).map_err(Excess::OwnRate)?;
        }
        let is_modest = known.is_none_or(|it| it.modest.check(now, 1).is_ok());
        self.take_rate(is_modest, now)?;
        let entry = part.entry(client, &self.limits, now);
        // There is one: it was looked at just now, or it is new. Of the modest ones there may be none.
        let _ = (entry.rate.take(now, 1), entry.modest.take(now, 1));
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

    /// Subscriptions of this client take so many bytes more.
    ///
    /// # Errors
    /// [`Excess::Held`], and nothing was counted.
    pub fn take_subscription_bytes(
        &self,
        client: Client,
        count: usize,
        now: Millis,
    ) -> Result<(), Excess> {
        let mut part = self.part(client);
        let known = part.entries.get(&client);
        let held = known.map_or(0, |entry| entry.holds.subscription_bytes);
        if held.saturating_add(count) > self.limits.subscription_bytes_max {
            return Err(Excess::Held);
        }
        part.entry(client, &self.limits, now)
            .holds
            .subscription_bytes += count;
        Ok(())
    }

    /// Of subscriptions that had their place before.
    pub fn take_in_subscription_bytes(&self, client: Client, count: usize, now: Millis) {
        let mut part = self.part(client);
        part.entry(client, &self.limits, now)
            .holds
            .subscription_bytes += count;
    }

    pub fn give_back_subscription_bytes(&self, client: Client, count: usize) {
        if let Some(entry) = self.part(client).entries.get_mut(&client) {
            let before = entry.holds.subscription_bytes;
            debug_assert!(before >= count, "more given back than taken");
            entry.holds.subscription_bytes = before.saturating_sub(count);
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

    /// All that hold something, in the order of their keys: for tests.
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
        let mut rate = self.node_rate();
        let left_over = match modest {
            true => 1,
            false => rate.burst() / 2 + 1,
        };
        rate.check(now, left_over).map_err(Excess::NodeRate)?;
        rate.take(now, 1).map_err(Excess::NodeRate)
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

    pub(super) fn node_rate(&self) -> MutexGuard<'_, TokenBucket> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with_entry(
        &self,
        client: Client,
        now: Millis,
        change: impl FnOnce(&mut ClientEntry),
    ) {
        change(self.part(client).entry(client, &self.limits, now));
    }

    pub(super) fn locked(&self) -> impl Iterator<Item = MutexGuard<'_, ClientsPart>> {
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
            .or_insert_with(|| ClientEntry::new(limits))
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
        let refused = clients.open_session(client(0), 0);
        assert_eq!(refused, Err(Excess::NodeRate(RetryAfter { ms: 1 })));
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
        let refused = clients.open_session(client(0), 1_334);
        assert_eq!(refused, Err(Excess::OwnRate(RetryAfter { ms: 333 })));
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
    fn a_client_that_takes_the_memory_of_all_subscriptions() {
        let clients = clients(Limits {
            subscription_bytes_max: 1_000,
            ..Limits::default()
        });
        let take = |number, count| {
            let client = client(number).expect("it has an address");
            clients.take_subscription_bytes(client, count, 0)
        };
        assert_eq!((take(0, 200), take(0, 50)), (Ok(()), Ok(())), "a quarter");
        assert_eq!(take(0, 1), Err(Excess::Held));
        assert_eq!(take(1, 250), Ok(()));
        clients.give_back_subscription_bytes(client(0).unwrap(), 50);
        assert_eq!(
            (take(0, usize::MAX), take(0, 50)),
            (Err(Excess::Held), Ok(()))
        );
        (0..2).for_each(|it| clients.give_back_subscription_bytes(client(it).unwrap(), 250));
        assert!(clients.holders().is_empty());
    }

    /// A principal has its own, whatever its address has taken.
    #[test]
    fn an_address_that_takes_what_a_principal_behind_it_may() {
        let clients = clients(Limits {
            initialize_per_second_per_client_max: Some(3),
            ..Limits::default()
        });
        let opened = |client| {
            let opens = |_: &u32| clients.open_session(client, 0).is_ok();
            (0..9).filter(opens).count()
        };
        let principal = Some(Client::of_principal([7; 16]));
        assert_eq!((opened(client(0)), opened(principal)), (3, 3));
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
