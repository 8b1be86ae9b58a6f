//! What a JSON text is like, found out while it arrives and before anything is made of it: how deep it nests, and how
//! much memory a tree of it would take.
//!
//! One pass over the bytes in pieces of any size, which keeps nothing but a few numbers. For a text that is not JSON the
//! numbers mean nothing; its parser says that it is none.

use memchr::memchr2;

/// What a text may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonBounds {
    /// Nesting of arrays and objects.
    pub depth_max: usize,
    /// See [`JsonScan::tree_bytes`].
    pub tree_bytes_max: usize,
}

/// Which of the bounds a text is past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    Depth,
    Tree,
}

/// Takes one text. Invariant: `depth <= deepest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonScan {
    depth: usize,
    deepest: usize,
    tree_bytes: usize,
    place: ScanState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScanState {
    #[default]
    Outside,
    InString,
    AfterBackslash,
}

/// An object with members: the first node of its map, which has room for eleven.
const OBJECT_BYTES: usize = 640;
/// An array with elements: it starts with room for four.
const ARRAY_BYTES: usize = 128;
/// One more element: lists have up to twice the room that they need.
const ELEMENT_BYTES: usize = 64;
/// One more member, besides what it costs as an element: the nodes of a map are half empty.
const MEMBER_BYTES: usize = 64;
/// An allocation of its own, besides the text.
const STRING_BYTES: usize = 32;

impl JsonScan {
    /// What a whole text is like.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut scan = Self::default();
        scan.take(text);
        scan
    }

    /// The next piece of the text.
    pub fn take(&mut self, piece: &[u8]) {
        let mut at = match self.place {
            ScanState::Outside => 0,
            ScanState::InString | ScanState::AfterBackslash => self.take_string(piece),
        };
        while let Some(&byte) = piece.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    self.add(STRING_BYTES);
                    self.place = ScanState::InString;
                    at += self.take_string(&piece[at..]);
                }
                b'{' => self.open(OBJECT_BYTES),
                b'[' => self.open(ARRAY_BYTES),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' => self.add(ELEMENT_BYTES),
                b':' => self.add(MEMBER_BYTES),
                _ => {}
            }
        }
    }

    /// Bytes of memory, about and rather too many, that a `serde_json::Value` of the text takes. A few bytes of text
    /// can be hundreds: `{"":0}` has a map of its own.
    #[must_use]
    pub fn tree_bytes(&self) -> usize {
        self.tree_bytes
    }

    /// # Errors
    /// What was taken so far is more than may be.
    pub fn check(&self, bounds: &JsonBounds) -> Result<(), TooMuch> {
        if self.deepest > bounds.depth_max {
            return Err(TooMuch::Depth);
        }
        if self.tree_bytes > bounds.tree_bytes_max {
            return Err(TooMuch::Tree);
        }
        Ok(())
    }

    /// Bytes of `piece` that belong to the string, its last quote included.
    fn take_string(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        if self.place == ScanState::AfterBackslash && !piece.is_empty() {
            self.place = ScanState::InString;
            at = 1;
        }
        while self.place == ScanState::InString
            && let Some(&byte) = piece.get(at)
        {
            match byte {
                b'"' => {
                    self.place = ScanState::Outside;
                    at += 1;
                }
                b'\\' if at + 1 == piece.len() => {
                    self.place = ScanState::AfterBackslash;
                    at += 1;
                }
                // Escapes often follow each other, and a search costs more than a look.
                b'\\' => at += 2,
                _ => at += memchr2(b'"', b'\\', &piece[at..]).unwrap_or(piece.len() - at),
            }
        }
        self.add(at);
        at
    }

    fn open(&mut self, bytes: usize) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.add(bytes);
    }

    fn add(&mut self, bytes: usize) {
        self.tree_bytes = self.tree_bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests;
