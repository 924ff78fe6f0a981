//! What a query took, told by its operators once it has run.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use flow::wire::Effort;

/// The most operators of one query that are told of one by one.
const STAGES_MAX: u64 = 200;

/// Adds up what a plan took that has run, and tells of each of its operators as an event with the target `stage`.
pub(crate) fn tell(plan: &dyn ExecutionPlan) -> Effort {
    let (mut effort, mut told) = (Effort::default(), 0);
    visit(plan, None, &mut told, &mut effort);
    effort
}

fn visit(plan: &dyn ExecutionPlan, under: Option<u64>, told: &mut u64, effort: &mut Effort) {
    let metrics = plan.metrics().unwrap_or_default();
    let spilled = metrics.spilled_bytes().unwrap_or_default() as u64;
    effort.spilled_bytes += spilled;
    let children = plan.children();
    if children.is_empty() {
        effort.rows_read += metrics.output_rows().unwrap_or_default() as u64;
        effort.bytes_read += metrics.sum_by_name("bytes_scanned").map_or(0, |bytes| bytes.as_usize() as u64);
    }
    // What has no times did nothing by itself, and what it holds is told in its place.
    let under = match times(&metrics).filter(|_| *told < STAGES_MAX) {
        Some((began, ended)) => {
            *told += 1;
            let (stage, operator, rows) = (*told, plan.name(), metrics.output_rows().unwrap_or_default() as u64);
            tracing::info!(target: "stage", stage, under, operator, began, ended, rows, spilled_bytes = spilled);
            Some(stage)
        }
        None => under,
    };
    for child in children {
        visit(child.as_ref(), under, told, effort);
    }
}

/// When an operator began and ended, in nanoseconds since the epoch.
fn times(metrics: &MetricsSet) -> Option<(i64, i64)> {
    let (mut began, mut ended) = (None, None);
    for metric in metrics.iter() {
        match metric.value() {
            MetricValue::StartTimestamp(at) => began = began.into_iter().chain(at.value()).min(),
            MetricValue::EndTimestamp(at) => ended = ended.into_iter().chain(at.value()).max(),
            _ => {}
        }
    }
    Some((began?.timestamp_nanos_opt()?, ended?.timestamp_nanos_opt()?))
}
