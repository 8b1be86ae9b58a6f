//! The last answer of a process that another one has taken over from.

/// Keeps this process from ending, for as long as its last answer is under way.
#[derive(Debug)]
pub struct Leaving {
    _kept: std::sync::mpsc::Sender<()>,
}

impl Leaving {
    /// And who waits for that.
    #[must_use]
    pub fn new() -> (Leaving, std::sync::mpsc::Receiver<()>) {
        let (kept, left) = std::sync::mpsc::channel();
        (Leaving { _kept: kept }, left)
    }
}
