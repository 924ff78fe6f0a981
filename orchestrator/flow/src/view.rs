//! A run as people and programs see it: the JSON of `flowctl show`.

use serde::{Deserialize, Serialize};

use crate::run::{RunState, TaskState};
use crate::wire::CheckResult;

/// A run without its tasks: the JSON of `flowctl runs`. Times are RFC 3339 in UTC with milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Show {
    #[serde(flatten)]
    pub head: Head,
    /// In topological order.
    pub tasks: Vec<Task>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
}
