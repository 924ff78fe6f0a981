//! Data files of a table on this machine, written and synced a part at a time while the next is computed.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use futures::stream::BoxStream;

use crate::lake::Table;
use crate::litter::{Litter, unfinished};

/// The store to which data files of `table` are written. What it has taken is on disk, names of files aside, and
/// `litter` knows of it.
pub(crate) fn store(table: &Table, litter: &Arc<Litter>) -> Arc<dyn ObjectStore> {
    let whole = table.log.object_store(None);
    match &table.folder {
        Some(folder) => Arc::new(Synced { whole, folder: folder.clone(), litter: litter.clone() }),
        None => whole,
    }
}

/// As the library's store for a folder, but for uploads.
#[derive(Debug)]
struct Synced {
    whole: Arc<dyn ObjectStore>,
    folder: PathBuf,
    litter: Arc<Litter>,
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.display().fmt(f)
    }
}

impl Synced {
    fn begin(&self, path: &Path) -> Result<Upload> {
        let place = self.folder.join(path.as_ref());
        let file = self.litter.begin(&place).map_err(|error| failed(&place, &error))?;
        Ok(Upload { place: Arc::new(place), file: Arc::new(file), bytes: 0 })
    }
}

#[async_trait]
impl ObjectStore for Synced {
    async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        let mut upload = self.begin(path)?;
        upload.put_part(payload).await?;
        upload.complete().await
    }
    async fn put_multipart_opts(&self, path: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(self.begin(path)?))
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.whole.get_opts(path, options).await
    }
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.whole.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.whole.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.whole.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.whole.copy_opts(from, to, options).await
    }
}

/// A file that gets its name when all of it is on disk. One that never does is left to the [`Litter`].
#[derive(Debug)]
struct Upload {
    place: Arc<PathBuf>,
    file: Arc<File>,
    bytes: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (place, file, at) = (self.place.clone(), self.file.clone(), self.bytes);
        self.bytes += data.content_length() as u64;
        let written = move || write(&file, at, data).map_err(|error| failed(&place, &error));
        Box::pin(async move { tokio::task::spawn_blocking(written).await? })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let place = self.place.as_path();
        std::fs::rename(unfinished(place), place).map_err(|error| failed(place, &error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes a part of a file, and waits until it is on disk.
fn write(file: &File, mut at: u64, data: PutPayload) -> io::Result<()> {
    for bytes in &data {
        file.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
    }
    drop(data);
    file.sync_data()
}

fn failed(place: &std::path::Path, error: &io::Error) -> Error {
    Error::Generic { store: "disk", source: format!("failed to write `{}`: {error}", place.display()).into() }
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::ObjectStoreExt;

    use super::*;
    use crate::lake::Lake;

    const FILE: &str = "day=1/part-0.parquet";

    fn table(lake: &tempfile::TempDir) -> (Table, PathBuf, Arc<Litter>) {
        let table = Lake::new(lake.path().to_str().unwrap()).unwrap().table("flow.task").unwrap();
        let folder = table.folder.clone().unwrap();
        let litter = Arc::new(Litter::of(&table, None));
        (table, folder, litter)
    }

    #[tokio::test]
    async fn a_file_has_its_name_when_all_of_it_is_there() {
        let lake = tempfile::tempdir().unwrap();
        let (table, folder, litter) = table(&lake);
        let mut upload = store(&table, &litter).put_multipart(&Path::from(FILE)).await.unwrap();
        let (first, last) = (upload.put_part("all of ".into()), upload.put_part("it".into()));
        last.await.unwrap();
        first.await.unwrap();
        assert!(!folder.join(FILE).exists());
        upload.complete().await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.join(FILE)).unwrap(), "all of it");
        assert!(!unfinished(&folder.join(FILE)).exists());
    }

    #[tokio::test]
    async fn what_nobody_keeps_goes_whole_or_not() {
        let lake = tempfile::tempdir().unwrap();
        let (table, folder, litter) = table(&lake);
        let store = store(&table, &litter);
        store.put(&Path::from(FILE), "whole".into()).await.unwrap();
        let mut upload = store.put_multipart(&Path::from("part-1.parquet")).await.unwrap();
        upload.put_part("not".into()).await.unwrap();
        litter.remove();
        assert!(!folder.exists());
        assert!(upload.complete().await.is_err());
        assert!(store.put(&Path::from("part-2.parquet"), "late".into()).await.is_err());
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn what_is_kept_stays() {
        let lake = tempfile::tempdir().unwrap();
        let (table, folder, litter) = table(&lake);
        store(&table, &litter).put(&Path::from(FILE), "kept".into()).await.unwrap();
        litter.keep();
        drop(litter);
        assert_eq!(std::fs::read_to_string(folder.join(FILE)).unwrap(), "kept");
    }
}
