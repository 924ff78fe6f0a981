//! Files that are in no commit yet, and go unless one keeps them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::lake::Table;

/// Files of a table on this machine. They are removed when the last holder is dropped, even by a cancel in the
/// middle of a query, unless they were kept. What a crash leaves is removed by `fsck --repair`.
pub(crate) struct Litter {
    folder: Option<PathBuf>,
    paths: Mutex<Vec<String>>,
    kept: AtomicBool,
    _open: Option<OwnedSemaphorePermit>,
}

impl Litter {
    /// `open` is held until the files are removed or kept.
    pub(crate) fn of(table: &Table, open: Option<OwnedSemaphorePermit>) -> Litter {
        let folder = table.folder.clone();
        Litter { folder, paths: Mutex::default(), kept: AtomicBool::new(false), _open: open }
    }

    /// No files.
    pub(crate) fn nothing() -> Litter {
        Litter { folder: None, paths: Mutex::default(), kept: AtomicBool::new(true), _open: None }
    }

    /// Adds files by their paths below the table.
    pub(crate) fn add(&self, paths: impl Iterator<Item = String>) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// The files are part of the table now, or may be.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Litter {
    fn drop(&mut self) {
        let (Some(folder), false) = (&self.folder, self.is_kept()) else { return };
        for path in self.paths.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let path = folder.join(path);
            // What cannot be removed is left to `fsck --repair`.
            let _ = std::fs::remove_file(&path);
            let folders = path.ancestors().skip(1).take_while(|above| above.starts_with(folder) && above != folder);
            folders.for_each(|folder| drop(std::fs::remove_dir(folder)));
        }
        // Only empty folders go: a table that was never published leaves nothing behind.
        if std::fs::remove_dir(folder).is_ok() {
            folder.parent().map(std::fs::remove_dir);
        }
    }
}
