//! Who has a session: a lease for each process that others may take over from, and claims by those who do.
//!
//! A process has its sessions for as long as its lease counts ([`super::lease`]), which each heartbeat renews. Whoever finds a
//! session's record, and no lease of the process that it names, may claim it: one script looks at both and writes the record with
//! the next fence, so that of two that claim one gets it. What was claimed is listed for the process that had it, which reads the
//! list before its lease counts again: `docs/decisions/0017-takeover-by-claim.md`.

use std::time::Duration;

use super::record::{Keys, field_of};
use super::session_record::{FoundSession, UNOWNED_LIFE};
use crate::redis::{Command, Reply};
use crate::wire::session_id::{Process, SessionId};

/// Claims in a page of [`Keys::scan_claimed`].
const CLAIMED_PAGE: u64 = 512;

/// Writes a record unless another process has the session by a fence that is not lower. What is there and is no record is
/// written over.
const WRITE: &str = "\
local there = redis.call('GET', KEYS[1])
if there then
  local fence, node, boot = string.match(there, '^{\"fence\":(%d+),\"node\":\"([^\"]+)\",\"boot\":(%d+)')
  if not fence then
    fence = 0
    node, boot = string.match(there, '^{\"node\":\"([^\"]+)\",\"boot\":(%d+)')
  end
  local is_own = node == ARGV[2] and boot == ARGV[3]
  if node and not is_own and tonumber(fence) >= tonumber(ARGV[4]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[5])
return 1";

pub(super) const CLAIMED: i64 = 1;
pub(super) const OWNED: i64 = 0;
pub(super) const CHANGED: i64 = -1;

/// One look and one write: nobody else claims in between, and the owner does not come back.
const CLAIM: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
if not redis.call('GET', KEYS[3]) then return -2 end
if ARGV[4] ~= '1' then
  if redis.call('GET', KEYS[2]) then return 0 end
  redis.call('HSET', KEYS[4], ARGV[5], ARGV[6])
  redis.call('EXPIRE', KEYS[4], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1";

impl Keys {
    /// Answered by 0 if somebody else has it by now, and nothing is written.
    pub(super) fn set_unless_claimed(
        &self,
        session: &SessionId,
        (node, incarnation): Process,
        fence: u64,
        value: &str,
        life: Duration,
    ) -> Command {
        Command::new("EVAL")
            .arg(WRITE)
            .number(1)
            .arg(self.session(session))
            .arg(value)
            .arg(node.as_str())
            .number(incarnation)
            .number(fence)
            .number(life.as_secs())
    }

    /// `by` takes over a session that was found so: with this record, of this fence. Answered by [`CLAIMED`], by [`OWNED`] while the
    /// process that has it may live, by [`CHANGED`] if its record is another one by now, and by -2 if `by` has no lease itself.
    pub(super) fn claim_session(
        &self,
        session: &SessionId,
        found: &FoundSession,
        by: Process,
        (record, fence): (&str, u64),
    ) -> Command {
        Command::new("EVAL")
            .arg(CLAIM)
            .number(4)
            .arg(self.session(session))
            .arg(self.lease(found.owner))
            .arg(self.lease(by))
            .arg(self.claimed(found.owner))
            .arg(&*found.text)
            .arg(record)
            .number(UNOWNED_LIFE.as_secs())
            .arg(if found.is_free() { "1" } else { "0" })
            .arg(session.text())
            .number(fence)
    }

    /// Nobody claims this process's sessions for so long.
    pub(super) fn write_lease(&self, process: Process, life: Duration) -> Command {
        Command::new("SET")
            .arg(self.lease(process))
            .arg("1")
            .arg("PX")
            .number(life.as_millis() as u64)
    }

    pub(super) fn remove_lease(&self, process: Process) -> Command {
        Command::new("DEL").arg(self.lease(process))
    }

    /// How many of this process's sessions others have claimed.
    pub(super) fn count_claimed(&self, process: Process) -> Command {
        Command::new("HLEN").arg(self.claimed(process))
    }

    /// Which, and by which fence.
    pub(super) fn scan_claimed(&self, process: Process, cursor: &[u8]) -> Command {
        Command::new("HSCAN")
            .arg(self.claimed(process))
            .arg(cursor)
            .arg("COUNT")
            .number(CLAIMED_PAGE)
    }

    /// This process has let go of a session that others claimed.
    pub(super) fn forget_claimed(&self, process: Process, session: &SessionId) -> Command {
        Command::new("HDEL")
            .arg(self.claimed(process))
            .arg(session.text())
    }

    fn lease(&self, process: Process) -> String {
        format!("{}lease:{}", self.prefix, field_of(process))
    }

    fn claimed(&self, process: Process) -> String {
        format!("{}claimed:{}", self.prefix, field_of(process))
    }
}

/// A claim as the old owner reads it. None: it is not ours.
pub(super) fn claimed(id: &Reply, fence: &Reply) -> Option<(SessionId, u64)> {
    let text = |it: &Reply| Some(std::str::from_utf8(it.text()?).ok()?.to_owned());
    Some((SessionId::parse(&text(id)?)?, text(fence)?.parse().ok()?))
}
