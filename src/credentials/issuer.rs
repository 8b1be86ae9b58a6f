//! The thread of one issuer: asks for its keys when it is time, or when somebody shows a token of a key that is not known.
//!
//! ```text
//! Search ─▶ too soon, or away: answered at once, by what was known then
//!        ─▶ else: fetch ─▶ new rules to every core ─▶ answers, also to those who came meanwhile
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{info, warn};

use super::fetch::{Fetcher, IssuerAnswer};
use super::files;
use crate::auth::{
    KeySet, KeySource, Refresh, Search, Searched, UnixSeconds, keys_url, metadata_urls,
};
use crate::limits::{ISSUER_ANSWER_MS, KEY_SET_BYTES_MAX, KEYS_AGE_MIN_MS};

/// What the thread is told.
pub(super) enum Errand {
    /// Somebody waits for a key.
    Search(Then),
    /// An operator wants to know now.
    Refresh,
    Stop,
}

/// Told what came of a search. New rules were told before.
pub(super) type Then = Box<dyn FnOnce(Searched) + Send>;

/// Hands on the keys before and after.
pub(super) type TellKeys = Box<dyn Fn(&KeySet, Arc<KeySet>) + Send>;

/// Keeps what an issuer answered, by its name.
pub(super) type NoteKeys = Box<dyn Fn(&str, Vec<u8>) + Send>;

pub(super) struct IssuerThread {
    pub(super) name: String,
    pub(super) source: KeySource,
    pub(super) known: Arc<KeySet>,
    pub(super) tell: TellKeys,
    pub(super) note: NoteKeys,
}

impl IssuerThread {
    pub(super) fn run(mut self, errands: &Receiver<Errand>) {
        let began = Instant::now();
        let now = || began.elapsed().as_millis() as u64;
        // Without randomness nodes ask at once, and no more than that.
        let seed = super::random().map_or(0, u64::from_ne_bytes);
        let mut refresh = Refresh::new(0, seed);
        let mut waiting = Vec::new();
        // When the keys that are known were asked for.
        let mut asked_at: UnixSeconds = 0;
        if !self.known.is_empty() {
            refresh.handle_fetched(0, self.age_of_a_file());
        }
        loop {
            if now() >= refresh.poll_timeout() || !waiting.is_empty() {
                let began = unix_seconds();
                let searched = self.refresh(&mut refresh, now);
                // A key that came while it was under way may not be among them.
                let meanwhile = match searched {
                    Searched::Done => {
                        asked_at = began;
                        Searched::Before(began)
                    }
                    other => other,
                };
                // All of them before anybody is answered, who may have another question.
                let errands_meanwhile: Vec<Errand> = errands.try_iter().collect();
                waiting.drain(..).for_each(|then: Then| then(searched));
                for errand in errands_meanwhile {
                    match errand {
                        Errand::Search(then) => then(meanwhile),
                        Errand::Refresh => {}
                        Errand::Stop => return,
                    }
                }
            }
            let wait = Duration::from_millis(refresh.poll_timeout().saturating_sub(now()));
            match errands.recv_timeout(wait) {
                Ok(Errand::Search(then)) => match refresh.handle_unknown_key(now()) {
                    Search::Now => waiting.push(then),
                    Search::TooSoon => then(Searched::Before(asked_at)),
                    Search::Away => then(Searched::CannotTell),
                },
                Ok(Errand::Refresh) => waiting.push(Box::new(|_| ())),
                Ok(Errand::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn refresh(&mut self, refresh: &mut Refresh, now: impl Fn() -> u64) -> Searched {
        match self.fetch() {
            Ok((keys, max_age_s)) => {
                refresh.handle_fetched(now(), max_age_s);
                self.learn(keys);
                Searched::Done
            }
            Err(why) => {
                let again = refresh.handle_failed(now()).div_ceil(1_000);
                let known = self.known.len();
                warn!(
                    "keys of {}: {why}; asked again in {again} s, {known} keys are known",
                    self.name
                );
                Searched::CannotTell
            }
        }
    }

    fn learn(&mut self, keys: KeySet) {
        if keys == *self.known {
            return;
        }
        info!(
            "keys of {}: {} now, {} before",
            self.name,
            keys.len(),
            self.known.len()
        );
        let before = std::mem::replace(&mut self.known, Arc::new(keys));
        (self.tell)(&before, self.known.clone());
    }

    fn fetch(&self) -> Result<(KeySet, Option<u64>), String> {
        let until = Instant::now() + Duration::from_millis(ISSUER_ANSWER_MS);
        let fetched = match &self.source {
            KeySource::File(_) | KeySource::Secret(_) => {
                return Ok((read_keys(&self.source)?, self.age_of_a_file()));
            }
            KeySource::Url(url) => Fetcher::new().get(url, until).map(|it| (url.clone(), it)),
            KeySource::Discover => self.discover(until),
        };
        let (url, IssuerAnswer { body, max_age_s }) = fetched?;
        let keys = KeySet::parse(&body).map_err(|wrong| format!("what {url} answers {wrong}"))?;
        (self.note)(&self.name, body);
        Ok((keys, max_age_s))
    }

    /// The first that there is counts; what is said is of the last one.
    fn discover(&self, until: Instant) -> Result<(String, IssuerAnswer), String> {
        let fetcher = Fetcher::new();
        let mut why = String::new();
        for place in metadata_urls(&self.name) {
            let found = fetcher.get(&place, until).and_then(|metadata| {
                keys_url(&metadata.body, &self.name)
                    .map_err(|wrong| format!("what {place} answers {wrong}"))
            });
            match found {
                Ok(url) => return fetcher.get(&url, until).map(|keys| (url, keys)),
                Err(wrong) => why = wrong,
            }
        }
        Err(why)
    }

    /// A file is looked at as often as anything is.
    fn age_of_a_file(&self) -> Option<u64> {
        let is_file = matches!(self.source, KeySource::File(_) | KeySource::Secret(_));
        is_file.then_some(KEYS_AGE_MIN_MS / 1_000)
    }
}

/// What tokens count.
pub(super) fn unix_seconds() -> UnixSeconds {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The keys, where they are in a file. Of a URL none yet.
pub(crate) fn read_keys(source: &KeySource) -> Result<KeySet, String> {
    let named = |path: &PathBuf, wrong| format!("{} {wrong}", path.display());
    match source {
        KeySource::File(path) => {
            let json = files::read(path, KEY_SET_BYTES_MAX as u64)?;
            KeySet::parse(&json).map_err(|wrong| named(path, wrong))
        }
        KeySource::Secret(path) => {
            let secret = files::read_secret(path)?;
            KeySet::of_secret(&secret).map_err(|wrong| named(path, wrong))
        }
        KeySource::Discover | KeySource::Url(_) => Ok(KeySet::default()),
    }
}
