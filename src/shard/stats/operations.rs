//! Requests by method, tool, outcome and revision, with how long they took.
//!
//! A series is there once something was counted in it. Its key is four small numbers, found by a hash with a place in a table,
//! so that to count costs some twenty instructions and no memory. There are no more series than [`SERIES_MAX`], whatever
//! clients and applications do: beyond that all is counted in one for each revision.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::wheel::Millis;
use super::histogram::Histogram;
use super::tools::{NO_TOOL, OTHER_TOOL, ToolNames};
use crate::app::call::Outcome;
use crate::mcp::{ProtocolVersion, RpcMethod};

/// Series of one core: 64 tools, 4 revisions and a few outcomes of each.
pub(super) const SERIES_MAX: usize = 512;
/// Error codes that have a label: the specification has a dozen.
const CODES_MAX: usize = 32;
/// Places for series, so many that most are found at the first look.
const SLOTS: usize = 4 * SERIES_MAX;

/// What stands for all that has no label of its own, as OpenTelemetry has it.
const OTHER: &str = "_OTHER";
const OTHER_METHOD: u8 = u8::MAX;
const FINE: u8 = 0;
const TOOL_FAILED: u8 = 1;
const CANCELLED: u8 = 2;
const OTHER_CODE: u8 = 3;
/// The codes that were seen come after those.
const FIRST_CODE: u8 = 4;

const _: () = assert!(RpcMethod::ALL.len() < OTHER_METHOD as usize);
const _: () = assert!(SERIES_MAX < u16::MAX as usize);

/// A request that is worked on, as its call keeps it.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Operation {
    /// Milliseconds of the shard's clock: of a call that takes longer than seven weeks the duration is wrong.
    started: u32,
    method: u8,
    tool: u8,
}

impl Operation {
    /// By its name, if MCP names it.
    pub(in crate::shard) fn method(self) -> Option<&'static str> {
        let method = RpcMethod::ALL.get(usize::from(self.method));
        method.map(|it| it.name())
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationEnd {
    Fine,
    /// A result that says `isError`.
    ToolFailed,
    /// Nobody waits for its answer any more.
    Cancelled,
    /// The code of a JSON-RPC error.
    Error(i32),
}

/// How the result of a tool ends that failed: the member is the last of all, and no text in it ends so.
const FAILED_RESULT: &str = r#""isError":true}"#;

impl OperationEnd {
    /// Of a call that was not cancelled.
    #[must_use]
    pub fn of(outcome: &Outcome) -> OperationEnd {
        match outcome {
            Outcome::Error(error) => OperationEnd::Error(error.code),
            Outcome::Result { json, .. } if json.ends_with(FAILED_RESULT) => {
                OperationEnd::ToolFailed
            }
            _ => OperationEnd::Fine,
        }
    }
}

#[derive(Default)]
pub(in crate::shard) struct Operations {
    counts: OperationCounts,
    tools: ToolNames,
    slots: Slots,
}

/// Where a series is, plus one: by the hash of its key, or the next free place after it.
struct Slots(Box<[u16; SLOTS]>);

impl Default for Slots {
    fn default() -> Self {
        Slots(Box::new([0; SLOTS]))
    }
}

/// What was counted, for whoever reads it.
#[derive(Clone, Debug, Default)]
pub struct OperationCounts {
    /// Of all series.
    pub requests: u64,
    /// Of those that did not end well.
    pub errors: u64,
    series: Vec<OperationSeries>,
    tools: Vec<Arc<str>>,
    codes: Vec<i32>,
}

#[derive(Clone, Copy, Debug)]
struct OperationSeries {
    key: SeriesKey,
    durations: Histogram,
}

/// Which method, tool, end and revision, each as a number.
type SeriesKey = [u8; 4];

/// What a series is of; empty where it is of none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationLabels<'a> {
    pub method: &'static str,
    pub tool: &'a str,
    pub error: Cow<'static, str>,
    pub version: &'static str,
}

