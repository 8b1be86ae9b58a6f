//! A client of 2026-07-28 without cookies: it listens in one place and reads in another.

use super::super::client::{Answer, reading};
use super::super::stream::Stream;
use super::follower::Follower;
use super::world::now;

pub(super) struct State {
    listens: &'static str,
    reads: &'static str,
}

/// Where such clients listen, and where they read.
const PLACES: [(&str, &str); 6] = [
    ("a", "b"),
    ("b", "c"),
    ("c", "a"),
    ("Traefik", "Traefik"),
    ("a", "Traefik"),
    ("Traefik", "c"),
];

impl State {
    pub(super) fn new(number: usize) -> State {
        let (listens, reads) = PLACES[number % PLACES.len()];
        State { listens, reads }
    }

    pub(super) fn tell(&self) -> String {
        format!(
            "a modern client that listens at {} and reads at {}",
            self.listens, self.reads
        )
    }

    /// What it missed nobody tells it: it reads all.
    pub(super) fn connect(&mut self, of: &mut Follower) {
        let place = of.world.place(self.listens);
        let uris: Vec<_> = of.uris.iter().map(String::as_str).collect();
        let asked = now();
        let stream = Stream::try_listening(place.address, &uris);
        let status = stream.as_ref().map_or(0, Stream::status);
        of.note_status(place, status);
        match stream {
            Some(stream) if status == 200 => {
                of.world.count("streams", "listen opened");
                of.stream = Some(stream);
                of.write_down(format!("listens at {}", place.name));
                of.begin_anew();
            }
            _ if status == 404 => of.note_lost_way(place, asked),
            // Until it is served there again it tries elsewhere.
            _ => self.listens = of.somewhere(),
        }
    }

    pub(super) fn read(&mut self, of: &mut Follower, uri: &str) -> Option<Answer> {
        let (fields, body) = reading(uri);
        let fields = fields.each_ref().map(|(name, it)| (*name, it.as_str()));
        let place = of.world.place(self.reads);
        let asked = now();
        let answer = of.ask(place, &fields, &body);
        of.write_down(format!("asks {} for {uri}", place.name));
        if answer.as_ref().is_some_and(|answer| answer.status == 404) {
            of.note_lost_way(place, asked);
        }
        if answer.as_ref().is_none_or(|answer| answer.status != 200) {
            self.reads = of.somewhere();
        }
        answer
    }
}
