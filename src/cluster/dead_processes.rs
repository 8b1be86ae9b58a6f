//! Looks after the processes of the other nodes, and after those that died without saying so. It marks their sessions' records
//! as ended, in small steps, so that what Redis says of sessions is true. An earlier process of this node is looked after by this
//! one, and any other by the node that is first to find it dead.

use std::time::{Duration, Instant};

use futures_util::future::join;
use monoio::time::sleep;

use super::nodes::{BEAT_EVERY, NODE_LIFE};
use super::record::{FoundRecord, NodeRecord, found_node, indexed, scanned};
use super::session_record::{FoundSession, found_session};
use super::shared::ClusterContext;
use crate::redis::{RedisError, Reply};
use crate::wire::session_id::{NodeName, Process, SessionId};

/// Keys that Redis looks at in a step: some tenths of a millisecond.
const SCAN_AT_ONCE: u64 = 512;
/// With so many changes that Redis does not know yet, nobody looks for those that it forgot.
const BUSY_FROM: usize = 1024;
/// Until the next look at a node whose next heartbeat may be a little late.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Between two steps: a million keys take a minute and a half.
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Entries of the index in a page, and pages that are read: as many processes as are remembered.
const INDEX_PAGE: u64 = 64;
const INDEX_PAGES_MAX: usize = 16;
/// After that long an earlier process of this name would have been noticed if it still lived.
const EARLIER_AFTER: Duration = NODE_LIFE.saturating_mul(2);

/// Whose sessions are marked as ended.
#[derive(Clone, Copy, Debug)]
struct DeadProcess {
    node: NodeName,
    /// None: of every process but this one's own.
    incarnation: Option<u64>,
}

/// Why something is not done: Redis refuses it. None: it does not answer, or the process lives after all.
type CleanupFault = Option<RedisError>;

/// Runs for as long as the node does.
pub(super) async fn run(shared: &ClusterContext) {
    join(watch(shared), mark_dead_processes(shared)).await;
}

/// Keeps what is known of the others up to date, and has some of the own records verified.
async fn watch(shared: &ClusterContext) {
    let mut is_one_late = false;
    loop {
        shared.link.came_up(0).await;
        shared.gates.work.pass().await;
        let looked_at = look(shared).await;
        shared.gates.work.pass().await;
        show(shared);
        // Not beside the looks that one who is late asks for: so many a minute are verified.
        if !is_one_late
            && shared.pending.borrow().len() < BUSY_FROM
            && shared.link.connection().is_ok()
        {
            (shared.verify_some)();
        }
        if let Some(looked_at) = looked_at {
            is_one_late = shared.peers.borrow().may_be_late(looked_at);
        }
        sleep(if is_one_late { LOOK_AGAIN } else { BEAT_EVERY }).await;
    }
}

/// For operators.
pub(super) fn show(shared: &ClusterContext) {
    let others = shared.peers.borrow().seen(Instant::now());
    shared.membership.note_seen(|seen| seen.others = others);
}

/// When it was learned what there is. None: Redis did not answer, and nothing was.
async fn look(shared: &ClusterContext) -> Option<Instant> {
    let record = shared.record.borrow().clone();
    let mut commands = vec![shared.keys.scan_processes(b"0", INDEX_PAGE)];
    if !record.leaving {
        let own = shared
            .keys
            .index_process(shared.own_process(), &record.json());
        commands.push(own);
    }
    let replies = shared.send("index", &commands).await.ok()?;
    let lost = replies.get(1) == Some(&Reply::Integer(1));
    let found = read_index(shared, replies.into_iter().next()?).await?;
    shared.peers.borrow_mut().read_index(found, lost);
    let names: Vec<NodeName> = shared.peers.borrow().names().into_iter().collect();
    let reads: Vec<_> = names
        .iter()
        .map(|name| shared.keys.read_node(*name))
        .collect();
    if reads.is_empty() {
        return Some(Instant::now());
    }
    let replies = shared.send("index", &reads).await.ok()?;
    let now = Instant::now();
    for (name, reply) in names.into_iter().zip(&replies) {
        if reply.error().is_none() {
            let found = found_node(reply, name);
            shared.peers.borrow_mut().look(name, &found, now);
        }
    }
    Some(now)
}

/// All of it but this process itself.
async fn read_index(shared: &ClusterContext, first: Reply) -> Option<Vec<(Process, NodeRecord)>> {
    let mut found = Vec::new();
    let mut page = first;
    for _ in 0..INDEX_PAGES_MAX {
        let (cursor, entries) = scanned(page).ok()?;
        let entries = Reply::List(entries).into_pairs()?;
        let entries = entries
            .iter()
            .filter_map(|(field, value)| indexed(field, value));
        found.extend(entries.filter(|(process, _)| *process != shared.own_process()));
        if *cursor == *b"0" {
            break;
        }
        let next = [shared.keys.scan_processes(&cursor, INDEX_PAGE)];
        page = shared.send("index", &next).await.ok()?.into_iter().next()?;
    }
    Some(found)
}

async fn mark_dead_processes(shared: &ClusterContext) {
    let started = Instant::now();
    let mut earlier = true;
    loop {
        sleep(BEAT_EVERY).await;
        let now = Instant::now();
        // A Redis that forgot who lives says nothing of who is dead.
        if shared.link.connection().is_err() || !shared.heartbeat.borrow().trusts_absence(now) {
            continue;
        }
        let done = if earlier && now.saturating_duration_since(started) >= EARLIER_AFTER {
            let done = mark_earlier_processes(shared).await;
            earlier = done.is_err();
            done
        } else {
            mark_one_process(shared, now).await
        };
        if let Err(Some(error)) = done
            && let Some(unlogged) = shared.may_log("bury")
        {
            let advice = error.advice();
            tracing::warn!(%error, unlogged, "Redis does not let this node mark the sessions of dead processes as ended, and goes on \
                counting them as active: {advice}");
        }
    }
}

