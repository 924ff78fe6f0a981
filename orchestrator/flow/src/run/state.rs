//! A run: what its recorded facts add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::order::Order;
use super::ready::Ready;
use super::{Record, RunState};
use crate::Time;
use crate::plan::{Input, Plan, TaskId};
use crate::wire::{Failure, Outcome};

/// The state of a run. Made by folding its journal, alone.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) plan: Arc<Plan>,
    pub(super) id: String,
    pub(super) order: Arc<Order>,
    pub(super) tasks: Vec<Task>,
    pub(super) state: RunState,
    pub(super) error: Option<String>,
    pub(super) cancelled_by: Option<String>,
    pub(super) created_at: Option<Time>,
    pub(super) started_at: Option<Time>,
    pub(super) finished_at: Option<Time>,
    /// Ranks of tasks that a worker could start now.
    pub(super) ready: Ready,
    /// Ranks of tasks that end without a worker: noops, and those whose `when` is false.
    pub(super) free: BTreeSet<usize>,
    /// Due time and rank of tasks that wait for their next try.
    pub(super) later: BTreeSet<(Time, usize)>,
    pub(super) running: BTreeSet<TaskId>,
    pub(super) failed: BTreeSet<TaskId>,
    /// How many tasks have not ended.
    pub(super) open: usize,
    #[cfg(test)]
    pub(super) bug: Option<super::sim::Bug>,
}

/// Only what cannot be derived.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub phase: Phase,
    /// How often it was started, lost attempts included.
    pub attempts: u32,
    pub losses: u32,
    /// Needs that have not ended.
    pub waiting: usize,
    /// A need along a data edge that was skipped.
    pub unfed: Option<TaskId>,
    pub started_at: Option<Time>,
    /// When the latest attempt started.
    pub attempt_at: Option<Time>,
    /// When it could have.
    pub ready_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub outcome: Option<Box<Outcome>>,
    /// How the latest attempt that did not succeed ended.
    pub failure: Option<Box<Failure>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Not before `due`.
    Pending {
        due: Time,
    },
    Running,
    Succeeded,
    Failed,
    Skipped(Cause),
    Cancelled,
}

/// Why a task is skipped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause {
    /// Its `when` is false, or its attempt said so.
    Said(String),
    /// A task whose data it reads was skipped.
    Unfed(TaskId),
    /// A task that it depends on, near or far, failed.
    Failed(TaskId),
}

impl Run {
    /// A run of which nothing has been recorded yet.
    pub fn new(plan: Arc<Plan>, run_id: impl Into<String>) -> Self {
        let order = Arc::new(Order::new(&plan, &HashMap::new()));
        Run::ordered(plan, run_id.into(), order)
    }

    /// The same run before anything was recorded.
    #[must_use]
    pub fn rewound(&self) -> Self {
        Run::ordered(self.plan.clone(), self.id.clone(), self.order.clone())
    }

    fn ordered(plan: Arc<Plan>, id: String, order: Arc<Order>) -> Self {
        let tasks = plan.tasks.iter().map(|task| Task::new(task.needs.len())).collect();
        let mut run = Run {
            id,
            order,
            tasks,
            state: RunState::Queued,
            error: None,
            cancelled_by: None,
            created_at: None,
            started_at: None,
            finished_at: None,
            ready: Ready::default(),
            free: BTreeSet::new(),
            later: BTreeSet::new(),
            running: BTreeSet::new(),
            failed: BTreeSet::new(),
            open: plan.tasks.len(),
            plan,
            #[cfg(test)]
            bug: None,
        };
        run.admit_all();
        run
    }

    /// Folds a journal. Records that do not follow from those before them change nothing.
    pub fn replay<'record>(
        plan: Arc<Plan>,
        run_id: impl Into<String>,
        journal: impl IntoIterator<Item = &'record Record>,
    ) -> Self {
        let mut run = Run::new(plan, run_id);
        run.read(journal);
        run
    }

    /// Folds further records of the journal. It may hold some that change nothing, such as a second request
    /// to cancel.
    pub fn read<'record>(&mut self, journal: impl IntoIterator<Item = &'record Record>) {
        for record in journal {
            let _stale = self.apply(record);
        }
    }

    /// Orders ready tasks of equal priority by how long the way to the end of the run takes, given how
    /// many milliseconds tasks took in earlier runs.
    #[must_use]
    pub fn with_durations(mut self, durations_ms: &HashMap<String, Time>) -> Self {
        self.order = Arc::new(Order::new(&self.plan, durations_ms));
        self.admit_all();
        self
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub fn state(&self) -> RunState {
        self.state
    }

    /// Why the run failed or was cancelled.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Who asked the run to stop.
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancelled_by.as_deref()
    }

    pub fn created_at(&self) -> Option<Time> {
        self.created_at
    }

    pub fn started_at(&self) -> Option<Time> {
        self.started_at
    }

    pub fn finished_at(&self) -> Option<Time> {
        self.finished_at
    }

    /// The running attempts, each of which holds a slot.
    pub fn running(&self) -> impl ExactSizeIterator<Item = (TaskId, u32)> + '_ {
        self.running.iter().map(|&id| (id, self.tasks[id].attempts))
    }

    /// The task's attempt that is running.
    pub fn running_attempt(&self, id: TaskId) -> Option<u32> {
        self.running.contains(&id).then(|| self.tasks[id].attempts)
    }

    /// How many tasks have not ended.
    pub fn open(&self) -> usize {
        self.open
    }

    /// What was made, by task: what a run that retries this one adopts. Noops need no adopting.
    pub fn made(&self) -> impl Iterator<Item = (&str, Outcome)> + '_ {
        let made = self.plan.tasks.iter().zip(&self.tasks);
        let made = made.filter(|(plan, task)| task.phase == Phase::Succeeded && !plan.is_noop());
        made.map(|(plan, task)| (plan.name.as_str(), task.outcome.as_deref().cloned().unwrap_or_default()))
    }

    /// The version of every dataset that this run has made and the task reads, by `flow.task`.
    /// What a view stands for counts as read.
    pub fn versions(&self, id: TaskId) -> BTreeMap<String, u64> {
        let mut versions = BTreeMap::new();
        let mut seen = BTreeSet::from([id]);
        let mut reading = vec![id];
        while let Some(reader) = reading.pop() {
            for input in self.plan.tasks[reader].inputs.values() {
                let Input::Task(made_by) = *input else { continue };
                if !seen.insert(made_by) {
                    continue;
                }
                if self.plan.tasks[made_by].output.as_ref().is_some_and(|output| output.view) {
                    reading.push(made_by);
                } else if let Some((dataset, version)) = self.version_of(made_by) {
                    versions.insert(dataset, version);
                }
            }
        }
        versions
    }

    fn version_of(&self, id: TaskId) -> Option<(String, u64)> {
        let outcome = self.tasks[id].outcome.as_ref()?;
        Some((outcome.dataset.clone()?, outcome.version?))
    }
}

impl Task {
    fn new(needs: usize) -> Self {
        Task {
            phase: Phase::Pending { due: 0 },
            attempts: 0,
            losses: 0,
            waiting: needs,
            unfed: None,
            started_at: None,
            attempt_at: None,
            ready_at: None,
            finished_at: None,
            outcome: None,
            failure: None,
        }
    }
}
