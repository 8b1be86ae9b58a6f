//! The spans of a core: each call of the application becomes one, if its trace is recorded, and is handed over with others many
//! times a second. The feature `otlp`; without it, `no_spans.rs` stands here.
//!
//! Whether a trace is recorded says its `traceparent`; where there is none, a lot does. A handler goes on with the call's own span
//! either way ([`Link::trace_context`](crate::app::call::Link::trace_context)), so that what it asks of others is of one mind with
//! this. Nothing here waits, and nothing is there at all unless the node sends spans.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::secrets;
use crate::app::call::{Call, Outcome};
use crate::limits::SPANS_OF_CORE_MAX;
use crate::mcp::{RpcError, RpcMethod};
use crate::otlp::{SpanCall, SpanEnd, SpanQueue, SpanRecord, SpanTarget, shown};
use crate::shard::{CallKey, OperationEnd, Shard};
use crate::wire::operator_name::OperatorName;
use crate::wire::session_id::SessionId;
use crate::wire::trace_context::TraceContext;

/// So many are handed over before it is time to.
const HAND_OVER_AT: usize = 512;

/// Bits of a trace id by which its lot is drawn: those that are random by W3C Trace Context level 2.
const LOT_BITS: u32 = 56;

/// What all cores of a node have in common. None: it sends no spans.
#[derive(Clone, Default)]
pub(crate) struct SpanSetup(pub(crate) Option<(Arc<SpanQueue>, f64)>);

/// What one of them has.
#[derive(Default)]
pub(super) struct CoreSpans(Option<Box<Recording>>);

struct Recording {
    queue: Arc<SpanQueue>,
    /// A trace that begins here is recorded if its lot is below this.
    lots: u64,
    random: RefCell<Box<dyn FnMut() -> [u8; 16]>>,
    finished: RefCell<Vec<SpanRecord>>,
    /// Since they were last handed over.
    dropped: Cell<u64>,
}

/// The span of a call, while it runs.
#[derive(Default)]
pub(super) struct CallSpan(RefCell<Option<Box<OpenSpan>>>);

struct OpenSpan {
    call: SpanCall,
    started: Instant,
    started_ns: u64,
    /// What the request's header says.
    sent: Option<TraceContext>,
    /// Once somebody has asked.
    place: Option<SpanPlace>,
}

/// Where a span is in its trace.
#[derive(Clone, Copy)]
struct SpanPlace {
    own: TraceContext,
    parent_id: Option<u64>,
}

impl CoreSpans {
    pub(super) fn of(setup: SpanSetup) -> CoreSpans {
        CoreSpans(setup.0.map(|(queue, sample)| {
            Box::new(Recording {
                queue,
                lots: (sample * (1_u64 << LOT_BITS) as f64) as u64,
                random: RefCell::new(secrets::source()),
                finished: RefCell::default(),
                dropped: Cell::new(0),
            })
        }))
    }

