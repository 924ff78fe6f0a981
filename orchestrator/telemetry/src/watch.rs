//! What the journal of a run tells, told on as metrics and as spans.
//!
//! Everything here follows from facts that were recorded, so that it is said once, by whoever drives the run, and also of
//! attempts whose worker is gone.

use std::collections::{HashMap, HashSet};

use flow::Time;
use flow::plan::TaskId;
use flow::run::{Event, Record, Run, TaskState};
use flow::wire::{CheckResult, Outcome};

use crate::metrics::{self, Metrics, Waiting};
use crate::spans;

/// Hears what becomes durable of one run.
pub struct Watch {
    metrics: Option<&'static Metrics>,
    is_traced: bool,
    /// The attempts that have begun and not ended.
    begun: HashMap<TaskId, Begun>,
    /// How the latest attempt of tasks ended that will be tried again.
    failed: HashMap<TaskId, &'static str>,
    ended: HashSet<TaskId>,
    waiting: Waiting,
}

/// An attempt that runs.
pub(crate) struct Begun {
    pub attempt: u32,
    pub ready_at: Time,
    pub at: Time,
    pub worker: String,
}

/// How an attempt ended.
pub(crate) enum End<'a> {
    Succeeded(&'a Outcome),
    Skipped,
    Cancelled,
    /// Why.
    Failed(&'a str),
    /// Why.
    Lost(&'a str),
}

impl Watch {
    /// Watches a run of which these records are known to others already.
    pub fn new(run: &Run, before: &[Record]) -> Watch {
        let mut watch = Watch {
            metrics: metrics::counted(),
            is_traced: spans::are_wanted(run.id()),
            begun: HashMap::new(),
            failed: HashMap::new(),
            ended: HashSet::new(),
            waiting: Waiting::default(),
        };
        if watch.is_wanted() {
            before.iter().for_each(|record| _ = watch.note(run, record));
        }
        watch
    }

    /// Tells what these records say, which have just become durable. `run` stands as after the last of them.
    pub fn hear(&mut self, run: &Run, records: &[Record]) {
        if !self.is_wanted() {
            return;
        }
        for record in records {
            self.tell(run, record);
        }
        self.waiting.set(run.ready());
    }

    fn is_wanted(&self) -> bool {
        self.metrics.is_some() || self.is_traced
    }

    fn tell(&mut self, run: &Run, record: &Record) {
        match &record.event {
            Event::RunCreated | Event::RunStarted | Event::CancelRequested { .. } => {}
            Event::TaskStarted { .. } => self.tell_start(run, record),
            Event::RunClosed { .. } => self.tell_close(run, record.at),
            _ => self.tell_end(run, record),
        }
    }

    fn tell_start(&mut self, run: &Run, record: &Record) {
        let Some(id) = self.note(run, record) else { return };
        let (Some(metrics), Some(begun)) = (self.metrics, self.begun.get(&id)) else { return };
        let task = &run.plan().tasks[id];
        metrics.task_began(run, task, begun, self.failed.remove(&id));
    }

    fn tell_end(&mut self, run: &Run, record: &Record) {
        let begun = self.attempt_of(run, record);
        let Some(id) = self.note(run, record) else { return };
        let Some(end) = End::of(&record.event) else { return };
        let task = &run.plan().tasks[id];
        if let Some(begun) = begun {
            if let Some(metrics) = self.metrics {
                metrics.attempt_ended(run, task, &begun, record.at);
            }
            if self.is_traced {
                spans::attempt(run, &task.name, &begun, record.at, &end);
            }
        }
        let Some(metrics) = self.metrics else { return };
        metrics.checks(&run.plan().flow, checks(&record.event));
        if let End::Succeeded(outcome) = end {
            metrics.task_made(&run.plan().flow, task, outcome);
        }
        if self.ended.contains(&id) {
            metrics.task_ended(&run.plan().flow, &task.kind, run.task(id).state);
        }
    }

    /// The attempt that the record ends, taken out.
    fn attempt_of(&mut self, run: &Run, record: &Record) -> Option<Begun> {
        let id = run.plan().task_id(record.event.task()?.0)?;
        let begun = self.begun.remove(&id)?;
        (begun.attempt == attempt(record)).then_some(begun)
    }

    /// Tasks that ended because of others are in no record: they are counted when the run is over.
    fn tell_close(&mut self, run: &Run, at: Time) {
        for (id, begun) in self.begun.drain() {
            if self.is_traced {
                let why = run.error().unwrap_or("the run ended first");
                spans::attempt(run, &run.plan().tasks[id].name, &begun, at, &End::Lost(why));
            }
        }
        if self.is_traced {
            spans::run(run);
        }
        let Some(metrics) = self.metrics else { return };
        for (id, task) in run.plan().tasks.iter().enumerate().filter(|(id, _)| !self.ended.contains(id)) {
            metrics.task_ended(&run.plan().flow, &task.kind, run.task(id).state);
        }
        metrics.run_ended(run, at);
    }

    /// Remembers what later records are understood by. Answers which task it is about.
    fn note(&mut self, run: &Run, record: &Record) -> Option<TaskId> {
        let (task, attempt) = record.event.task()?;
        let id = run.plan().task_id(task)?;
        match &record.event {
            Event::TaskStarted { worker, .. } => {
                let ready_at = run.latest_attempt(id).map_or(record.at, |(_, ready_at)| ready_at);
                let ready_at = ready_at.min(record.at);
                self.begun.insert(id, Begun { attempt, ready_at, at: record.at, worker: worker.clone() });
            }
            Event::TaskFailed { .. } | Event::TaskLost { .. } => {
                self.begun.remove(&id);
                let standing = run.task(id);
                let is_over = standing.state == TaskState::Failed && standing.attempts == attempt;
                if is_over {
                    self.ended.insert(id);
                } else {
                    let lost = matches!(record.event, Event::TaskLost { .. });
                    self.failed.insert(id, if lost { "lost" } else { "failed" });
                }
            }
            _ => {
                self.begun.remove(&id);
                self.ended.insert(id);
            }
        }
        Some(id)
    }
}

impl<'a> End<'a> {
    fn of(event: &'a Event) -> Option<End<'a>> {
        match event {
            Event::TaskSucceeded { outcome, .. } => Some(End::Succeeded(outcome)),
            Event::TaskFailed { failure, .. } => Some(End::Failed(&failure.message)),
            Event::TaskLost { reason, .. } => Some(End::Lost(reason)),
            Event::TaskSkipped { .. } => Some(End::Skipped),
            Event::TaskCancelled { .. } => Some(End::Cancelled),
            _ => None,
        }
    }
}

fn attempt(record: &Record) -> u32 {
    record.event.task().map_or(0, |(_, attempt)| attempt)
}

/// The checks that an attempt made; those that a cached task shows were made by another.
fn checks(event: &Event) -> &[CheckResult] {
    match event {
        Event::TaskSucceeded { attempt: 1.., outcome, .. } if !outcome.cached => &outcome.checks,
        Event::TaskFailed { failure, .. } => &failure.checks,
        _ => &[],
    }
}
