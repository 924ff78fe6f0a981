//! Talking to a store that may be away for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use flow::Time;
use flow::run::Record;
use store::{Created, Kind};

use super::{Driver, OUTAGE_MAX_MS};
use crate::{Clock, Error};

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(200);

/// Bears outages of the store for so long, and no other errors.
pub(super) struct Patience<'a> {
    clock: &'a Clock,
    until: Time,
}

impl Patience<'_> {
    /// Waits a little.
    ///
    /// # Errors
    ///
    /// The error itself, when waiting does not help or has taken long enough.
    pub async fn bear(&mut self, error: Error) -> Result<(), Error> {
        match &error {
            Error::Store(_) if planted!(NoPatience) => Err(error),
            Error::Store(away)
                if matches!(away.kind, Kind::Unreachable | Kind::Busy | Kind::Unknown)
                    && self.clock.now() < self.until =>
            {
                tracing::warn!(%error, "the store is away; trying again");
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl Driver<'_> {
    pub(super) fn patience(&self) -> Patience<'_> {
        Patience { clock: self.seat.clock, until: self.seat.clock.now() + OUTAGE_MAX_MS }
    }

    pub(super) async fn tail(&self, after: u64) -> Result<Vec<Record>, Error> {
        let mut patience = self.patience();
        loop {
            match self.seat.journal.tail(self.run.id(), after).await {
                Ok(records) => return Ok(records),
                Err(error) => patience.bear(error.into()).await?,
            }
        }
    }

    pub(super) async fn renew(&self) -> Result<bool, Error> {
        let mut patience = self.patience();
        loop {
            match self.seat.journal.renew(self.run.id(), self.seat.holder, self.seat.lease_ms).await {
                Ok(ours) => return Ok(ours),
                Err(error) => patience.bear(error.into()).await?,
            }
        }
    }

    pub(super) async fn may_begin(&self) -> Result<bool, Error> {
        let mut patience = self.patience();
        loop {
            match self.seat.journal.may_begin(&self.run).await {
                Ok(may) => return Ok(may),
                Err(error) => patience.bear(error.into()).await?,
            }
        }
    }

    pub(super) async fn ask_rooms(&self, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, Error> {
        let mut patience = self.patience();
        loop {
            match self.seat.journal.rooms(&self.run, wanted).await {
                Ok(rooms) => return Ok(rooms),
                Err(error) => patience.bear(error.into()).await?,
            }
        }
    }

    pub(super) async fn say_waiting(
        &self,
        wanted: &BTreeMap<String, i32>,
        left: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut patience = self.patience();
        loop {
            match self.seat.journal.wait_for(self.run.id(), wanted, left).await {
                // To say it twice does no harm.
                Err(error) if error.kind == Kind::Unknown => {}
                Ok(()) => return Ok(()),
                Err(error) => patience.bear(error.into()).await?,
            }
        }
    }

    /// Makes the run together with its first facts. A run that these close needs no lease.
    pub(super) async fn create(&self, records: Vec<Record>) -> Result<Vec<Record>, Error> {
        let Some(creation) = &self.creation else {
            return Ok(self.seat.journal.append(self.seat.holder, &self.run, records).await?);
        };
        let created_at = records.first().map_or(0, |record| record.at);
        let new = store::NewRun {
            force: self.force,
            retry_of: creation.retry_of.as_deref(),
            once: creation.once,
            lease: (!self.run.state().is_terminal()).then_some((self.seat.holder, self.seat.lease_ms)),
            ..store::NewRun::of(&self.pins, created_at, creation.origin)
        };
        match self.seat.journal.create(&new, &self.run, records).await? {
            Created::New(records) => Ok(records),
            Created::Existing { run_id } => Err(Error::Exists { run_id }),
        }
    }
}
