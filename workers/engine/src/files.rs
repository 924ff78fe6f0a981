//! The files of a table, in a folder or an object store.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use datafusion::object_store::{Error as StoreError, ObjectStoreExt};
use flow::wire::Failure;
use futures::TryStreamExt;

use crate::error::io;
use crate::lake::Table;

/// A file that is there.
pub(crate) struct Stored {
    /// Below the table.
    pub path: String,
    /// When it was written last, in milliseconds since the epoch.
    pub touched_ms: i64,
}

impl Table {
    /// Every file but those of the log, sorted by path.
    pub(crate) async fn files(&self) -> Result<Vec<Stored>, Failure> {
        let mut files = match &self.folder {
            Some(folder) => in_folder(folder)?,
            None => {
                let failed = |error| Failure::external(format!("failed to list `{}`: {error}", self.dataset));
                let store = self.log.object_store(None);
                let listed = store.list(None).try_filter_map(async |file| {
                    let (path, touched_ms) = (file.location.to_string(), file.last_modified.timestamp_millis());
                    Ok((!path.starts_with("_delta_log/")).then_some(Stored { path, touched_ms }))
                });
                listed.try_collect().await.map_err(failed)?
            }
        };
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The names of the files in the log's folder, sorted: versions come in their order.
    pub(crate) async fn log_names(&self) -> Result<BTreeSet<String>, Failure> {
        let Some(folder) = &self.folder else {
            let listed = self.log.object_store(None);
            let listed = listed.list(Some(&deltalake::Path::from("_delta_log")));
            let names = listed.try_filter_map(async |file| Ok(file.location.filename().map(str::to_owned)));
            let failed = |error| Failure::external(format!("failed to list the log of `{}`: {error}", self.dataset));
            return names.try_collect().await.map_err(failed);
        };
        let log = folder.join("_delta_log");
        let entries = match std::fs::read_dir(&log) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(io("failed to list", &log, &error)),
        };
        Ok(entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Removes a file, and the folders that it leaves empty. One that is gone already is no error.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), Failure> {
        let Some(folder) = &self.folder else {
            let failed = |error| Failure::external(format!("failed to remove `{path}` of `{}`: {error}", self.dataset));
            // As the store calls it: what is encoded in it must not be encoded once more.
            let path = deltalake::Path::parse(path).map_err(|error| failed(error.into()))?;
            return match self.log.object_store(None).delete(&path).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(error)),
            };
        };
        let file = folder.join(path);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("failed to remove", &file, &error)),
            _ => {}
        }
        let lake = folder.ancestors().nth(2);
        let above = file.ancestors().skip(1).take_while(|above| Some(*above) != lake);
        above.take_while(|folder| std::fs::remove_dir(folder).is_ok()).for_each(drop);
        Ok(())
    }
}

/// Every file below a table's folder but those of the log.
fn in_folder(table: &Path) -> Result<Vec<Stored>, Failure> {
    let (mut open, mut found) = (vec![table.to_path_buf()], vec![]);
    while let Some(folder) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            // It was left empty just now.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(|error| io("failed to list", &folder, &error))?,
        };
        for entry in entries.filter_map(Result::ok) {
            // Of the entry itself: a link may lead out of the lake.
            let Ok(kind) = entry.file_type() else { continue };
            match kind.is_dir() {
                true if entry.file_name() != "_delta_log" => open.push(entry.path()),
                true => {}
                false => found.extend(stored(table, &entry.path(), kind.is_file())),
            }
        }
    }
    Ok(found)
}

fn stored(table: &Path, path: &Path, is_file: bool) -> Option<Stored> {
    let found = path.metadata().ok()?;
    // What somebody else has put there is as new as can be, so that it stays.
    let touched_ms = if is_file { found.mtime() * 1000 + found.mtime_nsec() / 1_000_000 } else { i64::MAX };
    Some(Stored { path: path.strip_prefix(table).ok()?.to_str()?.to_owned(), touched_ms })
}
