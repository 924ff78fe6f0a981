//! What spares work: hashes of files that stand still, durations of tasks that ran before.

use std::collections::{BTreeMap, HashMap};

use flow::Time;

use crate::Store;
use crate::error::Error;
use crate::row::Arg;

/// The content hash of a file, good while everything else stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHash {
    /// Absolute.
    pub path: String,
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// The inode's change time, in nanoseconds since the epoch.
    pub changed_ns: i64,
    pub hash: String,
}

impl Store {
    /// What is remembered of the file at `path`.
    pub async fn file_hash(&self, path: &str) -> Result<Option<FileHash>, Error> {
        let rows = self.db.read(include_str!("../sql/files.sql"), &[path.into()]).await?;
        let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
        Ok(Some(FileHash {
            path: row.text()?,
            device: row.signed()?.cast_unsigned(),
            inode: row.signed()?.cast_unsigned(),
            size: row.number()?,
            changed_ns: row.signed()?,
            hash: row.text()?,
        }))
    }

    /// Remembers the hashes, each in the place of what was known of its path.
    pub async fn remember_files(&self, files: &[FileHash]) -> Result<(), Error> {
        let by_path: BTreeMap<&str, &FileHash> = files.iter().map(|file| (file.path.as_str(), file)).collect();
        let row = |file: &&FileHash| -> [Arg<'static>; 6] {
            [
                file.path.clone().into(),
                file.device.cast_signed().into(),
                file.inode.cast_signed().into(),
                file.size.into(),
                file.changed_ns.into(),
                file.hash.clone().into(),
            ]
        };
        let rows: Vec<[Arg<'static>; 6]> = by_path.values().map(row).collect();
        let mut tx = self.db.begin().await?;
        tx.bulk(include_str!("../sql/files_remember.sql"), &rows).await?;
        tx.commit().await
    }

    /// How long each task of a flow took on average in its last five runs, in milliseconds.
    pub async fn durations(&self, flow: &str) -> Result<HashMap<String, Time>, Error> {
        let rows = self.db.read(include_str!("../sql/durations.sql"), &[flow.into()]).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.number()?))).collect()
    }
}
