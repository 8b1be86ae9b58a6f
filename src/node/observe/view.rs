//! Sessions: each core is asked, a portion at a time, and what they answer is put together. A list holds no more than a page and
//! a portion of each core, however many sessions there are: each core learns what is farther back than anybody wants.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use monoio::time::timeout;

use super::NodeBackend;
use crate::admin::{NotViewed, SessionsPage, SessionsQuestion};
use crate::limits::ENDED_KEPT;
use crate::principal::PrincipalId;
use crate::shard::view::{
    EndedRow, MissingRow, RowPosition, RowsPortion, RowsQuestion, SessionDetail, SessionRow,
    ViewAnswer, ViewPlace, ViewQuestion,
};
use crate::wire::operator_name::OperatorName;

/// For a core to answer a portion: it takes a millisecond, unless the core hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How often a session may turn out to be on yet another core before nobody looks for it any longer.
const CORES_ASKED_MAX: usize = 4;

/// The rows of all cores, of which as many are kept as a page has, and one more that says whether there is another page.
struct PageRows {
    kept_max: usize,
    rows: BTreeMap<RowPosition, SessionRow>,
    total: usize,
}

impl PageRows {
    fn new(limit: usize) -> Self {
        PageRows {
            kept_max: limit + 1,
            rows: BTreeMap::new(),
            total: 0,
        }
    }

    fn add(&mut self, portion: RowsPortion) -> Option<ViewPlace> {
        self.total += portion.matching;
        for (position, row) in portion.rows {
            self.rows.insert(position, row);
            if self.rows.len() > self.kept_max {
                self.rows.pop_last();
            }
        }
        portion.next
    }

    /// What no row behind it is wanted of.
    fn before(&self) -> Option<RowPosition> {
        let last = self.rows.last_key_value().map(|(position, _)| *position);
        last.filter(|_| self.rows.len() >= self.kept_max)
    }

    fn page(mut self) -> SessionsPage {
        let is_more = self.rows.len() >= self.kept_max;
        if is_more {
            self.rows.pop_last();
        }
        let last = self.rows.last_key_value().map(|(position, _)| *position);
        SessionsPage {
            next: last.filter(|_| is_more),
            rows: self.rows.into_iter().collect(),
            total: self.total,
        }
    }
}

impl NodeBackend {
    pub(super) async fn list_sessions(
        &self,
        asked: SessionsQuestion,
    ) -> Result<SessionsPage, NotViewed> {
        let rows = RefCell::new(PageRows::new(asked.limit));
        let cores = self
            .cores()
            .filter(|core| asked.core.is_none_or(|it| it == *core));
        try_join_all(cores.map(|core| self.list_core(core, &asked, &rows))).await?;
        Ok(rows.into_inner().page())
    }

    async fn list_core(
        &self,
        core: u16,
        asked: &SessionsQuestion,
        rows: &RefCell<PageRows>,
    ) -> Result<(), NotViewed> {
        let mut next = Some(ViewPlace::default());
        while let Some(from) = next {
            let question = ViewQuestion::Rows(RowsQuestion {
                from,
                filter: asked.filter.clone(),
                order: asked.order,
                after: asked.after,
                before: rows.borrow().before(),
            });
            next = match self.ask_core(core, question).await? {
                ViewAnswer::Rows(portion) => rows.borrow_mut().add(portion),
                _ => None,
            };
        }
        Ok(())
    }

    pub(super) async fn show_session(
        &self,
        name: OperatorName,
    ) -> Result<Box<SessionDetail>, NotViewed> {
        match self.ask_for(name, ViewQuestion::Detail).await? {
            ViewAnswer::Detail(detail) => Ok(detail),
            _ => Err(NotViewed::Missing(None)),
        }
    }

    pub(super) async fn end_session_named(&self, name: OperatorName) -> Result<(), NotViewed> {
        self.ask_for(name, ViewQuestion::End).await.map(drop)
    }

    pub(super) async fn drain_session_named(&self, name: OperatorName) -> Result<(), NotViewed> {
        self.ask_for(name, ViewQuestion::Drain).await.map(drop)
    }

    pub(super) async fn end_all_of(&self, principal: PrincipalId) -> Result<usize, NotViewed> {
        let ended = self.cores().map(async |core| {
            let (mut total, mut next) = (0, Some(ViewPlace::default()));
            while let Some(from) = next {
                let question = ViewQuestion::EndAllOf { principal, from };
                next = match self.ask_core(core, question).await? {
                    ViewAnswer::Ended { count, next } => {
                        total += count;
                        next
                    }
                    _ => None,
                };
            }
            Ok(total)
        });
        Ok(try_join_all(ended).await?.into_iter().sum())
    }

    pub(super) async fn last_ended(&self, limit: usize) -> Result<Vec<EndedRow>, NotViewed> {
        let cores = self.cores();
        let answers = cores.map(|core| self.ask_core(core, ViewQuestion::Ended));
        let mut all: Vec<EndedRow> = Vec::new();
        for answer in try_join_all(answers).await? {
            if let ViewAnswer::LastEnded(rows) = answer {
                // Of what ended in one millisecond the last is the newest, too.
                all.extend(rows.into_iter().rev());
            }
        }
        all.sort_by_key(|it| Reverse(it.ended_at));
        all.truncate(limit.min(ENDED_KEPT));
        Ok(all)
    }

    /// Asks the core where the session of this name is, which need not be the one that its name says: one that was taken over is
    /// on any of them.
    async fn ask_for(
        &self,
        name: OperatorName,
        question: impl Fn(OperatorName) -> ViewQuestion,
    ) -> Result<ViewAnswer, NotViewed> {
        let missing = match self.ask_by_name(name, &question).await {
            Err(NotViewed::Missing(None)) if !name.is_stream => NotViewed::Missing(None),
            answered => return answered,
        };
        for core in self.cores() {
            match self.ask_core(core, question(name)).await? {
                ViewAnswer::Missing(MissingRow::Ended(row)) => {
                    return Err(NotViewed::Missing(Some(row)));
                }
                ViewAnswer::Missing(_) => {}
                answer => return Ok(answer),
            }
        }
        Err(missing)
    }

    async fn ask_by_name(
        &self,
        name: OperatorName,
        question: &impl Fn(OperatorName) -> ViewQuestion,
    ) -> Result<ViewAnswer, NotViewed> {
        let mut core = name.place.core;
        for _ in 0..CORES_ASKED_MAX {
            if !self.cores().contains(&core) {
                break;
            }
            match self.ask_core(core, question(name)).await? {
                ViewAnswer::Missing(MissingRow::OnCore(other)) => core = other,
                ViewAnswer::Missing(MissingRow::Ended(row)) => {
                    return Err(NotViewed::Missing(Some(row)));
                }
                ViewAnswer::Missing(MissingRow::Unknown) => break,
                answer => return Ok(answer),
            }
        }
        Err(NotViewed::Missing(None))
    }

    pub(super) async fn ask_core(
        &self,
        core: u16,
        question: ViewQuestion,
    ) -> Result<ViewAnswer, NotViewed> {
        let answer = self.publisher.view(core, question);
        let answer = timeout(ANSWER_WITHIN, answer.ok_or(NotViewed::Busy)?).await;
        answer.ok().and_then(Result::ok).ok_or(NotViewed::Busy)
    }

    pub(super) fn cores(&self) -> std::ops::Range<u16> {
        0..self.node.cores() as u16
    }
}
