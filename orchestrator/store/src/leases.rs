//! Who decides about a run, for how long. All on the database's clock.

use crate::Store;
use crate::db::Tx;
use crate::error::{Error, Kind};
use crate::runs::{Head, head};

impl Store {
    /// Makes `holder` the driver of the run for `lease_ms`. False if somebody else's lease is alive.
    pub async fn acquire(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, Error> {
        let args = [run_id.into(), holder.into(), lease_ms.into()];
        Ok(self.db.write(include_str!("../sql/lease_acquire.sql"), &args).await? == 1)
    }

    /// Prolongs the lease to `lease_ms` from now. False if it is not `holder`'s any more.
    pub async fn renew(&self, run_id: &str, holder: &str, lease_ms: u64) -> Result<bool, Error> {
        let args = [run_id.into(), holder.into(), lease_ms.into()];
        Ok(self.db.write(include_str!("../sql/lease_renew.sql"), &args).await? == 1)
    }

    /// Gives the lease up, if it still is `holder`'s.
    pub async fn release(&self, run_id: &str, holder: &str) -> Result<(), Error> {
        self.db.write(include_str!("../sql/lease_release.sql"), &[run_id.into(), holder.into()]).await.map(drop)
    }

    /// Runs whose `flowctl run` is gone: not closed, and no live lease. Oldest first.
    pub async fn abandoned(&self) -> Result<Vec<Head>, Error> {
        let rows = self.db.read(include_str!("../sql/abandoned.sql"), &[]).await?;
        rows.into_iter().map(head).collect()
    }
}

/// The first lease of a new run.
pub(crate) async fn take(tx: &mut Tx<'_>, run_id: &str, holder: &str, lease_ms: u64) -> Result<(), Error> {
    let args = [run_id.into(), holder.into(), lease_ms.into()];
    match tx.execute(include_str!("../sql/lease_acquire.sql"), &args).await? {
        1 => Ok(()),
        _ => Err(Error::new(Kind::Conflict, format!("drive the new run {run_id}: somebody else does"))),
    }
}
