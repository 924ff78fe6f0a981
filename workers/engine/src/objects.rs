//! Object stores that hold a lake or sources: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! They are found by the variables that other programs know, too: `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
//! `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and so on, as the crate `object_store` lists them. Of two who
//! commit the same version of a table, the store lets one: it must know conditional writes (`If-None-Match`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use datafusion::object_store::aws::AmazonS3Builder;
use datafusion::object_store::azure::MicrosoftAzureBuilder;
use datafusion::object_store::client::SpawnedReqwestConnector;
use datafusion::object_store::gcp::GoogleCloudStorageBuilder;
use datafusion::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, RetryConfig,
};
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, Path};
use tokio::runtime::{Builder, Handle, Runtime};
use url::{Position, Url};
use uuid::Uuid;

/// The schemes of the URLs that name one.
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// What the names of variables begin with that say how to get in.
const VARIABLES: [&str; 4] = ["AWS_", "GOOGLE_", "AZURE_", "IDENTITY_"];

/// The object of a lake that tells it from others.
const ID_OBJECT: &str = "_lake_id";

/// The URL of something in an object store, if `place` is one.
pub(crate) fn url(place: &str) -> Option<Url> {
    Url::parse(place).ok().filter(|url| SCHEMES.contains(&url.scheme()))
}

/// The URL of what lies at `path` below a folder or store; the path may hold any character.
pub(crate) fn below(root: &Url, path: &str) -> Url {
    let mut url = root.clone();
    // Fails only for URLs that have no path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

/// Makes Delta find tables in the store that `root` is in. Answers the store.
pub(crate) fn open(root: &Url) -> Result<ObjectStoreRef, String> {
    if !SCHEMES.contains(&root.scheme()) {
        return Err(format!("nothing is known of `{}://`; there are {}", root.scheme(), SCHEMES.join(", ")));
    }
    let scheme = Url::parse(&format!("{}://", root.scheme())).map_err(|error| error.to_string())?;
    object_store_factories().insert(scheme.clone(), Arc::new(Stores));
    logstore_factories().insert(scheme, Arc::new(Logs));
    store(root).map_err(|error| error.to_string())
}

struct Stores;

impl ObjectStoreFactory for Stores {
    fn parse_url_opts(&self, url: &Url, _: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        Ok((store(url)?, Path::from_url_path(url.path())?))
    }
}

/// The store that a URL names, one for all who ask: its connections are kept.
pub(crate) fn store(url: &Url) -> Result<ObjectStoreRef, StoreError> {
    static KNOWN: Mutex<BTreeMap<String, ObjectStoreRef>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let root = &url[..Position::BeforePath];
    if let Some(store) = known.get(root) {
        return Ok(store.clone());
    }
    let store = build(url)?;
    known.insert(root.to_owned(), store.clone());
    Ok(store)
}

/// Makes the client of a store, with what the environment says of it.
fn build(url: &Url) -> Result<ObjectStoreRef, StoreError> {
    macro_rules! built {
        ($builder:ty) => {{
            let new = <$builder>::new().with_url(url.as_str()).with_retry(patience());
            let new = new.with_http_connector(SpawnedReqwestConnector::new(wire()?));
            let known = options().into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            Arc::new(known.fold(new, |builder, (name, value)| builder.with_config(name, value)).build()?)
        }};
    }
    let (scheme, _) = ObjectStoreScheme::parse(url).map_err(StoreError::from)?;
    Ok(match scheme {
        ObjectStoreScheme::GoogleCloudStorage => built!(GoogleCloudStorageBuilder),
        ObjectStoreScheme::MicrosoftAzure => built!(MicrosoftAzureBuilder),
        _ => built!(AmazonS3Builder),
    })
}

/// Where connections live. Elsewhere they would go with the threads of the query that opened them.
pub(crate) fn wire() -> Result<Handle, StoreError> {
    static WIRE: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = WIRE.get() {
        return Ok(runtime.handle().clone());
    }
    let mut one = Builder::new_multi_thread();
    let runtime = one.worker_threads(1).thread_name("objects").enable_all().build();
    let runtime = runtime.map_err(|error| StoreError::Generic { store: "client", source: error.into() })?;
    Ok(WIRE.get_or_init(|| runtime).handle().clone())
}

/// For how long a store may be away. What comes after is for the retries of tasks.
fn patience() -> RetryConfig {
    RetryConfig { max_retries: 30, retry_timeout: Duration::from_secs(15), ..RetryConfig::default() }
}

/// What the environment says, as the stores' builders read it.
fn options() -> Vec<(String, String)> {
    let ours = |name: &str| VARIABLES.iter().any(|prefix| name.starts_with(prefix));
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut options: Vec<(String, String)> = texts.filter(|(name, _)| ours(name)).collect();
    // Who writes an address without TLS means it.
    let is_plain = |(name, value): &(String, String)| name.starts_with("AWS_ENDPOINT") && value.starts_with("http://");
    if options.iter().any(is_plain) {
        options.push(("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()));
    }
    options.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    options
}

/// What tells a lake from others, whatever it is called here and there: it gets an id if it has none. `None`: it may
/// only be read, and nobody has given it one.
///
/// # Errors
/// The store does not answer, lets nobody in, or has no conditional writes: of two who commit, both would believe that
/// they had.
pub(crate) async fn id(lake: &dyn ObjectStore) -> Result<Option<String>, StoreError> {
    let object = Path::from(ID_OBJECT);
    if let Some(id) = read(lake, &object).await? {
        return Ok(Some(id));
    }
    let id = Uuid::now_v7().to_string();
    let create = async || lake.put_opts(&object, id.clone().into(), PutMode::Create.into()).await;
    match create().await {
        Ok(_) => match create().await {
            Err(StoreError::AlreadyExists { .. }) => Ok(Some(id)),
            Err(error) => Err(error),
            Ok(_) => {
                lake.delete(&object).await?;
                let why = "it writes over what is there although it is asked not to (`If-None-Match`)";
                Err(StoreError::Generic { store: "store without conditional writes", source: why.into() })
            }
        },
        Err(StoreError::AlreadyExists { .. }) => read(lake, &object).await,
        Err(StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(lake: &dyn ObjectStore, object: &Path) -> Result<Option<String>, StoreError> {
    match lake.get(object).await {
        Ok(found) => Ok(Some(String::from_utf8_lossy(&found.bytes().await?).trim().to_owned())),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

struct Logs;

impl LogStoreFactory for Logs {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use async_trait::async_trait;
    use datafusion::object_store::memory::InMemory;
    use datafusion::object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
        PutPayload, PutResult, Result,
    };
    use futures::stream::BoxStream;

    use super::*;

    /// A store that writes over what is there, whatever it is asked.
    #[derive(Debug, Default)]
    struct Careless(InMemory);

    impl fmt::Display for Careless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("careless")
        }
    }

    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
            self.0.put_opts(path, payload, PutMode::Overwrite.into()).await
        }
        async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(path, opts).await
        }
        async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(path, options).await
        }
        fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.0.delete_stream(paths)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn a_lake_keeps_the_id_that_it_got_first() {
        let lake = InMemory::new();
        let first = id(&lake).await.unwrap();
        assert!(first.is_some());
        assert_eq!(id(&lake).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_store_without_conditional_writes_holds_no_lake() {
        let lake = Careless::default();
        for _ in 0..2 {
            let refused = id(&lake).await.unwrap_err().to_string();
            assert!(refused.contains("If-None-Match"), "{refused}");
        }
    }
}
