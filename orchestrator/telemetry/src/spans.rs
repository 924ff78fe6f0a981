//! Spans of what is known to whoever drives a run: the run, its compilation, what each attempt waited for, and the attempt.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::run::{Run, RunState};
use flow::trace::{self, SpanId, TraceId};
use flow::{Time, view};
use opentelemetry::KeyValue;

use crate::otlp;
use crate::watch::{Begun, End};

/// Something that took time.
pub(crate) struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub name: String,
    pub took: (SystemTime, SystemTime),
    pub attributes: Vec<KeyValue>,
    /// Why it failed.
    pub error: Option<String>,
    /// Spans of other traces, by which this one was caused.
    pub links: Vec<trace::Place>,
}

/// Whether anybody wants to hear of this run.
pub(crate) fn are_wanted(run_id: &str) -> bool {
    otlp::outlet().is_some_and(|outlet| outlet.samples(run_id))
}

/// A run was made of a flow that took this time to compile, because of what is told elsewhere: by whoever asked for it, of
/// the run that it does again.
pub fn compiled(
    run_id: &str,
    flow: &str,
    took: (SystemTime, SystemTime),
    causes: impl IntoIterator<Item = trace::Place>,
) {
    if !are_wanted(run_id) {
        return;
    }
    let run = trace::run_span(run_id);
    export(Span {
        trace: trace::trace_id(run_id),
        id: trace::child_span(run, "compile"),
        parent: Some(run),
        name: format!("compile {flow}"),
        took,
        attributes: vec![KeyValue::new("flowctl.flow", flow.to_owned())],
        error: None,
        links: causes.into_iter().collect(),
    });
}

/// The root of the trace, once the run is over.
pub(crate) fn run(run: &Run) {
    let plan = run.plan();
    let mut attributes = vec![
        KeyValue::new("flowctl.run_id", run.id().to_owned()),
        KeyValue::new("flowctl.flow", plan.flow.clone()),
        KeyValue::new("flowctl.tasks", i64::try_from(plan.tasks.len()).unwrap_or(i64::MAX)),
        KeyValue::new("flowctl.state", format!("{:?}", run.state()).to_lowercase()),
    ];
    attributes.extend(plan.logical_time.map(|time| KeyValue::new("flowctl.logical_time", view::rfc3339(time))));
    let (created, finished) = (run.created_at().unwrap_or_default(), run.finished_at().unwrap_or_default());
    let failed = run.state() != RunState::Succeeded;
    export(Span {
        trace: trace::trace_id(run.id()),
        id: trace::run_span(run.id()),
        parent: None,
        name: format!("run {}", plan.flow),
        took: (at(created), at(finished)),
        attributes,
        error: failed.then(|| run.error().unwrap_or("it was cancelled").to_owned()),
        links: vec![],
    });
}

/// What an attempt waited for, and the attempt.
pub(crate) fn attempt(run: &Run, task: &str, begun: &Begun, ended: Time, end: &End<'_>) {
    let (trace, root) = (trace::trace_id(run.id()), trace::run_span(run.id()));
    let id = trace::attempt_span(run.id(), task, begun.attempt);
    let mut attributes = vec![
        KeyValue::new("flowctl.run_id", run.id().to_owned()),
        KeyValue::new("flowctl.task", task.to_owned()),
        KeyValue::new("flowctl.attempt", i64::from(begun.attempt)),
    ];
    export(Span {
        trace,
        id: trace::child_span(id, "queue"),
        parent: Some(root),
        name: format!("queue {task}"),
        took: (at(begun.ready_at), at(begun.at)),
        attributes: attributes.clone(),
        error: None,
        links: vec![],
    });
    let (state, error) = match end {
        End::Succeeded(outcome) => {
            attributes.push(KeyValue::new("flowctl.cached", outcome.cached));
            attributes.extend(outcome.rows_out.map(|rows| KeyValue::new("flowctl.rows", signed(rows))));
            attributes.extend(outcome.bytes_out.map(|bytes| KeyValue::new("flowctl.bytes", signed(bytes))));
            ("succeeded", None)
        }
        End::Skipped => ("skipped", None),
        End::Cancelled => ("cancelled", Some("the run was cancelled")),
        End::Failed(why) => ("failed", Some(*why)),
        End::Lost(why) => ("lost", Some(*why)),
    };
    attributes.push(KeyValue::new("flowctl.worker", begun.worker.clone()));
    attributes.push(KeyValue::new("flowctl.state", state));
    let (name, took) = (format!("attempt {task}"), (at(begun.at), at(ended)));
    let error = error.map(str::to_owned);
    export(Span { trace, id, parent: Some(root), name, took, attributes, error, links: vec![] });
}

pub(crate) fn export(span: Span) {
    if let Some(outlet) = otlp::outlet() {
        outlet.span(span);
    }
}

fn at(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(time)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
