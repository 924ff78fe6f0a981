//! Writes that survive a power cut: bytes first, then the name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the content of a file durable.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder and its missing parents, and their names durable.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), sync_folder)
}

/// Gives `bytes` the name `path`, durably, unless the name is taken: then [`io::ErrorKind::AlreadyExists`].
/// A reader sees all of it or nothing.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_extension(format!("{}.tmp", uuid::Uuid::now_v7().simple()));
    let write = || {
        let mut file = File::create_new(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&staged, path)
    };
    let written = write();
    let removed = fs::remove_file(&staged);
    written?;
    removed?;
    path.parent().map_or(Ok(()), sync_folder)
}
