//! Whether the lake holds what its logs say, and nothing else.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use flow::wire::Failure;
use regex::Regex;
use serde::Serialize;

use crate::Engine;
use crate::error::delta;
use crate::files::Stored;
use crate::lake::Table;

/// Something of the lake that should not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub dataset: String,
    /// `orphan`: a file in no version. `missing`: a live file that is not there. `log`: a log that cannot be read.
    pub kind: &'static str,
    pub message: String,
    /// The file.
    pub path: String,
    /// Its path below the table.
    pub(crate) name: String,
    pub repaired: bool,
}

/// How long what looks wrong may take to be put right by those who are at it.
const SETTLING: Duration = Duration::from_millis(500);

impl Engine {
    /// Compares every table's files with its log. With `repair`, removes files that are in no version; those touched
    /// since `spared_since_ms`, which running attempts may be about to publish, stay. Others may publish and remove old
    /// versions meanwhile: what looks wrong is looked at twice.
    pub async fn fsck(&self, repair: bool, spared_since_ms: i64) -> Result<Vec<Finding>, Failure> {
        let look = async || {
            let mut found = vec![];
            for name in self.lake.begun().await? {
                found.extend(look_at(&self.lake.table(&name)?, spared_since_ms).await?);
            }
            Ok(found)
        };
        let mut found: Vec<Finding> = look().await?;
        if !found.is_empty() {
            tokio::time::sleep(SETTLING).await;
            let still = look().await?;
            found.retain(|finding| still.contains(finding));
        }
        if repair {
            for orphan in found.iter_mut().filter(|finding| finding.kind == "orphan") {
                self.lake.table(&orphan.dataset)?.remove(&orphan.name).await?;
                orphan.repaired = true;
            }
        }
        Ok(found)
    }
}

async fn look_at(table: &Table, spared_since_ms: i64) -> Result<Vec<Finding>, Failure> {
    match known_files(table).await {
        Ok(known) => Ok(compare(table, &table.files().await?, &known, spared_since_ms)),
        Err(failure) => Ok(vec![finding(table, "log", &failure.message, "_delta_log")]),
    }
}

fn finding(table: &Table, kind: &'static str, message: &str, name: &str) -> Finding {
    let (dataset, message, path) = (table.dataset.clone(), message.to_owned(), table.location_of(name));
    Finding { dataset, kind, message, path, name: name.to_owned(), repaired: false }
}

/// What a log says of files.
struct Known {
    /// In some version: time travel may read them.
    ever: HashSet<String>,
    /// In the latest version.
    live: HashSet<String>,
}

async fn known_files(table: &Table) -> Result<Known, Failure> {
    let mut ever = HashSet::new();
    let Some(latest) = table.latest().await? else { return Ok(Known { live: HashSet::new(), ever }) };
    for version in table.oldest().await?.unwrap_or_default()..=latest {
        let commit = table.commit(version).await?;
        ever.extend(commit.into_iter().flat_map(|commit| commit.adds));
    }
    let opened = table.open(latest).await?;
    let state = opened.snapshot().map_err(|error| delta("failed to list the table's files", &error))?;
    let live: HashSet<String> = state.log_data().iter().map(|file| file.object_store_path().to_string()).collect();
    ever.extend(live.iter().cloned());
    Ok(Known { ever, live })
}

fn compare(table: &Table, there: &[Stored], known: &Known, since_ms: i64) -> Vec<Finding> {
    let is_stray = |file: &&Stored| ours(&file.path) && file.touched_ms < since_ms && !known.ever.contains(&file.path);
    let orphan = |file: &Stored| finding(table, "orphan", "a data file that is in no version", &file.path);
    let names: HashSet<&str> = there.iter().map(|file| file.path.as_str()).collect();
    let said = "a file of the latest version is not there; run the task again with `--force`";
    let mut gone: Vec<&String> = known.live.iter().filter(|path| !names.contains(path.as_str())).collect();
    gone.sort();
    let strays = there.iter().filter(is_stray).map(orphan);
    strays.chain(gone.into_iter().map(|path| finding(table, "missing", said, path))).collect()
}

/// Whether a data file, whole or half-written, is called as those that we write. Nothing else is ours to judge.
fn ours(path: &str) -> bool {
    static NAMES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(^|/)part-\d{5}-[0-9a-f-]{36}-c\d{3}\.snappy\.parquet(#\d+)?$").ok());
    NAMES.as_ref().is_some_and(|names| names.is_match(path))
}
