//! Slabs whose keys go stale: a key names one entry's whole life and never its successor in the same slot.
//!
//! A lookup is an index and one comparison. Serials count up per arena, so a key is stale for the next four
//! billion insertions, not just until the slot is used again.

use std::fmt;
use std::marker::PhantomData;

use slab::Slab;

/// The key of an entry of type `T`.
pub struct Key<T> {
    pub index: u32,
    pub serial: u32,
    entry: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key as it was taken apart before; it may well be stale or never have existed.
    #[must_use]
    pub fn from_parts(index: u32, serial: u32) -> Self {
        Key {
            index,
            serial,
            entry: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.serial) == (other.index, other.serial)
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.serial).cmp(&(other.index, other.serial))
    }
}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.index, self.serial).hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.serial)
    }
}

/// Entries of one kind.
pub(crate) struct Arena<T> {
    slots: Slab<(u32, T)>,
    next_serial: u32,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena {
            slots: Slab::new(),
            next_serial: 1,
        }
    }
}

impl<T> Arena<T> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key<T> {
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1).max(1);
        let index = self.slots.insert((serial, value));
        Key::from_parts(
            u32::try_from(index).expect("counts are bounded far below u32"),
            serial,
        )
    }

    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.0 == key.serial)
            .map(|slot| &slot.1)
    }

    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.0 == key.serial)
            .map(|slot| &mut slot.1)
    }

    /// The entry in a slot that is known to be occupied: an index this shard keeps as long as the entry lives.
    pub(crate) fn at(&self, index: u32) -> (Key<T>, &T) {
        let slot = &self.slots[index as usize];
        (Key::from_parts(index, slot.0), &slot.1)
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> (Key<T>, &mut T) {
        let slot = &mut self.slots[index as usize];
        (Key::from_parts(index, slot.0), &mut slot.1)
    }

    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        Some(self.slots.remove(key.index as usize).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots
            .iter()
            .map(|(index, slot)| (Key::from_parts(index as u32, slot.0), &slot.1))
    }

    /// The entries among `count` slots from the `start`-th on, around the end.
    pub(crate) fn sample(&self, start: usize, count: usize) -> impl Iterator<Item = (Key<T>, &T)> {
        let slots = self.slots.capacity().max(1);
        let entry = move |offset| {
            let index = (start + offset) % slots;
            self.slots
                .get(index)
                .map(|slot| (Key::from_parts(index as u32, slot.0), &slot.1))
        };
        (0..count.min(slots)).filter_map(entry)
    }

    /// The entries among `count` slots from the `start`-th on, not beyond the last.
    pub(crate) fn range(&self, start: usize, count: usize) -> impl Iterator<Item = (Key<T>, &T)> {
        (start..self.slot_count().min(start + count)).filter_map(|index| {
            let slot = self.slots.get(index)?;
            Some((Key::from_parts(index as u32, slot.0), &slot.1))
        })
    }

    /// Above every index that is in use.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.capacity()
    }

    /// Bytes of one entry in its slab.
    pub(crate) const fn entry_size() -> usize {
        // The slab keeps an occupied slot and a link of the free list in one enum.
        size_of::<(u32, T)>() + align_of::<(u32, T)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_finds_its_successor_in_the_slot() {
        let mut arena = Arena::default();
        let first = arena.insert('a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert('b');
        assert_eq!(first.index, second.index);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&'b'));
    }
}
