//! What came of asking, for people.

use super::results::{Failed, Ratios, Results, Role, SATURATED_SHARE, Summaries};
use crate::Outcome;
use crate::bars;
use crate::scenarios::peers::notes;
use crate::stats::Summary;
use crate::table::{Table, thousands};

impl Results {
    pub(super) fn tables(&self) -> Outcome<String> {
        let mut text = format!(
            "\nRequests on {} keep-alive connections, one under way on each; medians of the repetitions in which all answers \
             were right\n\n{}\n{}",
            self.connections,
            self.requests_table(),
            self.wrks_limit()
        );
        let bars = bars::requests(&serde_json::to_value(self)?);
        text.push_str(&format!(
            "\n{}\n{}\n",
            bars::table(&bars),
            bars::REQUESTS_RULE
        ));
        text.push_str(&notes(&self.versions, &self.missing));
        for Failed { server, reason, .. } in &self.failed {
            text.push_str(&format!(
                "\nFailed while it was measured: {server}: {reason}\n"
            ));
        }
        for result in &self.requests {
            if let Some(fault) = result.fault() {
                text.push_str(&format!("\n{fault}\n"));
            }
        }
        Ok(text)
    }

    fn requests_table(&self) -> String {
        let mut table = Table::new(&[
            "request",
            "server",
            "requests/s",
            "× axum",
            "× rmcp",
            "CPU µs each",
            "axum's by it",
            "rmcp's by it",
            "p50 µs",
            "p99 µs",
            "its CPU used",
            "limit",
            "wrong",
        ]);
        for result in &self.requests {
            let mut row = vec![result.script.text().to_owned(), result.server.to_owned()];
            row.extend(match &result.summary {
                Some(summary) => figures(summary),
                None => Default::default(),
            });
            row.push((result.wrong + result.broken + result.timeouts).to_string());
            table.row(row);
        }
        table.text()
    }

    /// How much wrk can ask, as the fixed answer shows it.
    fn wrks_limit(&self) -> String {
        let floors = self.requests.iter().filter(|it| it.role == Role::Floor);
        let sentences = floors.filter_map(|it| {
            let summary = it.summary.as_ref()?;
            let share = summary.server_cpu_share.median;
            let meaning = match share < SATURATED_SHARE {
                true => "so that is what wrk can ask here, and rates near it are wrk's",
                false => "so wrk can ask more than that",
            };
            Some(format!(
                "A fixed answer gives {} requests/s with {:.0} % of its CPU, {meaning}. A server with less than {:.0} % \
                 of its CPU in use waited for wrk (\"limit\"); compare those by CPU.\n",
                thousands(summary.requests_per_second.median),
                100.0 * share,
                100.0 * SATURATED_SHARE,
            ))
        });
        sentences.collect()
    }
}

fn figures(summary: &Summaries) -> [String; 10] {
    let ratio = |ratios: Option<Ratios>, of: fn(&Ratios) -> Summary| {
        ratios.map_or(String::new(), |it| format!("{:.2}", of(&it).median))
    };
    [
        thousands(summary.requests_per_second.median),
        ratio(summary.to_axum, |it| it.rate),
        ratio(summary.to_rmcp, |it| it.rate),
        format!("{:.2}", summary.cpu_us_per_request.median),
        ratio(summary.to_axum, |it| it.cpu),
        ratio(summary.to_rmcp, |it| it.cpu),
        thousands(summary.p50_us.median),
        thousands(summary.p99_us.median),
        format!("{:.0} %", 100.0 * summary.server_cpu_share.median),
        match summary.saturated {
            Some(true) => "server",
            Some(false) => "wrk",
            None => "shared CPUs",
        }
        .to_owned(),
    ]
}
