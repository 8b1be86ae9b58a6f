//! A Redis as the bus uses it, as a plain value: the stream, the hash beside it, and what befalls them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pinfold::cluster::bus::id::EntryId;
use pinfold::cluster::bus::standing::{Standing, Stream};
use pinfold::cluster::bus::{Add, Ask, Heard, Kept};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
pub(crate) struct FakeRedis {
    pub(crate) now_ms: u64,
    /// As before version 7: it does not say how many entries were ever added.
    pub(crate) is_old: bool,
    entries: Vec<(EntryId, Fields)>,
    /// None: there is no stream.
    last: Option<EntryId>,
    added: u64,
    pub(crate) board: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every URI that was ever there, in the order of a scan.
    scanned: Vec<Vec<u8>>,
    gone: BTreeMap<Box<str>, EntryId>,
    token: Option<Box<str>>,
    kept: Option<EntryId>,
    tokens: u64,
}

impl FakeRedis {
    /// `is_old`: as before version 7, which does not say how many entries were ever added.
    pub(crate) fn new(is_old: bool) -> Self {
        FakeRedis {
            is_old,
            ..FakeRedis::default()
        }
    }

    pub(crate) fn add(&mut self, add: &Add) {
        let owned = |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
        let id = self.append(add.fields.iter().map(owned).collect());
        if let Some(kept) = &add.contents {
            self.store(id, kept);
        }
    }

    /// As another program does.
    pub(crate) fn append(&mut self, fields: Fields) -> EntryId {
        let last = self.last.unwrap_or_default();
        let id = match self.now_ms > last.ms {
            true => EntryId {
                ms: self.now_ms,
                seq: 0,
            },
            false => EntryId {
                ms: last.ms,
                seq: last.seq + 1,
            },
        };
        self.last = Some(id);
        self.added += 1;
        self.entries.push((id, fields));
        id
    }

    pub(crate) fn ask(&mut self, ask: &Ask) -> Heard {
        match ask {
            Ask::Check { kept } => {
                let standing = self.standing();
                self.kept = kept.or(self.kept);
                Heard::Standing(standing)
            }
            Ask::Read { after, count } => {
                let later = self.entries.iter().filter(|(id, _)| id > after);
                Heard::Entries(later.take(*count).cloned().collect())
            }
            Ask::Next { after } => {
                let mut ids = self.entries.iter().map(|(id, _)| *id);
                Heard::Next(ids.find(|id| id > after))
            }
            Ask::Fetch { keep, uris } => {
                for (id, kept) in keep {
                    self.keep(*id, kept);
                }
                let values = uris
                    .iter()
                    .map(|uri| self.board.get(uri.as_bytes()).cloned());
                Heard::Fetched(values.collect())
            }
            Ask::Scan { cursor } => self.scan(*cursor as usize),
            Ask::Refill { kept, marker } => {
                let mut put = false;
                for Kept { uri, record } in kept {
                    let key = uri.as_bytes().to_vec();
                    let place = self.board.entry(key);
                    if let Entry::Vacant(vacant) = place {
                        let record = record.as_deref().unwrap_or_default();
                        vacant.insert(format!("0-0 {record}").into_bytes());
                        put = true;
                    }
                }
                if put {
                    let owned =
                        |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
                    self.append(marker.iter().map(owned).collect());
                }
                Heard::Refilled
            }
        }
    }

    pub(crate) fn trim(&mut self, keep: usize) {
        let surplus = self.entries.len().saturating_sub(keep);
        self.entries.drain(..surplus);
    }

    pub(crate) fn flush(&mut self) {
        *self = FakeRedis {
            now_ms: self.now_ms,
            tokens: self.tokens,
            is_old: self.is_old,
            ..FakeRedis::default()
        };
    }

    fn standing(&mut self) -> Standing {
        self.tokens += 1;
        let fresh = self.tokens.to_string().into();
        let token = self.token.get_or_insert(fresh).clone();
        let stream = self.last.map(|last| Stream {
            first: self.entries.first().map(|(id, _)| *id),
            last,
            deleted: Some(EntryId::ZERO),
            length: self.entries.len() as u64,
            added: (!self.is_old).then_some(self.added),
        });
        Standing {
            token,
            kept: self.kept,
            stream,
        }
    }

    /// What is there from the first page to the last is on one of them, whatever comes and goes meanwhile.
    fn scan(&mut self, cursor: usize) -> Heard {
        for key in self.board.keys() {
            if !self.scanned.contains(key) {
                self.scanned.push(key.clone());
            }
        }
        let page = self.scanned.iter().skip(cursor).take(2);
        let page = page.filter_map(|key| Some((key.clone(), self.board.get(key)?.clone())));
        let next = cursor + 2;
        let more = next < self.scanned.len();
        Heard::Scanned(if more { next as u64 } else { 0 }, page.collect())
    }

    fn store(&mut self, id: EntryId, Kept { uri, record }: &Kept) {
        let key = uri.as_bytes().to_vec();
        match record {
            Some(record) => drop(
                self.board
                    .insert(key, format!("{id} {record}").into_bytes()),
            ),
            None => {
                self.board.remove(&key);
                self.gone.insert(uri.clone(), id);
            }
        }
    }

    fn keep(&mut self, id: EntryId, kept: &Kept) {
        let stored = self.board.get(kept.uri.as_bytes()).and_then(|value| {
            let space = value.iter().position(|&byte| byte == b' ')?;
            EntryId::parse(&value[..space])
        });
        let gone = self.gone.get(&kept.uri).copied();
        if stored.max(gone).is_none_or(|newest| newest < id) {
            self.store(id, kept);
        }
    }
}
