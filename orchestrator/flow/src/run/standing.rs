//! How a task stands: what follows from its own phase and from that of the run.

use super::state::{Cause, Phase, Task};
use super::{Run, RunState, TaskState};
use crate::Time;
use crate::plan::TaskId;
use crate::wire::{Failure, Outcome};

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing<'run> {
    pub state: TaskState,
    /// How often it was started, lost attempts included. 1 for a passed noop, 0 for adopted work.
    pub attempts: u32,
    /// When the first attempt started.
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    /// Why it failed, will be tried again, or was skipped.
    pub error: Option<String>,
    /// What it made, once it succeeded. `None` for one that makes nothing.
    pub outcome: Option<&'run Outcome>,
    /// How the latest attempt that did not succeed ended.
    pub failure: Option<&'run Failure>,
}

impl Run {
    /// How the task stands.
    pub fn task(&self, id: TaskId) -> Standing<'_> {
        let task = &self.tasks[id];
        let state = self.state_of(task);
        let left_over = matches!(task.phase, Phase::Pending { .. } | Phase::Running) && self.state.is_terminal();
        Standing {
            state,
            attempts: task.attempts,
            started_at: task.started_at,
            finished_at: if left_over { self.finished_at } else { task.finished_at },
            error: self.error_of(task, state),
            outcome: task.outcome.as_deref(),
            failure: task.failure.as_deref(),
        }
    }

    /// How many milliseconds the attempt took that succeeded. `None` for a task without one: adopted, cached, or a noop.
    pub fn took_ms(&self, id: TaskId) -> Option<Time> {
        let task = &self.tasks[id];
        let cached = task.outcome.as_ref().is_some_and(|outcome| outcome.cached);
        let worked = task.phase == Phase::Succeeded && !cached && !self.plan.tasks[id].is_noop();
        task.finished_at.zip(task.attempt_at).filter(|_| worked).map(|(end, start)| end.saturating_sub(start))
    }

    /// When the attempt started that is running.
    pub fn running_since(&self, id: TaskId) -> Option<Time> {
        self.tasks[id].attempt_at.filter(|_| self.running.contains(&id))
    }

    /// When the latest attempt started, and when it could have: its run had begun, what it needs had ended, and its next
    /// try was due. `None` for a task without one.
    pub fn latest_attempt(&self, id: TaskId) -> Option<(Time, Time)> {
        let task = &self.tasks[id];
        task.attempt_at.zip(task.ready_at)
    }

    /// When the task could start that is about to.
    pub(super) fn ready_at(&self, id: TaskId) -> Option<Time> {
        let due = match self.tasks[id].phase {
            Phase::Pending { due } => Some(due),
            _ => None,
        };
        let needs = self.plan.tasks[id].needs.iter().filter_map(|need| self.tasks[need.task].finished_at);
        needs.chain(self.started_at).chain(due).max()
    }

    /// How many tasks could start now, had they a worker.
    pub fn ready(&self) -> usize {
        if self.state == RunState::Running && !self.stopping() { self.ready.len() } else { 0 }
    }

    fn state_of(&self, task: &Task) -> TaskState {
        let closed = self.state.is_terminal();
        match task.phase {
            Phase::Pending { .. } | Phase::Running if closed && self.state == RunState::Cancelled => {
                TaskState::Cancelled
            }
            Phase::Pending { .. } | Phase::Running if closed && task.attempts > 0 => TaskState::Failed,
            Phase::Pending { .. } if closed => TaskState::Skipped,
            Phase::Pending { .. } if task.attempts > 0 => TaskState::Retrying,
            Phase::Pending { .. } if task.waiting > 0 || self.state == RunState::Queued => TaskState::Waiting,
            Phase::Pending { .. } => TaskState::Ready,
            Phase::Running => TaskState::Running,
            Phase::Succeeded => TaskState::Succeeded,
            Phase::Failed => TaskState::Failed,
            Phase::Skipped(_) => TaskState::Skipped,
            Phase::Cancelled => TaskState::Cancelled,
        }
    }

    fn error_of(&self, task: &Task, state: TaskState) -> Option<String> {
        let failure = || task.failure.as_ref().map(|failure| failure.message.clone());
        match (state, &task.phase) {
            (TaskState::Skipped, Phase::Skipped(cause)) => Some(self.skipped_because(cause)),
            (TaskState::Skipped, _) => Some(format!("the run ended first: {}", self.ended_because())),
            (TaskState::Failed, Phase::Running) => Some(self.ended_because().to_owned()),
            (TaskState::Failed | TaskState::Retrying, _) => failure(),
            _ => None,
        }
    }

    pub(super) fn skipped_because(&self, cause: &Cause) -> String {
        match cause {
            Cause::Said(reason) => reason.clone(),
            Cause::Unfed(need) => format!("`{}` was skipped", self.plan.tasks[*need].name),
            Cause::Failed(root) => format!("`{}` failed", self.plan.tasks[*root].name),
        }
    }

    fn ended_because(&self) -> &str {
        self.error.as_deref().unwrap_or("no reason was recorded")
    }
}
