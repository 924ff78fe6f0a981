//! The journal grows, and with it everything that follows from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flow::Time;
use flow::plan::{Plan, TaskId};
use flow::run::{Event, Record, Run, RunState, TaskState};

use crate::Store;
use crate::datasets;
use crate::db::Tx;
use crate::error::{Error, Kind};
use crate::row::{Arg, word};
use crate::runs::json;

/// What follows from a run's events for the run itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub state: RunState,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub error: Option<String>,
}

impl RunRow {
    pub fn of(run: &Run) -> Self {
        RunRow {
            state: run.state(),
            started_at: run.started_at(),
            finished_at: run.finished_at(),
            error: run.error().map(str::to_owned),
        }
    }
}

/// What follows from a run's events for one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    pub task: String,
    pub state: TaskState,
    pub attempts: u32,
    pub cached: bool,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
}

impl TaskRow {
    pub fn of(run: &Run, id: TaskId) -> Self {
        let standing = run.task(id);
        TaskRow {
            task: run.plan().tasks[id].name.clone(),
            state: standing.state,
            attempts: standing.attempts,
            cached: standing.outcome.is_some_and(|outcome| outcome.cached),
            started_at: standing.started_at,
            finished_at: standing.finished_at,
        }
    }
}

impl Store {
    /// Makes durable, in one transaction: the records, which follow each other without gaps, the
    /// rows of the tasks they changed, the row of the run, and the datasets they published. A closed
    /// run loses its lease.
    ///
    /// Answers the records as recorded: attempts of tasks that publish carry their token.
    ///
    /// # Errors
    ///
    /// [`Kind::Conflict`] if the journal does not end where the records begin; nothing was written.
    /// [`Kind::Unknown`] if the connection broke during the commit; ask [`Store::settle`].
    pub async fn append(
        &self,
        plan: &Plan,
        records: Vec<Record>,
        tasks: &[TaskRow],
        run: &RunRow,
    ) -> Result<Vec<Record>, Error> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(records) };
        let run_id = first.run_id.clone();
        let args = [
            run_id.as_str().into(),
            first.seq.saturating_sub(1).into(),
            last.seq.into(),
            word(run.state).into(),
            run.started_at.into(),
            run.finished_at.into(),
            run.error.as_deref().into(),
        ];
        let mut tx = self.db.begin().await?;
        if tx.execute(include_str!("../sql/append_run.sql"), &args).await? == 0 {
            let message = format!("append to run {run_id}: its journal has grown meanwhile");
            return Err(Error::new(Kind::Conflict, message));
        }
        let records = write(&mut tx, plan, records, tasks).await?;
        tx.commit().await?;
        Ok(records)
    }

    /// After [`Kind::Unknown`]: whether `records`, as handed to [`Store::append`], were recorded
    /// after all, and if so as what. `None`: they were not, the journal has other events or none.
    pub async fn settle(&self, records: &[Record]) -> Result<Option<Vec<Record>>, Error> {
        let Some(first) = records.first() else { return Ok(Some(vec![])) };
        let mut recorded = self.tail(&first.run_id, first.seq - 1).await?;
        recorded.truncate(records.len());
        let without_token = |record: &Record| {
            let mut record = record.clone();
            if let Event::TaskStarted { token, .. } = &mut record.event {
                *token = 0;
            }
            record
        };
        let ours = recorded.iter().map(without_token).eq(records.iter().map(without_token));
        Ok(ours.then_some(recorded))
    }
}

/// Puts the records into the journal, and what follows from them beside it.
pub(crate) async fn write(
    tx: &mut Tx<'_>,
    plan: &Plan,
    mut records: Vec<Record>,
    tasks: &[TaskRow],
) -> Result<Vec<Record>, Error> {
    let Some(run_id) = records.first().map(|record| record.run_id.clone()) else { return Ok(records) };
    issue_tokens(tx, plan, &mut records).await?;
    insert_events(tx, &records).await?;
    upsert_tasks(tx, &run_id, tasks).await?;
    datasets::publish(tx, &records).await?;
    if records.last().is_some_and(|last| matches!(last.event, Event::RunClosed { .. })) {
        tx.execute(include_str!("../sql/lease_drop.sql"), &[run_id.into()]).await?;
    }
    Ok(records)
}

/// Every attempt that may publish gets a number higher than all before it for its dataset. Several
/// attempts at one dataset in one batch take a round each.
async fn issue_tokens(tx: &mut Tx<'_>, plan: &Plan, records: &mut [Record]) -> Result<(), Error> {
    let mut waiting: BTreeMap<&str, VecDeque<&mut u64>> = BTreeMap::new();
    for record in records {
        let Event::TaskStarted { task, token, .. } = &mut record.event else { continue };
        let output = plan.task_id(task).and_then(|id| plan.tasks[id].output.as_ref());
        if let Some(output) = output.filter(|output| !output.view) {
            waiting.entry(&output.dataset).or_default().push_back(token);
        }
    }
    while !waiting.is_empty() {
        let rows: Vec<[Arg<'_>; 1]> = waiting.keys().map(|&dataset| [dataset.into()]).collect();
        for mut row in tx.bulk(include_str!("../sql/append_tokens.sql"), &rows).await? {
            let (dataset, issued) = (row.text()?, row.number()?);
            if let Some(token) = waiting.get_mut(dataset.as_str()).and_then(VecDeque::pop_front) {
                *token = issued;
            }
        }
        waiting.retain(|_, tokens| !tokens.is_empty());
    }
    Ok(())
}

/// Of several rows of one task the last counts.
async fn upsert_tasks(tx: &mut Tx<'_>, run_id: &str, tasks: &[TaskRow]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    let last = tasks.iter().rev().filter(|row| seen.insert(row.task.as_str()));
    let row = |row: &'_ TaskRow| -> [Arg<'static>; 7] {
        [
            run_id.to_owned().into(),
            row.task.clone().into(),
            word(row.state).into(),
            row.attempts.into(),
            row.cached.into(),
            row.started_at.into(),
            row.finished_at.into(),
        ]
    };
    let rows: Vec<[Arg<'static>; 7]> = last.map(row).collect();
    tx.bulk(include_str!("../sql/append_tasks.sql"), &rows).await?;
    Ok(())
}

pub(crate) async fn insert_events(tx: &mut Tx<'_>, records: &[Record]) -> Result<(), Error> {
    let row = |record: &'_ Record| {
        Ok([record.run_id.clone().into(), record.seq.into(), record.at.into(), json(&record.event)?.into()])
    };
    let rows: Vec<[Arg<'_>; 4]> = records.iter().map(row).collect::<Result<_, Error>>()?;
    tx.bulk(include_str!("../sql/append_events.sql"), &rows).await?;
    Ok(())
}
