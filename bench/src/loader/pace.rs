//! Publishing at a rate, whether or not the last publication has arrived everywhere: what a server is asked when it is
//! busy.
//!
//! Publications name the topics in turn, so that an event tells which one it belongs to. Times run from when a
//! publication was due, not from when it could be sent. A server may merge publications of one topic that wait for the
//! same stream; then the newest is what counts. An event does not say which publication of its topic it tells of, so its
//! time is the age of the newest: true as long as everybody has one before the next of its topic leaves.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;

use super::protocol::{publication_of, uri};
use super::{Loader, READY_MAX, client_index, wait};
use crate::Outcome;
use crate::stats::histogram;

pub(crate) struct Pace {
    pub(crate) published: u64,
    /// From the first publication to the last.
    pub(crate) publishing: Duration,
    /// From the first publication to the last receipt.
    pub(crate) elapsed: Duration,
    pub(crate) events: u64,
    /// Clients that did not get the newest of a topic.
    pub(crate) lost: u64,
    pub(crate) receipts: Histogram<u64>,
    /// Of the last receipt of each publication that everybody had.
    pub(crate) lasts: Histogram<u64>,
    /// Publications that not everybody had when the next of their topic left.
    pub(crate) overtaken: u64,
}

impl Pace {
    /// Takes the time of a publication that nothing more is heard of.
    fn end(&mut self, publication: Newest, clients: u64) {
        match publication.received >= clients {
            true => self.lasts.saturating_record(publication.last_ns),
            false => self.overtaken += 1,
        }
    }
}

/// The newest publication of one topic.
#[derive(Clone, Copy)]
struct Newest {
    due: Instant,
    received: u64,
    last_ns: u64,
}

/// No event for so long means that none is on its way.
const QUIET: Duration = Duration::from_millis(200);
/// Publishing ends after this many times its time.
const PATIENCE: u32 = 2;

impl Loader {
    /// Publishes one topic at a time, so many times a second.
    pub(crate) fn pace(&mut self, per_second: f64, time: Duration) -> Outcome<Pace> {
        let count = (per_second * time.as_secs_f64()).ceil() as u64;
        let mut pacer = Pacer::new(self)?;
        let mut ready = [const { MaybeUninit::uninit() }; READY_MAX];
        let (mut next, mut answered) = (0, true);
        loop {
            let behind = pacer.start.elapsed() > time * PATIENCE;
            let due = pacer.start + Duration::from_secs_f64(next as f64 / per_second);
            if next < count && answered && !behind && Instant::now() >= due {
                pacer.publish(self, next, due)?;
                (next, answered) = (next + 1, false);
            }
            for event in wait(&self.epoll, &mut ready, Duration::ZERO)? {
                match client_index(event) {
                    Some(index) => pacer.take(self, index)?,
                    None => answered |= self.admin.receive(&mut self.scratch)?,
                }
            }
            if (next == count || behind) && answered && pacer.latest.elapsed() > QUIET {
                return Ok(pacer.end(self.clients.len() as u64));
            }
        }
    }
}

struct Pacer {
    start: Instant,
    /// The last thing that happened.
    latest: Instant,
    requests: Vec<Vec<u8>>,
    newest: Vec<Newest>,
    pace: Pace,
}

impl Pacer {
    fn new(loader: &Loader) -> Outcome<Self> {
        let start = Instant::now();
        let requests = (0..loader.way.topics).map(|topic| {
            let body = publication_of(topic..topic + 1);
            loader.admin.publication(&body)
        });
        Ok(Pacer {
            start,
            latest: start,
            requests: requests.collect(),
            newest: Vec::new(),
            pace: Pace {
                published: 0,
                publishing: Duration::ZERO,
                elapsed: Duration::ZERO,
                events: 0,
                lost: 0,
                receipts: histogram()?,
                lasts: histogram()?,
                overtaken: 0,
            },
        })
    }

    fn publish(&mut self, loader: &mut Loader, number: u64, due: Instant) -> Outcome<()> {
        let topic = number as usize % self.requests.len();
        let newest = Newest {
            due,
            received: 0,
            last_ns: 0,
        };
        match self.newest.get_mut(topic) {
            Some(before) => {
                let before = std::mem::replace(before, newest);
                self.pace.end(before, loader.clients.len() as u64);
            }
            None => self.newest.push(newest),
        }
        loader.admin.send(&self.requests[topic])?;
        self.pace.published += 1;
        self.latest = Instant::now();
        self.pace.publishing = self.latest - self.start;
        Ok(())
    }

    fn take(&mut self, loader: &mut Loader, index: usize) -> Outcome<()> {
        let progress = loader.receive(index)?;
        if progress.events == 0 {
            return Ok(());
        }
        self.latest = Instant::now();
        self.pace.events += progress.events;
        for topic in topics(&loader.scratch[..progress.bytes]) {
            let Some(newest) = self.newest.get_mut(topic) else {
                continue;
            };
            let age = self.latest.saturating_duration_since(newest.due);
            newest.received += 1;
            newest.last_ns = age.as_nanos() as u64;
            self.pace.receipts.saturating_record(newest.last_ns);
        }
        Ok(())
    }

    fn end(mut self, clients: u64) -> Pace {
        for &newest in &self.newest {
            // Who is missing now is lost, and counted below.
            if newest.received >= clients {
                self.pace.end(newest, clients);
            }
        }
        self.pace.elapsed = self.latest - self.start;
        // An event of the publication before may have come since, and could stand for a missing one. Where nothing was
        // merged the number of all events tells that too.
        let received: u64 = self.newest.iter().map(|it| it.received.min(clients)).sum();
        self.pace.lost = (self.newest.len() as u64 * clients).saturating_sub(received);
        self.pace
    }
}

/// The topics that are named in these bytes. One that is cut by their end is not: its event counts and has no time.
fn topics(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let first = uri(0);
    let length = first.len();
    let starts: Vec<usize> = memmem::find_iter(bytes, first.as_bytes()).collect();
    starts
        .into_iter()
        .filter_map(move |start| topic_at(&bytes[start + length..]))
}

/// `"` or `-17"`, as it follows upon the first topic's name.
fn topic_at(rest: &[u8]) -> Option<usize> {
    let end = memchr::memchr(b'"', rest.get(..8).unwrap_or(rest))?;
    match &rest[..end] {
        [] => Some(0),
        [b'-', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_where_their_name_is_whole() {
        let bytes =
            br#"{"uri":"board://bench"}..{"uri":"board://bench-17"}..{"uri":"board://bench-1"#;
        assert_eq!(topics(bytes).collect::<Vec<_>>(), [0, 17]);
    }
}
