//! Whether the lake holds what its logs say, and nothing else.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use flow::wire::Failure;
use regex::Regex;
use serde::Serialize;

use crate::Engine;
use crate::error::{delta, io};
use crate::lake::{Table, begun};

/// Something of the lake that should not be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub dataset: String,
    /// `orphan`: a file in no version. `missing`: a live file that is not there. `log`: a log that cannot be read.
    pub kind: &'static str,
    pub message: String,
    /// The file.
    pub path: String,
    pub repaired: bool,
}

/// How long what looks wrong may take to be put right by those who are at it.
const SETTLING: Duration = Duration::from_millis(500);

impl Engine {
    /// Compares every table's files with its log. With `repair`, removes files that are in no version; those touched
    /// since `spared_since_ms`, which running attempts may be about to publish, stay. Others may publish and remove old
    /// versions meanwhile: what looks wrong is looked at twice.
    ///
    /// Only for a lake on this machine: an object store lists nothing cheaply, and its lifecycle rules do this.
    pub async fn fsck(&self, repair: bool, spared_since_ms: i64) -> Result<Vec<Finding>, Failure> {
        let Some(root) = &self.lake.folder else { return Ok(vec![]) };
        let look = async || {
            let mut found = vec![];
            for name in begun(root)? {
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
            found.iter_mut().filter(|finding| finding.kind == "orphan").try_for_each(|it| remove(root, it))?;
        }
        Ok(found)
    }
}

async fn look_at(table: &Table, spared_since_ms: i64) -> Result<Vec<Finding>, Failure> {
    let Some(folder) = &table.folder else { return Ok(vec![]) };
    match known_files(table).await {
        Ok(known) => compare(&table.dataset, folder, &known, spared_since_ms),
        Err(failure) => Ok(vec![finding(&table.dataset, "log", &failure.message, &folder.join("_delta_log"))]),
    }
}

fn finding(dataset: &str, kind: &'static str, message: &str, path: &Path) -> Finding {
    let (dataset, message, path) = (dataset.to_owned(), message.to_owned(), path.display().to_string());
    Finding { dataset, kind, message, path, repaired: false }
}

/// Removes an orphan, and the folders that it leaves empty.
fn remove(root: &Path, orphan: &mut Finding) -> Result<(), Failure> {
    let path = Path::new(&orphan.path);
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("failed to remove", path, &error)),
        _ => {}
    }
    let above = path.ancestors().skip(1).take_while(|above| above.starts_with(root) && *above != root);
    above.for_each(|folder| drop(std::fs::remove_dir(folder)));
    orphan.repaired = true;
    Ok(())
}

/// What a log says of files.
struct Known {
    /// In some version: time travel may read them.
    ever: HashSet<PathBuf>,
    /// In the latest version.
    live: HashSet<PathBuf>,
}

async fn known_files(table: &Table) -> Result<Known, Failure> {
    let mut ever = HashSet::new();
    let Some(latest) = table.latest().await? else { return Ok(Known { live: HashSet::new(), ever }) };
    for version in table.oldest().await?.unwrap_or_default()..=latest {
        let commit = table.commit(version).await?;
        ever.extend(commit.into_iter().flat_map(|commit| commit.adds).map(PathBuf::from));
    }
    let opened = table.open(latest).await?;
    let state = opened.snapshot().map_err(|error| delta("failed to list the table's files", &error))?;
    let live: HashSet<PathBuf> =
        state.log_data().iter().map(|file| PathBuf::from(file.object_store_path().to_string())).collect();
    ever.extend(live.iter().cloned());
    Ok(Known { ever, live })
}

fn compare(dataset: &str, folder: &Path, known: &Known, since_ms: i64) -> Result<Vec<Finding>, Failure> {
    let is_known = |path: &PathBuf| known.ever.contains(path.strip_prefix(folder).unwrap_or(path));
    let strays = files(folder, since_ms)?.into_iter().filter(|path| !is_known(path));
    let orphan = |path: PathBuf| finding(dataset, "orphan", "a data file that is in no version", &path);
    let gone = known.live.iter().map(|path| folder.join(path)).filter(|path| !path.exists());
    let said = "a file of the latest version is not there; run the task again with `--force`";
    let missing = |path: PathBuf| finding(dataset, "missing", said, &path);
    Ok(strays.map(orphan).chain(gone.map(missing)).collect())
}

/// Whether a data file, whole or half-written, is called as those that we write. Nothing else is ours to judge.
fn ours(name: &str) -> bool {
    static NAMES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^part-\d{5}-[0-9a-f-]{36}-c\d{3}\.snappy\.parquet(#\d+)?$").ok());
    NAMES.as_ref().is_some_and(|names| names.is_match(name))
}

/// Data files and half-written ones below a table's folder, but those touched since `since_ms`.
fn files(folder: &Path, since_ms: i64) -> Result<Vec<PathBuf>, Failure> {
    let (mut open, mut found) = (vec![folder.to_path_buf()], vec![]);
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            // It was left empty just now.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| io("failed to list", &folder, &error))?,
        };
        for entry in entries.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            // Of the entry itself: a link may lead out of the lake.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && name != "_delta_log" {
                open.push(path);
            } else if kind.is_file() && ours(&name.to_string_lossy()) && old(&path, since_ms) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn old(path: &Path, since_ms: i64) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.metadata().is_ok_and(|found| found.mtime() * 1000 + found.mtime_nsec() / 1_000_000 < since_ms)
}
