//! What the driver needs of a store.

use async_trait::async_trait;
use flow::run::{Record, Run};
use store::{Created, Store};

/// The verbs of [`Store`] that a driver uses, so that tests can put something less kind in its place.
#[async_trait]
pub trait Journal: Send + Sync {
    /// See [`Store::create`].
    async fn create(&self, new: &store::NewRun<'_>, run: &Run, records: Vec<Record>) -> Result<Created, store::Error>;

    /// See [`Store::append_as`].
    async fn append(&self, holder: &str, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, store::Error>;

    /// See [`Store::tail`].
    async fn tail(&self, run_id: &str, after: u64) -> Result<Vec<Record>, store::Error>;

    /// See [`Store::renew`].
    async fn renew(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, store::Error>;
}

#[async_trait]
impl Journal for Store {
    async fn create(&self, new: &store::NewRun<'_>, run: &Run, records: Vec<Record>) -> Result<Created, store::Error> {
        Store::create(self, new, run, records).await
    }

    async fn append(&self, holder: &str, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, store::Error> {
        self.append_as(holder, run, records).await
    }

    async fn tail(&self, run_id: &str, after: u64) -> Result<Vec<Record>, store::Error> {
        Store::tail(self, run_id, after).await
    }

    async fn renew(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, store::Error> {
        Store::renew(self, run_id, holder, lease_ms).await
    }
}
