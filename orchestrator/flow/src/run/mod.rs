//! What may happen to a run, and what should happen next.
//!
//! [`Run::apply`] folds recorded facts into state, [`Run::next`] derives what should happen now, and
//! [`Run::wake`] says when to ask again although nothing happened. Ready, waiting and the skips that follow
//! from other tasks are derived, never recorded, so an old journal replays under a newer `next`.

/// Whether a bug is planted in this run. Costs nothing outside the tests of this crate: there are none.
#[cfg(test)]
macro_rules! planted {
    ($run:expr, $bug:ident) => {
        $run.bug == Some($crate::run::sim::Bug::$bug)
    };
}
#[cfg(not(test))]
macro_rules! planted {
    ($run:expr, $bug:ident) => {
        $crate::run::PLANTED
    };
}
#[cfg(not(test))]
const PLANTED: bool = false;

mod adopt;
mod apply;
mod next;
mod order;
mod outlook;
mod ready;
mod reasons;
#[cfg(test)]
mod sim;
mod standing;
mod state;

pub use adopt::adopt;
pub use outlook::{Crowd, Outlook, Took, Worker};
pub use ready::Demand;
pub use reasons::Reason;
pub use standing::Standing;
pub use state::Run;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Time;
use crate::plan::TaskId;
use crate::wire::{Failure, Outcome};

/// A fact: recorded first, applied second, never edited. In JSON the tag `event` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Fact")]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run was accepted. Always the first.
    RunCreated,
    RunStarted,
    /// Somebody asked the run to stop.
    CancelRequested {
        by: String,
    },
    /// The attempt may begin. `token` fences its publish and is issued by the store.
    TaskStarted {
        task: String,
        attempt: u32,
        worker: String,
        token: u64,
    },
    /// The task was done. Attempt 0: its work was adopted from an earlier run. A noop has no `TaskStarted`.
    TaskSucceeded {
        task: String,
        attempt: u32,
        #[serde(flatten)]
        outcome: Box<Outcome>,
    },
    TaskFailed {
        task: String,
        attempt: u32,
        #[serde(flatten)]
        failure: Box<Failure>,
    },
    /// The worker went silent. Does not spend the user's retries.
    TaskLost {
        task: String,
        attempt: u32,
        reason: String,
    },
    /// There was nothing to do. Attempt 0: its `when` is false; otherwise the attempt itself said so.
    TaskSkipped {
        task: String,
        attempt: u32,
        reason: String,
    },
    /// The attempt ended because the run was cancelled.
    TaskCancelled {
        task: String,
        attempt: u32,
    },
    /// The run is over. Always the last.
    RunClosed {
        state: RunState,
        error: Option<String>,
    },
}

impl Event {
    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunCreated => "run_created",
            Event::RunStarted => "run_started",
            Event::CancelRequested { .. } => "cancel_requested",
            Event::TaskStarted { .. } => "task_started",
            Event::TaskSucceeded { .. } => "task_succeeded",
            Event::TaskFailed { .. } => "task_failed",
            Event::TaskLost { .. } => "task_lost",
            Event::TaskSkipped { .. } => "task_skipped",
            Event::TaskCancelled { .. } => "task_cancelled",
            Event::RunClosed { .. } => "run_closed",
        }
    }

    /// The task that the event is about and the attempt it names; `None` for the run's own events.
    pub fn task(&self) -> Option<(&str, u32)> {
        match self {
            Event::TaskStarted { task, attempt, .. }
            | Event::TaskSucceeded { task, attempt, .. }
            | Event::TaskFailed { task, attempt, .. }
            | Event::TaskLost { task, attempt, .. }
            | Event::TaskSkipped { task, attempt, .. }
            | Event::TaskCancelled { task, attempt } => Some((task, *attempt)),
            Event::RunCreated | Event::RunStarted | Event::CancelRequested { .. } | Event::RunClosed { .. } => None,
        }
    }
}

/// The event does not follow from the state: a late or a repeated report. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub run_id: String,
    /// From 1, without gaps.
    pub seq: u64,
    /// Milliseconds since the epoch; RFC 3339 in JSON that people read.
    pub at: Time,
    #[serde(flatten)]
    pub event: Event,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl RunState {
    /// Whether the run is over.
    pub fn is_terminal(self) -> bool {
        matches!(self, RunState::Succeeded | RunState::Failed | RunState::Cancelled)
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    Waiting,
    Ready,
    Running,
    Retrying,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

/// What the outside should do. Derived from state whenever asked, so there is nothing to store.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Record that a task without work (a noop) is done.
    Pass { task: TaskId },
    /// Record that a task is skipped because its `when` is false.
    Skip { task: TaskId, reason: String },
    /// Record an attempt as started and hand it to a worker.
    Start { task: TaskId, attempt: u32 },
    /// Tell the worker of a running attempt to stop.
    Stop { task: TaskId, attempt: u32 },
    /// Record the end of the run.
    Close { state: RunState, error: Option<String> },
}
