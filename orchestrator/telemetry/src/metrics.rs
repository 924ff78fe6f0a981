//! What this process counts, in OpenTelemetry's instruments. Nothing is counted before [`start`], so that a process that
//! nobody asks pays nothing.
//!
//! Labels are bounded: flows, kinds, states, and few words besides. What still grows beyond 2,000 label sets goes, by a
//! rule of the library, into one series that says `otel_metric_overflow="true"`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flow::plan::Task;
use flow::run::{Run, RunState, TaskState};
use flow::spec::Severity;
use flow::wire::{CheckResult, Outcome};
use flow::{Time, trace};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::collect::Reader;
use crate::exemplars::{Exemplars, Where};
use crate::exposition::{Family, Series};
use crate::spans;
use crate::watch::Begun;

/// Bounds of durations of work, in seconds.
const WORK: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0];
/// Bounds of what should take no time.
const LATENCY: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Of how many datasets the rows are remembered.
const DATASETS_MAX: usize = 2_000;

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// Attempts that could start, had they a slot, of all runs that are driven here.
static READY: AtomicI64 = AtomicI64::new(0);

/// Counts from now on.
pub fn start() {
    METRICS.get_or_init(Metrics::new);
}

pub(crate) fn counted() -> Option<&'static Metrics> {
    METRICS.get()
}

/// Everything that was counted.
pub(crate) fn families() -> Vec<Family> {
    let Some(metrics) = counted() else { return vec![] };
    let mut families = metrics.reader.collect(&metrics.exemplars);
    let rows = metrics.dataset_rows.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = rows.iter().map(|(dataset, rows)| Series::new([("dataset", dataset)], *rows as f64));
    families.push(Family::gauge("flowctl_dataset_rows", "Rows of the newest version that this server saw.", rows));
    let ready = Series::new([], READY.load(Ordering::Relaxed) as f64);
    families.push(Family::gauge("flowctl_attempts_queued", "Attempts that wait for a free slot.", [ready]));
    families
}

/// The ready attempts of one run among those of all.
#[derive(Default)]
pub(crate) struct Waiting(i64);

