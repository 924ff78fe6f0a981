//! The datasets of a lake, as their own logs describe them.

use flow::plan::Column;
use flow::wire::Failure;
use serde::Serialize;

use crate::Engine;
use crate::error::delta;
use crate::lake::Table;
use crate::session::columns;

/// A dataset at its latest version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dataset {
    /// `flow.dataset`.
    pub dataset: String,
    pub version: u64,
    /// The run that made the version; `None` if another program did.
    pub run_id: Option<String>,
    /// When the version was made, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Rows of the whole table.
    pub rows: u64,
    /// Bytes of its live files.
    pub bytes: u64,
    pub location: String,
    pub columns: Vec<Column>,
}

impl Engine {
    /// Every dataset of the lake, sorted by name.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, Failure> {
        let mut found = vec![];
        for name in self.lake.datasets().await? {
            let table = self.lake.table(&name)?;
            if let Some(latest) = table.latest().await? {
                found.push(describe(&table, latest).await?);
            }
        }
        Ok(found)
    }

    /// Where a view's dataset still lies as the table that it was before, if it was one.
    pub async fn left_over(&self, view: &str) -> Result<Option<String>, Failure> {
        let table = self.lake.table(view)?;
        Ok(table.latest().await?.map(|_| table.location()))
    }

    /// The latest version of a dataset; `None` if nothing was ever published.
    pub async fn dataset(&self, name: &str) -> Result<Option<Dataset>, Failure> {
        let table = self.lake.table(name)?;
        match table.latest().await? {
            Some(latest) => Ok(Some(describe(&table, latest).await?)),
            None => Ok(None),
        }
    }
}

async fn describe(table: &Table, version: u64) -> Result<Dataset, Failure> {
    let opened = table.open(version).await?;
    let state = opened.snapshot().map_err(|error| delta("failed to list the table's files", &error))?;
    let files = state.log_data();
    let commit = table.commit(version).await?;
    Ok(Dataset {
        dataset: table.dataset.clone(),
        version,
        run_id: commit.as_ref().and_then(|commit| Some(commit.mark.as_ref()?.run_id.clone())),
        at_ms: commit.map(|commit| commit.at).unwrap_or_default(),
        rows: files.iter().filter_map(|file| file.num_records()).map(|rows| rows as u64).sum(),
        bytes: files.iter().filter_map(|file| u64::try_from(file.size()).ok()).sum(),
        location: table.location(),
        columns: columns(&state.snapshot().arrow_schema()),
    })
}
