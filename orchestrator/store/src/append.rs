//! The journal grows, and with it everything that follows from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flow::plan::TaskId;
use flow::run::{Event, Record, Run, TaskState};

use crate::db::{Db, Tx};
use crate::error::{Error, Kind};
use crate::limits::{self, Sizes};
use crate::row::{Arg, word};
use crate::runs::json;
use crate::{Store, datasets, durations};

impl Store {
    /// Makes durable, in one transaction: the records, which follow each other without gaps, what
    /// follows from them for the run and the tasks they name, and the datasets they published. `run`
    /// is the state with the records applied. A closed run loses its lease.
    ///
    /// Answers the records as recorded: attempts of tasks that publish carry their token.
    ///
    /// # Errors
    ///
    /// [`Kind::Conflict`] if the journal does not end where the records begin; nothing was written.
    /// [`Kind::NoRoom`] if an attempt that starts finds no slot of a pool; nothing was written.
    /// [`Kind::Unknown`] if the connection broke during the commit; ask [`Store::settle`].
    pub async fn append(&self, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        self.append_as("", run, records).await
    }

    /// As [`Store::append`], but only while `holder` drives the run: who has lost the lease decides nothing more.
    pub async fn append_as(&self, holder: &str, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(records) };
        let args = [
            run.id().into(),
            first.seq.saturating_sub(1).into(),
            last.seq.into(),
            word(run.state()).into(),
            run.started_at().into(),
            run.finished_at().into(),
            run.error().into(),
            holder.into(),
        ];
        let mut tx = self.db.begin().await?;
        if tx.execute(self.append_run(), &args).await? == 0 {
            let message =
                format!("append to run {}: its journal has grown meanwhile, or somebody else drives it", run.id());
            return Err(Error::new(Kind::Conflict, message));
        }
        let records = write(&mut tx, &self.pools, run, records).await?;
        tx.commit().await?;
        Ok(records)
    }

    fn append_run(&self) -> &'static str {
        match self.db {
            Db::Sqlite { .. } => include_str!("../sql/append_run.sqlite.sql"),
            Db::Postgres { .. } => include_str!("../sql/append_run.postgres.sql"),
        }
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
    sizes: &Sizes,
    run: &Run,
    mut records: Vec<Record>,
) -> Result<Vec<Record>, Error> {
    limits::admit(tx, sizes, run, &records).await?;
    issue_tokens(tx, run, &mut records).await?;
    insert_events(tx, &records).await?;
    upsert_tasks(tx, run, &records).await?;
    datasets::publish(tx, &records).await?;
    if run.state().is_terminal() {
        tx.execute(include_str!("../sql/lease_drop.sql"), &[run.id().into()]).await?;
        limits::leave(tx, run).await?;
        durations::learn(tx, run).await?;
    }
    Ok(records)
}

/// Every attempt that may publish gets a number higher than all before it for its dataset. Several
/// attempts at one dataset in one batch take a round each.
async fn issue_tokens(tx: &mut Tx<'_>, run: &Run, records: &mut [Record]) -> Result<(), Error> {
    let mut waiting: BTreeMap<&str, VecDeque<&mut u64>> = BTreeMap::new();
    for record in records {
        let Event::TaskStarted { task, token, .. } = &mut record.event else { continue };
        let output = run.plan().task_id(task).and_then(|id| run.plan().tasks[id].output.as_ref());
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

async fn upsert_tasks(tx: &mut Tx<'_>, run: &Run, records: &[Record]) -> Result<(), Error> {
    let named = records.iter().filter_map(|record| record.event.task());
    let mut ids: BTreeSet<TaskId> = named.filter_map(|(task, _)| run.plan().task_id(task)).collect();
    if run.state().is_terminal() {
        // The end of the run is the end of what was running or about to be tried again.
        let standings = (0..run.plan().tasks.len()).map(|id| (id, run.task(id)));
        let broken_off = standings.filter(|(_, task)| task.attempts > 0 && task.state != TaskState::Succeeded);
        ids.extend(broken_off.map(|(id, _)| id));
    }
    let rows: Vec<[Arg<'_>; 7]> = ids.into_iter().map(|id| task_row(run, id)).collect();
    tx.bulk(include_str!("../sql/append_tasks.sql"), &rows).await?;
    Ok(())
}

/// What follows from the events of a task: the columns of `tasks`.
pub(crate) fn task_row(run: &Run, id: TaskId) -> [Arg<'_>; 7] {
    let standing = run.task(id);
    [
        run.id().into(),
        run.plan().tasks[id].name.as_str().into(),
        word(standing.state).into(),
        standing.attempts.into(),
        standing.outcome.is_some_and(|outcome| outcome.cached).into(),
        standing.started_at.into(),
        standing.finished_at.into(),
    ]
}

pub(crate) async fn insert_events(tx: &mut Tx<'_>, records: &[Record]) -> Result<(), Error> {
    let row = |record: &'_ Record| {
        Ok([record.run_id.clone().into(), record.seq.into(), record.at.into(), json(&record.event)?.into()])
    };
    let rows: Vec<[Arg<'_>; 4]> = records.iter().map(row).collect::<Result<_, Error>>()?;
    tx.bulk(include_str!("../sql/append_events.sql"), &rows).await?;
    Ok(())
}
