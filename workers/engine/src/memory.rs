//! The types that reading whole files told, kept while the files stand still.
//!
//! A note is named by the hash of everything it depends on: paths, stamps (device, inode, size, change time) and
//! settings. Losing one costs a read, nothing else, so faults are not told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flow::plan::{Column, Source};

use crate::place::Place;

/// A folder of notes. Nothing is written before [`Memory::write`]: a compilation alone leaves no trace.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
    pending: Arc<Mutex<Vec<(String, String)>>>,
}

impl Memory {
    pub fn new(folder: PathBuf) -> Memory {
        Memory { folder, pending: Arc::default() }
    }

    /// The name of the note on the types of a source's files; `None` if one of them changed only just now.
    pub fn key(source: &Source, places: &[Place]) -> Option<String> {
        let stamps =
            places.iter().map(|place| Some((place.to_string(), place.stamp()?))).collect::<Option<Vec<_>>>()?;
        let settings = (source.format, &source.null, source.delimiter, source.header, env!("CARGO_PKG_VERSION"));
        let text = serde_json::to_string(&(settings, stamps)).ok()?;
        Some(blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    pub fn recall(&self, key: &str) -> Option<Vec<Column>> {
        serde_json::from_str(&std::fs::read_to_string(self.folder.join(key)).ok()?).ok()
    }

    pub fn keep(&self, key: String, columns: &[Column]) {
        if let Ok(text) = serde_json::to_string(columns) {
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).push((key, text));
        }
    }

    /// Writes what was kept.
    pub fn write(&self) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, text) in pending {
            let staged = self.folder.join(format!("{}.tmp", uuid::Uuid::now_v7().simple()));
            let write = || {
                std::fs::create_dir_all(&self.folder)?;
                std::fs::write(&staged, &text)?;
                std::fs::rename(&staged, self.folder.join(&key))
            };
            if let Err(error) = write() {
                tracing::debug!(folder = %self.folder.display(), %error, "failed to note what files hold");
            }
        }
    }
}