impl Waiting {
    pub fn set(&mut self, ready: usize) {
        let ready = i64::try_from(ready).unwrap_or(i64::MAX);
        READY.fetch_add(ready - self.0, Ordering::Relaxed);
        self.0 = ready;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Who held a lease that ran out.
#[derive(Clone, Copy, Debug)]
pub enum Holder {
    Worker,
    /// Whoever drove a run.
    Run,
}

/// A lease has run out.
pub fn lease_lost(holder: Holder) {
    let holder = match holder {
        Holder::Worker => "worker",
        Holder::Run => "run",
    };
    if let Some(metrics) = counted() {
        metrics.leases_lost.add(1, &[KeyValue::new("holder", holder)]);
    }
}

/// An attempt has found its worker, that long after it was handed out.
pub fn dispatched(after: Duration) {
    if let Some(metrics) = counted() {
        metrics.dispatch.record(after.as_secs_f64(), &[]);
    }
}

/// A run was made for a time of its flow's schedule, that long after it.
pub fn scheduled(flow: &str, lag_ms: Time) {
    if let Some(metrics) = counted() {
        metrics.schedule_lag.record(seconds(lag_ms), &[KeyValue::new("flow", flow.to_owned())]);
    }
}

/// The store has done something, or failed to.
pub fn stored(operation: &'static str, took: Duration, failed: bool) {
    let Some(metrics) = counted() else { return };
    let labels = [KeyValue::new("operation", operation)];
    metrics.store_seconds.record(took.as_secs_f64(), &labels);
    if failed {
        metrics.store_errors.add(1, &labels);
    }
}

pub(crate) struct Metrics {
    reader: Reader,
    /// Holds the instruments: without it they count no more.
    _provider: SdkMeterProvider,
    exemplars: Exemplars,
    dataset_rows: Mutex<BTreeMap<String, u64>>,
    runs: Counter<u64>,
    run_seconds: Histogram<f64>,
    tasks: Counter<u64>,
    cached: Counter<u64>,
    task_seconds: Histogram<f64>,
    queue_seconds: Histogram<f64>,
    dispatch: Histogram<f64>,
    retries: Counter<u64>,
    leases_lost: Counter<u64>,
    checks: Counter<u64>,
    failed_rows: Counter<u64>,
    rows_read: Counter<u64>,
    bytes_read: Counter<u64>,
    spilled: Counter<u64>,
    rows_written: Counter<u64>,
    bytes_written: Counter<u64>,
    schedule_lag: Histogram<f64>,
    store_seconds: Histogram<f64>,
    store_errors: Counter<u64>,
}

const RUN_SECONDS: &str = "flowctl_run_duration_seconds";
const TASK_SECONDS: &str = "flowctl_task_duration_seconds";
const QUEUE_SECONDS: &str = "flowctl_task_queue_seconds";

impl Metrics {
    fn new() -> Metrics {
        let reader = Reader::default();
        let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
        let meter = provider.meter("flowctl");
        let count = |name, help| counter(&meter, name, help);
        let work = |name, help| histogram(&meter, name, help, WORK);
        let latency = |name, help| histogram(&meter, name, help, LATENCY);
        Metrics {
            reader,
            exemplars: Exemplars::default(),
            dataset_rows: Mutex::default(),
            runs: count("flowctl_runs_total", "Runs that ended."),
            run_seconds: work(RUN_SECONDS, "From the start of a run to its end."),
            tasks: count("flowctl_tasks_total", "Tasks that ended."),
            cached: count("flowctl_tasks_cached_total", "Tasks that succeeded and did not have to run."),
            task_seconds: work(TASK_SECONDS, "How long attempts took that ended."),
            queue_seconds: work(QUEUE_SECONDS, "From a task being ready to its attempt's start."),
            dispatch: latency("flowctl_dispatch_seconds", "From the start of an attempt to its worker taking it."),
            retries: count("flowctl_task_retries_total", "Attempts after a task's first."),
            leases_lost: count("flowctl_leases_lost_total", "Leases that ran out."),
            checks: count("flowctl_checks_total", "Checks that were made."),
            failed_rows: count("flowctl_check_failed_rows_total", "Rows that broke checks."),
            rows_read: count("flowctl_rows_read_total", "Rows that queries read."),
            bytes_read: count("flowctl_bytes_read_total", "Bytes of files that queries read."),
            spilled: count("flowctl_spilled_bytes_total", "Bytes that queries wrote to disk for want of memory."),
            rows_written: count("flowctl_rows_written_total", "Rows that were published."),
            bytes_written: count("flowctl_bytes_written_total", "Bytes of files that were published."),
            schedule_lag: work("flowctl_schedule_lag_seconds", "From a scheduled time to its run being made."),
            store_seconds: latency("flowctl_store_seconds", "How long operations of the store took."),
            store_errors: count("flowctl_store_errors_total", "Operations of the store that failed."),
            _provider: provider,
        }
    }

    pub fn task_began(&self, run: &Run, task: &Task, begun: &Begun, retried: Option<&'static str>) {
        let labels = of_kind(&run.plan().flow, &task.kind);
        self.queue_seconds.record(seconds(begun.at.saturating_sub(begun.ready_at)), &labels);
        if begun.attempt > 1 {
            let [flow, kind] = labels;
            self.retries.add(1, &[flow, kind, KeyValue::new("reason", retried.unwrap_or("lost"))]);
        }
    }

    pub fn attempt_ended(&self, run: &Run, task: &Task, begun: &Begun, at: Time) {
        let labels = of_kind(&run.plan().flow, &task.kind);
        let took = seconds(at.saturating_sub(begun.at));
        self.task_seconds.record(took, &labels);
        let span = trace::attempt_span(run.id(), &task.name, begun.attempt);
        self.keep_exemplar(TASK_SECONDS, &labels, took, run, at, span);
    }

    pub fn task_ended(&self, flow: &str, kind: &str, state: TaskState) {
        let state = match state {
            TaskState::Succeeded => "succeeded",
            TaskState::Skipped => "skipped",
            TaskState::Cancelled => "cancelled",
            _ => "failed",
        };
        let [flow, kind] = of_kind(flow, kind);
        self.tasks.add(1, &[flow, kind, KeyValue::new("state", state)]);
    }

    /// What a task that succeeded has made, or met.
    pub fn task_made(&self, flow: &str, task: &Task, outcome: &Outcome) {
        if let (Some(dataset), Some(rows)) = (&outcome.dataset, outcome.rows_out) {
            let mut known = self.dataset_rows.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < DATASETS_MAX || known.contains_key(dataset) {
                known.insert(dataset.clone(), rows);
            }
        }
        if outcome.cached {
            return self.cached.add(1, &of_kind(flow, &task.kind));
        }
        let labels = [KeyValue::new("flow", flow.to_owned())];
        let effort = outcome.effort.unwrap_or_default();
        self.rows_read.add(effort.rows_read, &labels);
        self.bytes_read.add(effort.bytes_read, &labels);
        self.spilled.add(effort.spilled_bytes, &labels);
        self.rows_written.add(outcome.rows_out.unwrap_or_default(), &labels);
        self.bytes_written.add(outcome.bytes_out.unwrap_or_default(), &labels);
    }

    pub fn checks(&self, flow: &str, checks: &[CheckResult]) {
        for check in checks {
            let severity = match check.severity {
                Severity::Error => "error",
                Severity::Warn => "warn",
            };
            let labels = [KeyValue::new("flow", flow.to_owned()), KeyValue::new("severity", severity)];
            self.failed_rows.add(check.failed_rows, &labels);
            let [flow, severity] = labels;
            let result = if check.passed { "passed" } else { "failed" };
            self.checks.add(1, &[flow, severity, KeyValue::new("result", result)]);
        }
    }

    pub fn run_ended(&self, run: &Run, at: Time) {
        let state = match run.state() {
            RunState::Succeeded => "succeeded",
            RunState::Cancelled => "cancelled",
            _ => "failed",
        };
        let labels = [KeyValue::new("flow", run.plan().flow.clone()), KeyValue::new("state", state)];
        let took = seconds(at.saturating_sub(run.started_at().or(run.created_at()).unwrap_or(at)));
        self.runs.add(1, &labels);
        self.run_seconds.record(took, &labels);
        self.keep_exemplar(RUN_SECONDS, &labels, took, run, at, trace::run_span(run.id()));
    }

    fn keep_exemplar(
        &self,
        metric: &'static str,
        labels: &[KeyValue],
        value: f64,
        run: &Run,
        at: Time,
        span: trace::SpanId,
    ) {
        if spans::are_wanted(run.id()) {
            let place = Where { trace: trace::trace_id(run.id()), span, at };
            self.exemplars.keep(metric, labels, WORK, value, place);
        }
    }
}

fn counter(meter: &Meter, name: &'static str, help: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(help).build()
}

fn histogram(meter: &Meter, name: &'static str, help: &'static str, bounds: &[f64]) -> Histogram<f64> {
    meter.f64_histogram(name).with_description(help).with_boundaries(bounds.to_vec()).build()
}

fn of_kind(flow: &str, kind: &str) -> [KeyValue; 2] {
    [KeyValue::new("flow", flow.to_owned()), KeyValue::new("kind", kind.to_owned())]
}

fn seconds(ms: Time) -> f64 {
    ms as f64 / 1_000.0
}
