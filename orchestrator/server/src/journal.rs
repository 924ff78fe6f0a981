//! What drivers and services need of a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use async_trait::async_trait;
use flow::Time;
use flow::run::{Record, Run};
use store::{Created, Head, Kind, Loaded, Scheduled, Store};

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
    async fn wait_for(
        &self,
        run_id: &str,
        wanted: &BTreeMap<String, i32>,
        left: &BTreeSet<String>,
    ) -> Result<(), store::Error>;
}

#[async_trait]
impl Journal for Store {
    async fn create(&self, new: &store::NewRun<'_>, run: &Run, records: Vec<Record>) -> Result<Created, store::Error> {
        timed("create", Store::create(self, new, run, records)).await
    }

    async fn append(&self, holder: &str, run: &Run, records: Vec<Record>) -> Result<Vec<Record>, store::Error> {
        timed("append", self.append_as(holder, run, records)).await
    }

    async fn tail(&self, run_id: &str, after: u64) -> Result<Vec<Record>, store::Error> {
        timed("read", Store::tail(self, run_id, after)).await
    }

    async fn renew(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, store::Error> {
        timed("lease", Store::renew(self, run_id, holder, lease_ms)).await
    }

    async fn may_begin(&self, run: &Run) -> Result<bool, store::Error> {
        timed("pools", Store::may_begin(self, run)).await
    }

    async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, store::Error> {
        timed("pools", Store::rooms(self, run, wanted)).await
    }

    async fn wait_for(
        &self,
        run_id: &str,
        wanted: &BTreeMap<String, i32>,
        left: &BTreeSet<String>,
    ) -> Result<(), store::Error> {
        timed("pools", Store::wait_for(self, run_id, wanted, left)).await
    }
}

/// The verbs of [`Store`] that a service uses beside those of its drivers.
#[async_trait]
pub(crate) trait Ledger: Journal + 'static {
    /// See [`Store::load`].
    async fn load(&self, run_id: &str) -> Result<Loaded, store::Error>;

    /// See [`Store::takeable`].
    async fn takeable(&self, limit: u64) -> Result<Vec<Head>, store::Error>;

    /// See [`Store::acquire`].
    async fn acquire(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, store::Error>;

    /// See [`Store::release`].
    async fn release(&self, run_id: &str, holder: &str) -> Result<(), store::Error>;

    /// See [`Store::durations`].
    async fn durations(&self, flow: &str) -> Result<HashMap<String, Time>, store::Error>;

    /// See [`Store::schedule`].
    async fn schedule(&self, flow: &str) -> Result<Option<Scheduled>, store::Error>;

    /// See [`Store::schedules`].
    async fn schedules(&self) -> Result<HashMap<String, Scheduled>, store::Error>;

    /// See [`Store::begin_schedule`].
    async fn begin_schedule(&self, flow: &str, handled: Time) -> Result<(), store::Error>;

    /// See [`Store::advance_schedule`].
    async fn advance_schedule(&self, flow: &str, from: Time, to: Time) -> Result<bool, store::Error>;

    /// See [`Store::schedule_is_busy`].
    async fn schedule_is_busy(&self, flow: &str) -> Result<bool, store::Error>;

    /// See [`Store::serve`].
    async fn serve(&self, server: &str, lake: Option<&str>, lease_ms: u64) -> Result<(), store::Error>;

    /// See [`Store::leave`].
    async fn leave(&self, server: &str) -> Result<(), store::Error>;
}

#[async_trait]
impl Ledger for Store {
    async fn load(&self, run_id: &str) -> Result<Loaded, store::Error> {
        timed("read", Store::load(self, run_id)).await
    }

    async fn takeable(&self, limit: u64) -> Result<Vec<Head>, store::Error> {
        timed("read", Store::takeable(self, limit)).await
    }

    async fn acquire(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, store::Error> {
        timed("lease", Store::acquire(self, run_id, holder, lease_ms)).await
    }

    async fn release(&self, run_id: &str, holder: &str) -> Result<(), store::Error> {
        timed("lease", Store::release(self, run_id, holder)).await
    }

    async fn durations(&self, flow: &str) -> Result<HashMap<String, Time>, store::Error> {
        timed("read", Store::durations(self, flow)).await
    }

    async fn schedule(&self, flow: &str) -> Result<Option<Scheduled>, store::Error> {
        timed("schedule", Store::schedule(self, flow)).await
    }

    async fn schedules(&self) -> Result<HashMap<String, Scheduled>, store::Error> {
        timed("schedule", Store::schedules(self)).await
    }

    async fn begin_schedule(&self, flow: &str, handled: Time) -> Result<(), store::Error> {
        timed("schedule", Store::begin_schedule(self, flow, handled)).await
    }

    async fn advance_schedule(&self, flow: &str, from: Time, to: Time) -> Result<bool, store::Error> {
        timed("schedule", Store::advance_schedule(self, flow, from, to)).await
    }

    async fn schedule_is_busy(&self, flow: &str) -> Result<bool, store::Error> {
        timed("schedule", Store::schedule_is_busy(self, flow)).await
    }

    async fn serve(&self, server: &str, lake: Option<&str>, lease_ms: u64) -> Result<(), store::Error> {
        timed("lease", Store::serve(self, server, lake, lease_ms)).await
    }

    async fn leave(&self, server: &str) -> Result<(), store::Error> {
        timed("lease", Store::leave(self, server)).await
    }
}

/// Does it, and counts how long that took.
async fn timed<T>(
    operation: &'static str,
    doing: impl Future<Output = Result<T, store::Error>>,
) -> Result<T, store::Error> {
    let began = Instant::now();
    let done = doing.await;
    // That somebody else was faster is an answer, not a failure.
    let answers = [Kind::Conflict, Kind::KeyTaken, Kind::NoRoom, Kind::NotFound, Kind::Refused];
    let failed = done.as_ref().is_err_and(|error| !answers.contains(&error.kind));
    telemetry::stored(operation, began.elapsed(), failed);
    done
}
