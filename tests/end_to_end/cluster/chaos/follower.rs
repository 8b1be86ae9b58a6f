//! A client that follows some resources: it listens, reads again what it is told of, and begins anew where the protocol
//! says so. Half of them are legacy clients with a session, half modern ones that listen in one place and read in another.
//!
//! Now and then one drops its connection and resumes, does not read for a while, or ends its session. What each has read
//! last is open to see ([`View`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;

use super::super::client::{Answer, try_post};
use super::super::stream::Stream;
use super::ledger::Text;
use super::timeline::Millis;
use super::verdict::Known;
use super::world::{Place, World, now};
use super::{PAUSE, URIS, legacy, modern, uri};
use crate::random::Random;

const LEGACY: usize = 10;
const MODERN: usize = 10;
const FOLLOWED: usize = 3;
/// In looks: how seldom a client does something of its own.
const SELDOM: usize = 300;
const DEAF_MS_MAX: usize = 5_000;
/// Lines of what a client did last.
const DIARY_MAX: usize = 60;
const UPDATED: &str = "notifications/resources/updated ";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// What a client knows, for the others to see.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) who: String,
    /// Since when it hears everything, and when it looked last.
    pub(super) since: Millis,
    pub(super) looked: Millis,
    /// It has a stream, and has read all that it was told of.
    pub(super) is_settled: bool,
    pub(super) tools: Millis,
    pub(super) read: BTreeMap<String, Text>,
}

/// What others see of a client.
#[derive(Default)]
pub(super) struct Shown {
    view: Mutex<View>,
    diary: Mutex<VecDeque<(Millis, String)>>,
}

impl Shown {
    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn diary(&self) -> MutexGuard<'_, VecDeque<(Millis, String)>> {
        self.diary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it did last, for whoever reads a failure.
    pub(super) fn tell_diary(&self, begun: Millis) -> String {
        let line = |(at, what): &(Millis, String)| {
            let seconds = at.saturating_sub(begun) as f64 / 1000.0;
            format!("  {seconds:9.3} s    it {what}\n")
        };
        self.diary().iter().map(line).collect()
    }
}

/// Which clients a thread is.
pub(super) enum Era {
    Legacy(legacy::State),
    Modern(modern::State),
}

pub(super) struct Follower<'a> {
    pub(super) world: &'a World,
    pub(super) random: Random,
    pub(super) uris: Vec<String>,
    pub(super) stream: Option<Stream>,
    /// To be read.
    pub(super) owed: BTreeSet<String>,
    pub(super) view: View,
    shown: &'a Shown,
    deaf_until: Millis,
}

pub(super) fn start(world: &Arc<World>) -> (Vec<Arc<Shown>>, Vec<JoinHandle<()>>) {
    let start = |number: usize| {
        let shown = Arc::new(Shown::default());
        let (world, own) = (world.clone(), shown.clone());
        let thread = std::thread::spawn(move || {
            let mut random = Random::new(world.seed ^ (0xf0_0000 + number as u64));
            let mut uris = BTreeSet::new();
            while uris.len() < FOLLOWED {
                uris.insert(uri(random.below(URIS)));
            }
            let mut era = match number < LEGACY {
                true => Era::Legacy(legacy::State::new(number.is_multiple_of(2))),
                false => Era::Modern(modern::State::new(number)),
            };
            let mut follower = Follower {
                world: &world,
                random,
                uris: uris.into_iter().collect(),
                stream: None,
                owed: BTreeSet::new(),
                view: View::default(),
                shown: &own,
                deaf_until: 0,
            };
            while !world.is_over() {
                std::thread::sleep(PAUSE);
                follower.look(&mut era);
                *own.view() = follower.view.clone();
            }
        });
        (shown, thread)
    };
    (0..LEGACY + MODERN).map(start).unzip()
}

