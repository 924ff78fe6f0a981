//! Where datasets live: a folder or an object-store prefix of Delta tables.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::catalog::TableProvider;
use deltalake::DeltaTable;
use deltalake::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, logstore_for};
use flow::wire::Failure;
use url::Url;
use uuid::Uuid;

use crate::error::{delta, io};
use crate::{Error, durable, objects, tables};

/// The file of a lake's folder that tells it from others.
const ID_FILE: &str = "_lake_id";

/// Where datasets live.
#[derive(Clone, Debug)]
pub(crate) struct Lake {
    pub(crate) root: Url,
    /// The folder, if the lake is on this machine.
    pub(crate) folder: Option<PathBuf>,
    /// The object store, if it is in one.
    pub(crate) objects: Option<ObjectStoreRef>,
    /// The id of a lake in an object store, once that was reached.
    known: Arc<OnceLock<String>>,
}

impl Lake {
    /// A lake at a folder or URL. Nothing is opened or made.
    pub(crate) fn new(place: &str) -> Result<Lake, Error> {
        let invalid = |why: &str| Error::Setting(format!("the lake `{place}` is not a folder or URL: {why}"));
        if let Ok(url) = Url::parse(place)
            && url.scheme().len() > 1
            && url.scheme() != "file"
        {
            let mut root = url;
            if !root.path().ends_with('/') {
                root.set_path(&format!("{}/", root.path()));
            }
            let objects = Some(objects::open(&root).map_err(|error| invalid(&error))?);
            return Ok(Lake { root, folder: None, objects, known: Arc::default() });
        }
        let folder = std::path::absolute(place.strip_prefix("file://").unwrap_or(place))
            .map_err(|error| invalid(&error.to_string()))?;
        let root = Url::from_directory_path(&folder).map_err(|()| invalid("not an absolute path"))?;
        Ok(Lake { root, folder: Some(folder), objects: None, known: Arc::default() })
    }

    /// What tells it from others, if anything does yet.
    pub(crate) fn id(&self) -> Option<String> {
        let Some(folder) = &self.folder else { return self.known.get().cloned() };
        let id = std::fs::read_to_string(folder.join(ID_FILE)).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Its id, which it gets if it has none. `None`: it cannot be written.
    pub(crate) fn mark(&self) -> Option<String> {
        let folder = self.folder.as_ref().filter(|_| self.id().is_none());
        if let Some(folder) = folder {
            let id = Uuid::now_v7().to_string();
            let written =
                durable::make_folder(folder).and_then(|()| durable::create(&folder.join(ID_FILE), id.as_bytes()));
            if let Err(error) = written {
                tracing::debug!(folder = %folder.display(), %error, "failed to mark the lake");
            }
        }
        self.id()
    }

    /// Whether an object store answers that has it; from then on its id is known.
    pub(crate) async fn reach(&self) -> Result<(), Error> {
        if self.folder.is_some() {
            return Ok(());
        }
        let told = |why: &str| Error::Lake(format!("the lake {} is out of reach: {why}", self.root));
        let log = logstore_for(&self.root, StorageConfig::default()).map_err(|error| told(&error.to_string()))?;
        let id = objects::id(log.object_store(None).as_ref()).await.map_err(|error| told(&error.to_string()))?;
        id.map(|id| self.known.set(id));
        Ok(())
    }

    /// The table of `flow.task`.
    pub(crate) fn table(&self, dataset: &str) -> Result<Table, Failure> {
        let unusable = || Failure::internal(format!("`{dataset}` is not a dataset's name"));
        let (flow, task) = dataset.split_once('.').ok_or_else(unusable)?;
        let url = self.root.join(&format!("{flow}/{task}/")).map_err(|_| unusable())?;
        let log =
            logstore_for(&url, StorageConfig::default()).map_err(|error| delta("failed to open the lake", &error))?;
        let folder = self.folder.as_ref().map(|folder| folder.join(flow).join(task));
        Ok(Table { dataset: dataset.to_string(), url, folder, log })
    }

    /// The names of all datasets, `flow.task`, sorted.
    pub(crate) async fn datasets(&self) -> Result<Vec<String>, Failure> {
        let begun = self.begun().await?;
        let Some(root) = &self.folder else {
            let mut published = vec![];
            for name in begun {
                let below = self.below(Some(&deltalake::Path::from(name.replacen('.', "/", 1)))).await?;
                published.extend(below.iter().any(|it| it == "_delta_log").then_some(name));
            }
            return Ok(published);
        };
        let published = |name: &String| root.join(name.replacen('.', "/", 1)).join("_delta_log").is_dir();
        Ok(begun.into_iter().filter(published).collect())
    }

    /// The names of all datasets, sorted; some may never have been published.
    pub(crate) async fn begun(&self) -> Result<Vec<String>, Failure> {
        let mut found = vec![];
        for flow in self.below(None).await? {
            let tasks = self.below(Some(&deltalake::Path::from(flow.as_str()))).await?;
            found.extend(tasks.into_iter().map(|task| format!("{flow}.{task}")));
        }
        found.sort();
        Ok(found)
    }

    /// The names of the folders in a folder of the lake.
    async fn below(&self, path: Option<&deltalake::Path>) -> Result<Vec<String>, Failure> {
        if let Some(root) = &self.folder {
            return folders(&path.map_or_else(|| root.clone(), |path| root.join(path.as_ref())));
        }
        let log = logstore_for(&self.root, StorageConfig::default())
            .map_err(|error| delta("failed to open the lake", &error))?;
        let listed = log.object_store(None).list_with_delimiter(path).await;
        let listed = listed.map_err(|error| Failure::external(format!("failed to list the lake: {error}")))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }
}

/// The folders in a folder, but for hidden ones; none if it does not exist.
fn folders(path: &Path) -> Result<Vec<String>, Failure> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(io("failed to list", path, &error)),
    };
    let visible = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        (entry.path().is_dir() && !name.starts_with('.')).then_some(name)
    };
    Ok(entries.filter_map(Result::ok).filter_map(visible).collect())
}

