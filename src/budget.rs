//! What all cores of a node share: so many bytes, sessions, connections, and no more.
//!
//! Any thread takes from a [`Pool`] and gives back to it, without a lock. What a core needs often it does not take
//! one by one: its [`Account`] leases portions, so that a request touches numbers of its own core only. What lies
//! unused in an account is less than two portions, and nothing while another core is short ([`Account::settle`]).
//! A [`Charge`] is a part of an account that comes back by itself when its owner is dropped. So whatever way an entry
//! ends, its bytes are not lost to the node.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// There is not so much left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExceeded;

/// `0 <= taken`, and `taken <= total` but for what was taken by [`Pool::take_beyond`].
#[derive(Debug)]
pub struct Pool {
    total: usize,
    taken: AtomicUsize,
    /// The most that somebody asked for in vain and that is not free yet; `wanted <= total`.
    wanted: AtomicUsize,
    /// How often that was.
    refused: AtomicU64,
}

impl Pool {
    /// ```
    /// use pinfold::internals::budget::{Pool, BudgetExceeded};
    ///
    /// let pool = Pool::new(10);
    /// assert_eq!(pool.take(8), Ok(()));
    /// assert_eq!(pool.take(3), Err(BudgetExceeded));
    /// pool.give_back(8);
    /// assert_eq!(pool.free(), 10);
    /// ```
    #[must_use]
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Pool {
            total,
            taken: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// # Errors
    /// [`BudgetExceeded`], and nothing was taken.
    pub fn take(&self, count: usize) -> Result<(), BudgetExceeded> {
        let more = |taken: usize| taken.checked_add(count).filter(|&sum| sum <= self.total);
        let took = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        took.map(drop).map_err(|_| BudgetExceeded)
    }

    /// Takes it even if that is more than there is: nobody else gets any until it is back.
    pub fn take_beyond(&self, count: usize) {
        self.taken.fetch_add(count, Ordering::Relaxed);
    }

    /// What was taken before.
    pub fn give_back(&self, count: usize) {
        let before = self.taken.fetch_sub(count, Ordering::Relaxed);
        debug_assert!(count <= before, "more came back than was taken");
    }

    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    #[must_use]
    pub fn free(&self) -> usize {
        self.total - self.taken.load(Ordering::Relaxed).min(self.total)
    }

    /// Somebody could not have so much: others are asked to make room for it.
    pub fn want(&self, count: usize) {
        self.refuse();
        if count <= self.total {
            self.wanted.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// Somebody could not have what was asked for, and would not if others made room: they have their share.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often somebody could not have what was asked for.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How much is missing for whoever was refused last. 0: nothing, and the want is forgotten.
    #[must_use]
    pub fn missing(&self) -> usize {
        let wanted = self.wanted.load(Ordering::Relaxed);
        let missing = wanted.saturating_sub(self.free());
        if missing == 0 && wanted > 0 {
            self.wanted.store(0, Ordering::Relaxed);
        }
        missing
    }
}

/// One core's account with a pool.
pub struct Account {
    pool: Arc<Pool>,
    /// Leased at once, and kept back when it is not used.
    portion: usize,
    leased: Cell<usize>,
    /// `0 <= used <= leased`
    used: Cell<usize>,
}

impl Account {
    /// ```
    /// use pinfold::internals::budget::{Account, Pool};
    ///
    /// let pool = Pool::new(1000);
    /// let account = Account::new(pool.clone(), 100);
    /// let charge = account.charge(30).expect("there is room");
    /// assert_eq!((account.used(), pool.free()), (30, 900));
    /// drop(charge);
    /// account.settle();
    /// assert_eq!((account.used(), pool.free()), (0, 1000));
    /// ```
    #[must_use]
    pub fn new(pool: Arc<Pool>, portion: usize) -> Rc<Self> {
        Rc::new(Account {
            pool,
            portion,
            leased: Cell::new(0),
            used: Cell::new(0),
        })
    }

    /// # Errors
    /// [`BudgetExceeded`], and nothing was charged.
    pub fn charge(self: &Rc<Self>, count: usize) -> Result<Charge, BudgetExceeded> {
        self.take(count)?;
        Ok(self.charged(count))
    }

    fn charged(self: &Rc<Self>, count: usize) -> Charge {
        Charge {
            account: self.clone(),
            share: None,
            count,
        }
    }

    /// For what is small and must not be lost: other charges wait until it is back.
    #[must_use]
    pub fn charge_beyond(self: &Rc<Self>, count: usize) -> Charge {
        self.charge(count).unwrap_or_else(|BudgetExceeded| {
            self.pool.take_beyond(count);
            self.leased.set(self.leased.get() + count);
            self.used.set(self.used.get() + count);
            self.charged(count)
        })
    }

    #[must_use]
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// What could be charged at this moment, as far as one core can know.
    #[must_use]
    pub fn free(&self) -> usize {
        self.leased.get() - self.used.get() + self.pool.free()
    }

    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Gives back all that is not used.
    pub fn settle(&self) {
        let unused = self.leased.get() - self.used.get();
        if unused > 0 {
            self.leased.set(self.used.get());
            self.pool.give_back(unused);
        }
    }

    fn take(&self, count: usize) -> Result<(), BudgetExceeded> {
        let unused = self.leased.get() - self.used.get();
        if count > unused {
            let missing = count - unused;
            let leased = match self.pool.take(missing.max(self.portion)) {
                Ok(()) => missing.max(self.portion),
                Err(BudgetExceeded) => self.pool.take(missing).map(|()| missing)?,
            };
            self.leased.set(self.leased.get() + leased);
        }
        self.used.set(self.used.get() + count);
        Ok(())
    }

    fn give_back(&self, count: usize) {
        self.used.set(self.used.get() - count);
        let unused = self.leased.get() - self.used.get();
        if unused >= 2 * self.portion {
            self.leased.set(self.used.get() + self.portion);
            self.pool.give_back(unused - self.portion);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pool.give_back(self.leased.get());
    }
}

/// So much of an account. Dropping it gives it back.
pub struct Charge {
    account: Rc<Account>,
    /// What one client has of it, this included.
    share: Option<Share>,
    count: usize,
}

/// How much of an account one client has.
pub type Share = Rc<Cell<usize>>;

impl Charge {
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// It counts among what this client has from now on.
    #[must_use]
    pub fn shared_by(mut self, share: Option<Share>) -> Charge {
        self.count_in_share(0);
        self.share = share;
        let count = std::mem::take(&mut self.count);
        self.count_in_share(count);
        self.count = count;
        self
    }

    /// The share has `count` of this, where it had what this was before.
    fn count_in_share(&self, count: usize) {
        if let Some(share) = &self.share {
            share.set(share.get() - self.count + count);
        }
    }

    /// Makes it more or less.
    ///
    /// # Errors
    /// [`BudgetExceeded`], and it is what it was.
    pub fn resize(&mut self, count: usize) -> Result<(), BudgetExceeded> {
        match count.checked_sub(self.count) {
            Some(more) => self.account.take(more)?,
            None => self.account.give_back(self.count - count),
        }
        self.count_in_share(count);
        self.count = count;
        Ok(())
    }
}

impl Charge {
    /// Both are one from now on. They are of the same account.
    pub fn add(&mut self, other: Charge) {
        debug_assert!(Rc::ptr_eq(&self.account, &other.account));
        let mut other = other.shared_by(None);
        let count = self.count + std::mem::take(&mut other.count);
        self.count_in_share(count);
        self.count = count;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.count_in_share(0);
        self.account.give_back(self.count);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charge({})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_gives_more_than_it_has() {
        let pool = Pool::new(3);
        assert_eq!(pool.take(usize::MAX), Err(BudgetExceeded));
        assert_eq!(pool.take(3), Ok(()));
        assert_eq!(pool.take(1), Err(BudgetExceeded));
        pool.give_back(1);
        assert_eq!((pool.take(1), pool.take(1)), (Ok(()), Err(BudgetExceeded)));
    }

    #[test]
    fn a_core_that_refuses_while_another_holds_what_it_does_not_use() {
        let pool = Pool::new(100);
        let (one, other) = (
            Account::new(pool.clone(), 40),
            Account::new(pool.clone(), 40),
        );
        let small = one.charge(1).expect("there is room");
        assert_eq!(pool.free(), 60);
        assert_eq!(other.charge(70).err(), Some(BudgetExceeded));
        pool.want(70);
        assert_eq!(pool.missing(), 10);
        one.settle();
        assert_eq!(pool.missing(), 0);
        let large = other.charge(99).expect("what is not used is everybody's");
        assert_eq!(one.charge(1).err(), Some(BudgetExceeded));
        drop((small, large));
        drop((one, other));
        assert_eq!(pool.free(), 100);
    }

    #[test]
    fn a_charge_that_grows_and_shrinks_leaves_nothing_behind() {
        let pool = Pool::new(100);
        let account = Account::new(pool.clone(), 10);
        let mut charge = account.charge(5).expect("there is room");
        assert_eq!(charge.resize(101), Err(BudgetExceeded));
        assert_eq!((charge.count(), account.used()), (5, 5));
        charge.resize(100).expect("there is room for all");
        charge.resize(1).expect("less always fits");
        assert_eq!((account.used(), pool.free()), (1, 89));
        drop(charge);
        assert_eq!(account.used(), 0);
        drop(account);
        assert_eq!(pool.free(), 100);
    }

    #[test]
    fn what_one_client_has_is_counted_whatever_becomes_of_its_charges() {
        let account = Account::new(Pool::new(100), 1);
        let share = Share::default();
        let charge = |count| account.charge(count).expect("there is room");
        let mut first = charge(5).shared_by(Some(share.clone()));
        first.resize(8).expect("there is room");
        first.add(charge(2));
        let second = charge(20).shared_by(Some(share.clone()));
        assert_eq!(share.get(), 30);
        first.add(second);
        assert_eq!((first.count(), share.get()), (30, 30));
        first.resize(1).expect("less always fits");
        assert_eq!(share.get(), 1);
        drop(first);
        assert_eq!((share.get(), account.used()), (0, 0));
    }

    #[test]
    fn what_must_not_be_lost_is_paid_back_before_anybody_else_gets_some() {
        let pool = Pool::new(10);
        let account = Account::new(pool.clone(), 1);
        let all = account.charge(10).expect("there is room");
        let beyond = account.charge_beyond(5);
        drop(all);
        account.settle();
        assert_eq!(pool.free(), 5);
        assert_eq!(account.charge(6).err(), Some(BudgetExceeded));
        drop(beyond);
        account.settle();
        assert_eq!(pool.free(), 10);
    }

    #[test]
    fn a_want_that_can_never_be_met_is_not_waited_for() {
        let pool = Pool::new(10);
        pool.want(11);
        assert_eq!(pool.missing(), 0);
    }
}
