//! A flow as meant: every default filled in, every name resolved, every column typed. Immutable and hashed.

mod own;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{self, Miss};
use crate::spec::{Backoff, Format, Mode, On, Severity};
use crate::value::Params;
use crate::{Time, lineage};
pub use own::Own;

/// Index into [`Plan::tasks`], which is in topological order.
pub type TaskId = usize;

/// What a run will do. Two runs with equal plans do the same.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The flow's name.
    pub flow: String,
    /// The flow file as it was given.
    pub file: PathBuf,
    /// The flow file's folder, absolute: where commands run and what relative paths are relative to.
    pub dir: PathBuf,
    pub params: Params,
    /// The nominal instant of the run: `$logical_time` in SQL.
    pub logical_time: Option<Time>,
    /// The logical time before that by the flow's schedule: `$interval_start` in SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_start: Option<Time>,
    /// The `--select` that the plan is a part by.
    #[serde(default)]
    pub selection: Option<String>,
    /// Whether nothing new starts once a task has failed.
    pub stop_on_failure: bool,
    /// How much of the flow may go on at the same time, over all its runs.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// How long the flow's runs, and the versions of tables that they need, are kept; the project says if this does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_ms: Option<Time>,
    pub sources: Vec<Source>,
    /// In topological order; ties in the order of the file.
    pub tasks: Vec<Task>,
    /// Datasets read and not made here: `flow.dataset` of other flows, and tasks that were not selected.
    pub externals: Vec<String>,
    /// Where each name is, filled when first asked. A plan with other tasks needs a fresh one.
    #[serde(skip)]
    pub index: Index,
}

/// How much of a flow may go on at the same time, over all its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// How many runs may be under way.
    pub runs: Option<u32>,
    /// How many attempts may be running.
    pub tasks: Option<u32>,
}

impl Limits {
    fn is_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// Where the tasks of a plan are, by name.
#[derive(Clone, Debug, Default)]
pub struct Index(OnceLock<HashMap<String, TaskId>>);

impl Plan {
    /// The task called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<TaskId, Miss> {
        self.task_id(name).ok_or_else(|| {
            let names = self.tasks.iter().map(|task| task.name.as_str());
            Miss::none(format!("flow `{}` has no task `{name}`", self.flow), name::suggest(name, names))
        })
    }

    /// The task called `name`.
    pub fn task_id(&self, name: &str) -> Option<TaskId> {
        let index = || self.tasks.iter().enumerate().map(|(id, task)| (task.name.clone(), id)).collect();
        self.index.0.get_or_init(index).get(name).copied()
    }
}

/// A source with its type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedSource")]
pub struct Source {
    pub name: String,
    /// Absolute path, glob or URL, parameters filled in.
    pub path: String,
    pub format: Format,
    pub null: Vec<String>,
    pub delimiter: u8,
    pub header: bool,
    /// Name and type, in the order of the file.
    pub columns: Vec<Column>,
}

/// A column and its type in the words of the flow file: `string`, `int`, `float`, `bool`, `date`, `timestamp`, or a SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedTask")]
pub struct Task {
    pub name: String,
    /// `sql`, `command`, `noop`, …
    pub kind: String,
    pub needs: Vec<Need>,
    /// Names that the task reads, as its SQL or `inputs` spell them, with what each stands for.
    pub inputs: BTreeMap<String, Input>,
    /// Why the task is skipped: its `when` is false for these parameters.
    pub skip: Option<String>,
    pub retry: Retry,
    pub timeout_ms: Option<u64>,
    pub kill_grace_ms: u64,
    /// Higher goes first.
    pub priority: i32,
    /// The pool that its attempts take a slot of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Labels that its worker must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, String>,
    /// The dataset it makes.
    pub output: Option<Output>,
    pub checks: Vec<Check>,
    /// The kind's own settings; only the kind reads them.
    pub with: serde_json::Value,
    /// Hash of everything that could change the result but the versions of inputs. `None`: never cached.
    pub fingerprint: Option<String>,
}

impl Task {
    /// Whether it is a pure ordering point that no worker ever sees.
    pub fn is_noop(&self) -> bool {
        self.kind == "noop"
    }
}

/// An edge of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    pub task: TaskId,
    /// A data edge passes skips on; an edge that only orders is satisfied by a skip.
    pub data: bool,
}

/// What a name in a task's SQL or `inputs` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PlannedInput")]
pub enum Input {
    /// A source, by name.
    Source(String),
    /// The output of a task of this run.
    Task(TaskId),
    /// A published dataset, `flow.dataset`.
    External(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedRetry")]
pub struct Retry {
    /// All tries, the first included; at least 1.
    pub attempts_max: u32,
    pub backoff: Backoff,
    pub delay_ms: u64,
    pub delay_max_ms: u64,
    pub jitter: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts_max: 1, backoff: Backoff::Exponential, delay_ms: 1_000, delay_max_ms: 300_000, jitter: true }
    }
}

/// How a dataset is published.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedOutput")]
pub struct Output {
    /// `flow.task`.
    pub dataset: String,
    /// A view is inlined into the plans that read it, never stored.
    pub view: bool,
    pub mode: Mode,
    pub keys: Vec<String>,
    /// replace_where: the SQL predicate as written.
    pub predicate: Option<String>,
    pub partition_by: Vec<String>,
    /// The columns as published, with their lineage.
    pub columns: Vec<lineage::Column>,
}

/// An assertion with its defaults filled in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PlannedCheck")]
pub struct Check {
    pub name: String,
    pub severity: Severity,
    pub on: On,
    pub rule: Rule,
}

/// What is asserted. Serialised with the TOML key as tag.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    NotNull(Vec<String>),
    Unique(Vec<String>),
    Between {
        column: String,
        min: Option<serde_json::Value>,
        max: Option<serde_json::Value>,
    },
    Accepted {
        column: String,
        values: Vec<serde_json::Value>,
    },
    /// `input` is a key of [`Task::inputs`].
    References {
        column: String,
        input: String,
        to_column: String,
    },
    Rows {
        min: Option<u64>,
        max: Option<u64>,
    },
    Sql(String),
}

impl Rule {
    /// The TOML key.
    pub fn kind(&self) -> &'static str {
        match self {
            Rule::NotNull(_) => "not_null",
            Rule::Unique(_) => "unique",
            Rule::Between { .. } => "between",
            Rule::Accepted { .. } => "accepted",
            Rule::References { .. } => "references",
            Rule::Rows { .. } => "rows",
            Rule::Sql(_) => "sql",
        }
    }

    /// The columns it looks at; none for `rows` and `sql`.
    pub fn columns(&self) -> Vec<String> {
        match self {
            Rule::NotNull(columns) | Rule::Unique(columns) => columns.clone(),
            Rule::Between { column, .. } | Rule::Accepted { column, .. } | Rule::References { column, .. } => {
                vec![column.clone()]
            }
            Rule::Rows { .. } | Rule::Sql(_) => vec![],
        }
    }
}
