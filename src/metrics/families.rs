//! Numbers as Prometheus takes them from a collector.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as ProtoHistogram, LabelPair, Metric, MetricFamily,
    MetricType,
};

use crate::shard::{BOUNDS_MS, Histogram};

/// The name of a label and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// Adds up what is to be on the page.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

/// One name, with all that there is of it.
pub(super) struct Family<'f> {
    metrics: Vec<Metric>,
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    families: &'f mut Families,
}

impl Families {
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::HISTOGRAM)
    }

    pub(super) fn into_inner(self) -> Vec<MetricFamily> {
        self.0
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricType) -> Family<'_> {
        Family {
            metrics: Vec::new(),
            name,
            help,
            kind,
            families: self,
        }
    }
}

impl Family<'_> {
    /// A number, of a counter or of a gauge.
    pub(super) fn with(mut self, labels: &[Label<'_>], number: f64) -> Self {
        let mut metric = Metric::from_label(pairs(labels));
        match self.kind {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(number);
                metric.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(number);
                metric.set_gauge(gauge);
            }
        }
        self.metrics.push(metric);
        self
    }

    /// The same for each of these.
    pub(super) fn each<'a>(
        self,
        label: &str,
        numbers: impl IntoIterator<Item = (impl AsRef<str> + 'a, f64)>,
    ) -> Self {
        let numbers = numbers.into_iter();
        numbers.fold(self, |family, (value, number)| {
            family.with(&[(label, value.as_ref())], number)
        })
    }

    pub(super) fn durations(mut self, labels: &[Label<'_>], durations: &Histogram) -> Self {
        let mut below = 0;
        let buckets = BOUNDS_MS.iter().zip(durations.counts);
        let buckets = buckets.map(|(&bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(bound));
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = ProtoHistogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(durations.count());
        histogram.set_sample_sum(seconds(durations.sum_ms));
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
        self
    }

    /// It is on the page, unless there is nothing of it.
    pub(super) fn end(self) {
        if self.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.metrics);
        self.families.0.push(family);
    }
}

/// In which Prometheus has all durations.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}
