//! Folding facts into state.

use super::state::{Cause, Phase};
use super::{Event, Record, Run, RunState, Stale};
use crate::plan::TaskId;
use crate::wire::{Failure, Outcome};
use crate::{Time, retry};

/// How often a task may lose its worker before it is held to be the cause.
pub const LOSSES_MAX: u32 = 5;

impl Run {
    /// Folds one recorded fact into the state.
    ///
    /// # Errors
    ///
    /// [`Stale`] when it does not follow from the state, as a late or a repeated report does not. Nothing
    /// has changed then.
    pub fn apply(&mut self, record: &Record) -> Result<(), Stale> {
        let at = record.at;
        match (self.state, &record.event) {
            (RunState::Queued, Event::RunCreated) if self.created_at.is_none() => self.created_at = Some(at),
            (RunState::Queued, Event::RunStarted) => {
                self.state = RunState::Running;
                self.started_at = Some(at);
            }
            (RunState::Queued | RunState::Running, Event::CancelRequested { by }) if self.cancelled_by.is_none() => {
                self.cancelled_by = Some(by.clone());
            }
            (RunState::Queued | RunState::Running, Event::RunClosed { state, error }) if state.is_terminal() => {
                self.state = *state;
                self.error.clone_from(error);
                self.finished_at = Some(at);
            }
            (RunState::Running, event) => return self.apply_to_task(event, at),
            _ => return Err(Stale),
        }
        Ok(())
    }

    fn apply_to_task(&mut self, event: &Event, at: Time) -> Result<(), Stale> {
        let (name, attempt) = event.task().ok_or(Stale)?;
        let id = self.plan.task_id(name).ok_or(Stale)?;
        let current = attempt == self.tasks[id].attempts || planted!(self, DroppedFence);
        match (&self.tasks[id].phase, event) {
            (Phase::Pending { .. }, Event::TaskStarted { .. }) if self.may_start(id, attempt) => self.start(id, at),
            (Phase::Pending { .. }, Event::TaskSucceeded { outcome, .. }) if attempt == 0 && current => {
                self.succeed(id, outcome, at);
            }
            (Phase::Pending { .. }, Event::TaskSucceeded { outcome, .. }) if self.may_pass(id, attempt) => {
                self.start(id, at);
                self.succeed(id, outcome, at);
            }
            (Phase::Pending { .. }, Event::TaskSkipped { reason, .. }) if attempt == 0 && self.may_start(id, 1) => {
                self.end(id, Phase::Skipped(Cause::Said(reason.clone())), at);
            }
            (Phase::Running, Event::TaskSucceeded { outcome, .. }) if current => self.succeed(id, outcome, at),
            (Phase::Running, Event::TaskFailed { failure, .. }) if current => self.fail(id, failure, at),
            (Phase::Running, Event::TaskLost { reason, .. }) if current => self.lose(id, reason, at),
            (Phase::Running, Event::TaskSkipped { reason, .. }) if current => {
                self.end(id, Phase::Skipped(Cause::Said(reason.clone())), at);
            }
            (Phase::Running, Event::TaskCancelled { .. }) if current && self.cancelled_by.is_some() => {
                self.end(id, Phase::Cancelled, at);
            }
            _ => return Err(self.stale(id, event)),
        }
        Ok(())
    }

    fn stale(&mut self, id: TaskId, event: &Event) -> Stale {
        if let Event::TaskFailed { failure, .. } = event
            && planted!(self, StaleLeavesTrace)
        {
            self.tasks[id].failure = Some(failure.clone());
        }
        Stale
    }

    /// Whether nothing new may start, because of a cancel or of a failure in a run that stops on failure.
    pub(super) fn stopping(&self) -> bool {
        let stop = self.plan.stop_on_failure && !planted!(self, StopIgnored);
        let cancel = self.cancelled_by.is_some() && !planted!(self, CancelStarts);
        cancel || stop && !self.failed.is_empty()
    }

    fn may_start(&self, id: TaskId, attempt: u32) -> bool {
        let task = &self.tasks[id];
        !self.stopping() && task.waiting == 0 && attempt == task.attempts + 1
    }

    fn may_pass(&self, id: TaskId, attempt: u32) -> bool {
        self.plan.tasks[id].is_noop() && self.may_start(id, attempt)
    }

    fn start(&mut self, id: TaskId, at: Time) {
        self.withdraw(id);
        self.tasks[id].ready_at = self.ready_at(id);
        self.running.insert(id);
        let task = &mut self.tasks[id];
        task.phase = Phase::Running;
        task.attempts += 1;
        task.attempt_at = Some(at);
        task.started_at.get_or_insert(at);
    }

    fn succeed(&mut self, id: TaskId, outcome: &Outcome, at: Time) {
        // Most tasks of a huge run are noops: nothing is remembered of nothing.
        self.tasks[id].outcome = (*outcome != Outcome::default()).then(|| Box::new(outcome.clone()));
        self.end(id, Phase::Succeeded, at);
    }

