//! What attempts said.

use flow::Time;

use crate::Store;
use crate::error::{Error, Kind};
use crate::row::{Arg, Row};

/// A line of an attempt's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub task: String,
    pub attempt: u32,
    pub at: Time,
    /// `stdout`, `stderr`, or `flowctl` for what we say ourselves.
    pub stream: String,
    pub text: String,
}

/// A line with its number in the run's log, from 1, without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedLine {
    pub number: u64,
    pub line: Line,
}

/// How often lines are numbered anew because others came first.
const LOG_TRIES: usize = 20;

impl Store {
    /// Makes the lines durable, in one transaction, after those of the run that are there.
    pub async fn log(&self, run_id: &str, lines: &[Line]) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        for _ in 0..LOG_TRIES {
            match self.try_log(run_id, lines).await {
                // Somebody else has added lines meanwhile.
                Err(error) if error.kind == Kind::Conflict => {}
                logged => return logged,
            }
        }
        self.try_log(run_id, lines).await
    }

    async fn try_log(&self, run_id: &str, lines: &[Line]) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        let rows = tx.fetch(include_str!("../sql/logs_last.sql"), &[run_id.into()]).await?;
        let last = rows.into_iter().next().map_or(Ok(0), |mut row| row.number())?;
        let row = |(number, line): (u64, &'_ Line)| -> [Arg<'static>; 7] {
            [
                run_id.to_string().into(),
                number.into(),
                line.task.clone().into(),
                line.attempt.into(),
                line.at.into(),
                line.stream.clone().into(),
                line.text.clone().into(),
            ]
        };
        let rows: Vec<[Arg<'static>; 7]> = (last + 1..).zip(lines).map(row).collect();
        tx.bulk(include_str!("../sql/logs_append.sql"), &rows).await?;
        tx.commit().await
    }

    /// The lines of a run, or of one of its tasks, after number `after`, at most `limit`.
    pub async fn logs(
        &self,
        run_id: &str,
        task: Option<&str>,
        after: u64,
        limit: u64,
    ) -> Result<Vec<NumberedLine>, Error> {
        let args = [run_id.into(), task.unwrap_or_default().into(), after.into(), limit.into()];
        let rows = self.db.read(include_str!("../sql/logs_read.sql"), &args).await?;
        rows.into_iter().map(numbered).collect()
    }

    /// The last lines of a task, oldest first, at most `limit`.
    pub async fn last_logs(&self, run_id: &str, task: &str, limit: u64) -> Result<Vec<NumberedLine>, Error> {
        let args = [run_id.into(), task.into(), limit.into()];
        let rows = self.db.read(include_str!("../sql/logs_newest.sql"), &args).await?;
        rows.into_iter().rev().map(numbered).collect()
    }
}

fn numbered(mut row: Row<'_>) -> Result<NumberedLine, Error> {
    let number = row.number()?;
    let task = row.text()?;
    let attempt = row.number()?.try_into().unwrap_or(u32::MAX);
    let line = Line { task, attempt, at: row.number()?, stream: row.text()?, text: row.text()? };
    Ok(NumberedLine { number, line })
}
