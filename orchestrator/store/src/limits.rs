//! Slots that many runs share: who holds them, who waits for them, and that no more are taken than there are.
//!
//! A slot is taken in the transaction that records what takes it, and given back in the one that records its end. Who
//! takes one holds the lock of its pool, so that nobody else counts meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flow::Time;
use flow::plan::{Plan, TaskId};
use flow::pools::{self, head_start_ms};
use flow::run::{Event, Record, Run};

use crate::Store;
use crate::db::Tx;
use crate::error::{Error, Kind};
use crate::row::{Arg, Row};

/// The sizes of pools, by name.
pub type Sizes = BTreeMap<String, u32>;

/// How long a run that waits may say nothing before others go first.
pub(crate) const SILENCE_MS: i64 = 3_000;

/// A slot that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub run_id: String,
    /// Empty: the run itself holds it.
    pub task: String,
    pub since: Time,
}

/// How a pool stands for a run.
struct Standing {
    held: i64,
    /// Others whose turn is before the run's.
    ahead: i64,
}

impl Store {
    /// The same store, told how many slots each pool has. One that is not named has none.
    #[must_use]
    pub fn with_pools(self, sizes: Sizes) -> Self {
        Store { pools: sizes, ..self }
    }

    /// How many slots of each pool the run might take now, given the priority of what it would start in it. Below zero
    /// when more are promised than there are.
    pub async fn rooms(&self, run: &Run, wanted: &BTreeMap<String, i32>) -> Result<HashMap<String, i64>, Error> {
        let mut rooms = HashMap::new();
        for (pool, priority) in wanted {
            let args = standing_args(pool, run.id(), *priority);
            let rows = self.db.read(include_str!("../sql/pool_standing.sql"), &args).await?;
            rooms.insert(pool.clone(), room(size(&self.pools, run.plan(), pool), standing(rows)?));
        }
        Ok(rooms)
    }

    /// Whether a run that is queued may begin: its flow has fewer under way than it allows, and none waits before it.
    pub async fn may_begin(&self, run: &Run) -> Result<bool, Error> {
        let Some(limit) = run.plan().limits.runs else { return Ok(true) };
        let pool = pools::of_runs(&run.plan().flow);
        let rows = self.db.read(include_str!("../sql/pool_runs.sql"), &runs_args(&pool, run)).await?;
        Ok(room(limit, standing(rows)?) > 0)
    }

    /// Says that the run waits for slots of pools, given the priority of what it would start, and for those that it has
    /// `left` no more. To be said again within three seconds, as long as it is true.
    pub async fn wait_for(
        &self,
        run_id: &str,
        wanted: &BTreeMap<String, i32>,
        left: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        for pool in left {
            tx.execute(include_str!("../sql/waits_end.sql"), &[pool.as_str().into(), run_id.into()]).await?;
        }
        for (pool, priority) in wanted {
            let args = standing_args(pool, run_id, *priority);
            tx.execute(include_str!("../sql/waits_stay.sql"), &args).await?;
        }
        tx.commit().await
    }

    /// The sizes of the pools that this store was told of.
    pub fn pools(&self) -> &Sizes {
        &self.pools
    }

    /// Every slot that is taken of any pool, the longest held first.
    pub async fn all_holds(&self) -> Result<BTreeMap<String, Vec<Hold>>, Error> {
        let mut holds: BTreeMap<String, Vec<Hold>> = BTreeMap::new();
        for mut row in self.db.read(include_str!("../sql/holds_all.sql"), &[]).await? {
            let pool = row.text()?;
            holds.entry(pool).or_default().push(Hold { run_id: row.text()?, task: row.text()?, since: row.number()? });
        }
        Ok(holds)
    }

    /// The slots of a pool that are taken, the longest held first.
    pub async fn holds(&self, pool: &str) -> Result<Vec<Hold>, Error> {
        let rows = self.db.read(include_str!("../sql/pool_holders.sql"), &[pool.into()]).await?;
        let hold = |mut row: Row<'_>| Ok(Hold { run_id: row.text()?, task: row.text()?, since: row.number()? });
        rows.into_iter().map(hold).collect()
    }

    /// The runs that one of a flow with a limit of runs is queued behind: those under way, then those made before it.
    pub async fn queued_behind(&self, run: &Run) -> Result<Vec<String>, Error> {
        let args = [run.plan().flow.as_str().into(), run.id().into(), run.created_at().into()];
        let rows = self.db.read(include_str!("../sql/pool_runs_before.sql"), &args).await?;
        rows.into_iter().map(|mut row| row.text()).collect()
    }

    /// How many slots the pool has; a flow's own are told by its plan.
    pub fn pool_size(&self, plan: &Plan, pool: &str) -> u32 {
        size(&self.pools, plan, pool)
    }
}

fn size(sizes: &Sizes, plan: &Plan, pool: &str) -> u32 {
    let own = plan.limits.tasks.filter(|_| pool == pools::of_tasks(&plan.flow));
    own.or_else(|| sizes.get(pool).copied()).unwrap_or_default()
}

fn standing_args<'a>(pool: &'a str, run_id: &'a str, priority: i32) -> [Arg<'a>; 4] {
    [pool.into(), run_id.into(), head_start_ms(priority).into(), SILENCE_MS.into()]
}

