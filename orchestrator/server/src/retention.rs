//! Retention: runs that are older than their flow keeps them go, and versions of tables that no run needs any more.
//!
//! A run at a time, a table at a time, with pauses: decisions come first. Whenever it ends in the middle, what is left
//! is whole, and the next time goes on. A lease in the store sees to it that one process removes at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flow::Time;
use flow::run::{Event, RunState};
use serde::Serialize;
use store::{Kind, RETENTION, Store};

/// How long whoever removes may be silent before another may.
const LEASE_MS: Time = 5_000;

/// How many runs are asked for at a time.
const RUNS: u64 = 100;

/// What is outside the store.
#[async_trait]
pub trait Lake: Send + Sync {
    /// Every dataset, `flow.task`.
    ///
    /// # Errors
    /// Why they cannot be listed.
    async fn datasets(&self) -> Result<Vec<String>, String>;

    /// Removes the versions of a table that were not the latest at `since` or later and come before `first`, with
    /// the files that no other version has. `None` if there are none. With `dry`, only says what would go.
    ///
    /// # Errors
    /// What cannot be read or removed.
    async fn prune(&self, dataset: &str, since: Time, first: Option<u64>, dry: bool) -> Result<Option<Table>, String>;

    /// Removes the artifacts of a run that are on this machine.
    ///
    /// # Errors
    /// What cannot be removed.
    async fn forget(&self, run_id: &str) -> Result<(), String>;
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How long everything is kept, whatever flows say. Milliseconds.
    pub keep: Option<Time>,
    /// How long what belongs to a flow is kept that says nothing. `None`: for ever. Milliseconds.
    pub default: Option<Time>,
    /// Whether nothing is removed, only told.
    pub dry_run: bool,
    /// How long it pauses after each run and each table.
    pub pause: Duration,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    pub runs: Vec<Runs>,
    pub tables: Vec<Table>,
}

/// The runs of a flow that went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Runs {
    pub flow: String,
    pub runs: u64,
}

/// What went of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    pub dataset: String,
    pub versions: u64,
    /// The oldest version that is kept.
    pub oldest: u64,
    pub files: u64,
    pub bytes: u64,
}

/// Since when things of a flow count as young.
struct Horizon {
    /// What is older may go.
    before: Time,
    /// What runs that stay may look back to.
    since: Time,
}

/// Why not everything went that is old. Displayed as a fragment that continues "failed to …".
#[derive(Debug)]
pub enum Error {
    Store(store::Error),
    /// What is outside the store could not be listed or removed.
    Lake(String),
    /// This process was silent for so long that another is at it now.
    Overtaken,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Store(error) => error.fmt(f),
            Error::Lake(why) => write!(f, "remove what is old: {why}"),
            Error::Overtaken => f.write_str("go on removing what is old: another process does"),
        }
    }
}

/// Removes, as `holder`, what is older than it is kept as of `now`. `None` if somebody else is at it.
///
/// # Errors
/// When the store cannot be read or written, or what is outside cannot be removed.
pub async fn prune(
    store: &Store,
    lake: &dyn Lake,
    holder: &str,
    now: Time,
    wanted: Wanted,
) -> Result<Option<Gone>, Error> {
    let pruner = Pruner { store, lake, holder, now, wanted };
    if wanted.dry_run {
        return pruner.all().await.map(Some);
    }
    if !store.acquire(RETENTION, holder, LEASE_MS).await? {
        return Ok(None);
    }
    let gone = tokio::select! {
        gone = pruner.all() => gone,
        lost = pruner.stay() => Err(lost),
    };
    store.release(RETENTION, holder).await?;
    gone.map(Some)
}

struct Pruner<'a> {
    store: &'a Store,
    lake: &'a dyn Lake,
    holder: &'a str,
    now: Time,
    wanted: Wanted,
}

