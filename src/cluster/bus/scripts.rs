//! What Redis does for the bus in one step: scripts in Lua, each with the functions that it may call before it.

use super::outbox::PATIENCE_MS;
use crate::redis::Command;

pub(super) fn script(text: &str) -> Command {
    Command::new("EVAL").arg(format!("{LATER}{text}"))
}

/// How long Redis knows that a resource was taken away: a node that was cut off for longer may bring it back.
pub(super) const GONE_S: u64 = 24 * 3_600;

/// Which of two stamps is the later one: they are numbers below 2^53, which Lua can tell apart. And how a resource is
/// written: what is taken away is so under all names that it has, which come in place of its record, parted by spaces.
const LATER: &str = "\
local function parts(text)
  local ms, seq = string.match(text or '', '^(%d+)-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local function later(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  if not ms then return false end
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end
local function forget(board, gone, uri, stamp, names)
  local forgotten = 0
  for name in string.gmatch(names, '%S+') do
    local its_gone = string.sub(gone, 1, -#uri - 1) .. name
    if not later(redis.call('HGET', board, name), stamp) and not later(redis.call('GET', its_gone), stamp) then
      forgotten = forgotten + redis.call('HDEL', board, name)
      redis.call('SET', its_gone, stamp, 'EX', 86400)
    end
  end
  return forgotten
end
local function write(board, gone, uri, stamp, is_put, record)
  if is_put == '1' then
    redis.call('HSET', board, uri, stamp .. ' ' .. record)
  else
    redis.call('HDEL', board, uri)
    redis.call('SET', gone, stamp, 'EX', 86400)
    forget(board, gone, uri, stamp, record)
  end
end
";

/// Adds an entry and stores contents under their stamp, in one step, unless what is there is later. The stamp is the
/// entry's id if the write came without delay.
pub(super) const PUT: &str = "\
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 7))
local stamp = ARGV[4]
if parts(id) - parts(stamp) < 250 then stamp = id end
if later(ARGV[5], stamp) then stamp = ARGV[5] end
if later(redis.call('HGET', KEYS[2], ARGV[2]), stamp) or later(redis.call('GET', KEYS[3]), stamp) then
  return {id, stamp, 1}
end
write(KEYS[2], KEYS[3], ARGV[2], stamp, ARGV[3], ARGV[6])
return {id, stamp, 0}";

/// Stores the contents of another program's entry, unless what is there is as new, or Redis was emptied since: every node
/// does this for every such entry, some later than others. If the entry is not in the stream any more, other nodes may
/// have read the hash already in its place: another entry tells them.
pub(super) const KEEP: &str = "\
local function stands(value)
  return parts(value) and not later(ARGV[2], value)
end
if redis.call('GET', KEYS[3]) ~= ARGV[5] then return 0 end
if stands(redis.call('HGET', KEYS[1], ARGV[1])) or stands(redis.call('GET', KEYS[2])) then
  return 0
end
write(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not redis.call('XRANGE', KEYS[4], ARGV[2], ARGV[2])[1] then
  redis.call('XADD', KEYS[4], '*', 'uri', ARGV[1], 'stored', 'changed')
end
return 1";

/// Puts contents where there are none or older ones, takes away what was taken away, and says so in the stream if
/// anything was done.
pub(super) const REFILL: &str = "\
local marker, done = tonumber(ARGV[1]), 0
for i = 3, #KEYS do
  local at = marker + 2 + (i - 3) * 4
  local uri, stamp, is_put, record = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local value, gone = redis.call('HGET', KEYS[2], uri), redis.call('GET', KEYS[i])
  local stands = parts(value) and not later(stamp, value)
  if not stands and not (parts(gone) and not later(stamp, gone)) then
    write(KEYS[2], KEYS[i], uri, stamp, is_put, record)
    if is_put == '1' or value then done = done + 1 end
  elseif not stands and is_put ~= '1' then
    done = done + forget(KEYS[2], KEYS[i], uri, stamp, record)
  end
end
if done > 0 then
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2, marker + 1))
end
return done";

/// What XINFO STREAM says, without the two entries that it says in full: one of them may be more than anybody reads. And
/// how many resources are in the hash at that moment, where the user may ask for that.
pub(super) const LOOK: &str = "\
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return redis.error_reply(info.err .. ' (XINFO)') end
local told = {}
for i = 1, #info, 2 do
  local value = info[i + 1]
  if type(value) == 'table' then value = value[1] or false end
  told[i], told[i + 1] = info[i], value
end
local stored = redis.pcall('HLEN', KEYS[2])
if type(stored) == 'number' then
  told[#told + 1], told[#told + 2] = 'stored', stored
end
return told";

/// The id of the first entry from one on, without its fields.
pub(super) const NEXT: &str = "\
local found = redis.pcall('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)
if found.err then return redis.error_reply(found.err .. ' (XRANGE)') end
return found[1] and found[1][1]";

const _: () = assert!(GONE_S == 86_400, "as the scripts have it");
const _: () = assert!(PATIENCE_MS == 250, "as the scripts have it");
