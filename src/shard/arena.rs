//! Slabs whose keys go stale: a key names one entry's whole life and never its successor in the same slot.
//!
//! A lookup is two indexes and one comparison. Generations count up per arena, so a key is stale for the next four
//! billion insertions, not just until the slot is used again. Slots are in pages, which come one by one and stay
//! where they are: growing copies nothing, and there is never room for more than a page too many.

use std::fmt;
use std::marker::PhantomData;

/// The key of an entry of type `T`.
pub struct Key<T> {
    pub index: u32,
    pub generation: u32,
    entry: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key as it was taken apart before; it may well be stale or never have existed.
    #[must_use]
    pub fn from_parts(index: u32, generation: u32) -> Self {
        Key {
            index,
            generation,
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
        (self.index, self.generation) == (other.index, other.generation)
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
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.generation)
    }
}

/// Slots of a page: ten kilobytes of the largest entries.
const PAGE: usize = 64;

/// Entries of one kind. `K` is what their keys are keys of, for whoever must not know the entries' own type.
pub(crate) struct Arena<T, K = T> {
    /// All full but the last.
    pages: Vec<Vec<Slot<T>>>,
    /// Slots without an entry, the next to be used last.
    vacant: Vec<u32>,
    slot_count: usize,
    next_generation: u32,
    named: PhantomData<fn() -> K>,
}

struct Slot<T> {
    /// Of the entry, or of the last one that was here.
    generation: u32,
    entry: Option<T>,
}

impl<T, K> Default for Arena<T, K> {
    fn default() -> Self {
        Arena {
            pages: Vec::new(),
            vacant: Vec::new(),
            slot_count: 0,
            next_generation: 1,
            named: PhantomData,
        }
    }
}

impl<T, K> Arena<T, K> {
    pub(crate) fn len(&self) -> usize {
        self.slot_count - self.vacant.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key<K> {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1).max(1);
        let index = self.vacant.pop().unwrap_or_else(|| self.add_slot());
        let slot = self.slot_mut(index);
        let slot = slot.expect("a vacant slot is one of the pages'");
        slot.generation = generation;
        slot.entry = Some(value);
        Key::from_parts(index, generation)
    }

    /// An entry that had this key elsewhere, or here before: it has it again. If there is another entry in that slot, or
    /// the slot is not among the first `slots_max`, it has another slot and the same generation. Whoever does this sees to it that
    /// nobody takes a stale key for this one. Quick if keys come in the order of their slots.
    pub(crate) fn insert_as(&mut self, key: Key<K>, slots_max: usize, value: T) -> Key<K> {
        let is_free = match self.slot(key.index) {
            Some(slot) => slot.entry.is_none(),
            None => (key.index as usize) < slots_max,
        };
        let index = match is_free {
            true => self.claim_slot(key.index),
            false => self.vacant.pop().unwrap_or_else(|| self.add_slot()),
        };
        // No later entry gets this generation.
        if key.generation >= self.next_generation {
            self.next_generation = key.generation.wrapping_add(1).max(1);
        }
        if let Some(slot) = self.slot_mut(index) {
            slot.generation = key.generation;
            slot.entry = Some(value);
        }
        Key::from_parts(index, key.generation)
    }

    /// Takes a slot that has no entry, and those before it that were never there are vacant.
    fn claim_slot(&mut self, index: u32) -> u32 {
        while self.slot_count <= index as usize {
            let added = self.add_slot();
            self.vacant.push(added);
        }
        // Those that were added last are at the end.
        if let Some(place) = self.vacant.iter().rposition(|&it| it == index) {
            self.vacant.remove(place);
        }
        index
    }

    /// An entry that had this key in an arena whose place this one takes, or in this one: it has it again. Whoever does this has
    /// looked that [nobody is there](Arena::in_slot), and that the index is bounded; slots that are jumped over are used again
    /// after [`list_vacant`](Arena::list_vacant), which is to be called when all entries are here.
    pub(crate) fn insert_again(&mut self, key: Key<K>, value: T) -> Key<K> {
        while self.slot_count <= key.index as usize {
            self.add_slot();
        }
        self.count_from(key.generation.wrapping_add(1).max(1));
        if let Some(slot) = self.slot_mut(key.index) {
            debug_assert!(slot.entry.is_none(), "somebody is there");
            slot.generation = key.generation;
            slot.entry = Some(value);
        }
        key
    }

