//! What a driver and a worker say to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, TaskId};
use crate::spec::Severity;

/// An attempt handed to a worker. Its `Started` fact is durable.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub run_id: String,
    pub plan: Arc<Plan>,
    pub pins: Arc<Pins>,
    pub task: TaskId,
    pub attempt: u32,
    /// Fences the publish: what a later attempt of the same task of the same run published, with a higher token, stays.
    pub token: u64,
    /// The version of every dataset this run has made and the attempt may read, by `flow.task`.
    pub versions: BTreeMap<String, u64>,
    /// Whether an unchanged task runs all the same.
    pub force: bool,
}

/// What a run reads from outside, fixed when it starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pins {
    /// The files of each source, sorted by path.
    pub sources: BTreeMap<String, Vec<PinnedFile>>,
    /// The versions of datasets that other runs made, by `flow.dataset`.
    pub datasets: BTreeMap<String, u64>,
}

/// A file and its identity, which is its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedFile {
    pub path: String,
    pub bytes: u64,
    /// Device, inode and change time: while it stands still, so does the content. Empty for a file that changed
    /// just before it was read, when two contents may have one stamp.
    #[serde(default)]
    pub stamp: String,
    /// BLAKE3 of the content, or an object store's ETag. For a Delta source: its version.
    pub hash: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    Succeeded(Outcome),
    /// The task said that there is nothing to do (exit code 99).
    Skipped(String),
    Failed(Failure),
    /// It was told to stop, and did.
    Cancelled,
}

/// What a successful attempt made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the dataset already was what the attempt would have written.
    #[serde(default)]
    pub cached: bool,
    pub rows_out: Option<u64>,
    pub bytes_out: Option<u64>,
    pub dataset: Option<String>,
    /// The Delta version that holds the rows.
    pub version: Option<u64>,
    pub location: Option<String>,
    #[serde(default)]
    pub checks: Vec<CheckResult>,
    /// Files kept with the run, by name: the path of each.
    #[serde(default)]
    pub artifacts: BTreeMap<String, String>,
    /// What a reader should know, such as a `replace_where` that replaced nothing.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The flow's: its SQL, its command, its data.
    User,
    /// The world's: a file that changed, a full disk, a server that does not answer.
    External,
    /// Ours.
    Internal,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub whose: Whose,
    /// Whether another attempt can help.
    pub retry: bool,
    pub message: String,
    /// The checks that were made, the failed ones among them.
    #[serde(default)]
    pub checks: Vec<CheckResult>,
}

impl Failure {
    pub fn user(message: impl Into<String>) -> Self {
        Failure { whose: Whose::User, retry: false, message: message.into(), checks: vec![] }
    }

    pub fn external(message: impl Into<String>) -> Self {
        Failure { whose: Whose::External, retry: true, message: message.into(), checks: vec![] }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Failure { whose: Whose::Internal, retry: false, message: message.into(), checks: vec![] }
    }

    /// Another attempt can help.
    #[must_use]
    pub fn retryable(self) -> Self {
        Failure { retry: true, ..self }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    pub name: String,
    /// The TOML key: `not_null`, `unique`, …
    pub kind: String,
    pub columns: Vec<String>,
    pub severity: Severity,
    pub passed: bool,
    /// Rows that break the assertion.
    pub failed_rows: u64,
    /// The measured number, or null.
    pub observed: Option<f64>,
    /// Up to three rows that break the assertion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<serde_json::Map<String, serde_json::Value>>,
}