impl Operations {
    /// A request for the application begins. `name` says which tool it calls, of `tools/call`.
    pub(in crate::shard) fn begin(
        &mut self,
        now: Millis,
        method: Option<RpcMethod>,
        name: Option<&str>,
    ) -> Operation {
        Operation {
            started: now as u32,
            method: number_of(method),
            tool: match method {
                Some(RpcMethod::ToolsCall) => self.tools.begin(name),
                _ => NO_TOOL,
            },
        }
    }

    /// It is over.
    pub(in crate::shard) fn end(
        &mut self,
        now: Millis,
        operation: Operation,
        version: ProtocolVersion,
        end: OperationEnd,
    ) {
        let exists = matches!(end, OperationEnd::Fine | OperationEnd::ToolFailed);
        let tool = self.tools.end(operation.tool, exists);
        if self.tools.known().len() != self.counts.tools.len() {
            self.counts.tools = self.tools.known().to_vec();
        }
        let took = (now as u32).wrapping_sub(operation.started);
        let key = [operation.method, tool, self.end_number(end), version as u8];
        self.observe(key, took.into());
    }

    /// A request was answered as soon as it was there.
    pub(in crate::shard) fn count(
        &mut self,
        method: Option<RpcMethod>,
        version: Option<ProtocolVersion>,
        end: OperationEnd,
    ) {
        let tool = match method {
            Some(RpcMethod::ToolsCall) => OTHER_TOOL,
            _ => NO_TOOL,
        };
        let version = version.map_or(u8::MAX, |it| it as u8);
        let key = [number_of(method), tool, self.end_number(end), version];
        self.observe(key, 0);
    }

    pub(in crate::shard) fn copy_into(&self, copy: &mut OperationCounts) {
        let own = &self.counts;
        if copy.requests == own.requests {
            return;
        }
        (copy.requests, copy.errors) = (own.requests, own.errors);
        copy.series.clone_from(&own.series);
        if copy.tools.len() != own.tools.len() {
            copy.tools.clone_from(&own.tools);
        }
        copy.codes.clone_from(&own.codes);
    }

    fn observe(&mut self, key: SeriesKey, ms: Millis) {
        self.counts.requests += 1;
        self.counts.errors += u64::from(key[2] != FINE);
        let at = self.series_of(key);
        self.counts.series[at].durations.observe(ms);
    }

    fn series_of(&mut self, key: SeriesKey) -> usize {
        let slot = match self.find(key) {
            Ok(at) => return at,
            Err(slot) => slot,
        };
        let revisions = ProtocolVersion::ALL.len() + 1;
        let spare = [OTHER_METHOD, OTHER_TOOL, OTHER_CODE, key[3]];
        if self.counts.series.len() + revisions > SERIES_MAX && key != spare {
            return self.series_of(spare);
        }
        let durations = Histogram::default();
        self.counts.series.push(OperationSeries { key, durations });
        let count = self.counts.series.len();
        self.slots.0[slot] = count as u16;
        count - 1
    }

