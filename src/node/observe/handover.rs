//! A hand-over that an operator asks for: a thread of its own blocks for it, and ends the process when it was told of.

use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{LocalBoxFuture, ready};

use crate::admin::{HandoverOutlook, HandoverReport, Leaving};
use crate::node::Node;

/// For the last answer to be written.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn outlook(node: &Node) -> HandoverOutlook {
    match node.handover_grace() {
        Ok(grace) => HandoverOutlook::Tried { grace },
        Err(refused) => HandoverOutlook::Refused(refused.to_string()),
    }
}

pub(super) fn hand_over(node: Node) -> LocalBoxFuture<'static, Result<HandoverReport, String>> {
    let (report, reported) = oneshot::channel();
    let (leaving, left) = Leaving::new();
    let work = move || {
        let handed_over = match node.hand_over() {
            Ok(handed_over) => handed_over,
            Err(refused) => {
                tracing::warn!(%refused, "not handed over: this process goes on");
                // Whoever asked may be gone.
                let _ = report.send(Err(refused.to_string()));
                return;
            }
        };
        let _ = report.send(Ok(HandoverReport {
            version: handed_over.version.clone(),
            pid: handed_over.pid,
            connections: handed_over.connections,
            sessions: handed_over.sessions,
            pause: handed_over.pause,
            pause_steps: [
                ("stoodStillMs", handed_over.times.stands),
                ("sentMs", handed_over.times.sent),
                ("understoodMs", handed_over.times.understood),
            ],
            serves: handed_over.serves,
            has_ended: handed_over.has_ended,
            leaving,
        }));
        // Closed when the answer was written, or nobody is there to read it.
        let _ = left.recv_timeout(LEAVES_WITHIN);
        node.end_process(&handed_over);
    };
    let thread = std::thread::Builder::new()
        .name("handover".into())
        .spawn(work);
    match thread {
        Ok(_) => Box::pin(async {
            let gone = |_| Err("the thread of the hand-over is gone".to_owned());
            reported.await.unwrap_or_else(gone)
        }),
        Err(fault) => Box::pin(ready(Err(format!("out of threads: {fault}")))),
    }
}
