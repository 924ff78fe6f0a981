//! What a service needs of a compiler, and what it hears from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use flow::api::Once;
use flow::plan::Plan;
use flow::schedule::Schedule;
use flow::wire::{Memory, Pins};
use flow::{Time, trace};
use serde_json::{Map, Value};
use store::Key;

/// What a service needs of a compiler.
#[async_trait]
pub trait Compile: Send + Sync {
    /// The flow files there are; none is no error.
    ///
    /// # Errors
    /// Why they cannot be listed.
    fn files(&self) -> Result<Vec<PathBuf>, String>;

    /// The SQL files that a flow names, whether they are there or not.
    fn sql_files(&self, file: &Path, text: &str) -> Vec<PathBuf>;

    /// Compiles a flow as `check` does.
    ///
    /// # Errors
    /// Its first mistake, with its place.
    async fn load(&self, written: &Written) -> Result<Loaded, Told>;

    /// Compiles a flow for a run.
    ///
    /// # Errors
    /// Its first mistake, or what is wrong with the parameters.
    async fn plan(&self, written: &Written, order: &Order) -> Result<Plan, Trouble>;

    /// Fixes what a plan reads from outside.
    ///
    /// # Errors
    /// What cannot be read.
    async fn pin(&self, plan: &Plan) -> Result<Pins, Trouble>;

    /// The rows and bytes of a dataset; `None` if they cannot be read.
    async fn size(&self, dataset: &str) -> Option<(u64, u64)>;

    /// Some rows of a dataset, as objects by column.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn sample(&self, dataset: &str, rows_max: usize) -> Result<Vec<Map<String, Value>>, String>;

    /// Which lake runs here read and write, if that can be told.
    fn lake(&self) -> Option<String> {
        None
    }

    /// The memory of queries in this process. `None`: there are none.
    fn memory(&self) -> Option<Memory> {
        None
    }

    /// Ends what the attempts of a run have left running on this machine.
    async fn end_leftovers(&self, run_id: &str);

    /// When a file has changed and how long it is, so that it is read only then. `None`: nobody knows.
    fn stamp(&self, file: &Path) -> Option<Stamp> {
        let data = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
        Some((data.modified().ok()?, data.len()))
    }

    /// What is in a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn text(&self, file: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(file)
    }
}

/// When a file was changed, and how many bytes it has.
pub type Stamp = (SystemTime, u64);

/// A flow as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    pub file: PathBuf,
    pub text: String,
    /// The SQL files that it names, those that could be read.
    pub sql_files: BTreeMap<PathBuf, String>,
}

impl Written {
    /// The flow whose file has this text, with its SQL files as they are now.
    pub fn read(compile: &(impl Compile + ?Sized), file: &Path, text: String) -> Written {
        // To read what is no file may take for ever.
        let named = compile.sql_files(file, &text).into_iter().filter(|path| compile.stamp(path).is_some());
        let sql_files = named.filter_map(|path| Some((path.clone(), compile.text(&path).ok()?))).collect();
        Written { file: file.to_path_buf(), text, sql_files }
    }
}

/// A flow that compiles.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub name: String,
    pub schedule: Option<Schedule>,
}

/// What a run is asked for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Parameters as texts, by name.
    pub params: BTreeMap<String, String>,
    pub logical_time: Option<Time>,
    /// Only these tasks, as `--select` says it.
    pub select: Option<String>,
    /// Whether unchanged tasks run all the same.
    pub force: bool,
    /// What the client calls the run. See [`store::NewRun::key`].
    pub key: Option<Key>,
    /// When another run for the same logical time stands for it.
    pub once: Option<Once>,
    /// Where the client is in a trace of its own.
    pub caller: Option<trace::Place>,
}

/// Why a run could not be made.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The store is away: it may be back any moment.
    Store(store::Error),
    /// The flow cannot run as it is: somebody has to mend that.
    Flow(Cause, Told),
}

/// What is in the way of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It does not compile.
    Mistake,
    /// Parameters, times or tasks that it is asked for do not fit it.
    Request,
    /// What it reads is not there.
    Missing,
    /// What it reads is there and makes no sense.
    Unreadable,
    /// What it reads cannot be reached now.
    Away,
}

/// What somebody is told, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for Told {
    fn from(message: String) -> Self {
        Told { message, hint: None }
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        Trouble::Store(error)
    }
}
