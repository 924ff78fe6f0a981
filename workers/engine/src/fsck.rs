//! Whether the lake holds what its logs say, and nothing else.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

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

impl Engine {
    /// Compares every table's files with its log. With `repair`, removes files that are in no version; those in
    /// `spared` run attempts may be about to be published and stay.
    ///
    /// Only for a lake on this machine: an object store lists nothing cheaply, and its lifecycle rules do this.
    pub async fn fsck(&self, repair: bool, spared_since_ms: i64) -> Result<Vec<Finding>, Failure> {
        let mut found = vec![];
        let Some(root) = &self.lake.folder else { return Ok(found) };
        for name in begun(root)? {
            let table = self.lake.table(&name)?;
            let folder = root.join(name.replacen('.', "/", 1));
            match known_files(&table).await {
                Ok(known) => compare(&name, &folder, &known, repair, spared_since_ms, &mut found)?,
                Err(failure) => found.push(Finding {
                    dataset: name,
                    kind: "log",
                    message: failure.message,
                    path: folder.join("_delta_log").display().to_string(),
                    repaired: false,
                }),
            }
        }
        Ok(found)
    }
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
    for version in 0..=latest {
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

fn compare(
    dataset: &str,
    folder: &Path,
    known: &Known,
    repair: bool,
    since_ms: i64,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let finding = |kind, message: String, path: &Path, repaired| Finding {
        dataset: dataset.to_string(),
        kind,
        message,
        path: path.display().to_string(),
        repaired,
    };
    for path in files(folder, since_ms)? {
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        if known.ever.contains(inside) {
            continue;
        }
        if repair {
            std::fs::remove_file(&path).map_err(|error| io("failed to remove", &path, &error))?;
            // Only empty folders go.
            path.ancestors()
                .skip(1)
                .take_while(|above| above.starts_with(folder))
                .for_each(|it| drop(std::fs::remove_dir(it)));
        }
        found.push(finding("orphan", "a data file that is in no version".into(), &path, repair));
    }
    for path in known.live.iter().map(|path| folder.join(path)).filter(|path| !path.exists()) {
        let message = "a file of the latest version is not there; run the task again with `--force`".into();
        found.push(finding("missing", message, &path, false));
    }
    Ok(())
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
        for entry in
            std::fs::read_dir(&folder).map_err(|error| io("failed to list", &folder, &error))?.filter_map(Result::ok)
        {
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
