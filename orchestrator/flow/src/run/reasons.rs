//! Why a task is where it is.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::state::{Cause, Phase};
use super::{Run, RunState, TaskState};
use crate::Time;
use crate::plan::TaskId;
use crate::view::rfc3339;

/// How many blocking tasks, or workers, a message names; `blocking` lists all tasks.
pub(super) const NAMES_MAX: usize = 5;

/// A cause, in words and for programs: the JSON of `flowctl why`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// `queued`, `waiting`, `slot`, `retry`, `stopping`, `running`, `succeeded`, `cached`, `adopted`, `failed`,
    /// `skipped` or `cancelled`; an [`super::Outlook`] says `limit` or `pool` for some of these, and `slow`.
    pub kind: &'static str,
    pub message: String,
    /// Since when it has been so.
    #[serde(serialize_with = "optional_time")]
    pub since: Option<Time>,
    /// The tasks that it waits for, or that are the cause.
    pub blocking: Vec<String>,
}

impl Run {
    /// Why the task is where it is: first what holds for itself, then, for one that waits, what holds for the
    /// task at the far end of the waiting.
    pub fn reasons(&self, id: TaskId) -> Vec<Reason> {
        let own = self.reason(id);
        if own.kind != "waiting" {
            return vec![own];
        }
        let root = self.waits_in_the_end_for(id);
        let far = self.reason(root);
        vec![own, Reason { message: format!("`{}`: {}", self.name(root), far.message), ..far }]
    }

    fn reason(&self, id: TaskId) -> Reason {
        let task = self.task(id);
        let plain = |kind, message: String, since| Reason { kind, message, since, blocking: vec![] };
        let error = || task.error.clone().unwrap_or_else(|| "no reason was recorded".to_owned());
        match task.state {
            TaskState::Waiting | TaskState::Ready | TaskState::Retrying if self.stopping() => self.held_back(),
            TaskState::Waiting if self.state == RunState::Queued => {
                plain("queued", "the run has not started".to_owned(), self.created_at)
            }
            TaskState::Waiting => self.waiting(id),
            TaskState::Ready => plain("slot", self.wants_slot(id), self.ready_since(id)),
            TaskState::Retrying => plain("retry", self.retry(id), self.tasks[id].attempt_at),
            TaskState::Running => plain("running", self.running_for(id), self.tasks[id].attempt_at),
            TaskState::Succeeded => self.succeeded(id),
            TaskState::Failed => plain("failed", format!("failed: {}", error()), task.finished_at),
            TaskState::Skipped => self.skipped(id, error()),
            TaskState::Cancelled => {
                let by = self.cancelled_by.as_deref().unwrap_or("somebody");
                plain("cancelled", format!("the run was cancelled by {by}"), task.finished_at)
            }
        }
    }

    fn wants_slot(&self, id: TaskId) -> String {
        let requires = &self.plan.tasks[id].requires;
        match requires.is_empty() {
            true => "ready; waits for a free slot".to_owned(),
            false => format!("ready; waits for a free slot of a worker with {}", labels(requires)),
        }
    }

    fn held_back(&self) -> Reason {
        let failed: Vec<String> = self.failed.iter().map(|&id| self.name(id).to_owned()).collect();
        let message = match (&self.cancelled_by, failed.first()) {
            (None, Some(first)) => format!("nothing new starts: `{first}` failed, and the run stops on failure"),
            (by, _) => format!("nothing new starts: cancelled by {}", by.as_deref().unwrap_or("somebody")),
        };
        let blocking = if self.cancelled_by.is_some() { vec![] } else { failed };
        Reason { kind: "stopping", message, since: None, blocking }
    }

    fn waiting(&self, id: TaskId) -> Reason {
        let blocking: Vec<String> = self.unfinished_needs(id).map(|need| self.name(need).to_owned()).collect();
        let named: Vec<String> = blocking.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
        let more = match blocking.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("waits for {}{more}", named.join(", "));
        Reason { kind: "waiting", message, since: self.started_at, blocking }
    }

    fn retry(&self, id: TaskId) -> String {
        let Phase::Pending { due } = self.tasks[id].phase else { return String::new() };
        let (next, of) = (self.tasks[id].attempts + 1, self.plan.tasks[id].retry.attempts_max);
        let after = self.tasks[id].failure.as_ref().map_or("", |failure| &failure.message);
        let losses = match self.tasks[id].losses {
            0 => String::new(),
            losses => format!(", {losses} lost ones not counted"),
        };
        let tries = format!("{} of {of} tries are spent{losses}", self.tasks[id].attempts - self.tasks[id].losses);
        format!("attempt {next} starts at {} after: {after} ({tries})", rfc3339(due))
    }

    fn running_for(&self, id: TaskId) -> String {
        match (self.tasks[id].attempts, &self.tasks[id].failure) {
            (attempt, Some(failure)) => format!("attempt {attempt} is running, after: {}", failure.message),
            (attempt, None) => format!("attempt {attempt} is running"),
        }
    }

    fn succeeded(&self, id: TaskId) -> Reason {
        let task = &self.tasks[id];
        let cached = task.outcome.as_ref().is_some_and(|outcome| outcome.cached);
        let (kind, message) = match task.attempts {
            0 => ("adopted", "its result was adopted from the run that this one retries".to_owned()),
            _ if cached => ("cached", "nothing that it depends on has changed; its result stands".to_owned()),
            attempts => ("succeeded", format!("attempt {attempts} succeeded")),
        };
        Reason { kind, message, since: task.finished_at, blocking: vec![] }
    }

    fn skipped(&self, id: TaskId, error: String) -> Reason {
        let (message, cause) = match &self.tasks[id].phase {
            Phase::Skipped(Cause::Failed(root)) => {
                let why = self.tasks[*root].failure.as_ref().map_or("", |failure| &failure.message);
                (format!("skipped because {error}: {why}"), Some(*root))
            }
            Phase::Skipped(Cause::Unfed(need)) => (format!("skipped because {error}"), Some(*need)),
            _ => (format!("skipped: {error}"), None),
        };
        let blocking = cause.map(|cause| self.name(cause).to_owned()).into_iter().collect();
        Reason { kind: "skipped", message, since: self.task(id).finished_at, blocking }
    }

    /// Follows the first unfinished need of each task up to one that does not wait for another.
    pub fn waits_in_the_end_for(&self, mut id: TaskId) -> TaskId {
        while let Some(need) = self.unfinished_needs(id).next() {
            id = need;
        }
        id
    }

    fn unfinished_needs(&self, id: TaskId) -> impl Iterator<Item = TaskId> + '_ {
        let needs = self.plan.tasks[id].needs.iter().map(|need| need.task);
        needs.filter(|&need| matches!(self.tasks[need].phase, Phase::Pending { .. } | Phase::Running))
    }

    fn ready_since(&self, id: TaskId) -> Option<Time> {
        let needs = self.plan.tasks[id].needs.iter().filter_map(|need| self.tasks[need.task].finished_at);
        needs.max().or(self.started_at)
    }

    fn name(&self, id: TaskId) -> &str {
        &self.plan.tasks[id].name
    }
}

/// `gpu=yes and zone=a`.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.join(" and ")
}

fn optional_time<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(serializer)
}