    /// A call begins.
    pub(super) fn begin(&self, shard: &RefCell<Shard>, key: CallKey, request: &Call) -> CallSpan {
        if self.0.is_none() {
            return CallSpan::default();
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let caller = &request.caller;
        CallSpan(RefCell::new(Some(Box::new(OpenSpan {
            call: SpanCall {
                method: request.method.clone(),
                version: request.version.as_str(),
                target: target_of(request),
                request_id: shard.borrow().request_id(key).map(id_text),
                session: caller.session.as_ref().map(without_secret),
                client: caller.address,
                principal: caller.identity.as_ref().map(|it| it.id()),
            },
            started: Instant::now(),
            started_ns: since.map_or(0, |it| it.as_nanos() as u64),
            sent: caller.trace.as_deref().copied(),
            place: None,
        }))))
    }

    /// The trace that a call goes on with, given what its request says: the first who asks says that.
    pub(super) fn enter(
        &self,
        span: &CallSpan,
        sent: Option<TraceContext>,
    ) -> Option<TraceContext> {
        match (&self.0, &mut *span.0.borrow_mut()) {
            (Some(recording), Some(open)) => Some(recording.place(open, sent).own),
            _ => sent,
        }
    }

    /// It is over. None: nobody waited for it any more.
    pub(super) fn end(&self, span: &CallSpan, outcome: Option<&Outcome>) {
        let Some(recording) = &self.0 else { return };
        let Some(mut open) = span.0.take() else {
            return;
        };
        let sent = open.sent;
        let SpanPlace { own, parent_id } = recording.place(&mut open, sent);
        if own.is_sampled() {
            let took = open.started.elapsed().as_nanos() as u64;
            recording.keep(SpanRecord {
                trace_id: own.trace_id(),
                span_id: own.parent_id(),
                parent_id,
                started_ns: open.started_ns,
                ended_ns: open.started_ns + took,
                call: open.call,
                end: outcome.map_or(SpanEnd::Cancelled, end_of),
            });
        }
    }

    /// For the clock: what there is leaves, unless others are at it just now.
    pub(super) fn hand_over(&self) {
        if let Some(recording) = &self.0 {
            recording.hand_over();
        }
    }

    /// For a core that ends.
    pub(super) fn hand_over_last(&self) {
        if let Some(recording) = &self.0 {
            recording.queue.note_dropped(recording.dropped.take());
            recording.queue.put(&mut recording.finished.borrow_mut());
        }
    }
}

impl Recording {
    fn place(&self, open: &mut OpenSpan, sent: Option<TraceContext>) -> SpanPlace {
        *open.place.get_or_insert_with(|| {
            let span_id = (self.draw() as u64).max(1);
            let (trace_id, is_sampled) = match sent {
                Some(sent) => (sent.trace_id(), sent.is_sampled()),
                None => {
                    let trace_id = self.draw().max(1);
                    let lot = trace_id as u64 & ((1 << LOT_BITS) - 1);
                    (trace_id, lot < self.lots)
                }
            };
            SpanPlace {
                own: TraceContext::of(trace_id, span_id, is_sampled),
                parent_id: sent.map(|it| it.parent_id()),
            }
        })
    }

    fn draw(&self) -> u128 {
        u128::from_le_bytes((self.random.borrow_mut())())
    }

    fn keep(&self, span: SpanRecord) {
        let count = self.finished.borrow().len();
        if count >= HAND_OVER_AT {
            self.hand_over();
        }
        let mut finished = self.finished.borrow_mut();
        match finished.len() < SPANS_OF_CORE_MAX {
            true => finished.push(span),
            false => self.dropped.set(self.dropped.get() + 1),
        }
    }

