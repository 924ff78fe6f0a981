//! Exemplars: for every bucket of a histogram the latest value in it, with the span that tells of it. The library keeps
//! none yet, so they are kept beside it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flow::Time;
use flow::trace::{SpanId, TraceId, hex};
use opentelemetry::KeyValue;

use crate::collect::sorted;
use crate::exposition::Exemplar;

/// What labels are told apart by.
pub(crate) type Labels = Vec<(String, String)>;

/// Of how many series of a metric exemplars are kept.
const SERIES_MAX: usize = 2_000;

/// Of the series of a metric, one for each bucket.
type OfSeries = HashMap<Labels, Vec<Option<Exemplar>>>;

/// By metric.
#[derive(Default)]
pub(crate) struct Exemplars(Mutex<HashMap<&'static str, OfSeries>>);

/// The span of a value, and when it was measured.
#[derive(Clone, Copy)]
pub(crate) struct Where {
    pub trace: TraceId,
    pub span: SpanId,
    pub at: Time,
}

impl Exemplars {
    pub fn keep(&self, metric: &'static str, labels: &[KeyValue], bounds: &[f64], value: f64, place: Where) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (series, labels) = (kept.entry(metric).or_default(), sorted(labels.iter()));
        if series.len() >= SERIES_MAX && !series.contains_key(&labels) {
            return;
        }
        let bucket = bounds.partition_point(|bound| *bound < value);
        let (trace_id, span_id) = (hex(&place.trace), hex(&place.span));
        let exemplar = Exemplar { trace_id, span_id, value, at: place.at as f64 / 1_000.0 };
        series.entry(labels).or_insert_with(|| vec![None; bounds.len() + 1])[bucket] = Some(exemplar);
    }

    /// Those of a series, a bucket each; none if there is none.
    pub fn of(&self, metric: &str, labels: &Labels) -> Vec<Option<Exemplar>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(metric).and_then(|series| series.get(labels)).cloned().unwrap_or_default()
    }
}
