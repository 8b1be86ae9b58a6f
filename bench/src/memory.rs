//! What an idle client costs the server: the slope of its memory between few of them and many.

use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;

use crate::Outcome;
use crate::loader::protocol::Protocol;
use crate::server::{Program, Server};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) few: usize,
    pub(crate) many: usize,
}

/// One repetition, in a fresh process. Bytes of the process itself; the kernel's sockets come on top.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) anonymous_per_client: f64,
    pub(crate) private_dirty_per_client: f64,
    pub(crate) resident_per_client: f64,
    /// The whole process with `few` and with `many` clients.
    pub(crate) anonymous_few: u64,
    pub(crate) anonymous_many: u64,
    pub(crate) opened_per_second: f64,
}

/// Until what opening needed is freed and the kernel's accounts are up to date.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(program: &Program, protocol: Protocol, span: Span) -> Outcome<Sample> {
    let server = Server::start(program)?;
    let mut loader = server.loader(protocol, 1)?;
    loader.open_to(span.few)?;
    sleep(SETTLE);
    let few = server.memory()?;
    let opening = loader.open_to(span.many)?;
    sleep(SETTLE);
    let many = server.memory()?;
    let clients = (span.many - span.few) as f64;
    let slope = |few: u64, many: u64| (many as f64 - few as f64) / clients;
    Ok(Sample {
        anonymous_per_client: slope(few.anonymous, many.anonymous),
        private_dirty_per_client: slope(few.private_dirty, many.private_dirty),
        resident_per_client: slope(few.resident, many.resident),
        anonymous_few: few.anonymous,
        anonymous_many: many.anonymous,
        opened_per_second: clients / opening.as_secs_f64(),
    })
}
