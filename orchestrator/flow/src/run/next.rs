//! What should happen now.

use std::collections::BTreeSet;

use super::{Command, Event, Run, RunState};
use crate::Time;
use crate::plan::TaskId;
use crate::wire::{Ending, Outcome};

/// How many tasks without work one call proposes to end; the rest follows at the next call.
const FREE_MAX: usize = 1_000;

/// How many failed tasks the run's error names.
const NAMES_MAX: usize = 5;

impl Run {
    /// What should happen now, given how many attempts could start. Proposals follow from the state: what
    /// is not acted upon is proposed again.
    ///
    /// Ask again after applying what came of them, until there are none. [`Command::Stop`] is proposed as
    /// long as its attempt runs.
    #[must_use = "commands that nobody acts upon do not happen"]
    pub fn next(&mut self, now: Time, room: usize) -> Vec<Command> {
        let unheard = self.state == RunState::Queued && self.cancelled_by.is_none();
        if self.state.is_terminal() || unheard {
            return vec![];
        }
        let forgets = planted!(self, ClosesTooEarly) && self.ready.is_empty() && self.free.is_empty();
        if self.running.is_empty() && (self.open == 0 || self.stopping() || forgets) {
            return vec![self.close()];
        }
        let mut commands = self.stops();
        if self.stopping() {
            return commands;
        }
        self.wake_up(now);
        let free = self.free.iter().take(FREE_MAX).map(|&rank| self.without_worker(self.order.task(rank)));
        let room = room + usize::from(planted!(self, OneTooMany));
        let starts = self.ready.first(room).into_iter().map(|rank| self.start_of(self.order.task(rank)));
        commands.extend(free.chain(starts));
        commands
    }

    /// When [`Run::next`] may say more although nothing has happened.
    pub fn wake(&self, now: Time) -> Option<Time> {
        if self.state != RunState::Running || self.stopping() {
            return None;
        }
        self.later.first().map(|&(due, _)| due.max(now))
    }

    /// The fact that a worker's report amounts to.
    pub fn reported(&self, task: &str, attempt: u32, ending: Ending) -> Event {
        let task = task.to_owned();
        match ending {
            Ending::Succeeded(outcome) => Event::TaskSucceeded { task, attempt, outcome: Box::new(outcome) },
            Ending::Skipped(reason) => Event::TaskSkipped { task, attempt, reason },
            Ending::Failed(failure) => Event::TaskFailed { task, attempt, failure: Box::new(failure) },
            Ending::Cancelled if self.cancelled_by.is_some() => Event::TaskCancelled { task, attempt },
            Ending::Cancelled => Event::TaskLost { task, attempt, reason: "it gave the attempt up unasked".to_owned() },
        }
    }

    /// The fact that a command amounts to; `None` for one that only concerns the outside. The store puts
    /// the token into a `TaskStarted`.
    pub fn recorded(&self, command: &Command, worker: &str) -> Option<Event> {
        let name = |task: &TaskId| self.plan.tasks[*task].name.clone();
        Some(match command {
            Command::Pass { task } => {
                Event::TaskSucceeded { task: name(task), attempt: 1, outcome: Box::new(Outcome::default()) }
            }
            Command::Skip { task, reason } => {
                Event::TaskSkipped { task: name(task), attempt: 0, reason: reason.clone() }
            }
            Command::Start { task, attempt } => {
                Event::TaskStarted { task: name(task), attempt: *attempt, worker: worker.to_owned(), token: 0 }
            }
            Command::Stop { .. } => return None,
            Command::Close { state, error } => Event::RunClosed { state: *state, error: error.clone() },
        })
    }

    /// Moves the tasks whose next try is due among the ready ones.
    fn wake_up(&mut self, now: Time) {
        while let Some(&(due, rank)) = self.later.first() {
            if due > now && !planted!(self, RetryTooEarly) {
                return;
            }
            self.later.pop_first();
            self.ready.insert(self.order.demand(self.order.task(rank)), rank);
        }
    }

    fn stops(&self) -> Vec<Command> {
        if self.cancelled_by.is_none() || planted!(self, CancelStopsNothing) {
            return vec![];
        }
        self.running().map(|(task, attempt)| Command::Stop { task, attempt }).collect()
    }

    fn without_worker(&self, task: TaskId) -> Command {
        match &self.plan.tasks[task].skip {
            Some(reason) if !planted!(self, WhenIgnored) => Command::Skip { task, reason: reason.clone() },
            _ => Command::Pass { task },
        }
    }

    fn start_of(&self, task: TaskId) -> Command {
        Command::Start { task, attempt: self.tasks[task].attempts + 1 }
    }

    fn close(&self) -> Command {
        if let Some(by) = &self.cancelled_by
            && (self.failed.is_empty() || !planted!(self, FailureBeatsCancel))
        {
            return Command::Close { state: RunState::Cancelled, error: Some(format!("cancelled by {by}")) };
        }
        if self.failed.is_empty() {
            return Command::Close { state: RunState::Succeeded, error: None };
        }
        Command::Close { state: RunState::Failed, error: Some(self.failed_tasks()) }
    }

    /// Names what failed for good, and what would have been tried again had the run not stopped.
    fn failed_tasks(&self) -> String {
        let failed = self.failed.iter().copied();
        let given_up = self.later.iter().map(|&(_, rank)| rank).chain(self.ready.iter().copied());
        let given_up = given_up.map(|rank| self.order.task(rank)).filter(|&id| self.tasks[id].attempts > 0);
        let failed: BTreeSet<TaskId> = failed.chain(given_up).collect();
        let name = |&id: &TaskId| format!("`{}`", self.plan.tasks[id].name);
        let names: Vec<String> = failed.iter().take(NAMES_MAX).map(name).collect();
        let more = match failed.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more} failed", names.join(", "))
    }
}
