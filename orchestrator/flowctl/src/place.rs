//! Paths that are to be written.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The path, or the nearest above it that is there.
pub fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

/// Whether a folder at `path` can be written or, if it is not there, be made. Says why not.
pub fn writable(path: &Path) -> Result<(), String> {
    let there = nearest(path);
    if !there.is_dir() {
        return Err(format!("`{}` is no folder", there.display()));
    }
    access(&there, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| format!("`{}`: {error}", there.display()))
}
