//! What the bus asks, as commands of Redis, and what Redis answers, as the bus understands it.

use std::borrow::Cow;

use super::ask::{BusRequest, BusResponse, FieldList, FoundValue};
use super::id::EntryId;
use super::peers::ProgressRecord;
use super::scripts::{KEEP, LOOK, NEXT, PUT, REFILL, script};
use super::stream_info::{StreamInfo, StreamLength};
use super::{Add, Applied, Placed, StoredValue, Write};
use crate::redis::{Command, RedisError, Reply};

/// How long a read waits for the next entry; then it is asked again.
pub(super) const BLOCK_MS: u64 = 1_000;

/// A page of the hash. Small, since each value may have a megabyte.
const SCAN_COUNT: u64 = 16;

/// Records of what nodes have applied; each reads all, and only their newest count.
const APPLIED_MAX: u64 = 256;

/// The names of everything the bus has in Redis.
pub(super) struct BusKeys {
    stream: String,
    applied: String,
    board: String,
    token: String,
    kept: String,
    gone: String,
}

/// An answer that is none: the command was refused, or it is not what Redis answers.
#[derive(Debug)]
pub(super) enum Unanswered {
    Refused(RedisError),
    Strange,
}

impl BusKeys {
    pub(super) fn new(prefix: &str) -> Self {
        BusKeys {
            stream: format!("{prefix}bus"),
            applied: format!("{prefix}bus:applied"),
            board: format!("{prefix}board"),
            token: format!("{prefix}bus:token"),
            kept: format!("{prefix}bus:kept"),
            gone: format!("{prefix}gone:"),
        }
    }

    pub(super) fn add(&self, add: &Add, entries_max: u64) -> Command {
        let command = match &add.contents {
            None => Command::new("XADD")
                .arg(&self.stream)
                .arg("MAXLEN")
                .arg("~")
                .number(entries_max)
                .arg("*"),
            Some(Write { kept, after }) => script(PUT)
                .number(3)
                .arg(&self.stream)
                .arg(&self.board)
                .arg(self.gone(&kept.uri))
                .number(entries_max)
                .arg(&*kept.uri)
                .number(u64::from(kept.record.is_some()))
                .arg(kept.stamp.to_string())
                .arg(after.to_string())
                .arg(&*kept.to_write()),
        };
        let fields = add.fields.iter();
        fields.fold(command, |command, (name, value)| {
            command.arg(name).arg(value)
        })
    }

    /// What this process has applied.
    pub(super) fn applied(&self, process: &str, applied: &Applied) -> Command {
        let command = Command::new("XADD")
            .arg(&self.applied)
            .arg("MAXLEN")
            .arg("~")
            .number(APPLIED_MAX)
            .arg("*")
            .arg("by")
            .arg(process)
            .arg("up_to")
            .arg(applied.up_to.to_string());
        match applied.leaves {
            true => command.arg("leaves").arg("1"),
            false => command,
        }
    }

    /// Other programs may add without a bound.
    pub(super) fn trim(&self, entries_max: u64) -> Command {
        Command::new("XTRIM")
            .arg(&self.stream)
            .arg("MAXLEN")
            .arg("~")
            .number(entries_max)
    }

    /// `token` is for a Redis that has none yet.
    pub(super) fn ask(&self, ask: &BusRequest, token: &str) -> Vec<Command> {
        match ask {
            BusRequest::Check { kept } => {
                let look = [
                    Command::new("SET").arg(&self.token).arg(token).arg("NX"),
                    Command::new("GET").arg(&self.token),
                    Command::new("GET").arg(&self.kept),
                    Command::new("EVAL")
                        .arg(LOOK)
                        .number(2)
                        .arg(&self.stream)
                        .arg(&self.board),
                ];
                let keep = |id: EntryId| Command::new("SET").arg(&self.kept).arg(id.to_string());
                look.into_iter().chain(kept.map(keep)).collect()
            }
            BusRequest::Read {
                after,
                applied_after,
                count,
            } => vec![
                Command::new("XREAD")
                    .arg("COUNT")
                    .number(*count as u64)
                    .arg("BLOCK")
                    .number(BLOCK_MS)
                    .arg("STREAMS")
                    .arg(&self.stream)
                    .arg(&self.applied)
                    .arg(after.to_string())
                    .arg(applied_after.to_string()),
            ],
            BusRequest::Next { after } => vec![
                Command::new("EVAL")
                    .arg(NEXT)
                    .number(1)
                    .arg(&self.stream)
                    .arg(after.next().to_string()),
            ],
            BusRequest::Fetch { keep, token, names } => {
                let keep = keep.iter().map(|kept| self.keep(kept, token));
                let found = names.iter().flat_map(|name| {
                    let value = Command::new("HGET").arg(&self.board).arg(&**name);
                    [value, Command::new("GET").arg(self.gone(name))]
                });
                keep.chain(found).chain([self.read_token()]).collect()
            }
            BusRequest::Scan { cursor } => vec![
                Command::new("HSCAN")
                    .arg(&self.board)
                    .number(*cursor)
                    .arg("COUNT")
                    .number(SCAN_COUNT),
                self.read_token(),
            ],
            BusRequest::Refill { kept, .. } if kept.is_empty() => Vec::new(),
            BusRequest::Refill { kept, marker } => vec![self.refill(kept, marker)],
        }
    }