    fn hand_over(&self) {
        let mut finished = self.finished.borrow_mut();
        if !finished.is_empty() && self.queue.offer(&mut finished) {
            self.queue.note_dropped(self.dropped.take());
        }
    }
}

fn target_of(request: &Call) -> Option<SpanTarget> {
    let params = request.params.as_ref()?.get();
    let text = |member| Shard::text_in(params, member);
    match RpcMethod::of(&request.method)? {
        RpcMethod::ToolsCall => text("name").map(|it| SpanTarget::Tool(shown(it))),
        RpcMethod::PromptsGet => text("name").map(|it| SpanTarget::Prompt(shown(it))),
        RpcMethod::ResourcesRead => text("uri").map(SpanTarget::resource),
        _ => None,
    }
}

/// An id as text: a string without its quotes, unless there are escapes in it.
fn id_text(id: &str) -> Box<str> {
    let inner = id.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    shown(inner.filter(|it| !it.contains('\\')).unwrap_or(id))
}

fn without_secret(id: &SessionId) -> OperatorName {
    OperatorName {
        node: id.node,
        place: id.locator,
        is_stream: false,
    }
}

fn end_of(outcome: &Outcome) -> SpanEnd {
    if let Outcome::MissingScope { scopes } = outcome {
        return SpanEnd::Error(RpcError::missing_scope(scopes).code);
    }
    match OperationEnd::of(outcome) {
        OperationEnd::Fine => SpanEnd::Fine,
        OperationEnd::ToolFailed => SpanEnd::ToolFailed,
        OperationEnd::Cancelled => SpanEnd::Cancelled,
        OperationEnd::Error(code) => SpanEnd::Error(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(sample: f64) -> (CoreSpans, Arc<SpanQueue>) {
        let queue = Arc::<SpanQueue>::default();
        let setup = SpanSetup(Some((queue.clone(), sample)));
        (CoreSpans::of(setup), queue)
    }

    fn open(sent: Option<TraceContext>) -> CallSpan {
        CallSpan(RefCell::new(Some(Box::new(OpenSpan {
            call: SpanCall {
                method: "ping".into(),
                version: "2025-11-25",
                target: None,
                request_id: None,
                session: None,
                client: None,
                principal: None,
            },
            started: Instant::now(),
            started_ns: 0,
            sent,
            place: None,
        }))))
    }

    fn finished(spans: &CoreSpans) -> Vec<SpanRecord> {
        let recording = spans.0.as_ref().expect("it records");
        recording.finished.take()
    }

    fn fine() -> Outcome {
        Outcome::Other {
            json: "{}".to_owned(),
        }
    }

    #[test]
    fn a_parent_that_is_not_asked() {
        let (spans, _) = recording(0.0);
        for is_sampled in [true, false] {
            let sent = TraceContext::of(7, 8, is_sampled);
            let span = open(None);
            let own = spans.enter(&span, Some(sent)).expect("a trace");
            assert_eq!((own.trace_id(), own.is_sampled()), (7, is_sampled));
            assert_ne!(own.parent_id(), 8);
            let again = spans.enter(&span, None);
            assert_eq!(again, Some(own), "it is the same call");
            spans.end(&span, Some(&fine()));
            let finished = finished(&spans);
            assert_eq!(finished.len(), usize::from(is_sampled));
            if let [record] = &finished[..] {
                assert_eq!((record.trace_id, record.parent_id), (7, Some(8)));
                assert_eq!(record.span_id, own.parent_id());
            }
            assert_eq!(spans.enter(&span, Some(sent)), Some(sent), "it is over");
        }
    }

    #[test]
    fn a_handler_that_never_asked_for_its_trace() {
        let (spans, _) = recording(1.0);
        spans.end(&open(Some(TraceContext::of(7, 8, true))), None);
        spans.end(&open(None), Some(&fine()));
        let finished = finished(&spans);
        assert_eq!((finished[0].trace_id, finished[0].parent_id), (7, Some(8)));
        assert_eq!(finished[0].end, SpanEnd::Cancelled);
        assert!(finished[1].trace_id != 0 && finished[1].parent_id.is_none());
    }

    #[test]
    fn a_share_of_the_traces_that_begin_here() {
        for (sample, right) in [(0.0, 0..=0), (0.25, 300..=700), (1.0, 2_000..=2_000)] {
            let (spans, _) = recording(sample);
            let sampled = |_: &u32| {
                let own = spans.enter(&open(None), None);
                own.expect("a trace").is_sampled()
            };
            let count = (0..2_000).filter(sampled).count();
            assert!(right.contains(&count), "{count} of 2,000 by {sample}");
        }
    }

    #[test]
    fn a_node_that_sends_none() {
        let spans = CoreSpans::default();
        let (span, sent) = (CallSpan::default(), TraceContext::of(7, 8, true));
        assert_eq!(spans.enter(&span, Some(sent)), Some(sent));
        assert_eq!(spans.enter(&span, None), None);
        spans.end(&span, None);
        spans.hand_over();
    }

    #[test]
    fn more_than_is_handed_over() {
        let (spans, queue) = recording(1.0);
        let all = 3 * crate::limits::SPANS_WAITING_MAX;
        for _ in 0..all {
            spans.end(&open(None), Some(&fine()));
        }
        spans.hand_over_last();
        let counts = queue.counts();
        assert_eq!(counts.exported, 0);
        assert_eq!(
            counts.dropped as usize,
            all - crate::limits::SPANS_WAITING_MAX
        );
    }

    #[test]
    fn ids_as_conventions_have_them() {
        assert_eq!(&*id_text("7"), "7");
        assert_eq!(&*id_text("\"a-7\""), "a-7");
        assert_eq!(&*id_text(r#""a\"7""#), r#""a\"7""#);
    }

    #[test]
    fn what_a_caller_may_not_do() {
        let missing = end_of(&Outcome::MissingScope {
            scopes: "notes:write".to_owned(),
        });
        assert!(matches!(missing, SpanEnd::Error(_)), "{missing:?}");
        let failed = r#"{"content":[],"isError":true}"#.to_owned();
        let failed = Outcome::Result {
            json: failed,
            caching: None,
        };
        assert_eq!(end_of(&failed), SpanEnd::ToolFailed);
    }
}
