//! From OpenTelemetry's data to what is written for Prometheus.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, HistogramDataPoint, Metric, MetricData, ResourceMetrics, SumDataPoint,
};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};

use crate::exemplars::{Exemplars, Labels};
use crate::exposition::{Bucket, Family, Kind, Series, Value};

/// Reads when it is asked, from a provider that holds it as well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

impl Reader {
    /// All that was counted so far.
    pub fn collect(&self, exemplars: &Exemplars) -> Vec<Family> {
        let mut all = ResourceMetrics::default();
        if let Err(error) = self.0.collect(&mut all) {
            tracing::warn!("failed to collect metrics: {error}");
        }
        let metrics = all.scope_metrics().flat_map(|scope| scope.metrics());
        metrics.filter_map(|metric| family(metric, exemplars)).collect()
    }
}

/// `None` of a kind that we do not make.
fn family(metric: &Metric, exemplars: &Exemplars) -> Option<Family> {
    let (kind, series) = match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => (Kind::Counter, sum.data_points().map(number).collect()),
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            let series = |point| distribution(metric.name(), point, exemplars);
            (Kind::Histogram, histogram.data_points().map(series).collect())
        }
        _ => return None,
    };
    Some(Family { name: metric.name().to_owned(), help: metric.description().to_owned(), kind, series })
}

fn number(point: &SumDataPoint<u64>) -> Series {
    Series { labels: sorted(point.attributes()), value: Value::Number(point.value() as f64) }
}

fn distribution(name: &str, point: &HistogramDataPoint<f64>, exemplars: &Exemplars) -> Series {
    let labels = sorted(point.attributes());
    let mut exemplars = exemplars.of(name, &labels).into_iter();
    let bounds = point.bounds().chain([f64::INFINITY]);
    let bucket = |(bound, count): (f64, u64)| Bucket { bound, count, exemplar: exemplars.next().flatten() };
    let buckets = bounds.zip(point.bucket_counts()).map(bucket).collect();
    Series { labels, value: Value::Buckets(buckets, point.sum()) }
}

/// The labels in one order, whatever order they were given in.
pub(crate) fn sorted<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Labels {
    let mut labels: Labels =
        attributes.map(|label| (label.key.as_str().replace('.', "_"), label.value.as_str().into_owned())).collect();
    labels.sort();
    labels
}