/// A table of the lake, which may not exist yet.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) dataset: String,
    pub(crate) url: Url,
    /// The table's folder, if the lake is on this machine.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) log: LogStoreRef,
}

impl Table {
    /// The path or URL that other programs open.
    pub(crate) fn location(&self) -> String {
        self.folder.as_ref().map_or_else(|| self.url.to_string(), |folder| folder.display().to_string())
    }

    /// The path or URL of a file of the table.
    pub(crate) fn location_of(&self, path: &str) -> String {
        match &self.folder {
            Some(folder) => folder.join(path).display().to_string(),
            None => self.file_url(path).to_string(),
        }
    }

    /// The latest version, or `None` if nothing was ever published.
    pub(crate) async fn latest(&self) -> Result<Option<u64>, Failure> {
        Ok(self.log_names().await?.iter().filter_map(|name| version_of(name)).max())
    }

    /// The URL of a file of the table, whose path is below the table and may hold any character.
    pub(crate) fn file_url(&self, path: &str) -> Url {
        objects::below(&self.url, path)
    }

    /// Whether the log may have an entry for `version`; in an object store nobody knows before he has asked.
    pub(crate) fn may_hold(&self, version: u64) -> bool {
        self.folder.as_ref().is_none_or(|folder| folder.join("_delta_log").join(entry(version)).exists())
    }

    /// The table as of `version`.
    pub(crate) async fn open(&self, version: u64) -> Result<DeltaTable, Failure> {
        let mut table = DeltaTable::new(self.log.clone());
        match table.load_version(version).await {
            Ok(()) => Ok(table),
            Err(error) => Err(delta(&format!("failed to open version {version} of `{}`", self.dataset), &error)),
        }
    }

    /// The rows of `version`, to be read by queries.
    pub(crate) async fn provider(&self, version: u64) -> Result<Arc<dyn TableProvider>, Failure> {
        let opened = self.open(version).await?;
        let provider = opened.table_provider().await.map_err(crate::error::failure)?;
        tables::as_published(provider).map_err(crate::error::failure)
    }
}

/// The name of a version in a log folder.
pub(crate) fn entry(version: u64) -> String {
    format!("{version:020}.json")
}

/// The version that a log's entry is of, if it is one.
pub(crate) fn version_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json")?.parse().ok()
}
