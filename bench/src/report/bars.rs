//! Which of a record's scenarios have bars.

use crate::Outcome;
use crate::bars::{self, Bar};
use crate::reading::{Reading, items};

/// Those of the scenarios that were run.
pub(super) fn of(record: &Reading) -> Outcome<Vec<Bar>> {
    let of = |scenario: &str| record.results(scenario);
    let bars = [
        bars::fanout(&of("fanout")?),
        bars::openings(&of("peers")?),
        bars::requests(&of("requests")?),
        bars::burst(&of("burst")?),
        bars::idle(&of("idle")?),
        bars::disturbed(&of("disturbed")?),
        bars::stalled(&of("stalled")?),
        bars::observed(items(&of("observed")?)),
        bars::listed(&of("listed")?),
        bars::churn(&of("churn")?),
        bars::handover(&of("handover")?),
        bars::takeover(&of("takeover")?),
        bars::ladder(&of("ladder")?),
    ];
    Ok(bars.into_iter().flatten().collect())
}