fn runs_args<'a>(pool: &'a str, run: &'a Run) -> [Arg<'a>; 4] {
    [pool.into(), run.plan().flow.as_str().into(), run.id().into(), run.created_at().into()]
}

fn standing(rows: Vec<Row<'_>>) -> Result<Standing, Error> {
    let mut standing = Standing { held: 0, ahead: 0 };
    for mut row in rows {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        standing = Standing { held: count(row.number()?), ahead: count(row.number()?) };
    }
    Ok(standing)
}

fn room(size: u32, standing: Standing) -> i64 {
    i64::from(size).saturating_sub(standing.held).saturating_sub(standing.ahead)
}

/// Gives back the slots of what the records end, and takes those of what they begin.
///
/// # Errors
///
/// [`Kind::NoRoom`] if a pool has too few.
pub(crate) async fn admit(tx: &mut Tx<'_>, sizes: &Sizes, run: &Run, records: &[Record]) -> Result<(), Error> {
    let plan = run.plan();
    let mut starting: BTreeMap<String, BTreeSet<TaskId>> = BTreeMap::new();
    for record in records {
        if matches!(record.event, Event::RunStarted) && plan.limits.runs.is_some() {
            begin(tx, run, record.at).await?;
        }
        let Some((task, 1..)) = record.event.task() else { continue };
        let Some(id) = plan.task_id(task) else { continue };
        let mut pools = plan.pools_of(id).peekable();
        if pools.peek().is_none() {
            continue;
        }
        // Given back first: what is tried again in the same batch is one attempt, not two.
        tx.execute(include_str!("../sql/holds_give.sql"), &[run.id().into(), task.into()]).await?;
        for pool in pools.filter(|_| run.running_attempt(id).is_some()) {
            starting.entry(pool).or_default().insert(id);
        }
    }
    let since = records.last().map_or(0, |record| record.at);
    // In order, so that two who take of several pools do not wait for each other.
    for (pool, tasks) in &starting {
        take(tx, size(sizes, plan, pool), run, pool, tasks, since).await?;
    }
    Ok(())
}

/// Takes a slot of the pool for each of the tasks.
async fn take(
    tx: &mut Tx<'_>,
    size: u32,
    run: &Run,
    pool: &str,
    tasks: &BTreeSet<TaskId>,
    since: Time,
) -> Result<(), Error> {
    let plan = run.plan();
    let priority = tasks.iter().map(|&id| plan.tasks[id].priority).max().unwrap_or_default();
    tx.execute(include_str!("../sql/pool_lock.sql"), &[pool.into()]).await?;
    let args = standing_args(pool, run.id(), priority);
    let standing = standing(tx.fetch(include_str!("../sql/pool_standing.sql"), &args).await?)?;
    if room(size, standing) < i64::try_from(tasks.len()).unwrap_or(i64::MAX) {
        return Err(no_room(pool));
    }
    let hold =
        |&id: &TaskId| [pool.into(), run.id().into(), plan.tasks[id].name.as_str().into(), size.into(), since.into()];
    let rows: Vec<[Arg<'_>; 5]> = tasks.iter().map(hold).collect();
    tx.bulk(include_str!("../sql/holds_take.sql"), &rows).await?;
    // Who got a slot and wants more comes after those who have waited longer.
    match run.wanted_pools().get(pool) {
        Some(priority) => {
            let args = [pool.into(), run.id().into(), head_start_ms(*priority).into()];
            tx.execute(include_str!("../sql/waits_renew.sql"), &args).await?
        }
        None => tx.execute(include_str!("../sql/waits_end.sql"), &[pool.into(), run.id().into()]).await?,
    };
    Ok(())
}

/// Takes the run's own slot among those of its flow.
async fn begin(tx: &mut Tx<'_>, run: &Run, at: Time) -> Result<(), Error> {
    let (pool, limit) = (pools::of_runs(&run.plan().flow), run.plan().limits.runs.unwrap_or(u32::MAX));
    tx.execute(include_str!("../sql/pool_lock.sql"), &[pool.as_str().into()]).await?;
    let rows = tx.fetch(include_str!("../sql/pool_runs.sql"), &runs_args(&pool, run)).await?;
    if room(limit, standing(rows)?) < 1 {
        return Err(no_room(&pool));
    }
    let hold = [pool.into(), run.id().into(), "".into(), limit.into(), at.into()];
    tx.bulk(include_str!("../sql/holds_take.sql"), &[hold]).await?;
    Ok(())
}

/// Gives back whatever a closed run holds, and waits for.
pub(crate) async fn leave(tx: &mut Tx<'_>, run: &Run) -> Result<(), Error> {
    if run.plan().is_limited() {
        tx.execute(include_str!("../sql/holds_drop.sql"), &[run.id().into()]).await?;
        tx.execute(include_str!("../sql/waits_drop.sql"), &[run.id().into()]).await?;
    }
    Ok(())
}

fn no_room(pool: &str) -> Error {
    Error::new(Kind::NoRoom, format!("take a slot of pool `{pool}`: others were faster"))
}
