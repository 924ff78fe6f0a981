//! What is remembered as people and programs see it: the JSON of `flowctl show` and its like.

mod data;
mod why;

pub use data::{Affected, Dataset, Edge, Impact, Lineage, Place, Ways, dataset, impact, lineage};
pub use why::{Reason, State, Why, why};

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;
use crate::plan::TaskId;
use crate::run::{self, Record, Run, RunState, Standing, TaskState};
use crate::value::Params;
use crate::wire::CheckResult;

/// A run without its tasks: the JSON of `flowctl runs`. Times are RFC 3339 in UTC with milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub run_id: String,
    pub flow: String,
    pub state: RunState,
    /// Typed JSON values by name.
    pub params: serde_json::Map<String, serde_json::Value>,
    pub logical_time: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub error: Option<String>,
    /// The run whose successes this one adopted.
    pub retry_of: Option<String>,
}

/// A run with its tasks: the JSON of `flowctl show RUN`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Show {
    #[serde(flatten)]
    pub head: Head,
    /// In topological order.
    pub tasks: Vec<Task>,
}

/// The run as `flowctl show` prints it. `retry_of` is the run whose successes it adopted.
pub fn show(run: &Run, retry_of: Option<String>) -> Show {
    let plan = run.plan();
    let head = Head {
        run_id: run.id().to_owned(),
        flow: plan.flow.clone(),
        state: run.state(),
        params: params(&plan.params),
        logical_time: plan.logical_time.map(rfc3339),
        created_at: rfc3339(run.created_at().unwrap_or_default()),
        started_at: run.started_at().map(rfc3339),
        finished_at: run.finished_at().map(rfc3339),
        error: run.error().map(str::to_owned),
        retry_of,
    };
    Show { head, tasks: (0..plan.tasks.len()).map(|id| task(run, id)).collect() }
}

/// The task as `flowctl show` prints it.
pub fn task(run: &Run, id: TaskId) -> Task {
    let plan = &run.plan().tasks[id];
    let Standing { state, attempts, started_at, finished_at, error, outcome, failure } = run.task(id);
    let failed_checks = || failure.filter(|_| state == TaskState::Failed).map(|failure| failure.checks.clone());
    Task {
        name: plan.name.clone(),
        kind: plan.kind.clone(),
        state,
        attempts,
        cached: outcome.is_some_and(|outcome| outcome.cached),
        started_at: started_at.map(rfc3339),
        finished_at: finished_at.map(rfc3339),
        rows_out: outcome.and_then(|outcome| outcome.rows_out),
        bytes_out: outcome.and_then(|outcome| outcome.bytes_out),
        error,
        checks: outcome.map(|outcome| outcome.checks.clone()).or_else(failed_checks).unwrap_or_default(),
        dataset: plan.output.as_ref().map(|output| output.dataset.clone()),
        version: outcome.and_then(|outcome| outcome.version),
        location: outcome.and_then(|outcome| outcome.location.clone()),
        artifacts: outcome.map(|outcome| outcome.artifacts.clone()).unwrap_or_default(),
        warnings: outcome.map(|outcome| outcome.warnings.clone()).unwrap_or_default(),
        expected_ms: None,
    }
}

impl Show {
    /// With how long its tasks are expected to take: milliseconds by task, from earlier attempts.
    #[must_use]
    pub fn expecting(mut self, durations_ms: &HashMap<String, Time>) -> Self {
        self.tasks.iter_mut().for_each(|task| task.expected_ms = durations_ms.get(&task.name).copied());
        self
    }
}

/// An event as `flowctl run --json` prints it: the recorded fact with its time as text.
pub fn event(record: &Record) -> Event {
    Event { run_id: record.run_id.clone(), seq: record.seq, at: rfc3339(record.at), event: record.event.clone() }
}

impl Event {
    /// The record that it shows. `None` if its time is none.
    pub fn record(self) -> Option<Record> {
        let at: jiff::Timestamp = self.at.parse().ok()?;
        let at = Time::try_from(at.as_millisecond()).ok()?;
        Some(Record { run_id: self.run_id, seq: self.seq, at, event: self.event })
    }
}

/// Parameters as typed JSON values.
pub fn params(params: &Params) -> serde_json::Map<String, serde_json::Value> {
    params.iter().map(|(name, value)| (name.clone(), value.json())).collect()
}

/// RFC 3339 in UTC with milliseconds. Times past the year 9999 stop there.
pub fn rfc3339(at: Time) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    format!("{:.3}", at.unwrap_or(jiff::Timestamp::MAX))
}

/// A fact in the journal of a run, with its time as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub run_id: String,
    /// Its place in the run's journal, from 1, without gaps.
    pub seq: u64,
    /// RFC 3339 in UTC.
    pub at: String,
    #[serde(flatten)]
    pub event: run::Event,
}

/// A line of what a task said: the JSON of `flowctl logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub run_id: String,
    /// Its place in the run's log, from 1, without gaps.
    pub number: u64,
    pub task: String,
    pub attempt: u32,
    /// RFC 3339 in UTC.
    pub at: String,
    /// `stdout`, `stderr`, or `flowctl` for what we say ourselves.
    pub stream: String,
    pub text: String,
}

/// A task of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    pub name: String,
    pub kind: String,
    pub state: TaskState,
    pub attempts: u32,
    pub cached: bool,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub rows_out: Option<u64>,
    pub bytes_out: Option<u64>,
    pub error: Option<String>,
    pub checks: Vec<CheckResult>,
    /// `flow.task`, if it makes one.
    pub dataset: Option<String>,
    pub version: Option<u64>,
    pub location: Option<String>,
    /// Files kept with the run, by name.
    #[serde(default)]
    pub artifacts: std::collections::BTreeMap<String, String>,
    /// What a reader should know though the task succeeded.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How many milliseconds it takes, by the median of its last attempts that did something; null: it is not known.
    #[serde(default)]
    pub expected_ms: Option<u64>,
}
