//! The node's budget as this core sees it, and who goes first when it is short.
//!
//! Bodies that arrive, answers that are not read, answers that are kept for a resume, calls under way: each of them
//! carries its [`Charge`]. A connection that holds nothing has none, and a request that comes whole and is answered
//! whole costs none. When the budget is short, room is made in this order. Answers that are kept go first, the oldest before
//! the others. Then go connections that have held something for a while, first those that hold most and take longest. What is
//! new and still finds no room is refused with 503. A client never gets more than it leaves to others, and a last
//! part of the budget is kept back for what is small. So a client that takes all it can hinders no other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::refused::Refused;
use super::wheel::Millis;
use crate::budget::{Account, BudgetExceeded, Charge, Pool, Share};
use crate::clients::Client;
use crate::limits::MEMORY_PORTION_BYTES;

/// A request of an honest client is not refused for the size of others': so much finds room in any case,
const SMALL_BYTES: usize = 16 * 1024;
/// since one part in so many of the budget is kept back for it.
const KEPT_BACK_SHARE: usize = 16;

/// A look for room that found none is not repeated before.
const LOOK_AGAIN_MS: Millis = 64;

const OUT_OF_MEMORY: &str =
    "This node holds as much for its clients as it may (--memory-max). Try again in a moment.";

/// What both halves of a shard charge.
pub(super) struct Memory {
    account: Rc<Account>,
    core_count: usize,
    shares: RefCell<Shares>,
    /// Until then it is known that no room can be made.
    no_room_until: Cell<Millis>,
}

impl Memory {
    pub(super) fn new(pool: &Arc<Pool>, core_count: u16) -> Rc<Self> {
        let portion = MEMORY_PORTION_BYTES.min(pool.total() / 64);
        Rc::new(Memory {
            core_count: usize::from(core_count),
            account: Account::new(pool.clone(), portion),
            shares: RefCell::default(),
            no_room_until: Cell::new(0),
        })
    }

    /// Charges so much to a client. Room was made for it before if there was none.
    ///
    /// # Errors
    /// [`BudgetExceeded`]: the other cores are asked to make room, for whoever comes next.
    pub(super) fn charge(
        &self,
        share: Option<Share>,
        count: usize,
    ) -> Result<Charge, BudgetExceeded> {
        let charge = match self.has_room(count) {
            true => self.account.charge(count),
            false => Err(BudgetExceeded),
        };
        if charge.is_err() {
            self.want(count);
        }
        Ok(charge?.shared_by(share))
    }

    /// For what is small and must not be lost.
    pub(super) fn charge_beyond(&self, count: usize) -> Charge {
        self.account.charge_beyond(count)
    }

    /// What this client has of the budget, on this core.
    pub(super) fn share_of(&self, client: Option<Client>) -> Option<Share> {
        self.shares.borrow_mut().of(client)
    }

    /// No client gets more than it leaves to others: one alone half of the budget, two of them a third each.
    ///
    /// What it has on other cores is not known here, and is taken to be as much on each. With less, a client whose
    /// connections are all on one of many cores gets less; one that is on all of them would get nearly everything otherwise.
    pub(super) fn check_share(
        &self,
        share: Option<&Share>,
        more: usize,
    ) -> Result<(), BudgetExceeded> {
        let has = share.map_or(0, |share| share.get());
        let everywhere = has.saturating_mul(self.core_count);
        match has == 0 || everywhere.saturating_add(more) <= self.account.free() {
            true => Ok(()),
            false => {
                self.account.pool().refuse();
                Err(BudgetExceeded)
            }
        }
    }

    pub(super) fn has_room(&self, count: usize) -> bool {
        self.needed(count) <= self.account.free()
    }

    /// How much has to be free for this: what is small finds room also where nothing large does.
    pub(super) fn needed(&self, count: usize) -> usize {
        let kept_back = match count <= SMALL_BYTES {
            true => 0,
            false => self.total() / KEPT_BACK_SHARE,
        };
        count.saturating_add(kept_back)
    }

    /// Somebody could not have so much.
    pub(super) fn want(&self, count: usize) {
        self.account.pool().want(self.needed(count));
    }