impl Pruner<'_> {
    async fn all(&self) -> Result<Gone, Error> {
        let mut gone = Gone::default();
        let keeps = self.store.keeps().await?;
        if self.wanted.keep.or(self.wanted.default).is_none() && keeps.values().all(Option::is_none) {
            return Ok(gone);
        }
        let mut horizons = BTreeMap::new();
        for (flow, keep) in keeps {
            let before = self.before(keep);
            let runs = self.runs(&flow, before).await?;
            if runs > 0 {
                gone.runs.push(Runs { flow: flow.clone(), runs });
            }
            let oldest = self.store.oldest_kept(&flow, before).await?;
            horizons.insert(flow, Horizon { before, since: oldest.map_or(before, |oldest| oldest.min(before)) });
        }
        if !self.wanted.dry_run {
            match self.store.remove_plans().await {
                // A run of one of them has come just now; the others go next time.
                Err(error) if error.kind == Kind::Conflict => {}
                removed => drop(removed?),
            }
        }
        gone.tables = self.tables(&horizons).await?;
        Ok(gone)
    }

    /// Before when what belongs to a flow with this `keep` may go; 0: never.
    fn before(&self, keep: Option<Time>) -> Time {
        let keep = self.wanted.keep.or(keep).or(self.wanted.default);
        keep.map_or(0, |keep| self.now.saturating_sub(keep))
    }

    /// Removes the old runs of a flow. Answers how many.
    async fn runs(&self, flow: &str, before: Time) -> Result<u64, Error> {
        if before == 0 {
            return Ok(0);
        }
        if self.wanted.dry_run {
            return Ok(self.store.old_runs(flow, before, u64::MAX).await?.len() as u64);
        }
        let mut removed = 0;
        loop {
            let old = self.store.old_runs(flow, before, RUNS).await?;
            if old.is_empty() {
                return Ok(removed);
            }
            for run_id in old {
                // First: while the run is there, this is tried again.
                self.lake.forget(&run_id).await.map_err(Error::Lake)?;
                removed += u64::from(self.store.remove_run(&run_id).await?);
                self.breathe().await;
            }
        }
    }

    async fn tables(&self, horizons: &BTreeMap<String, Horizon>) -> Result<Vec<Table>, Error> {
        let (readers, pinned) = (self.store.readers().await?, self.pinned().await?);
        let mut gone = vec![];
        for dataset in self.lake.datasets().await.map_err(Error::Lake)? {
            let flow = dataset.split_once('.').map_or(dataset.as_str(), |(flow, _)| flow);
            let unknown = Horizon { before: self.before(None), since: self.before(None) };
            let own = horizons.get(flow).unwrap_or(&unknown);
            if own.before == 0 {
                continue;
            }
            let others = readers.get(&dataset).into_iter().flatten().filter_map(|flow| horizons.get(flow));
            let since = others.map(|reader| reader.since).fold(own.since, Time::min);
            let version = pinned.get(&dataset).copied();
            let pruned = self.lake.prune(&dataset, since, version, self.wanted.dry_run).await.map_err(Error::Lake)?;
            let Some(table) = pruned else { continue };
            if !self.wanted.dry_run {
                self.store.remove_versions(&dataset, table.oldest).await?;
            }
            gone.push(table);
            self.breathe().await;
        }
        Ok(gone)
    }

    /// The oldest version of each dataset that a run that is not over may read.
    async fn pinned(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut pinned = BTreeMap::new();
        for state in [RunState::Queued, RunState::Running] {
            for head in self.store.runs(None, Some(state), u64::MAX).await? {
                let run = self.store.load(&head.run_id).await?;
                let made = run.records.into_iter().filter_map(|record| match record.event {
                    Event::TaskSucceeded { outcome, .. } => outcome.dataset.zip(outcome.version),
                    _ => None,
                });
                for (dataset, version) in run.pins.datasets.into_iter().chain(made) {
                    let oldest: &mut u64 = pinned.entry(dataset).or_insert(version);
                    *oldest = version.min(*oldest);
                }
            }
        }
        Ok(pinned)
    }

    /// Lets others at the store and the disk.
    async fn breathe(&self) {
        if !self.wanted.dry_run {
            tokio::time::sleep(self.wanted.pause).await;
        }
    }

    /// Keeps the lease. Answers why it could not.
    async fn stay(&self) -> Error {
        loop {
            tokio::time::sleep(Duration::from_millis(LEASE_MS / 3)).await;
            match self.store.renew(RETENTION, self.holder, LEASE_MS).await {
                Ok(true) => {}
                Ok(false) => return Error::Overtaken,
                Err(error) => return error.into(),
            }
        }
    }
}

/// A lake and how long it is kept: what a service needs for its retention.
#[derive(Clone)]
pub struct Retention {
    pub lake: Arc<dyn Lake>,
    /// See [`Wanted::default`].
    pub keep: Option<Time>,
}