    /// The place of a series, or the slot where it would be. There is always a free one: series are fewer.
    fn find(&self, key: SeriesKey) -> Result<usize, usize> {
        let hash = u32::from_le_bytes(key).wrapping_mul(0x9e37_79b1);
        let mut slot = (hash >> 21) as usize % SLOTS;
        loop {
            match usize::from(self.slots.0[slot]) {
                0 => return Err(slot),
                at if self.counts.series[at - 1].key == key => return Ok(at - 1),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    fn end_number(&mut self, end: OperationEnd) -> u8 {
        let code = match end {
            OperationEnd::Fine => return FINE,
            OperationEnd::ToolFailed => return TOOL_FAILED,
            OperationEnd::Cancelled => return CANCELLED,
            OperationEnd::Error(code) => code,
        };
        let codes = &mut self.counts.codes;
        match codes.iter().position(|&known| known == code) {
            Some(place) => FIRST_CODE + place as u8,
            None if codes.len() == CODES_MAX => OTHER_CODE,
            None => {
                codes.push(code);
                FIRST_CODE + (codes.len() - 1) as u8
            }
        }
    }
}

fn number_of(method: Option<RpcMethod>) -> u8 {
    method.map_or(OTHER_METHOD, |it| it as u8)
}

impl OperationCounts {
    /// Each series with what it is of.
    pub fn series(&self) -> impl Iterator<Item = (OperationLabels<'_>, &Histogram)> {
        let series = self.series.iter();
        series.map(|it| (self.labels(it.key), &it.durations))
    }

    fn labels(&self, [method, tool, end, version]: SeriesKey) -> OperationLabels<'_> {
        let method = RpcMethod::ALL.get(usize::from(method));
        let code = end.checked_sub(FIRST_CODE);
        let code = code.and_then(|place| self.codes.get(usize::from(place)));
        let version = ProtocolVersion::ALL.get(usize::from(version));
        OperationLabels {
            method: method.map_or(OTHER, |it| it.name()),
            tool: match tool {
                NO_TOOL => "",
                number => self.tools.get(usize::from(number)).map_or(OTHER, |it| it),
            },
            error: match (end, code) {
                (FINE, _) => "".into(),
                (TOOL_FAILED, _) => "tool_error".into(),
                (CANCELLED, _) => "cancelled".into(),
                (_, Some(code)) => code.to_string().into(),
                (_, None) => OTHER.into(),
            },
            version: version.map_or("", |it| it.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;

    fn labels(operations: &Operations) -> Vec<[String; 4]> {
        let mut copy = OperationCounts::default();
        operations.copy_into(&mut copy);
        let series = copy.series();
        let texts = series.map(|(it, durations)| {
            assert_eq!(durations.count(), 1);
            let texts = [it.method, it.tool, &it.error, it.version];
            texts.map(str::to_owned)
        });
        texts.collect()
    }

    #[test]
    fn a_request_that_is_counted_as_another_one() {
        let mut operations = Operations::default();
        let call = operations.begin(5, Some(RpcMethod::ToolsCall), Some("hello"));
        operations.end(12, call, MODERN, OperationEnd::ToolFailed);
        operations.count(
            Some(RpcMethod::Ping),
            Some(ProtocolVersion::V2025_03_26),
            OperationEnd::Fine,
        );
        operations.count(None, None, OperationEnd::Error(-32601));
        operations.count(
            Some(RpcMethod::ToolsList),
            Some(MODERN),
            OperationEnd::Cancelled,
        );
        let right = [
            [
                RpcMethod::ToolsCall.name(),
                "hello",
                "tool_error",
                "2026-07-28",
            ],
            [RpcMethod::Ping.name(), "", "", "2025-03-26"],
            ["_OTHER", "", "-32601", ""],
            [RpcMethod::ToolsList.name(), "", "cancelled", "2026-07-28"],
        ];
        assert_eq!(labels(&operations), right);
        let counts = &operations.counts;
        assert_eq!((counts.requests, counts.errors), (4, 3));
        assert_eq!(counts.series[0].durations.sum_ms, 7);
    }

    #[test]
    fn series_that_grow_without_end() {
        let mut operations = Operations::default();
        for code in 0..10_000 {
            for &method in RpcMethod::ALL {
                operations.count(Some(method), Some(MODERN), OperationEnd::Error(code % 100));
            }
        }
        let counts = &operations.counts;
        assert!(counts.series.len() <= SERIES_MAX, "{}", counts.series.len());
        assert_eq!(counts.codes.len(), CODES_MAX);
        let all: u64 = counts.series.iter().map(|it| it.durations.count()).sum();
        assert_eq!(all, counts.requests);
        let rest = counts.series.iter().filter(|it| it.key[0] == OTHER_METHOD);
        assert_eq!(rest.count(), 1);
    }

    #[test]
    fn a_clock_that_has_counted_for_more_than_seven_weeks() {
        let mut operations = Operations::default();
        let began = u64::from(u32::MAX);
        let call = operations.begin(began, None, None);
        operations.end(began + 3, call, MODERN, OperationEnd::Fine);
        assert_eq!(operations.counts.series[0].durations.sum_ms, 3);
    }
}
