//! The node goes on in a new process. What is told of it is written before this process ends. Before anybody asks for it,
//! `GET /node` says whether it would be tried.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::OperatorBackend;
use super::leaving::Leaving;
use super::response::AdminResponse;

/// A hand-over that came to its end.
#[derive(Debug)]
pub struct HandoverReport {
    /// Of the program that took over.
    pub version: String,
    pub pid: u32,
    pub connections: usize,
    pub sessions: usize,
    /// For so long nobody was served.
    pub pause: Duration,
    /// What it had come to by then.
    pub pause_steps: [(&'static str, Duration); 3],
    /// The new process said that it serves.
    pub serves: bool,
    /// It has ended instead, and so does this process.
    pub has_ended: bool,
    /// The process ends when this is dropped.
    pub leaving: Leaving,
}

/// Whether a hand-over would be tried now. Whether it succeeds, only trying says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverOutlook {
    /// And what is under way would be waited for for so long.
    Tried { grace: Duration },
    /// Why not.
    Refused(String),
}

impl HandoverOutlook {
    pub(super) fn json(&self) -> Value {
        match self {
            HandoverOutlook::Tried { grace } => {
                json!({ "possible": true, "graceMs": grace.as_millis() as u64 })
            }
            HandoverOutlook::Refused(why) => json!({ "possible": false, "why": why }),
        }
    }
}

pub(super) async fn hand_over(operators: &dyn OperatorBackend) -> AdminResponse {
    match operators.hand_over().await {
        Ok(report) => {
            let ms = |it: Duration| it.as_secs_f64() * 1_000.0;
            let steps = report.pause_steps.map(|(name, it)| (name, ms(it)));
            let body = json!({
                "handedOver": true,
                "version": report.version,
                "pid": report.pid,
                "connections": report.connections,
                "sessions": report.sessions,
                "pauseMs": ms(report.pause),
                "pauseSteps": BTreeMap::from(steps),
                "serves": report.serves,
                "hasEnded": report.has_ended,
            });
            AdminResponse::json(200, &body).leaving(report.leaving)
        }
        Err(sentence) => AdminResponse::error(409, sentence),
    }
}
