//! Copies of an SQLite store that is in use.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::Store;
use crate::error::{Error, Kind};

impl Store {
    /// Copies the store, as it is at one instant, into `file`, which must not be there. Others read and write meanwhile.
    /// The copy has its name only when it is whole and on disk. Answers its size in bytes.
    ///
    /// # Errors
    ///
    /// [`Kind::Refused`] if there is such a file or the store is no SQLite file; [`Kind::Unwritable`] and
    /// [`Kind::Full`] as the disk says. Then no part of a copy is left.
    pub async fn backup(&self, file: &Path) -> Result<u64, Error> {
        if file.exists() {
            return Err(taken(file));
        }
        let staged = file.with_added_extension(format!("{}.tmp", std::process::id()));
        let Some(text) = staged.to_str() else {
            return Err(Error::new(
                Kind::Refused,
                format!("copy the store to {}: its name is no text", file.display()),
            ));
        };
        let copied = self.db.copy_to(include_str!("../sql/backup.sqlite.sql"), text).await;
        let named = copied.and_then(|()| name(&staged, file).map_err(|error| told(file, &error)));
        // What was never made needs no removing.
        let _ = fs::remove_file(&staged);
        named
    }
}

/// Gives the whole copy its name, unless that is taken.
fn name(staged: &Path, file: &Path) -> io::Result<u64> {
    let copy = File::open(staged)?;
    copy.sync_all()?;
    fs::hard_link(staged, file)?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(copy.metadata()?.len())
}

fn told(file: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::AlreadyExists => return taken(file),
        io::ErrorKind::StorageFull => Kind::Full,
        _ => Kind::Unwritable,
    };
    Error::new(kind, format!("copy the store to {}: {error}", file.display()))
}

fn taken(file: &Path) -> Error {
    Error::new(Kind::Refused, format!("copy the store to {}: there is such a file", file.display()))
        .hint("name another; a backup overwrites nothing")
}
