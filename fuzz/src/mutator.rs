//! Inputs from a seed: pieces of a corpus, cut, doubled, spliced and disturbed. No coverage guides it; it is what remains
//! of a fuzzer where there is none, and finds the same every time.

use crate::INPUT_BYTES_MAX;
use crate::support::Random;

/// Changes of one input.
const CHANGES_MAX: usize = 6;

/// Bytes that mean something somewhere.
const TELLING: &[u8] = b"\0\t\n\r \"$%*+,-./0123456789:;<=>?[\\]_{|}~\x7f\x80\xc3\xe2\xf0\xff";

pub struct Mutator {
    random: Random,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    #[must_use]
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Mutator {
            random: Random::new(seed),
            corpus,
        }
    }

    /// At most [`INPUT_BYTES_MAX`] bytes.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.sample();
        for _ in 0..1 + self.random.below(CHANGES_MAX) {
            self.change(&mut input);
            input.truncate(INPUT_BYTES_MAX);
        }
        input
    }

    fn sample(&mut self) -> Vec<u8> {
        if self.corpus.is_empty() || self.random.one_in(16) {
            return Vec::new();
        }
        let mut input = self.random.pick(&self.corpus).clone();
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(8) {
            0 => input.insert(at, self.random.next() as u8),
            1 => input.insert(at, *self.random.pick(TELLING)),
            2 => {
                let end = self.end_of_piece(at, input.len());
                drop(input.drain(at..end));
            }
            3 => {
                let end = self.end_of_piece(at, input.len());
                input.extend_from_within(at..end);
            }
            4 => {
                let other = self.sample();
                let from = self.random.below(other.len() + 1);
                let to = self.end_of_piece(from, other.len());
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
            5 => input.truncate(at),
            6 if at < input.len() => input[at] = *self.random.pick(TELLING),
            _ if at < input.len() => input[at] ^= 1 << self.random.below(8),
            _ => {}
        }
    }

    /// Short pieces more often than long ones.
    fn end_of_piece(&mut self, start: usize, len: usize) -> usize {
        let longest = [2, 8, 64, INPUT_BYTES_MAX];
        let most = *self.random.pick(&longest);
        start + self.random.below((len - start).min(most) + 1)
    }
}
