//! What the tasks of a core know of it: where to report what happened. No task knows who carries out what follows:
//! [`core_loop`](super::core_loop) is above them and is the only one that pumps.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use super::application::Application;
use super::blocking::BlockingPool;
use super::calls::Calls;
use super::publisher::Publisher;
use super::seal::Sealer;
use super::unsent::UnsentWrites;
use crate::shard::{CallKey, Shard};

/// What one read brings at most.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;

pub(super) trait CoreDriver: 'static {
    fn shard(&self) -> &RefCell<Shard>;

    /// Carries out everything that is wanted done, until nothing is.
    fn pump(self: &Rc<Self>);

    /// Hands the shard what happened, and carries out what it wants done about it.
    fn with_shard<T>(self: &Rc<Self>, what: impl FnOnce(&mut Shard) -> T) -> T {
        let answer = what(&mut self.shard().borrow_mut());
        self.pump();
        answer
    }

    fn unsent(&self) -> &UnsentWrites;

    /// Some: a fault of this kind is to be logged, and so many before it were not.
    fn may_log(&self, kind: &'static str) -> Option<u64>;

    /// Where what is read lands first; one for all connections, since each read is understood at once.
    fn scratch(&self) -> &RefCell<Box<[u8]>>;

    fn application(&self) -> &Rc<Application>;

    /// The other end of the connection on which a call's client waits.
    fn peer_of(&self, call: CallKey) -> Option<SocketAddr>;

    fn calls(&self) -> &Calls;

    fn publisher(&self) -> &Publisher;

    fn sealer(&self) -> &Sealer;

    fn blocking(&self) -> &BlockingPool;
}
