//! Who has a seat at the admin listener, and who gives one up.
//!
//! There is always a seat for the next who comes. If all are taken, the connection is cut that has waited longest without a
//! complete request: one that sends nothing, or slowly, or does not read its answer. Publishers have a
//! complete request. They are not cut for those who have none, and they never fill the room. Among themselves, the one that
//! has sent no line for longest makes room. So whoever asks for the node's health gets in, whatever else is here.
//!
//! Whoever watches somebody stays for as long as there are others who have no request: they are cut first. With 64 publishers
//! and 16 who watch, the one that has watched longest makes room for whoever comes.
//!
//! A plain table: time in it is the order of what happened. Invariant: at most [`PUBLISHING_MAX`] publish, which is less
//! than [`CONNECTIONS_MAX`].

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures_util::future::{AbortHandle, AbortRegistration};
use slab::Slab;

/// Publishers at a time. Each may hold 1 MiB of body, or of answers, and a line.
pub(super) const PUBLISHING_MAX: usize = 64;

/// Connections at a time: what is left beside publishers is for operators and probes, whose requests take no time.
pub(super) const CONNECTIONS_MAX: usize = PUBLISHING_MAX + 16;

#[derive(Default)]
pub(super) struct ConnectionLimit {
    places: RefCell<PermitTable>,
}

#[derive(Default)]
struct PermitTable {
    slab: Slab<PermitEntry>,
    /// Rises with everything that is noted.
    order: u64,
}

struct PermitEntry {
    /// When its seat was taken.
    taken: u64,
    doing: Activity,
    since: u64,
    cut: AbortHandle,
    /// A publisher between two lines is to end.
    is_asked: bool,
    listening: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Without a complete request, or with an answer that is not read yet.
    Waiting,
    /// A publisher whose next line has not come, or who does not read the answers.
    BetweenLines,
    /// Items are on their way to the desk.
    Publishing,
    /// Shown what somebody asks and is sent.
    Watching,
}

impl PermitTable {
    fn next(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn longest(&self, doing: Activity) -> Option<usize> {
        let those = self.slab.iter().filter(|(_, place)| place.doing == doing);
        those.min_by_key(|(_, place)| place.since).map(|it| it.0)
    }

    fn publishing(&self) -> usize {
        let places = self.slab.iter();
        let publishes = |doing| matches!(doing, Activity::BetweenLines | Activity::Publishing);
        places.filter(|it| publishes(it.1.doing)).count()
    }

    /// From now on it is one of those that may be cut.
    fn ask_to_end(&mut self, number: usize) {
        let since = self.next();
        let Some(place) = self.slab.get_mut(number) else {
            return;
        };
        (place.doing, place.since) = (Activity::Waiting, since);
        place.is_asked = true;
        if let Some(listening) = place.listening.take() {
            listening.wake();
        }
    }
}

impl ConnectionLimit {
    /// A seat, and what the connection's task is to be made abortable with: it may be cut whenever it waits.
    pub(super) fn enter(self: &Rc<Self>) -> (ConnectionPermit, AbortRegistration) {
        let (cut, registration) = AbortHandle::new_pair();
        let mut places = self.places.borrow_mut();
        if places.slab.len() >= CONNECTIONS_MAX
            && let Some(longest) = places
                .longest(Activity::Waiting)
                .or_else(|| places.longest(Activity::Watching))
        {
            places.slab.remove(longest).cut.abort();
        }
        let since = places.next();
        let number = places.slab.insert(PermitEntry {
            taken: since,
            doing: Activity::Waiting,
            since,
            cut,
            is_asked: false,
            listening: None,
        });
        let permit = ConnectionPermit {
            room: self.clone(),
            number,
            taken: since,
        };
        (permit, registration)
    }
}

/// A connection's. Once it is cut nothing of this has an effect.
pub(super) struct ConnectionPermit {
    room: Rc<ConnectionLimit>,
    number: usize,
    /// Tells it from the next that gets the same number.
    taken: u64,
}

impl ConnectionPermit {
    /// Nothing is asked of this node here, or the answer is on its way.
    pub(super) fn wait(&self) {
        self.set(Activity::Waiting);
    }

    /// Somebody is watched here. It leaves for others only if nobody waits who could.
    pub(super) fn watch(&self) {
        self.set(Activity::Watching);
    }

    /// A whole request to publish is here. False: too many are publishing, and none of them could make room.
    pub(super) fn begin_publishing(&self) -> bool {
        let mut places = self.room.places.borrow_mut();
        if places.publishing() >= PUBLISHING_MAX {
            let Some(silent) = places.longest(Activity::BetweenLines) else {
                return false;
            };
            places.ask_to_end(silent);
        }
        drop(places);
        self.set(Activity::Publishing);
        true
    }

