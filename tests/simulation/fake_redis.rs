//! A Redis as the bus uses it, as a plain value: the stream, the hash beside it, and what befalls them.

use std::collections::BTreeMap;

use pinfold::app::contents::Contents;
use pinfold::internals::cluster::bus::id::EntryId;
use pinfold::internals::cluster::bus::outbox::PATIENCE_MS;
use pinfold::internals::cluster::bus::stream_info::{StreamInfo, StreamLength};
use pinfold::internals::cluster::bus::{
    Add, Applied, BusRequest, BusResponse, FoundValue, Placed, StoredValue, Write,
};
use pinfold::internals::wire::uri::normal;

use crate::member::read_back;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
/// Who wrote it, and what it says.
type Record = (Box<str>, Applied);

#[derive(Default)]
pub(crate) struct FakeRedis {
    pub(crate) now_ms: u64,
    /// As before version 7: it does not say how many entries were ever added.
    pub(crate) is_old: bool,
    entries: Vec<(EntryId, Fields)>,
    /// None: there is no stream.
    last: Option<EntryId>,
    added: u64,
    applied: Vec<(EntryId, Option<Record>)>,
    applied_last: EntryId,
    pub(crate) board: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every URI that was ever there, in the order of a scan.
    scanned: Vec<Vec<u8>>,
    pub(crate) gone: BTreeMap<Box<str>, EntryId>,
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

    pub(crate) fn add(&mut self, add: &Add) -> Placed {
        let owned = |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
        let id = self.append(add.fields.iter().map(owned).collect());
        let mut placed = Placed {
            id,
            stamp: id,
            is_overtaken: false,
        };
        if let Some(write) = &add.contents {
            let accepted = write.kept.stamp;
            let in_time = id.ms < accepted.ms + PATIENCE_MS;
            placed.stamp = if in_time { id } else { accepted }.max(write.after);
            placed.is_overtaken = self.newest(&write.kept.uri) > Some(placed.stamp);
            if !placed.is_overtaken {
                self.store(placed.stamp, &write.kept);
            }
        }
        placed
    }