impl Follower<'_> {
    fn look(&mut self, era: &mut Era) {
        self.view.who = era.tell();
        self.view.looked = now();
        if !self.world.is_calm() {
            self.misbehave(era);
        }
        let is_deaf = !self.world.is_calm() && now() < self.deaf_until;
        if is_deaf {
            self.view.is_settled = false;
            return;
        }
        if self.hear() {
            self.lose_stream(era);
        }
        if self.stream.is_none() {
            self.view.is_settled = false;
            match era {
                Era::Legacy(state) => state.connect(self),
                Era::Modern(state) => state.connect(self),
            }
        }
        if self.stream.is_some() {
            self.read(era);
        }
        self.view.is_settled = self.stream.is_some() && self.owed.is_empty();
    }

    pub(super) fn write_down(&self, what: impl Into<String>) {
        let mut diary = self.shown.diary();
        if diary.len() >= DIARY_MAX {
            diary.pop_front();
        }
        diary.push_back((now(), what.into()));
    }

    fn misbehave(&mut self, era: &mut Era) {
        match self.random.below(SELDOM * 4) {
            0..=3 if self.stream.is_some() => {
                self.world.count("clients", "drop their connection");
                self.write_down("drops its connection");
                self.lose_stream(era);
            }
            4..=5 => {
                self.world.count("clients", "do not read for a while");
                self.write_down("does not read for a while");
                self.deaf_until = now() + self.random.below(DEAF_MS_MAX) as Millis;
            }
            6 => {
                if let Era::Legacy(state) = era {
                    state.end_session(self);
                }
            }
            7..=15 => {
                if let Era::Legacy(state) = era {
                    let _ = state.ping(self);
                }
            }
            _ => {}
        }
    }

    fn lose_stream(&mut self, era: &mut Era) {
        if let (Some(stream), Era::Legacy(state)) = (self.stream.take(), era) {
            state.note_id(&stream);
        }
    }

    /// Everything that came. True if the stream has ended.
    fn hear(&mut self) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let has_ended = stream.has_ended();
        let last_id = stream.last_id.clone();
        for heard in std::mem::take(&mut stream.heard) {
            self.world.count("notifications", "heard");
            let short = heard.trim_start_matches("notifications/");
            self.write_down(format!("hears {short}, up to {last_id}"));
            if let Some(uri) = heard.strip_prefix(UPDATED) {
                self.owed.insert(uri.to_owned());
            } else if heard == TOOLS_CHANGED {
                self.view.tools = now();
            }
        }
        if has_ended {
            self.world.count("streams", "ended by the other side");
            self.write_down("sees its stream end");
        }
        has_ended
    }

    /// All that it was told of.
    fn read(&mut self, era: &mut Era) {
        for uri in self.owed.clone() {
            if !self.uris.contains(&uri) {
                self.world.fail(&format!(
                    "{} is told of {uri}, which it does not follow",
                    self.view.who
                ));
            }
            let answer = match era {
                Era::Legacy(state) => state.read(self, &uri),
                Era::Modern(state) => state.read(self, &uri),
            };
            let Some(text) = answer.as_ref().and_then(text_of) else {
                return;
            };
            self.world.count("reads", "answered");
            self.write_down(format!("reads {text:?} at {uri}"));
            self.view.read.insert(uri.clone(), text);
            self.owed.remove(&uri);
        }
    }

    /// What it had is of no use: all is to be read.
    pub(super) fn begin_anew(&mut self) {
        self.view.since = now();
        self.owed = self.uris.iter().cloned().collect();
    }

    pub(super) fn ask(
        &self,
        place: &Place,
        fields: &[(&str, &str)],
        body: &Value,
    ) -> Option<Answer> {
        let answer = try_post(&place.mcp, fields, body);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        self.note_status(place, status);
        answer
    }

    /// Of an answer; 0: there was none.
    pub(super) fn note_status(&self, place: &Place, status: u16) {
        let by = match place.name {
            "Traefik" => "through Traefik",
            _ => "at a node",
        };
        match status {
            200..=299 => {}
            0 => self.world.count("no answer", by),
            404 => {}
            502..=504 => self.world.count("5xx", format!("{status} {by}")),
            _ => self
                .world
                .fail(&format!("{} is answered {status} {by}", self.view.who)),
        }
    }

    /// Told 404 without a session: nothing but a proxy that has not read its routers says so.
    pub(super) fn note_lost_way(&self, place: &Place, asked: Millis) {
        let was_away = self.world.timeline().proxy_was_away((asked, now()));
        match place.name == "Traefik" && was_away {
            true => self.world.count("404", "Traefik's own at its start"),
            false => {
                let sentence = format!("{} is answered 404 by {}", self.view.who, place.name);
                self.world.fail(&sentence);
            }
        }
    }

    /// Told 404 for its session: whether that is true. False if it was the proxy, which had not read its routers.
    pub(super) fn is_gone(
        &self,
        session: &Known,
        place: &Place,
        asked: Millis,
        body: &str,
    ) -> bool {
        let span = (asked, now());
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let Some(reason) = body["error"]["data"]["reason"].as_str() else {
            self.note_lost_way(place, asked);
            return false;
        };
        self.world.count("404", reason);
        let judged = session.judge(&self.world.timeline(), span, reason);
        if let Err(sentence) = judged {
            self.world.fail(&format!(
                "{sentence}; asked by way of {}, session {}",
                place.name, session.id
            ));
        }
        true
    }

    /// One of the nodes, or the proxy.
    pub(super) fn somewhere(&mut self) -> &'static str {
        const ALL: [&str; 5] = ["a", "b", "c", "Traefik", "Traefik"];
        ALL[self.random.below(ALL.len())]
    }
}

impl World {
    pub(super) fn place(&self, name: &str) -> &Place {
        let node = self.nodes.iter().find(|place| place.name == name);
        node.unwrap_or(&self.proxy)
    }
}

impl Era {
    fn tell(&self) -> String {
        match self {
            Era::Legacy(state) => state.tell(),
            Era::Modern(state) => state.tell(),
        }
    }
}

/// What a read says. `None`: it says nothing of the resource.
pub(super) fn text_of(answer: &Answer) -> Option<Text> {
    let body: Value = serde_json::from_str(&answer.body).ok()?;
    let text = &body["result"]["contents"][0]["text"];
    if let Some(text) = text.as_str() {
        return Some(Some(text.to_owned()));
    }
    let is_missing = body["error"]["data"]["uri"].is_string() && answer.status == 200;
    is_missing.then_some(None)
}
