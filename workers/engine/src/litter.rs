//! Files that are in no commit yet, and go unless one keeps them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::durable;
use crate::lake::Table;

/// Files of a table on this machine. They are removed when the last holder is dropped, even by a cancel in the
/// middle of a query, unless they were kept. What a crash leaves is removed by `fsck --repair`.
#[derive(Debug)]
pub(crate) struct Litter {
    folder: Option<PathBuf>,
    /// `None` once they were removed.
    files: Mutex<Option<Vec<PathBuf>>>,
    kept: AtomicBool,
    _open: Option<OwnedSemaphorePermit>,
}

impl Litter {
    /// `open` is held until the files are removed or kept.
    pub(crate) fn of(table: &Table, open: Option<OwnedSemaphorePermit>) -> Litter {
        let (folder, files) = (table.folder.clone(), Mutex::new(Some(vec![])));
        Litter { folder, files, kept: AtomicBool::new(false), _open: open }
    }

    /// No files.
    pub(crate) fn nothing() -> Litter {
        Litter { folder: None, files: Mutex::default(), kept: AtomicBool::new(true), _open: None }
    }

    /// Makes a file that will be called `place`, and is [`unfinished`] until then.
    pub(crate) fn begin(&self, place: &Path) -> io::Result<File> {
        let mut files = self.files();
        let files = files.as_mut().ok_or_else(|| io::Error::other("the files were removed meanwhile"))?;
        loop {
            match File::create_new(unfinished(place)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // It was there: another attempt that fails removes the folders that it leaves empty.
                    self.folder.as_deref().map_or(Ok(()), durable::make_folder)?;
                    place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                }
                file => {
                    files.push(place.to_owned());
                    return file;
                }
            }
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// The files are part of the table now, or may be.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Removes the files, unless they are kept. None is made after that.
    pub(crate) fn remove(&self) {
        let (Some(folder), false) = (&self.folder, self.is_kept()) else { return };
        let Some(files) = self.files().take() else { return };
        for place in files {
            // In this order: what is being finished is found by one of its names. What cannot be removed is left to
            // `fsck --repair`.
            let _ = std::fs::remove_file(unfinished(&place));
            let _ = std::fs::remove_file(&place);
            let folders = place.ancestors().skip(1).take_while(|above| above.starts_with(folder) && above != folder);
            folders.for_each(|folder| drop(std::fs::remove_dir(folder)));
        }
        // Only empty folders go: a table that was never published leaves nothing behind.
        let _ = std::fs::remove_dir(folder.join("_delta_log"));
        if std::fs::remove_dir(folder).is_ok() {
            folder.parent().map(std::fs::remove_dir);
        }
    }

    fn files(&self) -> MutexGuard<'_, Option<Vec<PathBuf>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Litter {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The name of a file that is still written: as the library calls its own.
pub(crate) fn unfinished(place: &Path) -> PathBuf {
    let mut name = OsString::from(place);
    name.push("#1");
    name.into()
}
