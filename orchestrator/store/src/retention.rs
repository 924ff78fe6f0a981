//! What is removed because it is old.

use std::collections::BTreeMap;

use flow::Time;
use serde::Deserialize;

use crate::Store;
use crate::error::Error;

/// What one holds a lease of, instead of a run, to be the only one who removes.
pub const RETENTION: &str = "retention";

/// What retention asks of a plan.
#[derive(Default, Deserialize)]
struct Kept {
    #[serde(default)]
    keep_ms: Option<Time>,
}

impl Store {
    /// Every flow that has runs, with how long it keeps them, as the plan of its newest run says. Milliseconds.
    pub async fn keeps(&self) -> Result<BTreeMap<String, Option<Time>>, Error> {
        let mut keeps = BTreeMap::new();
        for mut row in self.db.read(include_str!("../sql/prune_flows.sql"), &[]).await? {
            let flow = row.text()?;
            let rows = self.db.read(include_str!("../sql/prune_plan.sql"), &[flow.as_str().into()]).await?;
            let kept = rows.into_iter().next().map(|mut row| row.json::<Kept>()).transpose()?;
            keeps.insert(flow, kept.unwrap_or_default().keep_ms);
        }
        Ok(keeps)
    }

    /// Runs of a flow that were over before a time, oldest first, at most `limit`: but for its newest successful one,
    /// and those that made the newest version of a dataset.
    pub async fn old_runs(&self, flow: &str, before: Time, limit: u64) -> Result<Vec<String>, Error> {
        let args = [flow.into(), before.into(), limit.into()];
        let rows = self.db.read(include_str!("../sql/prune_runs.sql"), &args).await?;
        rows.into_iter().map(|mut row| row.text()).collect()
    }

    /// When the oldest run of a flow was made that [`Store::old_runs`] does not name.
    pub async fn oldest_kept(&self, flow: &str, before: Time) -> Result<Option<Time>, Error> {
        let rows = self.db.read(include_str!("../sql/prune_kept.sql"), &[flow.into(), before.into()]).await?;
        rows.into_iter().next().map_or(Ok(None), |mut row| row.number_or_null())
    }

    /// Which flows read each dataset that another flow makes.
    pub async fn readers(&self) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mut row in self.db.read(include_str!("../sql/readers.sql"), &[]).await? {
            readers.entry(row.text()?).or_default().push(row.text()?);
        }
        Ok(readers)
    }

    /// Removes, in one transaction, a run that is over and everything that is kept of it alone. False if there is none.
    pub async fn remove_run(&self, run_id: &str) -> Result<bool, Error> {
        let mut tx = self.db.begin().await?;
        tx.execute(include_str!("../sql/prune_note.sql"), &[run_id.into()]).await?;
        if tx.execute(include_str!("../sql/prune_run.sql"), &[run_id.into()]).await? == 0 {
            return Ok(false);
        }
        for sql in [
            include_str!("../sql/prune_events.sql"),
            include_str!("../sql/prune_tasks.sql"),
            include_str!("../sql/prune_logs.sql"),
            include_str!("../sql/prune_leases.sql"),
            include_str!("../sql/holds_drop.sql"),
            include_str!("../sql/waits_drop.sql"),
            include_str!("../sql/prune_run_keys.sql"),
        ] {
            tx.execute(sql, &[run_id.into()]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Removes plans that no run has any more, with their lineage. Answers how many.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Conflict`] if a run of one of them is just being made: nothing was removed.
    pub async fn remove_plans(&self) -> Result<u64, Error> {
        let mut tx = self.db.begin().await?;
        tx.execute(include_str!("../sql/prune_lineage.sql"), &[]).await?;
        let removed = tx.execute(include_str!("../sql/prune_plans.sql"), &[]).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Forgets the versions of a dataset before `oldest`.
    pub async fn remove_versions(&self, dataset: &str, oldest: u64) -> Result<(), Error> {
        self.db.write(include_str!("../sql/prune_versions.sql"), &[dataset.into(), oldest.into()]).await.map(drop)
    }

    /// When the youngest run was made that was removed; 0 if none was.
    pub(crate) async fn removed_until(&self) -> Result<Time, Error> {
        let rows = self.db.read(include_str!("../sql/pruned.sql"), &[]).await?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.number())
    }
}