/// # Errors
/// It is to be tried again.
async fn mark_earlier_processes(shared: &ClusterContext) -> Result<(), CleanupFault> {
    if !shared.heartbeat.borrow().is_alone() {
        // Two nodes of one name: which of them is to be believed?
        return Err(None);
    }
    let node = shared.node;
    let processes = shared.peers.borrow().processes_of(node);
    mark_process(
        shared,
        DeadProcess {
            node,
            incarnation: None,
        },
    )
    .await?;
    for process in processes {
        drop(
            shared
                .send("bury", &[shared.keys.drop_process(process)])
                .await,
        );
    }
    Ok(())
}

async fn mark_one_process(shared: &ClusterContext, now: Instant) -> Result<(), CleanupFault> {
    let Some(process) = shared.peers.borrow_mut().take_dead(now) else {
        return Ok(());
    };
    let claim = shared.keys.claim_marking(process, shared.node);
    let claimed = shared.send("bury", &[claim]).await.map_err(|_| None)?;
    if claimed.first().is_none_or(|reply| *reply == Reply::Null) {
        return Ok(());
    }
    let (node, incarnation) = process;
    mark_process(
        shared,
        DeadProcess {
            node,
            incarnation: Some(incarnation),
        },
    )
    .await?;
    drop(
        shared
            .send("bury", &[shared.keys.drop_process(process)])
            .await,
    );
    Ok(())
}

async fn mark_process(shared: &ClusterContext, dead: DeadProcess) -> Result<(), CleanupFault> {
    let mut cursor: Box<[u8]> = (*b"0").into();
    let mut marked = 0;
    loop {
        let scan = [shared.keys.scan_sessions(dead.node, &cursor, SCAN_AT_ONCE)];
        let replies = shared.send("bury", &scan).await.map_err(|_| None)?;
        let (next, keys) = scanned(replies.into_iter().next().ok_or(None)?)?;
        let of_key = |key: &Reply| shared.keys.session_of(key.text()?);
        let sessions = keys.iter().filter_map(of_key);
        let sessions: Vec<_> = sessions.filter(|it| dead.is_of(it, shared)).collect();
        if !sessions.is_empty() {
            marked += mark_sessions(shared, dead, &sessions).await?;
        }
        if *next == *b"0" {
            break;
        }
        cursor = next;
        sleep(STEP_PAUSE).await;
    }
    if marked > 0 {
        tracing::warn!(node = %dead.node, boot = dead.incarnation, buried = marked, "a process of a node died without a word: what Redis \
            said of its sessions now says that they ended");
    }
    Ok(())
}

/// How many of them Redis took for alive.
///
/// # Errors
/// Not all of them are done.
async fn mark_sessions(
    shared: &ClusterContext,
    dead: DeadProcess,
    sessions: &[SessionId],
) -> Result<u64, CleanupFault> {
    let keys = &shared.keys;
    let mut reads = vec![keys.read_node(dead.node)];
    reads.extend(sessions.iter().map(|session| keys.read_session(session)));
    let replies = shared.send("bury", &reads).await.map_err(|_| None)?;
    let (node, records) = replies.split_first().ok_or(None)?;
    let node = found_node(node, dead.node);
    if dead.has_risen(&node, shared) {
        return Err(None);
    }
    let restarted = matches!(node, FoundRecord::Record(_));
    let alive: Vec<(&SessionId, &Reply, FoundSession)> = sessions
        .iter()
        .zip(records)
        .filter_map(|(session, record)| match found_session(record, session) {
            FoundRecord::Record(found) if found.lives() && found.owner == session.process() => {
                Some((session, record, found))
            }
            _ => None,
        })
        .collect();
    let mut writes: Vec<_> = alive
        .iter()
        .map(|(session, _, found)| match found.adoptable() {
            // It does not end with its process, but is not there for ever.
            Some(_) => keys.orphan_session(session),
            None => keys.mark_dead(found.owner, session, restarted),
        })
        .collect();
    writes.push(keys.read_node(dead.node));
    let replies = shared.send("bury", &writes).await.map_err(|_| None)?;
    if let Some(error) = replies.iter().find_map(Reply::error) {
        return Err(Some(error.clone()));
    }
    let node = replies.last().map(|reply| found_node(reply, dead.node));
    if node.is_some_and(|node| dead.has_risen(&node, shared)) {
        // It went on just now, and may have written some of these again before they were marked.
        let put_back: Vec<_> = alive
            .iter()
            .filter_map(|(session, record, _)| Some(keys.restore_session(session, record.text()?)))
            .collect();
        drop(shared.send("bury", &put_back).await);
        return Err(None);
    }
    let ended = alive
        .iter()
        .filter(|(_, _, found)| found.adoptable().is_none());
    let ended = ended.count() as u64;
    shared.metrics.records_buried.inc_by(ended);
    Ok(ended)
}

impl DeadProcess {
    fn is_of(self, session: &SessionId, shared: &ClusterContext) -> bool {
        let incarnation = session.locator.incarnation;
        session.node == self.node
            && match self.incarnation {
                Some(dead) => incarnation == dead,
                None => incarnation != shared.own_process().1,
            }
    }

    /// A process that it is for lives, by what its node's key says.
    fn has_risen(self, node: &FoundRecord<NodeRecord>, shared: &ClusterContext) -> bool {
        let FoundRecord::Record(node) = node else {
            return false;
        };
        match self.incarnation {
            Some(dead) => node.incarnation == dead,
            None => node.incarnation != shared.own_process().1,
        }
    }
}