    /// A publisher of lines has sent one.
    pub(super) fn publish(&self) {
        self.set(Activity::Publishing);
    }

    pub(super) fn between_lines(&self) {
        self.set(Activity::BetweenLines);
    }

    /// Until another publisher needs this one's place.
    pub(super) async fn asked_to_end(&self) {
        poll_fn(|context| {
            let mut places = self.room.places.borrow_mut();
            match self.place(&mut places) {
                Some(place) if !place.is_asked => {
                    place.listening = Some(context.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    fn set(&self, doing: Activity) {
        let mut places = self.room.places.borrow_mut();
        let since = places.next();
        if let Some(place) = self.place(&mut places) {
            (place.doing, place.since) = (doing, since);
        }
    }

    /// `None`: it was given to another.
    fn place<'a>(&self, places: &'a mut PermitTable) -> Option<&'a mut PermitEntry> {
        let place = places.slab.get_mut(self.number)?;
        (place.taken == self.taken).then_some(place)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut places = self.room.places.borrow_mut();
        if self.place(&mut places).is_some() {
            places.slab.remove(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Somebody who came, and whether they still have their seat.
    struct Guest {
        permit: ConnectionPermit,
        cut: AbortHandle,
    }

    fn enter(room: &Rc<ConnectionLimit>) -> Guest {
        let (permit, _) = room.enter();
        let mut places = room.places.borrow_mut();
        let cut = permit.place(&mut places).unwrap().cut.clone();
        drop(places);
        Guest { permit, cut }
    }

    fn fill(room: &Rc<ConnectionLimit>, count: usize) -> Vec<Guest> {
        (0..count).map(|_| enter(room)).collect()
    }

    fn cut(guests: &[Guest]) -> Vec<usize> {
        let cut = |(at, guest): (usize, &Guest)| guest.cut.is_aborted().then_some(at);
        guests.iter().enumerate().filter_map(cut).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room() {
        let room = Rc::new(ConnectionLimit::default());
        let guests = fill(&room, CONNECTIONS_MAX);
        guests[0].permit.wait();
        let (more, _) = room.enter();
        assert_eq!(cut(&guests), [1]);
        // The number of the one that was cut is another's now.
        guests[1].permit.begin_publishing();
        drop(more);
        assert_eq!(room.places.borrow().slab.len(), CONNECTIONS_MAX - 1);
        let _more = fill(&room, 2);
        assert_eq!(cut(&guests), [1, 2]);
    }

    #[test]
    fn nobody_is_cut_who_publishes() {
        let room = Rc::new(ConnectionLimit::default());
        let guests = fill(&room, PUBLISHING_MAX);
        assert!(guests.iter().all(|guest| guest.permit.begin_publishing()));
        let _others = fill(&room, 1000);
        assert!(cut(&guests).is_empty());
        assert_eq!(room.places.borrow().slab.len(), CONNECTIONS_MAX);
        assert!(!enter(&room).permit.begin_publishing());
        guests[7].permit.wait();
        assert!(enter(&room).permit.begin_publishing());
    }

    #[test]
    fn whoever_watches_stays_while_others_wait() {
        let room = Rc::new(ConnectionLimit::default());
        let watching = fill(&room, CONNECTIONS_MAX - PUBLISHING_MAX);
        watching.iter().for_each(|it| it.permit.watch());
        let waiting = fill(&room, PUBLISHING_MAX);
        let _others = fill(&room, PUBLISHING_MAX);
        assert!(cut(&watching).is_empty(), "there were others");
        assert_eq!(cut(&waiting).len(), PUBLISHING_MAX);
        assert!(_others.iter().all(|it| it.permit.begin_publishing()));
        let probe = enter(&room);
        assert_eq!(cut(&watching), [0], "whoever asks for health gets in");
        assert!(!probe.cut.is_aborted());
    }

    #[test]
    fn a_publisher_of_no_lines_makes_room_for_another() {
        let room = Rc::new(ConnectionLimit::default());
        let guests = fill(&room, PUBLISHING_MAX);
        for guest in &guests {
            guest.permit.begin_publishing();
            guest.permit.between_lines();
        }
        // The first one sends a line now and then.
        guests[0].permit.publish();
        guests[0].permit.between_lines();
        assert!(enter(&room).permit.begin_publishing());
        let is_asked = |guest: &&Guest| guest.permit.asked_to_end().now_or_never().is_some();
        assert_eq!(guests.iter().filter(is_asked).count(), 1);
        assert!(is_asked(&&guests[1]));
        assert!(cut(&guests).is_empty(), "it is told before it ends");
    }
}
