//! What a driver and a worker say to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pins {
    /// The files of each source, sorted by path.
    pub sources: BTreeMap<String, Vec<PinnedFile>>,
    /// The versions of datasets that other runs made, by `flow.dataset`.
    pub datasets: BTreeMap<String, u64>,
}

/// A file and its identity, which is its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// What it took. `None`: no query ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// What a reader should know, such as a `replace_where` that replaced nothing.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effort {
    /// Rows that came out of what it reads.
    pub rows_read: u64,
    /// Bytes of files that it read.
    pub bytes_read: u64,
    /// Bytes that did not fit into memory and were written to disk for a while.
    pub spilled_bytes: u64,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// A line of an attempt's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SaidLine")]
pub struct Line {
    pub run_id: String,
    pub task: String,
    pub attempt: u32,
    /// Milliseconds since the epoch.
    pub at: Time,
    pub stream: Stream,
    /// Without the end of the line.
    pub text: String,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
    /// What we say ourselves.
    Flowctl,
}

impl Stream {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Flowctl => "flowctl",
        }
    }
}

/// The version of what follows: what servers and workers on other machines say to each other, as JSON over HTTP.
pub const WIRE: u32 = 3;

/// How many runs' [`Work`] a worker keeps: those that began last.
pub const WORKS_MAX: usize = 16;

/// `POST /v1/workers`: a worker comes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Registration {
    /// See [`WIRE`].
    pub wire: u32,
    /// Unique among workers; one of the same name that was there before is given up.
    pub worker: String,
    pub slots: usize,
    pub labels: BTreeMap<String, String>,
    /// Tells the process from others that have the same name by mistake. Empty: not told.
    #[serde(default)]
    pub instance: String,
    /// Which lake it reads and writes; empty for one that no server has used yet. `None`: not told.
    #[serde(default)]
    pub lake: Option<String>,
}

/// How a worker is received.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// How long it may be silent before what it does is given to others.
    pub lease_ms: u64,
}

/// One try of one task in one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AttemptId {
    pub run_id: String,
    pub task: String,
    pub attempt: u32,
}

/// `POST /v1/workers/NAME/claim`: an [`Assignment`], of which the worker may already have what all of its run share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Handout {
    pub run_id: String,
    /// With the first attempt of a run that the worker is given. One that has it no more asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    pub task: TaskId,
    pub attempt: u32,
    pub token: u64,
    pub versions: BTreeMap<String, u64>,
    pub force: bool,
}

/// `GET /v1/runs/ID/work`: what all attempts of a run share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    pub plan: Arc<Plan>,
    pub pins: Arc<Pins>,
}

/// `POST /v1/workers/NAME/beat`: the worker lives, and does this.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Beat {
    pub attempts: Vec<AttemptId>,
    /// Those among them that it has been told to stop.
    #[serde(default)]
    pub stopping: Vec<AttemptId>,
    /// How long the answer may wait for something to stop.
    #[serde(default)]
    pub wait_ms: u64,
    /// The memory of what runs there, if the worker counts it.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// Whether it takes no more work.
    #[serde(default)]
    pub closing: bool,
}

/// The memory that queries hold, and may hold, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    pub held: u64,
    pub limit: u64,
}

impl std::ops::Add for Memory {
    type Output = Memory;

    fn add(self, other: Memory) -> Memory {
        Memory { held: self.held.saturating_add(other.held), limit: self.limit.saturating_add(other.limit) }
    }
}

/// The answer to a beat: what is to stop.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Orders {
    pub stop: Vec<AttemptId>,
}

/// `POST /v1/workers/NAME/report`: how an attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    #[serde(flatten)]
    pub id: AttemptId,
    pub ending: Ending,
}

/// `POST /v1/workers/NAME/claim`: how long the worker waits for work.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    pub wait_ms: u64,
}

/// The answer to a report: what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "receipt")]
pub enum Received {
    /// It is durable.
    Recorded,
    /// The attempt had been given up before. Nothing has changed.
    Stale,
    /// Nobody here drives the run.
    Unheard,
}
