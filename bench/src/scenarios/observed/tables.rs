//! The figures for people.

use super::Looker;
use super::results::{Cost, Ratios};
use crate::table::{Table, thousands};

pub(super) fn of(costs: &[Cost], reached: &str) -> String {
    let mut alone = Table::new(&["nobody looks", "each second", "CPU µs each", "p99 µs"]);
    let mut looked = Table::new(&[
        "what is asked or told",
        "who looks",
        "CPU ×",
        "its core's ×",
        "rate ×",
        "p99 ×",
        "seen",
    ]);
    for cost in costs {
        alone.row([
            cost.what.clone(),
            thousands(cost.per_second.median),
            format!("{:.2}", cost.cpu_us.median),
            thousands(cost.p99_us.median),
        ]);
        looked.row(row(
            &cost.what,
            "nobody, to nobody (noise)",
            &cost.noise,
            String::new(),
        ));
        for it in &cost.lookers {
            let seen = match it.looker {
                Looker::Scraper => format!("{} pages", it.seen.scrapes),
                _ => format!(
                    "{} events, {} missed",
                    thousands(it.seen.events as f64),
                    thousands(it.seen.missed as f64)
                ),
            };
            looked.row(row(&cost.what, it.looker.text(), &it.ratios, seen));
        }
    }
    format!(
        "\nWhile nobody looks, medians\n\n{}\nWhile somebody looks: to the mean of the turns before and after in which nobody does, medians \
         of the rounds (least to most). Noise is the larger by the smaller of these two turns.\n\n{}\n{reached}",
        alone.text(),
        looked.text()
    )
}

fn row(what: &str, who: &str, ratios: &Ratios, seen: String) -> [String; 7] {
    let ratio =
        |it: crate::stats::Summary| format!("{:.3} ({:.3} to {:.3})", it.median, it.least, it.most);
    [
        what.to_owned(),
        who.to_owned(),
        ratio(ratios.cpu),
        ratio(ratios.cores_cpu),
        ratio(ratios.rate),
        ratio(ratios.p99),
        seen,
    ]
}

impl Looker {
    fn text(self) -> &'static str {
        match self {
            Looker::Nobody => "nobody",
            Looker::Scraper => "Prometheus, each second",
            Looker::OfOneSession => "a trace of one session",
            Looker::OfEverything => "a trace of all, by their principal",
        }
    }
}
