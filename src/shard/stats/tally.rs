//! How often each of a few things happened. They are looked through: none has more than some twenty, and what is counted so
//! takes a core a hundred times as long.

/// `K` is one of a few that the code names, never what a client does.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally<K>(Vec<(K, u64)>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally(Vec::new())
    }
}

impl<K: Copy> Clone for Tally<K> {
    fn clone(&self) -> Self {
        Tally(self.0.clone())
    }

    fn clone_from(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
}

impl<K: Copy + PartialEq> Tally<K> {
    pub fn count(&mut self, what: K) {
        self.add(what, 1);
    }

    pub fn add(&mut self, what: K, times: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += times,
            None => self.0.push((what, times)),
        }
    }

    #[must_use]
    pub fn of(&self, what: K) -> u64 {
        let known = self.0.iter().find(|(known, _)| *known == what);
        known.map_or(0, |(_, count)| *count)
    }

    pub fn into_counts(self) -> impl Iterator<Item = (K, u64)> {
        self.0.into_iter()
    }

    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.0.iter().copied()
    }
}