    /// As many slots as an arena has whose place this one takes: its entries can have all of their keys again.
    pub(crate) fn make_slots(&mut self, slot_count: usize) {
        while self.slot_count < slot_count {
            self.add_slot();
        }
        self.list_vacant();
    }

    /// Finds out which slots have no entry.
    pub(crate) fn list_vacant(&mut self) {
        let slots = (0..self.slot_count as u32).rev();
        self.vacant = slots.filter(|&it| self.in_slot(it).is_none()).collect();
    }

    /// What the next entry's generation is.
    pub(crate) fn next_generation(&self) -> u32 {
        self.next_generation
    }

    /// Generations before this one were given out elsewhere.
    pub(crate) fn count_from(&mut self, generation: u32) {
        self.next_generation = self.next_generation.max(generation);
    }

    pub(crate) fn get(&self, key: Key<K>) -> Option<&T> {
        let slot = self.slot(key.index)?;
        slot.entry
            .as_ref()
            .filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: Key<K>) -> Option<&mut T> {
        let slot = self.slot_mut(key.index)?;
        let generation = slot.generation;
        slot.entry.as_mut().filter(|_| generation == key.generation)
    }

    /// The entry in a slot that is known to be occupied: an index this shard keeps as long as the entry lives.
    pub(crate) fn at(&self, index: u32) -> (Key<K>, &T) {
        let entry = self.slot(index).and_then(|slot| slot.entry_with_key(index));
        entry.expect("the index is kept as long as the entry")
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> (Key<K>, &mut T) {
        let slot = self.slot_mut(index);
        let entry = slot.and_then(|slot| {
            let key = Key::from_parts(index, slot.generation);
            Some((key, slot.entry.as_mut()?))
        });
        entry.expect("the index is kept as long as the entry")
    }

    pub(crate) fn remove(&mut self, key: Key<K>) -> Option<T> {
        let slot = self.slot_mut(key.index)?;
        let entry = slot.entry.take_if(|_| slot.generation == key.generation)?;
        self.vacant.push(key.index);
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<K>, &T)> {
        self.range(0, self.slot_count)
    }

    /// The entries among `count` slots from the `start`-th on, around the end and spread over all.
    pub(crate) fn sample(&self, start: usize, count: usize) -> impl Iterator<Item = (Key<K>, &T)> {
        let slots = self.slot_count.max(1);
        let count = count.min(slots);
        let indexes = (0..count).map(move |it| ((start + it * slots / count) % slots) as u32);
        indexes.filter_map(|index| self.slot(index)?.entry_with_key(index))
    }

    /// The entries among `count` slots from the `start`-th on, not beyond the last.
    pub(crate) fn range(&self, start: usize, count: usize) -> impl Iterator<Item = (Key<K>, &T)> {
        let indexes = start..self.slot_count.min(start + count);
        indexes.filter_map(|index| self.slot(index as u32)?.entry_with_key(index as u32))
    }

    /// What is in a slot, if anything is.
    pub(crate) fn in_slot(&self, index: u32) -> Option<(Key<K>, &T)> {
        self.slot(index)?.entry_with_key(index)
    }

    /// Above every index that is in use.
    pub(crate) fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// Bytes of one entry in its page.
    pub(crate) const fn entry_size() -> usize {
        size_of::<Slot<T>>()
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let index = index as usize;
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        let index = index as usize;
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    fn add_slot(&mut self) -> u32 {
        let index = self.slot_count;
        if index.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let slot = Slot {
            generation: 0,
            entry: None,
        };
        self.pages[index / PAGE].push(slot);
        self.slot_count += 1;
        u32::try_from(index).expect("counts are bounded far below u32")
    }
}

impl<T> Slot<T> {
    fn entry_with_key<K>(&self, index: u32) -> Option<(Key<K>, &T)> {
        let entry = self.entry.as_ref()?;
        Some((Key::from_parts(index, self.generation), entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_finds_its_successor_in_the_slot() {
        let mut arena: Arena<_> = Arena::default();
        let first = arena.insert('a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert('b');
        assert_eq!(first.index, second.index);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&'b'));
    }

    #[test]
    fn an_entry_that_came_back_under_another_name() {
        let mut arena: Arena<_> = Arena::default();
        let keys: Vec<Key<char>> = "abc".chars().map(|it| arena.insert(it)).collect();
        assert_eq!(arena.remove(keys[1]), Some('b'));
        assert_eq!(arena.insert_as(keys[1], 3, 'b'), keys[1]);
        assert_eq!(arena.remove(keys[1]), Some('b'));
        let taken = arena.insert('d');
        let other = arena.insert_as(keys[1], 3, 'b');
        assert_eq!(
            (taken.index, other.generation),
            (keys[1].index, keys[1].generation)
        );
        assert_eq!((arena.get(keys[1]), arena.get(other)), (None, Some(&'b')));
        assert_eq!((arena.len(), arena.slot_count()), (4, 4));
    }

    #[test]
    fn entries_that_come_in_any_order_to_where_they_were_elsewhere() {
        let mut arena: Arena<_> = Arena::default();
        let far = Key::<u32>::from_parts(70, 9);
        let near = Key::from_parts(2, 30);
        assert_eq!(arena.insert_as(far, 100, 1), far);
        assert_eq!(arena.insert_as(near, 100, 2), near);
        assert_eq!((arena.len(), arena.slot_count()), (2, 71));
        let beyond = arena.insert_as(Key::from_parts(100, 3), 100, 3);
        assert_eq!(
            (beyond.index, beyond.generation),
            (69, 3),
            "no room is made for that"
        );
        assert_eq!(arena.slot_count(), 71);
        assert_eq!(arena.insert(4).generation, 31, "no generation comes twice");
        let all: Vec<u32> = arena.iter().map(|(_, &it)| it).collect();
        assert_eq!((all.len(), arena.len()), (4, 4));
    }

    #[test]
    fn entries_that_take_the_places_that_they_had_in_any_order() {
        let mut arena: Arena<_> = Arena::default();
        let (far, near) = (Key::<u32>::from_parts(70, 9), Key::from_parts(2, 30));
        arena.insert_again(far, 1);
        arena.insert_again(near, 2);
        arena.list_vacant();
        assert_eq!((arena.len(), arena.slot_count()), (2, 71));
        assert_eq!((arena.get(far), arena.get(near)), (Some(&1), Some(&2)));
        let next = arena.insert(4);
        assert_eq!(
            (next.index, next.generation),
            (0, 31),
            "no generation comes twice"
        );
    }

    #[test]
    fn entries_on_many_pages_are_found_counted_and_passed_in_order() {
        let mut arena: Arena<_> = Arena::default();
        let keys: Vec<Key<usize>> = (0..3 * PAGE + 1).map(|it| arena.insert(it)).collect();
        for &key in keys.iter().skip(1).step_by(2) {
            arena.remove(key);
        }
        let left: Vec<usize> = arena.iter().map(|(_, &value)| value).collect();
        let even: Vec<usize> = (0..3 * PAGE + 1).step_by(2).collect();
        assert_eq!((&left, arena.len()), (&even, even.len()));
        assert!(
            arena
                .iter()
                .all(|(key, value)| arena.get(key) == Some(value))
        );
        let again = arena.insert(7);
        assert!((again.index as usize) < arena.slot_count());
        assert_eq!(arena.slot_count(), keys.len(), "a slot is used again");
        let sample = |start, count| {
            let sample = arena.sample(start, count);
            sample.map(|(key, _)| key.index).collect::<Vec<_>>()
        };
        let half = 3 * PAGE as u32 / 2;
        assert_eq!(sample(3 * PAGE - 1, 2), [2 * half - 1, half - 2]);
        assert_eq!(sample(7, usize::MAX).len(), arena.len());
    }
}
