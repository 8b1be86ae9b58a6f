//! What an idle client costs the server: the slope of its memory between few of them and many, and the CPU that it
//! takes to keep them.

use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;

use crate::Outcome;
use crate::loader::Loader;
use crate::loader::protocol::Protocol;
use crate::machine;
use crate::server::{Program, Server};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) few: usize,
    pub(crate) many: usize,
    /// How long the many are left alone; not at all, if there is nothing to see.
    pub(crate) idle: Duration,
}

/// One repetition, in a fresh process. Bytes of the process itself, unless they say otherwise.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) anonymous_per_client: f64,
    pub(crate) private_dirty_per_client: f64,
    pub(crate) resident_per_client: f64,
    /// The kernel's, for both ends of the connection.
    pub(crate) kernel_per_client: f64,
    /// The whole process with `few` and with `many` clients.
    pub(crate) anonymous_few: u64,
    pub(crate) anonymous_many: u64,
    pub(crate) opened_per_second: f64,
    pub(crate) idle: Option<Idle>,
}

/// A while in which nothing was asked or published.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) seconds: f64,
    /// Reads that brought a client something.
    pub(crate) keep_alives: u64,
    /// Of one CPU.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_ns_per_keep_alive: f64,
}

/// Until what opening needed is freed and the kernel's accounts are up to date.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn measure(program: &Program, protocol: Protocol, span: Span) -> Outcome<Sample> {
    let server = Server::start(program)?;
    let loader = server.loader(protocol, 1)?;
    measure_of(&server, loader, span)
}

/// The same, of a server and clients that are not as usual.
pub(crate) fn measure_of(server: &Server, mut loader: Loader, span: Span) -> Outcome<Sample> {
    loader.open_to(span.few)?;
    sleep(SETTLE);
    let (few, kernel_few) = (server.memory()?, machine::kernel_objects_bytes()?);
    let opening = loader.open_to(span.many);
    let opening = opening.map_err(|fault| server.explain(fault))?;
    sleep(SETTLE);
    let (many, kernel_many) = (server.memory()?, machine::kernel_objects_bytes()?);
    let clients = (span.many - span.few) as f64;
    let slope = |few: u64, many: u64| (many as f64 - few as f64) / clients;
    Ok(Sample {
        anonymous_per_client: slope(few.anonymous, many.anonymous),
        private_dirty_per_client: slope(few.private_dirty, many.private_dirty),
        resident_per_client: slope(few.resident, many.resident),
        kernel_per_client: slope(kernel_few, kernel_many),
        anonymous_few: few.anonymous,
        anonymous_many: many.anonymous,
        opened_per_second: clients / opening.as_secs_f64(),
        idle: match span.idle {
            Duration::ZERO => None,
            time => Some(idle(server, &mut loader, time)?),
        },
    })
}

fn idle(server: &Server, loader: &mut Loader, time: Duration) -> Outcome<Idle> {
    let before = server.cpu_time()?;
    let keep_alives = loader.rest(time)?;
    let cpu_ns = (server.cpu_time()?.all_ns - before.all_ns) as f64;
    Ok(Idle {
        seconds: time.as_secs_f64(),
        keep_alives,
        cpu_share: cpu_ns / time.as_nanos() as f64,
        cpu_ns_per_keep_alive: cpu_ns / keep_alives.max(1) as f64,
    })
}