    fn fail(&mut self, id: TaskId, failure: &Failure, at: Time) {
        let retry = &self.plan.tasks[id].retry;
        let losses = if planted!(self, LossSpendsTry) { 0 } else { self.tasks[id].losses };
        let failures = self.tasks[id].attempts - losses;
        let attempts_max = retry.attempts_max + u32::from(planted!(self, OneTryMore));
        let again = (failure.retry || planted!(self, HopelessRetry)) && failures < attempts_max;
        self.tasks[id].failure = Some(Box::new(failure.clone()));
        if again {
            let seed = retry::seed(&self.id, &self.plan.tasks[id].name, self.tasks[id].attempts);
            let seed = if planted!(self, ReplayDiffers) { self.later.len() as u64 } else { seed };
            let due = at.saturating_add(retry::delay_ms(retry, failures, seed));
            self.try_again(id, due);
        } else {
            self.end(id, Phase::Failed, at);
        }
    }

    fn lose(&mut self, id: TaskId, reason: &str, at: Time) {
        self.tasks[id].losses += 1;
        let losses = self.tasks[id].losses;
        let message = match losses {
            LOSSES_MAX.. => format!("its worker was lost {losses} times, the last time because {reason}"),
            _ => format!("its worker was lost: {reason}"),
        };
        self.tasks[id].failure = Some(Box::new(Failure::external(message)));
        if losses < LOSSES_MAX || planted!(self, EndlessLosses) {
            self.try_again(id, at);
            if planted!(self, LeakedSlot) {
                self.running.insert(id);
            }
            if planted!(self, LostForever) {
                self.later.clear();
            }
        } else {
            self.end(id, Phase::Failed, at);
        }
    }

    fn try_again(&mut self, id: TaskId, due: Time) {
        self.running.remove(&id);
        self.tasks[id].phase = Phase::Pending { due };
        self.later.insert((due, self.order.rank(id)));
    }

    fn end(&mut self, id: TaskId, phase: Phase, at: Time) {
        self.withdraw(id);
        self.running.remove(&id);
        if phase == Phase::Failed {
            self.failed.insert(id);
        }
        self.settle(id, phase, at);
        self.pass_on(id, at);
    }

    fn settle(&mut self, id: TaskId, phase: Phase, at: Time) {
        self.tasks[id].phase = phase;
        self.tasks[id].finished_at = Some(at);
        self.open -= 1;
    }

    /// Tells the tasks that need `id` how it ended, and those that end because of it in turn. A failure
    /// travels along every edge at once. Everything else waits until all needs have ended, so that the
    /// result does not depend on which ended first and `after` holds across skipped tasks.
    fn pass_on(&mut self, id: TaskId, at: Time) {
        let mut ended = vec![id];
        while let Some(id) = ended.pop() {
            for index in self.order.dependents(id) {
                let edge = self.order.edge(index);
                if let Some(cause) = self.hear(edge.to, id, edge.data) {
                    self.settle(edge.to, Phase::Skipped(cause), at);
                    self.open += usize::from(planted!(self, NeverCloses));
                    ended.push(edge.to);
                }
            }
        }
    }

    /// The task `id` hears how its need ended. Answers why it is skipped now, if it is.
    fn hear(&mut self, id: TaskId, need: TaskId, data: bool) -> Option<Cause> {
        let pending = matches!(self.tasks[id].phase, Phase::Pending { .. });
        let task = match &self.tasks[need].phase {
            Phase::Failed | Phase::Skipped(Cause::Failed(_)) if !data && planted!(self, FailureSatisfiesAfter) => {
                &mut self.tasks[id]
            }
            Phase::Skipped(Cause::Failed(_)) if planted!(self, FailureStops) => &mut self.tasks[id],
            Phase::Failed => return pending.then_some(Cause::Failed(need)),
            Phase::Skipped(Cause::Failed(root)) => return pending.then_some(Cause::Failed(*root)),
            Phase::Cancelled => return None,
            Phase::Skipped(_) if planted!(self, SkipStops) => &mut self.tasks[id],
            Phase::Skipped(_) if data || planted!(self, SkipAlongAfter) => {
                let task = &mut self.tasks[id];
                task.unfed.get_or_insert(need);
                task
            }
            _ => &mut self.tasks[id],
        };
        task.waiting -= 1;
        let (waiting, unfed) = (task.waiting, task.unfed);
        let forgets = waiting == 1 && planted!(self, ForgottenNeed);
        let hurries = unfed.is_some() && planted!(self, SkipTooSoon);
        if !pending || waiting > 0 && !forgets && !hurries {
            return None;
        }
        let cause = unfed.map(Cause::Unfed);
        if cause.is_none() {
            self.admit(id);
        }
        cause
    }

    pub(super) fn admit_all(&mut self) {
        self.ready.clear();
        self.free.clear();
        self.later.clear();
        for id in 0..self.tasks.len() {
            let task = &self.tasks[id];
            if let (Phase::Pending { due }, 0) = (&task.phase, task.waiting) {
                match due {
                    0 => self.admit(id),
                    due => _ = self.later.insert((*due, self.order.rank(id))),
                }
            }
        }
    }

    fn admit(&mut self, id: TaskId) {
        let task = &self.plan.tasks[id];
        let without_worker = task.skip.is_some() && !planted!(self, WhenIgnored) || task.is_noop();
        match without_worker {
            true => _ = self.free.insert(self.order.rank(id)),
            false => self.ready.insert(self.order.demand(id), self.order.rank(id)),
        }
    }

    fn withdraw(&mut self, id: TaskId) {
        let rank = self.order.rank(id);
        self.ready.remove(self.order.demand(id), rank);
        self.free.remove(&rank);
        if let Phase::Pending { due } = self.tasks[id].phase {
            self.later.remove(&(due, rank));
        }
    }
}
