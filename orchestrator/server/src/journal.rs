//! What the driver needs of a store.

use std::collections::{BTreeMap, HashMap};

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

    /// See [`Store::may_begin`].
    async fn may_begin(&self, run: &Run) -> Result<bool, store::Error>;

    /// See [`Store::rooms`].
    async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, store::Error>;

    /// See [`Store::wait_for`].
    async fn wait_for(&self, run_id: &str, wanted: &BTreeMap<String, i32>) -> Result<(), store::Error>;
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

    async fn may_begin(&self, run: &Run) -> Result<bool, store::Error> {
        Store::may_begin(self, run).await
    }

    async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, store::Error> {
        Store::rooms(self, run, wanted).await
    }

    async fn wait_for(&self, run_id: &str, wanted: &BTreeMap<String, i32>) -> Result<(), store::Error> {
        Store::wait_for(self, run_id, wanted).await
    }
}
