//! What a run reads from outside, fixed when it starts and looked at again before a commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow::plan::{Plan, Source};
use flow::spec::Format;
use flow::wire::{Failure, PinnedFile, Pins};

use crate::error::io;
use crate::place::{Place, places};
use crate::{Engine, Error, digest, source};

/// A change so short ago may be followed by another that leaves the same time.
const RECENT: Duration = Duration::from_secs(3);

impl Engine {
    /// Fixes the files of every source and the versions of every dataset of other runs.
    ///
    /// Identity is content: every file is read and hashed, unless `known` holds an equal stamp. Of an object its store
    /// tells the version.
    ///
    /// # Errors
    /// [`Error::NotFound`] if a dataset was never published, [`Error::Failed`] if a file cannot be read.
    pub async fn pin(&self, plan: &Plan, known: &Pins) -> Result<Pins, Error> {
        self.memory.write();
        let mut pins = Pins::default();
        for source in &plan.sources {
            let known = known.sources.get(&source.name).map_or(&[][..], Vec::as_slice);
            pins.sources.insert(source.name.clone(), pin_source(source, known).await?);
        }
        for dataset in &plan.externals {
            let latest = self.lake.table(dataset)?.latest().await?;
            let missing = || Error::NotFound(format!("nothing was ever published as `{dataset}`"));
            pins.datasets.insert(dataset.clone(), latest.ok_or_else(missing)?);
        }
        Ok(pins)
    }

    /// Whether what was pinned still stands as it was. A difference is an external failure that a retry may cure.
    pub(crate) async fn still_pinned(&self, source: &Source, pinned: &[PinnedFile]) -> Result<(), Failure> {
        if source.format == Format::Delta {
            return Ok(());
        }
        let now = pin_source(source, pinned).await?;
        let same = |(a, b): (&PinnedFile, &PinnedFile)| a.path == b.path && a.hash == b.hash;
        if now.len() == pinned.len() && now.iter().zip(pinned).all(same) {
            return Ok(());
        }
        Err(Failure::external(format!("the files of source `{}` changed while they were read; run again", source.name)))
    }
}

async fn pin_source(source: &Source, known: &[PinnedFile]) -> Result<Vec<PinnedFile>, Failure> {
    if source.format == Format::Delta {
        let version = source::delta_version(&source.path).await?;
        let path = source.path.clone();
        return Ok(vec![PinnedFile { path, bytes: 0, stamp: String::new(), hash: version }]);
    }
    let places = places(source).await.map_err(|problem| Failure::external(problem.message))?;
    let known: BTreeMap<&str, &PinnedFile> = known.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut pinned = vec![];
    for place in places {
        let file = match place {
            Place::File(file) => file,
            Place::Object(object) => {
                pinned.push(object.pinned());
                continue;
            }
        };
        let path = file.display().to_string();
        let stamp = stamp(&file)?;
        let hash = match known.get(path.as_str()) {
            Some(known) if known.stamp == stamp => known.hash.clone(),
            _ => hash(&file).await?,
        };
        let found = file.metadata().map_err(|error| io("failed to look at", &file, &error))?;
        let stamp = if is_recent(&found) { String::new() } else { stamp };
        let bytes = found.len();
        pinned.push(PinnedFile { path, bytes, stamp, hash });
    }
    Ok(pinned)
}

/// Device, inode, size and change time.
fn stamp(path: &Path) -> Result<String, Failure> {
    use std::os::unix::fs::MetadataExt;
    let found = path.metadata().map_err(|error| io("failed to look at", path, &error))?;
    Ok(format!("{:x}.{:x}.{:x}.{}.{}", found.dev(), found.ino(), found.len(), found.ctime(), found.ctime_nsec()))
}

/// The stamp of a file, unless it changed only just now.
pub(crate) fn settled_stamp(path: &Path) -> Option<String> {
    let found = path.metadata().ok()?;
    if is_recent(&found) { None } else { stamp(path).ok() }
}

/// Whether a file changed within the grain of its file system's clock, or nearly so.
fn is_recent(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(found.ctime()).unwrap_or_default());
    changed + RECENT > SystemTime::now()
}

async fn hash(path: &Path) -> Result<String, Failure> {
    let path = path.to_path_buf();
    let work = tokio::task::spawn_blocking(move || {
        digest::of(&path).map_err(|error: std::io::Error| io("failed to read", &path, &error))
    });
    work.await.map_err(|error| Failure::internal(error.to_string()))?
}
