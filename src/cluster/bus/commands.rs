//! What the bus asks, as commands of Redis, and what Redis answers, as the bus understands it.

use super::id::EntryId;
use super::standing::{Standing, Stream};
use super::tail::{Ask, Fields, Heard};
use super::{Add, Kept};
use crate::redis::{Command, RedisError, Reply};

/// How long a read waits for the next entry; then it is asked again.
pub(super) const BLOCK_MS: u64 = 1_000;

/// A page of the hash. Small, since each value may have a megabyte.
const SCAN_COUNT: u64 = 16;

/// How long it is known that a resource was taken away: an entry of another program which a slow node stores later
/// does not bring it back.
const GONE_S: u64 = 3_600;

/// Adds an entry and stores contents under its id, in one step.
const PUT: &str = "\
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 5))
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[2], ARGV[2], id .. ' ' .. ARGV[4])
else
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('SET', KEYS[3], id, 'EX', 3600)
end
return id";

/// Stores the contents of another program's entry, unless what is there is newer: every node does this for every such
/// entry, some later than others.
const KEEP: &str = "\
local ms, seq = string.match(ARGV[2], '^(%d+)-(%d+)$')
ms, seq = tonumber(ms), tonumber(seq)
local function newer(value)
  local own_ms, own_seq = string.match(value or '', '^(%d+)-(%d+)')
  if not own_ms then return false end
  own_ms, own_seq = tonumber(own_ms), tonumber(own_seq)
  return own_ms > ms or (own_ms == ms and own_seq >= seq)
end
if newer(redis.call('HGET', KEYS[1], ARGV[1])) or newer(redis.call('GET', KEYS[2])) then
  return 0
end
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[4])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[2], 'EX', 3600)
end
return 1";

/// Puts contents where there are none, and says so in the stream if there were none.
const REFILL: &str = "\
local marker, put = tonumber(ARGV[1]), 0
for i = marker + 2, #ARGV, 2 do
  put = put + redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])
end
if put > 0 then
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2, marker + 1))
end
return put";

/// What XINFO STREAM says, without the two entries that it says in full: one of them may be more than anybody reads.
const LOOK: &str = "\
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return info end
local told = {}
for i = 1, #info, 2 do
  local value = info[i + 1]
  if type(value) == 'table' then value = value[1] or false end
  told[i], told[i + 1] = info[i], value
end
return told";

/// The id of the first entry from one on, without its fields.
const NEXT: &str = "\
local found = redis.pcall('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)
if found.err then return found end
return found[1] and found[1][1]";

const _: () = assert!(GONE_S == 3_600, "as the scripts have it");

/// The names of everything the bus has in Redis.
pub(super) struct Keys {
    stream: String,
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

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Keys {
            stream: format!("{prefix}bus"),
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
            Some(Kept { uri, record }) => Command::new("EVAL")
                .arg(PUT)
                .number(3)
                .arg(&self.stream)
                .arg(&self.board)
                .arg(self.gone(uri))
                .number(entries_max)
                .arg(&**uri)
                .number(u64::from(record.is_some()))
                .arg(record.as_deref().unwrap_or_default()),
        };
        let fields = add.fields.iter();
        fields.fold(command, |command, (name, value)| {
            command.arg(name).arg(value)
        })
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
    pub(super) fn ask(&self, ask: &Ask, token: &str) -> Vec<Command> {
        match ask {
            Ask::Check { kept } => {
                let look = [
                    Command::new("SET").arg(&self.token).arg(token).arg("NX"),
                    Command::new("GET").arg(&self.token),
                    Command::new("GET").arg(&self.kept),
                    Command::new("EVAL").arg(LOOK).number(1).arg(&self.stream),
                ];
                let keep = |id: EntryId| Command::new("SET").arg(&self.kept).arg(id.to_string());
                look.into_iter().chain(kept.map(keep)).collect()
            }
            Ask::Read { after, count } => vec![
                Command::new("XREAD")
                    .arg("COUNT")
                    .number(*count as u64)
                    .arg("BLOCK")
                    .number(BLOCK_MS)
                    .arg("STREAMS")
                    .arg(&self.stream)
                    .arg(after.to_string()),
            ],
            Ask::Next { after } => vec![
                Command::new("EVAL")
                    .arg(NEXT)
                    .number(1)
                    .arg(&self.stream)
                    .arg(after.next().to_string()),
            ],
            Ask::Fetch { keep, uris } => {
                let keep = keep.iter().map(|(id, kept)| self.keep(*id, kept));
                let board = || Command::new("HGET").arg(&self.board);
                keep.chain(uris.iter().map(|uri| board().arg(&**uri)))
                    .collect()
            }
            Ask::Scan { cursor } => vec![
                Command::new("HSCAN")
                    .arg(&self.board)
                    .number(*cursor)
                    .arg("COUNT")
                    .number(SCAN_COUNT),
            ],
            Ask::Refill { kept, .. } if kept.is_empty() => Vec::new(),
            Ask::Refill { kept, marker } => vec![self.refill(kept, marker)],
        }
    }

