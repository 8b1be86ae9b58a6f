//! Whose tokens were taken back, as all nodes know it: a Redis Stream of its own, `{prefix}revoked`, that each node adds to and reads.
//!
//! [`RevocationLog`] is a plain value: what was taken back here and what Redis answers goes in, commands come out. It is read on
//! from where it was each second, and from its beginning whenever the connection is new and every 15 seconds besides. So a node that
//! starts, or was cut off, knows all of it; and what is not there although this node knows it, since Redis was emptied or was away,
//! is put there again. Nodes of the version before do not read it, and nothing else is in it.
//!
//! What is older than [`REVOCATIONS_KEPT_S`] is no longer there: it was of tokens that are over by themselves.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use monoio::time::sleep;

use super::shared::ClusterContext;
use crate::credentials::CredentialStore;
use crate::limits::{REVOCATIONS_KEPT_S, REVOCATIONS_MAX};
use crate::mailbox::Mailbox;
use crate::principal::{PrincipalId, UnixSeconds};
use crate::redis::{Command, RedisError, Reply};
use crate::runtime::unix_ms;

/// How long what other nodes took back may go unheard of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often all of it is read: nearly always it is nothing, or a dozen. Of ten thousand it is 60 KB a second.
const READ_ALL_EVERY: Duration = Duration::from_secs(15);
/// Entries of one answer: 100 KB.
const PAGE: usize = 1000;
/// Entries that are added in one round trip.
const ADD_AT_ONCE: usize = 256;
/// As many may wait for the connection.
const POSTED_MAX: usize = 4096;

const BEGINNING: &str = "0-0";

/// What a node knows of them, and where it posts those of its own.
pub(crate) struct Revocations {
    store: Arc<CredentialStore>,
    mailbox: Arc<Mailbox<Posted>>,
}

impl Revocations {
    /// From now on what is taken back here waits for Redis.
    pub(crate) fn of(store: Arc<CredentialStore>) -> Revocations {
        let mailbox = Arc::new(Mailbox::new(POSTED_MAX));
        let posts = mailbox.clone();
        store.tell_others_by(Box::new(move |principal, until| {
            let (ticket, receipt) = oneshot::channel();
            // What finds no room is known to the store, and put there with the rest of it.
            posts.post([Posted {
                principal,
                until,
                ticket,
            }]);
            receipt
        }));
        Revocations { store, mailbox }
    }
}

struct Posted {
    principal: PrincipalId,
    until: UnixSeconds,
    /// Answered when Redis has it.
    ticket: oneshot::Sender<()>,
}

pub(super) struct RevocationLog {
    key: String,
    /// The last entry that was read.
    position: String,
    /// What is found while all of it is read.
    found: Option<BTreeMap<PrincipalId, UnixSeconds>>,
    unsent: BTreeMap<PrincipalId, UnixSeconds>,
    /// Of the commands under way, how many add, and what.
    adding: Vec<(PrincipalId, UnixSeconds)>,
    /// The last answer was a whole page.
    has_more: bool,
}

impl RevocationLog {
    pub(super) fn new(prefix: &str) -> RevocationLog {
        RevocationLog {
            key: format!("{prefix}revoked"),
            position: BEGINNING.to_owned(),
            found: Some(BTreeMap::new()),
            unsent: BTreeMap::new(),
            adding: Vec::new(),
            has_more: false,
        }
    }

    /// All of it is read, from its beginning.
    pub(super) fn read_all(&mut self) {
        self.position = BEGINNING.to_owned();
        self.found = Some(BTreeMap::new());
    }

    /// Taken back on this node.
    pub(super) fn post(&mut self, principal: PrincipalId, until: UnixSeconds) {
        let latest = self.unsent.entry(principal).or_insert(until);
        *latest = until.max(*latest);
        if self.unsent.len() > REVOCATIONS_MAX {
            self.unsent.pop_first();
        }
    }

    /// There is more to be done at once.
    pub(super) fn is_busy(&self) -> bool {
        self.has_more || !self.unsent.is_empty()
    }

    /// What Redis is asked next; its answers go to [`handle_replies`](RevocationLog::handle_replies), all of them.
    pub(super) fn poll(&mut self, now_s: UnixSeconds) -> Vec<Command> {
        let unsent = self.unsent.iter().take(ADD_AT_ONCE);
        self.adding = unsent
            .map(|(principal, until)| (*principal, *until))
            .collect();
        let adds = self.adding.iter().map(|(principal, until)| {
            let add = Command::new("XADD").arg(&self.key);
            let add = add.arg("MAXLEN").arg("~").number(REVOCATIONS_MAX as u64);
            let add = add.arg("*").arg("principal").arg(principal.to_string());
            add.arg("until").number(*until)
        });
        let mut commands: Vec<Command> = adds.collect();
        if self.found.is_some() && self.position == BEGINNING {
            let oldest_ms = now_s.saturating_sub(REVOCATIONS_KEPT_S) * 1000;
            let trim = Command::new("XTRIM").arg(&self.key);
            commands.push(trim.arg("MINID").arg("~").number(oldest_ms));
        }
        let read = Command::new("XREAD").arg("COUNT").number(PAGE as u64);
        commands.push(read.arg("STREAMS").arg(&self.key).arg(&self.position));
        commands
    }

    /// What others took back, or this node long ago; and what Redis refuses, and will be asked again: one that takes nothing
    /// in may still be read.
    pub(super) fn handle_replies(
        &mut self,
        mut replies: Vec<Reply>,
    ) -> (Vec<(PrincipalId, UnixSeconds)>, Result<(), RedisError>) {
        self.has_more = false;
        let page = replies.pop().map(Reply::checked);
        let written = self.handle_written(replies);
        match page {
            Some(Ok(page)) => (self.handle_page(page), written),
            Some(Err(error)) => (Vec::new(), Err(error)),
            None => (Vec::new(), written),
        }
    }

