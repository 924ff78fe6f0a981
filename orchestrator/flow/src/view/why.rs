//! Why a run or a task is where it is: the JSON of `flowctl why`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::name::Miss;
use crate::plan::TaskId;
use crate::run::{Event, Outlook, Record, Run, RunState, TaskState};
use crate::{Time, duration};

/// How many of the slowest tasks are named.
const SLOWEST: usize = 3;

/// The causes of a state, from the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    pub run_id: String,
    /// The task that was asked about; null for the whole run.
    pub task: Option<String>,
    pub state: State,
    pub reasons: Vec<Reason>,
    /// Of a task: how often it was tried, and whether its result stood already.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub cached: bool,
}

/// The state of what was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum State {
    Run(RunState),
    Task(TaskState),
}

/// A cause, in words and for programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// `queued`, `waiting`, `slot`, `pool`, `limit`, `retry`, `stopping`, `running`, `slow`, `succeeded`, `cached`,
    /// `adopted`, `failed`, `skipped`, `cancelled`, `run`, `attempt`, `duration`,
    /// `deserted` or `paused`.
    pub kind: String,
    pub message: String,
    /// Since when it has been so: RFC 3339 in UTC.
    pub since: Option<String>,
    /// The tasks that it waits for, or that are the cause; those of other runs as `RUN/TASK`, runs by their ids.
    pub blocking: Vec<String>,
    /// The task that the reason is about.
    pub task: Option<String>,
}

/// Why the run, or one task of it, is where it is. `records` is the run's journal, `outlook` what it does not tell.
///
/// # Errors
/// The run has no such task.
pub fn why(run: &Run, records: &[Record], task: Option<&str>, outlook: &Outlook) -> Result<Why, Miss> {
    let run_id = run.id().to_owned();
    let Some(name) = task else {
        let state = State::Run(run.state());
        return Ok(Why { run_id, task: None, state, reasons: of_run(run, outlook), attempts: 0, cached: false });
    };
    let id = run.plan().find(name)?;
    let standing = run.task(id);
    Ok(Why {
        run_id,
        task: Some(name.to_owned()),
        state: State::Task(standing.state),
        reasons: of_task(run, id, records, outlook),
        attempts: standing.attempts,
        cached: standing.outcome.is_some_and(|outcome| outcome.cached),
    })
}

/// What the core says about the task, then the tries before the last.
fn of_task(run: &Run, id: TaskId, records: &[Record], outlook: &Outlook) -> Vec<Reason> {
    let name = &run.plan().tasks[id].name;
    let own = outlook.reasons(run, id).into_iter().map(|reason| shown(reason, Some(name)));
    let tries = records.iter().filter_map(|record| tried(record, name));
    own.chain(tries).chain(took_as_reason(run, id)).collect()
}

fn shown(reason: crate::run::Reason, task: Option<&str>) -> Reason {
    Reason {
        kind: reason.kind.to_owned(),
        message: reason.message,
        since: reason.since.map(rfc3339),
        blocking: reason.blocking,
        task: task.map(str::to_owned),
    }
}

fn tried(record: &Record, name: &str) -> Option<Reason> {
    let message = match &record.event {
        Event::TaskFailed { task, attempt, failure } if task == name => {
            format!("attempt {attempt} failed: {}", failure.message)
        }
        Event::TaskLost { task, attempt, reason } if task == name => format!("attempt {attempt} was lost: {reason}"),
        _ => return None,
    };
    let since = Some(rfc3339(record.at));
    Some(Reason { kind: "attempt".to_owned(), message, since, blocking: vec![], task: Some(name.to_owned()) })
}

fn took_as_reason(run: &Run, id: TaskId) -> Option<Reason> {
    let took = took(run, id)?;
    let name = &run.plan().tasks[id].name;
    let share = match run.started_at().zip(run.finished_at()) {
        Some((start, end)) if end > start => format!(", {} % of the run", took * 100 / (end - start)),
        _ => String::new(),
    };
    let message = format!("it took {}{share}", duration::human(took));
    Some(Reason { kind: "duration".to_owned(), message, since: None, blocking: vec![], task: Some(name.clone()) })
}

/// From the first attempt's start to the last one's end.
fn took(run: &Run, id: TaskId) -> Option<Time> {
    let standing = run.task(id);
    Some(standing.finished_at?.saturating_sub(standing.started_at?))
}

/// What did not go well or is not done, and the slowest tasks.
fn of_run(run: &Run, outlook: &Outlook) -> Vec<Reason> {
    if let Some(reason) = outlook.queued(run) {
        return vec![shown(reason, None)];
    }
    let mut reasons: Vec<Reason> = vec![];
    let ids = 0..run.plan().tasks.len();
    let open = ids.clone().filter(|&id| run.task(id).state != TaskState::Succeeded);
    for id in open {
        let name = &run.plan().tasks[id].name;
        let own = outlook.reasons(run, id).into_iter().enumerate();
        // Of one that waits for another, the other says why.
        let own = own.filter(|(at, reason)| *at == 0 || reason.kind == "slow" && run.running_attempt(id).is_some());
        reasons.extend(own.map(|(_, reason)| shown(reason, Some(name))));
    }
    // A run that failed because a task did has said so by then.
    if let Some(error) = run.error().filter(|_| reasons.iter().all(|reason| reason.kind != "failed")) {
        let since = run.finished_at().map(rfc3339);
        let kind = "run".to_owned();
        reasons.push(Reason { kind, message: error.to_owned(), since, blocking: vec![], task: None });
    }
    reasons.sort_by_key(|reason| urgency(&reason.kind));
    let mut slow: Vec<(Time, TaskId)> = ids.filter_map(|id| Some((took(run, id)?, id))).collect();
    slow.sort_unstable_by(|a, b| b.cmp(a));
    reasons.extend(slow.into_iter().take(SLOWEST).filter_map(|(_, id)| took_as_reason(run, id)));
    reasons
}

/// Causes before consequences.
fn urgency(kind: &str) -> usize {
    const ORDER: [&str; 11] =
        ["run", "failed", "retry", "slow", "running", "pool", "limit", "slot", "queued", "waiting", "cancelled"];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}