    pub(crate) fn add_applied(&mut self, process: &str, applied: &Applied) -> EntryId {
        let now = EntryId {
            ms: self.now_ms,
            seq: 0,
        };
        let id = now.max(self.applied_last.next());
        self.applied_last = id;
        self.applied
            .push((id, Some((process.into(), applied.clone()))));
        id
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

    pub(crate) fn ask(&mut self, ask: &BusRequest) -> BusResponse {
        match ask {
            BusRequest::Check { kept } => {
                let standing = self.standing();
                self.kept = kept.or(self.kept);
                BusResponse::StreamInfo(standing)
            }
            BusRequest::Read {
                after,
                applied_after,
                count,
            } => {
                let entries = self.entries.iter().filter(|(id, _)| id > after);
                let applied = self.applied.iter().filter(|(id, _)| id > applied_after);
                BusResponse::Entries {
                    entries: entries.take(*count).cloned().collect(),
                    applied: applied.take(*count).cloned().collect(),
                }
            }
            BusRequest::Next { after } => {
                let mut ids = self.entries.iter().map(|(id, _)| *id);
                BusResponse::Next(ids.find(|id| id > after))
            }
            BusRequest::Fetch { keep, token, names } => {
                let is_same = self.token.as_ref() == Some(token);
                for kept in keep.iter().filter(|_| is_same) {
                    let is_there = self.entries.iter().any(|(id, _)| *id == kept.stamp);
                    if self.keep(kept) && !is_there {
                        let field = |name: &str, it: &str| (name.into(), it.into());
                        self.append(vec![field("uri", &kept.uri), field("stored", "changed")]);
                    }
                }
                let found = names.iter().map(|name| FoundValue {
                    value: self.board.get(name.as_bytes()).cloned(),
                    gone: self.gone.get(name).copied(),
                });
                BusResponse::Fetched(found.collect(), self.token.clone())
            }
            BusRequest::Scan { cursor } => self.scan(*cursor as usize),
            BusRequest::Refill { kept, marker } => {
                let mut done = 0;
                for kept in kept {
                    let had = self.board.contains_key(kept.uri.as_bytes());
                    let is_kept = self.keep(kept);
                    done += u64::from(is_kept && (had || kept.record.is_some()));
                    if !is_kept
                        && kept.record.is_none()
                        && self.value_stamp(&kept.uri) < Some(kept.stamp)
                    {
                        done += self.forget_names(kept.stamp, kept);
                    }
                }
                if done > 0 {
                    let owned =
                        |(name, value): &(&str, Vec<u8>)| (name.as_bytes().to_vec(), value.clone());
                    self.append(marker.iter().map(owned).collect());
                }
                BusResponse::Refilled(done)
            }
        }
    }

    pub(crate) fn trim(&mut self, keep: usize) {
        let surplus = self.entries.len().saturating_sub(keep);
        self.entries.drain(..surplus);
    }

    /// As a person may do, or whoever evicts.
    pub(crate) fn delete(&mut self, uri: &str) -> bool {
        self.board.remove(uri.as_bytes()).is_some()
    }

    pub(crate) fn flush(&mut self) {
        *self = FakeRedis {
            now_ms: self.now_ms,
            tokens: self.tokens,
            is_old: self.is_old,
            ..FakeRedis::default()
        };
    }

    fn standing(&mut self) -> StreamInfo {
        self.tokens += 1;
        let fresh = self.tokens.to_string().into();
        let token = self.token.get_or_insert(fresh).clone();
        let stream = self.last.map(|last| StreamLength {
            first: self.entries.first().map(|(id, _)| *id),
            last,
            deleted: Some(EntryId::ZERO),
            length: self.entries.len() as u64,
            added: (!self.is_old).then_some(self.added),
            stored: Some(self.board.len() as u64),
        });
        StreamInfo {
            token,
            kept: self.kept,
            stream,
        }
    }

    /// What is there from the first page to the last is on one of them, whatever comes and goes meanwhile.
    fn scan(&mut self, cursor: usize) -> BusResponse {
        for key in self.board.keys() {
            if !self.scanned.contains(key) {
                self.scanned.push(key.clone());
            }
        }
        let page = self.scanned.iter().skip(cursor).take(2);
        let page = page.filter_map(|key| Some((key.clone(), self.board.get(key)?.clone())));
        let next = cursor + 2;
        let more = next < self.scanned.len();
        let page = page.collect();
        BusResponse::Scanned(if more { next as u64 } else { 0 }, page, self.token.clone())
    }

    fn store(&mut self, id: EntryId, kept: &StoredValue) {
        let key = kept.uri.as_bytes().to_vec();
        match &kept.record {
            Some(record) => drop(
                self.board
                    .insert(key, format!("{id} {record}").into_bytes()),
            ),
            None => {
                self.board.remove(&key);
                self.gone.insert(kept.uri.clone(), id);
                self.forget_names(id, kept);
            }
        }
    }

    /// What is taken away is so by all names that it has. How many had something.
    fn forget_names(&mut self, id: EntryId, kept: &StoredValue) -> u64 {
        let mut forgotten = 0;
        for name in &kept.other_names {
            if self.newest(name) <= Some(id) {
                let value = self.board.remove(name.as_bytes());
                forgotten += u64::from(value.is_some());
                self.gone.insert(name.clone(), id);
            }
        }
        forgotten
    }

    /// As an older node does, which has its own names.
    pub(crate) fn add_as_older(&mut self, name: &str, record: Option<String>) {
        let fields = [("by", "old.1/1"), ("uri", name), ("stored", "1")];
        let kept = StoredValue {
            uri: name.into(),
            record,
            stamp: EntryId {
                ms: self.now_ms,
                seq: 0,
            },
            other_names: Vec::new(),
        };
        let contents = Some(Write {
            kept,
            after: EntryId::ZERO,
        });
        self.add(&Add {
            fields: fields.map(|(name, value)| (name, value.into())).to_vec(),
            contents,
        });
    }

    /// False: what is there is as new.
    fn keep(&mut self, kept: &StoredValue) -> bool {
        let stands = self.newest(&kept.uri) >= Some(kept.stamp);
        if !stands {
            self.store(kept.stamp, kept);
        }
        !stands
    }

    /// Of the last write to a resource the stamp.
    pub(crate) fn newest(&self, uri: &str) -> Option<EntryId> {
        self.value_stamp(uri).max(self.gone.get(uri).copied())
    }

    pub(crate) fn value_stamp(&self, name: &str) -> Option<EntryId> {
        let value = self.board.get(name.as_bytes())?;
        let space = value.iter().position(|&byte| byte == b' ')?;
        EntryId::parse(&value[..space])
    }

    /// By what they are called, of each the newest that it has by any name.
    pub(crate) fn resources(&self) -> BTreeMap<Box<str>, Contents> {
        let mut names: Vec<&Vec<u8>> = self.board.keys().collect();
        names.sort_by_key(|name| self.value_stamp(std::str::from_utf8(name).unwrap()));
        let resource = |name: &Vec<u8>| {
            let (name, contents) = read_back((name, &self.board[name]));
            (normal(&name).unwrap().into(), contents)
        };
        names.into_iter().map(resource).collect()
    }

    /// Whether an entry that is still there brings this text.
    pub(crate) fn brings(&self, uri: &str, text: &str) -> bool {
        let has = |fields: &Fields, name: &str, value: &str| {
            let mut fields = fields.iter();
            fields.any(|(own, it)| own == name.as_bytes() && it == value.as_bytes())
        };
        let mut entries = self.entries.iter();
        entries.any(|(_, fields)| has(fields, "uri", uri) && has(fields, "text", text))
    }
}