    fn handle_written(&mut self, replies: Vec<Reply>) -> Result<(), RedisError> {
        let mut replies = replies.into_iter();
        let adding = std::mem::take(&mut self.adding);
        for ((principal, until), reply) in adding.into_iter().zip(replies.by_ref()) {
            reply.checked()?;
            // A later moment may have come meanwhile.
            if self.unsent.get(&principal) == Some(&until) {
                self.unsent.remove(&principal);
            }
        }
        replies.try_for_each(|reply| reply.checked().map(drop))
    }

    fn handle_page(&mut self, page: Reply) -> Vec<(PrincipalId, UnixSeconds)> {
        let page = entries_of(page).unwrap_or_default();
        self.has_more = page.len() >= PAGE;
        if let Some((last, _)) = page.last() {
            self.position.clone_from(last);
        }
        let read: Vec<(PrincipalId, UnixSeconds)> =
            page.into_iter().filter_map(|(_, entry)| entry).collect();
        if let Some(found) = &mut self.found {
            for &(principal, until) in &read {
                let latest = found.entry(principal).or_insert(until);
                *latest = until.max(*latest);
            }
        }
        read
    }

    /// All of it was read: what this node knows, and Redis does not, is put there again.
    pub(super) fn put_back(
        &mut self,
        now_s: UnixSeconds,
        known: impl Iterator<Item = (PrincipalId, UnixSeconds)>,
    ) {
        let Some(found) = self.found.take_if(|_| !self.has_more) else {
            return;
        };
        let oldest = now_s.saturating_sub(REVOCATIONS_KEPT_S);
        for (principal, until) in known {
            if until > oldest && found.get(&principal) < Some(&until) {
                self.post(principal, until);
            }
        }
    }
}

/// Each with its id; nothing in place of one that nobody understands.
type RevokedEntries = Vec<(String, Option<(PrincipalId, UnixSeconds)>)>;

/// Of the one stream that was read.
fn entries_of(reply: Reply) -> Option<RevokedEntries> {
    let entries = match reply {
        Reply::Map(streams) => streams.into_iter().next()?.1,
        // Nothing new is no list at all.
        streams => streams
            .into_list()?
            .into_iter()
            .next()?
            .into_list()?
            .pop()?,
    };
    let entry = |entry: Reply| {
        let [id, fields] = <[Reply; 2]>::try_from(entry.into_list()?).ok()?;
        let id = std::str::from_utf8(id.text()?).ok()?.to_owned();
        let revocation = fields
            .into_pairs()
            .and_then(|fields| revocation_of(&fields));
        Some((id, revocation))
    };
    entries.into_list()?.into_iter().map(entry).collect()
}

fn revocation_of(fields: &[(Reply, Reply)]) -> Option<(PrincipalId, UnixSeconds)> {
    let field = |wanted: &str| {
        let named = |it: &&(Reply, Reply)| it.0.text() == Some(wanted.as_bytes());
        let (_, value) = fields.iter().find(named)?;
        std::str::from_utf8(value.text()?).ok()
    };
    Some((
        field("principal")?.parse().ok()?,
        field("until")?.parse().ok()?,
    ))
}

/// Runs for as long as the node does.
pub(super) async fn run(shared: Rc<ClusterContext>, prefix: String, revocations: Revocations) {
    let Revocations { store, mailbox } = revocations;
    let mut log = RevocationLog::new(&prefix);
    let mut waiting: Vec<Posted> = Vec::new();
    let (mut connection, mut read_at) = (0, Instant::now());
    loop {
        let number = shared.link.came_up(0).await;
        shared.gates.work.pass().await;
        if number != connection || read_at.elapsed() > READ_ALL_EVERY {
            (connection, read_at) = (number, Instant::now());
            log.read_all();
        }
        let talked = talk(&shared, &mut log, &store).await;
        let (still, done): (Vec<Posted>, Vec<Posted>) = std::mem::take(&mut waiting)
            .into_iter()
            // Those who posted and gave up wait for nothing.
            .filter(|it| !it.ticket.is_canceled())
            .partition(|it| log.unsent.contains_key(&it.principal));
        waiting = still;
        for posted in done {
            // Whoever posted it may have given up.
            let _ = posted.ticket.send(());
        }
        if talked && log.is_busy() {
            continue;
        }
        let pause = pin!(sleep(LOOK_EVERY));
        let collect = pin!(mailbox.collect());
        if let Either::Right((collected, _)) = select(pause, collect).await {
            for posted in collected.messages {
                log.post(posted.principal, posted.until);
                waiting.push(posted);
            }
        }
    }
}

/// One round trip. False: nothing came of it.
async fn talk(shared: &ClusterContext, log: &mut RevocationLog, store: &CredentialStore) -> bool {
    let now_s = unix_ms() / 1000;
    let commands = log.poll(now_s);
    let Ok(replies) = shared.send("revocations", &commands).await else {
        return false;
    };
    shared.gates.answers.pass().await;
    let (read, taken) = log.handle_replies(replies);
    store.revoke_all(&read);
    match taken {
        Ok(()) => {
            log.put_back(now_s, store.rules().revocations());
            true
        }
        Err(error) => {
            if let Some(unlogged) = shared.may_log("revocations") {
                tracing::warn!(%error, unlogged, "Redis refuses what nodes tell each other of tokens that were taken back: \
                    those that were on this node count on the others, and the other way round: {}", error.advice());
            }
            false
        }
    }
}

#[cfg(test)]
mod tests;
