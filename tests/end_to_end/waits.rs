//! Waiting for a fact or an answer, and ending what waits for this thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// For what happens within some seconds when all is well, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Looks until there is something; panics with `what` was waited for.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// For requests: each is answered within that time, or fails.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE));
    config.build().into()
}

/// Says that it is over when it goes, also when its thread panics: a scope waits for its threads, and these for that word.
pub(crate) struct OverAtItsEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for OverAtItsEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn threads_of_a_scope_that_wait_for_one_that_panicked() {
    let over = AtomicBool::new(false);
    let body = std::panic::AssertUnwindSafe(|| {
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| wait_until("it is over", || over.load(Ordering::Relaxed)));
            let _over = OverAtItsEnd(&over);
            assert!(waits.is_finished(), "on purpose");
        });
    });
    assert!(std::panic::catch_unwind(body).is_err());
    assert!(over.load(Ordering::Relaxed));
}