    fn read_token(&self) -> Command {
        Command::new("GET").arg(&self.token)
    }

    fn refill(&self, kept: &[StoredValue], marker: &[(&'static str, Vec<u8>)]) -> Command {
        let command = script(REFILL)
            .number(2 + kept.len() as u64)
            .arg(&self.stream)
            .arg(&self.board);
        let gone = kept.iter().map(|kept| self.gone(&kept.uri));
        let command = gone.fold(command, |command, gone| command.arg(gone));
        let command = command.number(2 * marker.len() as u64);
        let command = marker.iter().fold(command, |command, (name, value)| {
            command.arg(name).arg(value)
        });
        kept.iter().fold(command, |command, kept| {
            command
                .arg(&*kept.uri)
                .arg(kept.stamp.to_string())
                .number(u64::from(kept.record.is_some()))
                .arg(&*kept.to_write())
        })
    }

    fn keep(&self, kept: &StoredValue, token: &str) -> Command {
        script(KEEP)
            .number(4)
            .arg(&self.board)
            .arg(self.gone(&kept.uri))
            .arg(&self.token)
            .arg(&self.stream)
            .arg(&*kept.uri)
            .arg(kept.stamp.to_string())
            .number(u64::from(kept.record.is_some()))
            .arg(&*kept.to_write())
            .arg(token)
    }

    fn gone(&self, uri: &str) -> String {
        format!("{}{uri}", self.gone)
    }
}

impl StoredValue {
    /// What the scripts take with it: the record, or without one the further names, none of which has a space.
    fn to_write(&self) -> Cow<'_, str> {
        match &self.record {
            Some(record) => record.into(),
            None => self.other_names.join(" ").into(),
        }
    }
}

/// What became of an entry that was added.
pub(super) fn placed(reply: &Reply) -> Option<Placed> {
    let id = |reply: &Reply| reply.text().and_then(EntryId::parse);
    if let Reply::List(parts) = reply {
        let [at, stamp, overtaken] = parts.as_slice() else {
            return None;
        };
        return Some(Placed {
            id: id(at)?,
            stamp: id(stamp)?,
            is_overtaken: overtaken.integer()? == 1,
        });
    }
    let id = id(reply)?;
    Some(Placed {
        id,
        stamp: id,
        is_overtaken: false,
    })
}

/// # Errors
/// [`Unanswered`]
pub(super) fn heard(ask: &BusRequest, replies: Vec<Reply>) -> Result<BusResponse, Unanswered> {
    match ask {
        BusRequest::Check { .. } => standing(replies).map(BusResponse::StreamInfo),
        BusRequest::Read { .. } => {
            let streams = only(replies)?.checked()?;
            streams_of(streams).ok_or(Unanswered::Strange)
        }
        BusRequest::Next { .. } => match only(replies)?.checked()? {
            Reply::Null => Ok(BusResponse::Next(None)),
            id => {
                let id = id.text().and_then(EntryId::parse);
                id.map(|id| BusResponse::Next(Some(id)))
                    .ok_or(Unanswered::Strange)
            }
        },
        BusRequest::Fetch { keep, names, .. } => {
            let replies: Result<Vec<Reply>, RedisError> =
                replies.into_iter().map(Reply::checked).collect();
            let mut values = replies?;
            let token = values.pop().ok_or(Unanswered::Strange)?;
            let values = values.split_off(keep.len().min(values.len()));
            let found: Option<Vec<_>> = values.chunks_exact(2).map(found_of).collect();
            let found = found.filter(|found| found.len() == names.len());
            let token = token_of(&token);
            found
                .map(|found| BusResponse::Fetched(found, token))
                .ok_or(Unanswered::Strange)
        }
        BusRequest::Scan { .. } => {
            let mut replies = replies;
            let token = replies.pop().ok_or(Unanswered::Strange)?.checked()?;
            let page = only(replies)?.checked()?;
            page_of(page, token_of(&token)).ok_or(Unanswered::Strange)
        }
        // Nothing was asked if there was nothing to put back.
        BusRequest::Refill { kept, .. } if kept.is_empty() => Ok(BusResponse::Refilled(0)),
        BusRequest::Refill { .. } => {
            let done = only(replies)?.checked()?.integer();
            let done = done.and_then(|done| u64::try_from(done).ok());
            done.map(BusResponse::Refilled).ok_or(Unanswered::Strange)
        }
    }
}

impl From<RedisError> for Unanswered {
    fn from(error: RedisError) -> Self {
        Unanswered::Refused(error)
    }
}

fn only(mut replies: Vec<Reply>) -> Result<Reply, Unanswered> {
    replies.pop().ok_or(Unanswered::Strange)
}

fn standing(replies: Vec<Reply>) -> Result<StreamInfo, Unanswered> {
    let mut replies = replies.into_iter();
    let mut next = || replies.next().ok_or(Unanswered::Strange);
    let (set, token, kept, info) = (next()?, next()?, next()?, next()?);
    set.checked()?;
    let token = token.checked()?;
    let token = token.text().and_then(|text| std::str::from_utf8(text).ok());
    let token = token.ok_or(Unanswered::Strange)?.into();
    let kept = kept.checked()?.text().and_then(EntryId::parse);
    let stream = match info {
        Reply::Error(error) if error.message.contains("no such key") => None,
        Reply::Error(error) => return Err(error.into()),
        info => Some(stream(info).ok_or(Unanswered::Strange)?),
    };
    Ok(StreamInfo {
        token,
        kept,
        stream,
    })
}

fn stream(info: Reply) -> Option<StreamLength> {
    let mut stream = StreamLength::default();
    for (name, value) in info.into_pairs()? {
        let number = value
            .integer()
            .and_then(|number| u64::try_from(number).ok());
        match name.text()? {
            b"length" => stream.length = number?,
            b"last-generated-id" => stream.last = EntryId::parse(value.text()?)?,
            b"max-deleted-entry-id" => stream.deleted = Some(EntryId::parse(value.text()?)?),
            b"entries-added" => stream.added = Some(number?),
            b"stored" => stream.stored = number,
            // Its id; the script leaves out the rest.
            b"first-entry" => stream.first = value.text().and_then(EntryId::parse),
            _ => {}
        }
    }
    Some(stream)
}

/// Of the two streams that were read; nothing at all if nothing came in time.
fn streams_of(reply: Reply) -> Option<BusResponse> {
    let streams = match reply {
        Reply::Null => Vec::new(),
        Reply::Map(streams) => streams,
        Reply::List(streams) => {
            let stream = |stream: Reply| {
                let [name, entries] = <[Reply; 2]>::try_from(stream.into_list()?).ok()?;
                Some((name, entries))
            };
            streams.into_iter().map(stream).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let (mut entries, mut applied) = (Vec::new(), Vec::new());
    for (name, found) in streams {
        let found = entries_of(found)?;
        if name.text()?.ends_with(b":applied") {
            applied = found.iter().map(|(id, it)| (*id, applied_of(it))).collect();
        } else {
            entries = found;
        }
    }
    Some(BusResponse::Entries { entries, applied })
}

fn entries_of(entries: Reply) -> Option<Vec<(EntryId, FieldList)>> {
    let entry = |entry: Reply| {
        let [id, fields] = <[Reply; 2]>::try_from(entry.into_list()?).ok()?;
        let fields = fields.into_pairs()?.into_iter();
        let fields = fields.map(|(name, value)| Some((owned(&name)?, owned(&value)?)));
        Some((
            EntryId::parse(id.text()?)?,
            fields.collect::<Option<FieldList>>()?,
        ))
    };
    entries.into_list()?.into_iter().map(entry).collect()
}

/// `None`: nobody can make sense of it.
fn applied_of(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<ProgressRecord> {
    let field = |wanted: &str| {
        let mut fields = fields.iter();
        let found = fields.find(|(name, _)| name == wanted.as_bytes());
        found.map(|(_, value)| value.as_slice())
    };
    let by = std::str::from_utf8(field("by")?).ok()?;
    let applied = Applied {
        up_to: EntryId::parse(field("up_to")?)?,
        leaves: field("leaves").is_some(),
    };
    Some((by.into(), applied))
}

fn found_of(replies: &[Reply]) -> Option<FoundValue> {
    let [value, gone] = replies else {
        return None;
    };
    let value = match value {
        Reply::Null => None,
        value => Some(owned(value)?),
    };
    Some(FoundValue {
        value,
        gone: gone.text().and_then(EntryId::parse),
    })
}

fn token_of(reply: &Reply) -> Option<Box<str>> {
    let text = std::str::from_utf8(reply.text()?).ok()?;
    Some(text.into())
}

fn page_of(page: Reply, token: Option<Box<str>>) -> Option<BusResponse> {
    let [cursor, found] = <[Reply; 2]>::try_from(page.into_list()?).ok()?;
    let cursor = std::str::from_utf8(cursor.text()?).ok()?.parse().ok()?;
    let found = found.into_pairs()?.into_iter();
    let found = found.map(|(uri, value)| Some((owned(&uri)?, owned(&value)?)));
    Some(BusResponse::Scanned(
        cursor,
        found.collect::<Option<FieldList>>()?,
        token,
    ))
}

fn owned(reply: &Reply) -> Option<Vec<u8>> {
    reply.text().map(<[u8]>::to_vec)
}
