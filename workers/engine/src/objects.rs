//! Object stores that hold a lake: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! They are found by the variables that other programs know, too: `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
//! `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and so on, as the crate `object_store` lists them. Of two who
//! commit the same version of a table, the store lets one: it must know conditional writes (`If-None-Match`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::object_store::parse_url_opts;
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, Path};
use url::{Position, Url};

/// The schemes of the URLs that name one.
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// What the names of variables begin with that say how to get in.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Makes Delta find tables in the store that `root` is in. Answers the store.
pub(crate) fn open(root: &Url) -> Result<ObjectStoreRef, String> {
    if !SCHEMES.contains(&root.scheme()) {
        return Err(format!("nothing is known of `{}://`; there are {}", root.scheme(), SCHEMES.join(", ")));
    }
    let scheme = Url::parse(&format!("{}://", root.scheme())).map_err(|error| error.to_string())?;
    let stores = match object_store_factories().get(&scheme) {
        Some(known) => known.clone(),
        None => Arc::new(Stores::default()) as Arc<dyn ObjectStoreFactory>,
    };
    object_store_factories().insert(scheme.clone(), stores.clone());
    logstore_factories().insert(scheme, Arc::new(Logs));
    let opened = stores.parse_url_opts(root, &StorageConfig::default());
    opened.map(|(store, _)| store).map_err(|error| error.to_string())
}

/// Stores by the part of their URL before the path, so that their connections are kept.
#[derive(Default)]
struct Stores(Mutex<HashMap<String, ObjectStoreRef>>);

impl ObjectStoreFactory for Stores {
    fn parse_url_opts(&self, url: &Url, _: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        let path = Path::from_url_path(url.path())?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let root = url[..Position::BeforePath].to_owned();
        if let Some(store) = known.get(&root) {
            return Ok((store.clone(), path));
        }
        let (store, _) = parse_url_opts(url, options())?;
        let store: ObjectStoreRef = Arc::from(store);
        known.insert(root, store.clone());
        Ok((store, path))
    }
}

/// What the environment says, as the stores' builders read it.
fn options() -> Vec<(String, String)> {
    let ours = |name: &str| VARIABLES.iter().any(|prefix| name.starts_with(prefix));
    let mut options: Vec<(String, String)> = std::env::vars().filter(|(name, _)| ours(name)).collect();
    // Who writes an address without TLS means it.
    let is_plain = |(name, value): &(String, String)| name.starts_with("AWS_ENDPOINT") && value.starts_with("http://");
    if options.iter().any(is_plain) {
        options.push(("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()));
    }
    options.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    options
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