    fn refill(&self, kept: &[Kept], marker: &[(&'static str, Vec<u8>)]) -> Command {
        let command = Command::new("EVAL")
            .arg(REFILL)
            .number(2)
            .arg(&self.stream)
            .arg(&self.board)
            .number(2 * marker.len() as u64);
        let command = marker.iter().fold(command, |command, (name, value)| {
            command.arg(name).arg(value)
        });
        kept.iter().fold(command, |command, Kept { uri, record }| {
            let record = record.as_deref().unwrap_or_default();
            command
                .arg(&**uri)
                .arg(format!("{} {record}", EntryId::ZERO))
        })
    }

    fn keep(&self, id: EntryId, kept: &Kept) -> Command {
        Command::new("EVAL")
            .arg(KEEP)
            .number(2)
            .arg(&self.board)
            .arg(self.gone(&kept.uri))
            .arg(&*kept.uri)
            .arg(id.to_string())
            .number(u64::from(kept.record.is_some()))
            .arg(kept.record.as_deref().unwrap_or_default())
    }

    fn gone(&self, uri: &str) -> String {
        format!("{}{uri}", self.gone)
    }
}

/// # Errors
/// [`Unanswered`]
pub(super) fn heard(ask: &Ask, replies: Vec<Reply>) -> Result<Heard, Unanswered> {
    match ask {
        Ask::Check { .. } => standing(replies).map(Heard::Standing),
        Ask::Read { .. } => {
            let entries = only(replies)?.checked()?;
            entries_of(entries)
                .map(Heard::Entries)
                .ok_or(Unanswered::Strange)
        }
        Ask::Next { .. } => match only(replies)?.checked()? {
            Reply::Null => Ok(Heard::Next(None)),
            id => {
                let id = id.text().and_then(EntryId::parse);
                id.map(|id| Heard::Next(Some(id)))
                    .ok_or(Unanswered::Strange)
            }
        },
        Ask::Fetch { keep, uris } => {
            let replies: Result<Vec<Reply>, RedisError> =
                replies.into_iter().map(Reply::checked).collect();
            let mut values = replies?;
            let values = values.split_off(keep.len().min(values.len()));
            let values: Option<Vec<_>> = values.into_iter().map(optional_text).collect();
            let values = values.filter(|values| values.len() == uris.len());
            values.map(Heard::Fetched).ok_or(Unanswered::Strange)
        }
        Ask::Scan { .. } => {
            let page = only(replies)?.checked()?;
            page_of(page).ok_or(Unanswered::Strange)
        }
        Ask::Refill { .. } => {
            for reply in replies {
                reply.checked()?;
            }
            Ok(Heard::Refilled)
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

fn standing(replies: Vec<Reply>) -> Result<Standing, Unanswered> {
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
    Ok(Standing {
        token,
        kept,
        stream,
    })
}

fn stream(info: Reply) -> Option<Stream> {
    let mut stream = Stream::default();
    for (name, value) in info.into_pairs()? {
        let number = value
            .integer()
            .and_then(|number| u64::try_from(number).ok());
        match name.text()? {
            b"length" => stream.length = number?,
            b"last-generated-id" => stream.last = EntryId::parse(value.text()?)?,
            b"max-deleted-entry-id" => stream.deleted = Some(EntryId::parse(value.text()?)?),
            b"entries-added" => stream.added = Some(number?),
            // Its id; the script leaves out the rest.
            b"first-entry" => stream.first = value.text().and_then(EntryId::parse),
            _ => {}
        }
    }
    Some(stream)
}

/// Of the one stream that was read; nothing at all if nothing came in time.
fn entries_of(reply: Reply) -> Option<Vec<(EntryId, Fields)>> {
    let entries = match reply {
        Reply::Null => return Some(Vec::new()),
        Reply::Map(mut streams) => streams.pop()?.1,
        Reply::List(mut streams) => streams.pop()?.into_list()?.pop()?,
        _ => return None,
    };
    let entry = |entry: Reply| {
        let [id, fields] = <[Reply; 2]>::try_from(entry.into_list()?).ok()?;
        let fields = fields.into_pairs()?.into_iter();
        let fields = fields.map(|(name, value)| Some((owned(&name)?, owned(&value)?)));
        Some((
            EntryId::parse(id.text()?)?,
            fields.collect::<Option<Fields>>()?,
        ))
    };
    entries.into_list()?.into_iter().map(entry).collect()
}

fn page_of(page: Reply) -> Option<Heard> {
    let [cursor, found] = <[Reply; 2]>::try_from(page.into_list()?).ok()?;
    let cursor = std::str::from_utf8(cursor.text()?).ok()?.parse().ok()?;
    let found = found.into_pairs()?.into_iter();
    let found = found.map(|(uri, value)| Some((owned(&uri)?, owned(&value)?)));
    Some(Heard::Scanned(cursor, found.collect::<Option<Fields>>()?))
}

fn optional_text(reply: Reply) -> Option<Option<Vec<u8>>> {
    match reply {
        Reply::Null => Some(None),
        reply => owned(&reply).map(Some),
    }
}

fn owned(reply: &Reply) -> Option<Vec<u8>> {
    reply.text().map(<[u8]>::to_vec)
}
