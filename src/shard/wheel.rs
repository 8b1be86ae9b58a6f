//! One timer wheel per core: coarse, cheap, and without removal.
//!
//! An entry is a key and the tick it is due at. What fires is only a hint to look at the entity: its owner
//! remembers for which moment it is armed (`Timer`), so entries that were overtaken by an earlier one are
//! recognised and dropped. Deadlines beyond the horizon fire at the horizon and are armed again.

pub use crate::clients::Millis;

/// Resolution of every timeout in a shard.
pub(crate) const TICK_MS: Millis = 64;
const SLOTS: usize = 1024;
/// Room for so many timers stays in a slot that has fired.
const SLOT_ENTRIES_KEPT: usize = 16;

/// When an entity is due; kept beside the entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timer {
    /// 0: not armed.
    tick: u32,
}

pub(crate) struct Wheel<K> {
    slots: Vec<Vec<(u32, K)>>,
    /// Every tick before this one has fired.
    next_tick: u32,
    armed: usize,
}

impl<K: Copy> Wheel<K> {
    pub(crate) fn new(now: Millis) -> Self {
        Wheel {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            next_tick: tick_of(now).max(1),
            armed: 0,
        }
    }

    /// Makes sure that `key` fires at `deadline` or, if it is armed for earlier, then.
    pub(crate) fn arm(&mut self, timer: &mut Timer, key: K, deadline: Millis) {
        let horizon = self.next_tick + SLOTS as u32 - 1;
        // Rounded up: a timeout never fires early.
        let tick = tick_of(deadline + TICK_MS - 1).clamp(self.next_tick, horizon);
        if timer.tick != 0 && timer.tick <= tick {
            return;
        }
        timer.tick = tick;
        self.slots[tick as usize % SLOTS].push((tick, key));
        self.armed += 1;
    }

    /// What is due now, one by one, `None` when nothing is. The owner calls [`Timer::fired`] with the tick.
    pub(crate) fn poll(&mut self, now: Millis) -> Option<(u32, K)> {
        let current = tick_of(now);
        while self.next_tick <= current {
            let slot = &mut self.slots[self.next_tick as usize % SLOTS];
            if let Some(entry) = slot.pop() {
                self.armed -= 1;
                return Some(entry);
            }
            // There are many slots: what a burst of timers needed in each of them must not stay there.
            if slot.capacity() > SLOT_ENTRIES_KEPT {
                *slot = Vec::new();
            }
            self.next_tick += 1;
        }
        None
    }

    /// When to call [`poll`](Wheel::poll) next.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        if self.armed == 0 {
            return None;
        }
        let ahead = (0..SLOTS as u32)
            .find(|ahead| !self.slots[(self.next_tick + ahead) as usize % SLOTS].is_empty())?;
        Some(Millis::from(self.next_tick + ahead) * TICK_MS)
    }
}

impl Timer {
    /// Whether this firing is the one the entity waits for; if so the timer is free to be armed again.
    pub(crate) fn fired(&mut self, tick: u32) -> bool {
        let due = self.tick == tick;
        if due {
            self.tick = 0;
        }
        due
    }
}

fn tick_of(at: Millis) -> u32 {
    // 64 ms × 2^32 is more than eight years of uptime.
    (at / TICK_MS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fire_all(wheel: &mut Wheel<u8>, now: Millis) -> Vec<(u32, u8)> {
        std::iter::from_fn(|| wheel.poll(now)).collect()
    }

    #[test]
    fn a_timer_never_fires_early() {
        for deadline in [1, 63, 64, 65, 1000, 5000] {
            let mut wheel = Wheel::new(0);
            let mut timer = Timer::default();
            wheel.arm(&mut timer, 7, deadline);
            assert!(fire_all(&mut wheel, deadline - 1).is_empty(), "{deadline}");
            let fired = fire_all(&mut wheel, deadline + TICK_MS);
            assert_eq!(fired.len(), 1);
            assert!(timer.fired(fired[0].0));
        }
    }

    #[test]
    fn an_earlier_deadline_overtakes_a_later_one() {
        let mut wheel = Wheel::new(0);
        let mut timer = Timer::default();
        wheel.arm(&mut timer, 1, 10_000);
        wheel.arm(&mut timer, 1, 1_000);
        let early = fire_all(&mut wheel, 1_100);
        assert_eq!(early.len(), 1);
        assert!(timer.fired(early[0].0));
        let late = fire_all(&mut wheel, 11_000);
        assert!(!timer.fired(late[0].0), "the overtaken entry is stale");
    }

    #[test]
    fn a_deadline_beyond_the_horizon_fires_at_the_horizon() {
        let mut wheel = Wheel::new(0);
        let mut timer = Timer::default();
        wheel.arm(&mut timer, 1, 10_000_000);
        assert!(wheel.next_deadline().expect("armed") <= SLOTS as u64 * TICK_MS);
        assert_eq!(fire_all(&mut wheel, 70_000).len(), 1);
    }

    #[test]
    fn a_burst_of_timers_keeps_no_memory() {
        let mut wheel = Wheel::new(0);
        for deadline in 1..60_000 {
            wheel.arm(&mut Timer::default(), 1, deadline);
        }
        assert_eq!(fire_all(&mut wheel, 70_000).len(), 59_999);
        let kept: usize = wheel.slots.iter().map(Vec::capacity).sum();
        assert!(kept <= SLOTS * SLOT_ENTRIES_KEPT, "room for {kept} timers");
    }
}
