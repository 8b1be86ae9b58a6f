//! A Redis as the bus uses it, as a plain value: the stream, the hash beside it, and what befalls them.

use std::collections::BTreeMap;

use pinfold::cluster::bus::id::EntryId;
use pinfold::cluster::bus::standing::{Standing, Stream};
use pinfold::cluster::bus::{Add, Ask, Heard, Kept};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
pub(crate) struct FakeRedis {
    pub(crate) now_ms: u64,
    entries: Vec<(EntryId, Fields)>,
    /// None: there is no stream.
    last: Option<EntryId>,
    added: u64,
    pub(crate) board: BTreeMap<Vec<u8>, Vec<u8>>,
    gone: BTreeMap<Box<str>, EntryId>,
    token: Option<Box<str>>,
    kept: Option<EntryId>,
    tokens: u64,
}

impl FakeRedis {
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
            Ask::Refill(kept) => {
                let mut put = 0;
                for Kept { uri, record } in kept {
                    let key = uri.as_bytes().to_vec();
                    if !self.board.contains_key(&key) {
                        let record = record.as_deref().unwrap_or_default();
                        self.board.insert(key, format!("0-0 {record}").into_bytes());
                        put += 1;
                    }
                }
                Heard::Refilled(put)
            }
        }
    }

    pub(crate) fn trim(&mut self, keep: usize) {
        let surplus = self.entries.len().saturating_sub(keep);
        self.entries.drain(..surplus);
    }

    pub(crate) fn flush(&mut self) {
        let (now_ms, tokens) = (self.now_ms, self.tokens);
        *self = FakeRedis {
            now_ms,
            tokens,
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
            added: Some(self.added),
        });
        Standing {
            token,
            kept: self.kept,
            stream,
        }
    }

    fn scan(&self, cursor: usize) -> Heard {
        let page = self.board.iter().skip(cursor).take(2);
        let page: Fields = page
            .map(|(uri, value)| (uri.clone(), value.clone()))
            .collect();
        let next = cursor + page.len();
        let more = next < self.board.len();
        Heard::Scanned(if more { next as u64 } else { 0 }, page)
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
