//! The spans of a node, from its cores to the thread that sends them. The feature `otlp`; without it, `unexported.rs` stands here.

use std::sync::Arc;

use super::{NodeBuilder, NodeError, Options};
use crate::otlp::{OtlpOptions, SpanExporter, SpanOrigin, SpanQueue};
use crate::runtime::SpanSetup;

/// What a builder takes for spans: the feature `otlp`.
impl NodeBuilder {
    /// Sends a span for each call of the application to an OpenTelemetry collector, from a thread of its own. Handlers find the
    /// span in their [`Context::trace_context`](crate::app::Context::trace_context).
    ///
    /// ```no_run
    /// use pinfold::app::Toolkit;
    /// use pinfold::{Node, OtlpOptions};
    ///
    /// let collector = OtlpOptions::to("http://127.0.0.1:4318").expect("a URL");
    /// Node::builder(|| Toolkit::new("notes", "1.0.0")).otlp(collector).run()?;
    /// # Ok::<(), pinfold::NodeError>(())
    /// ```
    pub fn otlp(mut self, options: OtlpOptions) -> Self {
        self.options.otlp = Some(options);
        self
    }
}

/// Where a node's spans go. None: it has none.
#[derive(Clone)]
pub(super) struct SpanExport(Option<(OtlpOptions, Arc<SpanQueue>)>);

/// The thread, if there is one.
pub(super) struct SpanThread(Option<SpanExporter>);

impl SpanExport {
    pub(super) fn of(options: &Options) -> SpanExport {
        let with_queue = |it: &OtlpOptions| (it.clone(), Arc::default());
        SpanExport(options.otlp.as_ref().map(with_queue))
    }

    pub(super) fn of_cores(&self) -> SpanSetup {
        let of_cores =
            |(options, queue): &(OtlpOptions, Arc<SpanQueue>)| (queue.clone(), options.sample());
        SpanSetup(self.0.as_ref().map(of_cores))
    }

    /// How many were sent, and how many lost, for whoever reads it.
    #[cfg(feature = "metrics")]
    pub(super) fn reader(&self) -> impl Fn() -> Option<[u64; 2]> + Send + Sync + use<> {
        let queue = self.0.as_ref().map(|(_, queue)| queue.clone());
        move || {
            let counts = queue.as_ref()?.counts();
            Some([counts.exported, counts.dropped])
        }
    }

    /// # Errors
    /// Out of threads.
    pub(super) fn start(&self, options: &Options) -> Result<SpanThread, NodeError> {
        let Some((to, queue)) = &self.0 else {
            return Ok(SpanThread(None));
        };
        let origin = SpanOrigin {
            node: options.node_name().to_string(),
            incarnation: options.incarnation,
        };
        let started = SpanExporter::start(to, &origin, queue.clone());
        let exporter = started.map_err(|fault| NodeError::system("cannot start threads", fault))?;
        Ok(SpanThread(Some(exporter)))
    }
}

impl SpanThread {
    /// No core has any more of them: what waits is sent meanwhile.
    pub(super) fn flush(&self) {
        if let Some(exporter) = &self.0 {
            exporter.flush();
        }
    }

    /// Waits for that, no longer than some seconds.
    pub(super) fn end(self) {
        drop(self.0);
    }
}