    /// Who goes first. The two are told how much is to be free, and say whether it is.
    pub(super) fn make_room(
        &self,
        now: Millis,
        count: usize,
        drop_kept: impl FnOnce(usize) -> bool,
        end_slow: impl FnOnce(usize) -> bool,
    ) {
        if now < self.no_room_until.get() {
            return;
        }
        let free_at_first = self.free();
        if drop_kept(count) || end_slow(count) {
            return;
        }
        if self.free() == free_at_first {
            self.no_room_until.set(now + LOOK_AGAIN_MS);
        }
    }

    /// What is missing for somebody on another core, or on this one, once all that is not used here is given back. 0:
    /// nothing.
    pub(super) fn missing(&self) -> usize {
        if self.account.pool().missing() == 0 {
            return 0;
        }
        self.settle();
        self.account.pool().missing()
    }

    /// Gives back all that is not used.
    pub(super) fn settle(&self) {
        self.account.settle();
    }

    /// When room is to be looked for next.
    pub(super) fn deadline(&self, now: Millis) -> Option<Millis> {
        (self.account.pool().missing() > 0).then_some(now + LOOK_AGAIN_MS)
    }

    pub(super) fn free(&self) -> usize {
        self.account.free()
    }

    pub(super) fn used(&self) -> usize {
        self.account.used()
    }

    pub(super) fn total(&self) -> usize {
        self.account.pool().total()
    }
}

impl Refused {
    pub(super) fn out_of_memory() -> Self {
        Refused::busy(OUT_OF_MEMORY, 1)
    }
}

/// What each client has of the budget, on this core.
struct Shares {
    by_client: HashMap<Client, Share>,
    /// Those who have nothing any more are forgotten when there are so many.
    forget_at: usize,
}

/// Clients that are not looked through for those who have nothing.
const SHARES_UNSEEN: usize = 64;

impl Default for Shares {
    fn default() -> Self {
        Shares {
            by_client: HashMap::new(),
            forget_at: SHARES_UNSEEN,
        }
    }
}

impl Shares {
    fn of(&mut self, client: Option<Client>) -> Option<Share> {
        let client = client?;
        if let Some(share) = self.by_client.get(&client) {
            return Some(share.clone());
        }
        if self.by_client.len() >= self.forget_at {
            self.by_client
                .retain(|_, share| Rc::strong_count(share) > 1);
            self.forget_at = SHARES_UNSEEN.max(2 * self.by_client.len());
        }
        let share = Share::default();
        self.by_client.insert(client, share.clone());
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 64 * 1024 * 1024;
    const BODY: usize = 64 * 1024;

    /// Takes bodies on all cores in turn, until none of them has room.
    fn take_all(cores: &[Rc<Memory>], client: Client) -> Vec<Charge> {
        let mut taken = Vec::new();
        loop {
            let before = taken.len();
            for core in cores {
                let share = core.share_of(Some(client));
                let allowed = core.check_share(share.as_ref(), BODY);
                taken.extend(allowed.and_then(|()| core.charge(share, BODY)).ok());
            }
            if taken.len() == before {
                return taken;
            }
        }
    }

    #[test]
    fn a_client_that_has_its_share_on_every_core() {
        for core_count in [1, 2, 8, 64] {
            let pool = Pool::new(BUDGET);
            let cores: Vec<_> = (0..core_count)
                .map(|_| Memory::new(&pool, core_count))
                .collect();
            let client = |last| Client::of([203, 0, 113, last].into());
            let bytes = |taken: &[Charge]| taken.iter().map(Charge::count).sum::<usize>();
            let first = take_all(&cores, client(1));
            let has = bytes(&first);
            assert!(pool.refused() > 0, "who has their share was refused, too");
            // A core may be ahead of the others by one body, and keeps a portion that it does not use.
            let slack = usize::from(core_count) * (BODY + 2 * MEMORY_PORTION_BYTES);
            assert!(has <= BUDGET / 2 + slack, "{core_count} cores: {has}");
            assert!(
                has >= BUDGET / 2 - slack.min(BUDGET / 4),
                "{core_count} cores: {has}"
            );
            let second = take_all(&cores, client(2));
            assert!(
                bytes(&second) > BUDGET / 8,
                "{core_count} cores: {}",
                bytes(&second)
            );
        }
    }
}
