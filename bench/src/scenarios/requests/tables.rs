//! What came of asking, for people.

use super::results::{Failed, Limit, Ratios, Results, Role, Summaries};
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
            "wrk's",
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
            let meaning = match summary.limit {
                Limit::Wrk => "so that is what wrk can ask here, and rates near it are wrk's",
                _ => "so it is not known what wrk could ask",
            };
            Some(format!(
                "A fixed answer is given {} times a second, with {} of its CPU and {} of wrk's, {meaning}. Where wrk was \
                 the limit, or other programs were, only CPU can be compared.\n",
                thousands(summary.requests_per_second.median),
                percent(summary.server_cpu_share),
                percent(summary.wrk_cpu_share),
            ))
        });
        sentences.collect()
    }
}

fn percent(share: Summary) -> String {
    format!("{:.0} %", 100.0 * share.median)
}

fn figures(summary: &Summaries) -> [String; 11] {
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
        percent(summary.server_cpu_share),
        percent(summary.wrk_cpu_share),
        match summary.limit {
            Limit::Server => "server",
            Limit::Wrk => "wrk",
            Limit::Neither => "others",
            Limit::Shared => "shared CPUs",
        }
        .to_owned(),
    ]
}
