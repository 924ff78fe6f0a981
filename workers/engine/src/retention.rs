//! Old versions of tables, removed once nothing needs them.
//!
//! What is kept of a log is its end: from some version on, which has a checkpoint, to the latest. Files go before the
//! entries that speak of them and entries go from the oldest on, so that whenever this ends in the middle, every version
//! from that one on can be read, and the next time goes on.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path};

use deltalake::DeltaTable;
use flow::spec::Mode;
use flow::wire::Failure;
use serde::Serialize;

use crate::error::{delta, io};
use crate::lake::{Table, version_of};
use crate::log::Commit;
use crate::{Engine, durable};

/// Which versions of a table stay, besides the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Those that were the latest at this time or later; milliseconds since the epoch.
    pub since_ms: i64,
    /// This one and later ones.
    pub version: Option<u64>,
}

/// What was removed of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    pub dataset: String,
    /// How many versions.
    pub versions: u64,
    /// The oldest that is kept.
    pub oldest: u64,
    /// How many data files, and their bytes.
    pub files: u64,
    pub bytes: u64,
}

/// Versions that may go, and the files that went out of the table with them.
struct Old {
    versions: u64,
    oldest: u64,
    files: HashMap<String, u64>,
}

impl Engine {
    /// The names of all datasets of the lake, `flow.task`, sorted.
    pub async fn dataset_names(&self) -> Result<Vec<String>, Failure> {
        self.lake.datasets().await
    }

    /// Removes the versions of a dataset that need not be kept, with the files that no version has any more. `None` if
    /// there are none. With `dry_run`, only says what would go.
    ///
    /// A version whose files an append of the same identity would look for stays, and so does all after it.
    pub async fn prune(&self, dataset: &str, keep: Keep, dry_run: bool) -> Result<Option<Pruned>, Failure> {
        let table = self.lake.table(dataset)?;
        let Some(latest) = table.latest().await? else { return Ok(None) };
        let Some(old) = old(&table, latest, keep).await? else { return Ok(None) };
        let Old { versions, oldest, files } = old;
        let kept = table.open(oldest).await?;
        let mut live = paths(&kept)?;
        // Another program may have brought a file back.
        live.extend(paths(&table.open(latest).await?)?);
        let files: Vec<(String, u64)> =
            files.into_iter().filter(|(path, _)| !live.contains(path) && is_inside(path)).collect();
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        if !dry_run {
            checkpoint(&table, &kept, oldest).await?;
            for (path, _) in &files {
                table.remove(path).await?;
            }
            forget(&table, oldest).await?;
        }
        Ok(Some(Pruned { dataset: dataset.to_owned(), versions, oldest, files: files.len() as u64, bytes }))
    }
}

/// What comes before the first version that must stay. `None` if nothing does.
async fn old(table: &Table, latest: u64, keep: Keep) -> Result<Option<Old>, Failure> {
    let Some(first) = table.oldest().await? else { return Ok(None) };
    let mut old = Old { versions: 0, oldest: first, files: HashMap::new() };
    let mut live = None;
    let mut at = table.commit(first).await?;
    while old.oldest < latest && keep.version.is_none_or(|version| old.oldest < version) {
        let Some(next) = table.commit(old.oldest + 1).await? else { break };
        if next.at > keep.since_ms {
            break;
        }
        if at.as_ref().is_some_and(is_append) {
            let live = match &live {
                Some(live) => live,
                None => &*live.insert(paths(&table.open(latest).await?)?),
            };
            if at.iter().flat_map(|commit| &commit.adds).any(|path| live.contains(path)) {
                break;
            }
        }
        old.files.extend(next.removes.iter().cloned());
        old.versions += 1;
        old.oldest += 1;
        at = Some(next);
    }
    Ok((old.versions > 0).then_some(old))
}

fn is_append(commit: &Commit) -> bool {
    commit.mark.as_ref().is_some_and(|mark| mark.mode == Mode::Append)
}

/// The files of an opened version, below the table.
fn paths(opened: &DeltaTable) -> Result<BTreeSet<String>, Failure> {
    let state = opened.snapshot().map_err(|error| delta("failed to list the table's files", &error))?;
    Ok(state.log_data().iter().map(|file| file.object_store_path().to_string()).collect())
}

/// Whether a path of a log stays below its table.
fn is_inside(path: &str) -> bool {
    !path.contains("://") && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Makes sure that the oldest version that is kept can be read without those before it.
async fn checkpoint(table: &Table, kept: &DeltaTable, version: u64) -> Result<(), Failure> {
    let name = format!("{version:020}.checkpoint.parquet");
    if !table.log_names().await?.contains(&name) {
        let made = deltalake::checkpoints::create_checkpoint(kept, None).await;
        made.map_err(|error| delta(&format!("failed to write a checkpoint of `{}`", table.dataset), &error))?;
    }
    let Some(log) = table.folder.as_ref().map(|folder| folder.join("_delta_log")) else { return Ok(()) };
    let sync = || {
        durable::sync_file(&log.join(&name))?;
        durable::sync_file(&log.join("_last_checkpoint"))?;
        durable::sync_folder(&log)
    };
    sync().map_err(|error| io("failed to sync", &log, &error))
}

/// Removes the log's entries before a version, the oldest first.
async fn forget(table: &Table, version: u64) -> Result<(), Failure> {
    let of = |name: &str| name.get(..20)?.parse::<u64>().ok();
    let is_old = |name: &&String| of(name).is_some_and(|it| it < version);
    for name in table.log_names().await?.iter().filter(is_old) {
        table.remove(&format!("_delta_log/{name}")).await?;
    }
    Ok(())
}

impl Table {
    /// The oldest version that the log still has an entry for.
    pub(crate) async fn oldest(&self) -> Result<Option<u64>, Failure> {
        Ok(self.log_names().await?.iter().find_map(|name| version_of(name)))
    }
}
