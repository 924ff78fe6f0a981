//! The engine: one memory pool, one set of functions, one lake for a process.

use std::borrow::Borrow;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, MemoryLimit, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use tokio::sync::Semaphore;

use crate::Error;
use crate::lake::Lake;
use crate::memory::Memory;
use crate::timestamps::{self, Microseconds};
use crate::windows::KeyColumns;
use crate::yields::YieldingJoins;

/// More than any machine writes at the same time.
const WRITES_MAX: u32 = 1 << 20;

/// Rows that a core may put into the hash table of a join while one other waits.
const ROWS_BUILT_MAX: usize = 4 << 20;

/// Where it is known how many bytes they are instead.
const ROW_BYTES: usize = 64;

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where datasets live: a folder or a URL.
    pub lake: String,
    /// The memory that queries may use, in bytes. Default: half of the machine's.
    pub memory: Option<u64>,
    /// Where sorts and joins spill to.
    pub scratch: PathBuf,
    /// Where the types of files are noted when a run starts.
    pub notes: PathBuf,
}

/// One memory pool, one set of functions, one lake. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) lake: Lake,
    /// Behind a trait that says that it is `Send` and `Sync`: else the compiler proves that for every future that holds
    /// an engine, which takes it seconds each.
    state: Arc<dyn Borrow<SessionState> + Send + Sync>,
    pub(crate) memory: Memory,
    /// A permit for each set of files that is being written.
    pub(crate) open: Arc<Semaphore>,
}

impl Engine {
    /// Opens nothing yet: a lake that does not exist is made by the first publish.
    pub fn new(settings: &Settings) -> Result<Engine, Error> {
        let lake = Lake::new(&settings.lake)?;
        let runtime = runtime(settings)?;
        if let Some(objects) = &lake.objects {
            runtime.register_object_store(&lake.root, objects.clone());
        }
        let config = SessionConfig::new()
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .set_bool("datafusion.sql_parser.collect_spans", true)
            .set_bool("datafusion.execution.skip_physical_aggregate_schema_check", true);
        let config = build_on_one_core(config);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_type_planner(Arc::new(Microseconds))
            .with_table_function_list(timestamps::table_functions())
            .with_optimizer_rule(Arc::new(KeyColumns))
            .with_physical_optimizer_rule(Arc::new(YieldingJoins))
            .build();
        let memory = Memory::new(settings.notes.clone());
        Ok(Engine { lake, state: Arc::new(state), memory, open: Arc::new(Semaphore::new(WRITES_MAX as usize)) })
    }

    /// What tells this lake from others: what was written into its folder, or in an object store, once it was reached,
    /// beside its tables. `None`: nothing is there yet.
    pub fn lake_id(&self) -> Option<String> {
        self.lake.id()
    }

    /// Makes sure that the lake has an id, as far as it can be written.
    pub fn mark_lake(&self) -> Option<String> {
        self.lake.mark()
    }

    /// Whether the lake answers, if it is in an object store.
    ///
    /// # Errors
    /// [`Error::Lake`] if it does not, or lets nobody in.
    pub async fn reach_lake(&self) -> Result<(), Error> {
        self.lake.reach().await
    }

    /// What every session begins with.
    pub(crate) fn state(&self) -> &SessionState {
        self.state.as_ref().borrow()
    }

    /// The memory that queries hold, and may hold.
    pub fn memory(&self) -> flow::wire::Memory {
        let pool = &self.state().runtime_env().memory_pool;
        let limit = match pool.memory_limit() {
            MemoryLimit::Finite(limit) => limit as u64,
            MemoryLimit::Infinite | MemoryLimit::Unknown => u64::MAX,
        };
        flow::wire::Memory { held: pool.reserved() as u64, limit }
    }

    /// Waits until nothing is being written any more: what was dropped in the middle has removed its files. Only for an
    /// engine that is given no more work.
    pub async fn settled(&self) {
        // Fails only for a semaphore that is closed, which this one never is.
        let _ = self.open.acquire_many(WRITES_MAX).await;
    }
}

/// Lets one core build the hash table of a join that all then look into, unless it is so big that the others wait longer
/// than they would work to send each row of both sides to the core that has its part of the table.
fn build_on_one_core(config: SessionConfig) -> SessionConfig {
    let waiting = config.target_partitions().saturating_sub(1).max(1);
    let rows = ROWS_BUILT_MAX / waiting;
    config
        .set_usize("datafusion.optimizer.hash_join_single_partition_threshold_rows", rows)
        .set_usize("datafusion.optimizer.hash_join_single_partition_threshold", rows * ROW_BYTES)
}

fn runtime(settings: &Settings) -> Result<Arc<RuntimeEnv>, Error> {
    let limit = settings.memory.unwrap_or_else(|| machine_memory() / 2);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let consumers = NonZeroUsize::MIN.saturating_add(4);
    let pool = TrackConsumersPool::new(FairSpillPool::new(limit), consumers);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_temp_file_path(&settings.scratch)
        // They know an object by its key, without its store, and by a time of whole seconds.
        .with_metadata_cache_limit(0)
        .with_file_statistics_cache_limit(0)
        .build_arc()
        .map_err(|error| Error::Setting(crate::error::text(&error)))
}

/// The machine's memory in bytes: the control group's limit where there is one.
fn machine_memory() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let total = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let total = total().unwrap_or(4 << 30);
    number("/sys/fs/cgroup/memory.max").map_or(total, |limit| limit.min(total))
}
