//! What people look for: what is under way, what went wrong and has not been cured, what happened lately.

use flow::Time;
use flow::run::Record;

use crate::Store;
use crate::datasets::{Version, version};
use crate::error::Error;
use crate::row::Row;
use crate::runs::{Head, head};

impl Store {
    /// Runs that are not over, newest first.
    pub async fn open_runs(&self, limit: u64) -> Result<Vec<Head>, Error> {
        let rows = self.db.read(include_str!("../sql/runs_open.sql"), &[limit.into()]).await?;
        rows.into_iter().map(head).collect()
    }

    /// Runs made since then that failed and were neither done again nor followed by a success for the same time,
    /// newest first.
    pub async fn troubled_runs(&self, since: Time, limit: u64) -> Result<Vec<Head>, Error> {
        let rows = self.db.read(include_str!("../sql/runs_troubled.sql"), &[since.into(), limit.into()]).await?;
        rows.into_iter().map(head).collect()
    }

    /// The runs that did the run again, newest first.
    pub async fn retries(&self, of: &Head) -> Result<Vec<String>, Error> {
        let args = [of.flow.as_str().into(), of.created_at.into(), of.run_id.as_str().into()];
        let rows = self.db.read(include_str!("../sql/retries.sql"), &args).await?;
        rows.into_iter().map(|mut row| row.text()).collect()
    }

    /// What happened lately in the last `runs` runs, newest first.
    pub async fn recent_events(&self, runs: u64, limit: u64) -> Result<Vec<Record>, Error> {
        let rows = self.db.read(include_str!("../sql/events_recent.sql"), &[runs.into(), limit.into()]).await?;
        rows.into_iter().map(record).collect()
    }

    /// What happened to a task in the last `runs` runs of its flow, oldest first.
    pub async fn task_events(&self, flow: &str, task: &str, runs: u64) -> Result<Vec<Record>, Error> {
        let args = [flow.into(), runs.into(), task.into()];
        let rows = self.db.read(include_str!("../sql/events_of_task.sql"), &args).await?;
        let all: Result<Vec<Record>, Error> = rows.into_iter().map(record).collect();
        let is_its = |record: &Record| record.event.task().is_some_and(|(name, _)| name == task);
        Ok(all?.into_iter().filter(is_its).collect())
    }

    /// The versions of a dataset, newest first.
    pub async fn newest_versions(&self, dataset: &str, limit: u64) -> Result<Vec<Version>, Error> {
        let args = [dataset.into(), limit.into()];
        let rows = self.db.read(include_str!("../sql/versions_newest.sql"), &args).await?;
        rows.into_iter().map(version).collect()
    }
}

fn record(mut row: Row<'_>) -> Result<Record, Error> {
    Ok(Record { run_id: row.text()?, seq: row.number()?, at: row.number()?, event: row.json()? })
}
