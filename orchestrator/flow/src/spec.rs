//! A flow file as written: every key, with the place it stands at.
//!
//! These types are the only description of the file. `flowctl schema` prints their JSON Schema, and
//! their doc comments are both the manual and an editor's hover text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

mod checks;
mod complaint;
mod inside;
mod limits;
mod lost;
mod parse;
mod reading;
mod schedule;
mod tree;

pub use checks::{Accepted, Between, Check, On, References, Rows, Severity};
pub use limits::Limits;
pub use lost::Lost;
pub use parse::parse;
pub use schedule::{Catchup, Doubled, Dst, Overlap, Schedule, Skipped};

/// A flow: sources, tasks, parameters and a schedule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The flow's name: a letter or `_`, then letters, digits, `_`, `-`; at most 64. Required.
    #[schemars(with = "String")]
    pub name: Option<Spanned<String>>,
    /// What the flow is for, in a sentence.
    pub description: Option<String>,
    /// What happens to independent tasks when a task fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long runs, their logs and artifacts, and old versions of tables are kept, such as `90d`. The newest successful run and the newest version of each table always are. Default: `keep` of flowctl.toml; without that, for ever.
    #[schemars(with = "Option<String>")]
    pub keep: Option<Spanned<String>>,
    /// When the flow runs by itself.
    #[schemars(with = "Option<Schedule>")]
    pub schedule: Option<Spanned<Schedule>>,
    /// How much of the flow may go on at the same time.
    #[serde(default)]
    pub limits: Limits,
    /// Values given to a run, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Param>")]
    pub params: BTreeMap<Spanned<String>, Spanned<Param>>,
    /// Settings that any task may override.
    #[serde(default)]
    pub defaults: Defaults,
    /// Data that the flow reads and does not make, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Source>")]
    pub sources: BTreeMap<Spanned<String>, Spanned<Source>>,
    /// The nodes of the graph, by name. At least one.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Task>")]
    pub tasks: BTreeMap<Spanned<String>, Spanned<Task>>,
    /// What could not be read. Told by the parser, not to be complained about again.
    #[serde(skip)]
    pub lost: Lost,
    /// The text that the flow was read from: what all spans point into.
    #[serde(skip)]
    pub text: String,
}

/// What happens to independent tasks when a task fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Independent tasks go on; what depends on the failed one is skipped.
    #[default]
    Continue,
    /// The run ends early: nothing new starts.
    Stop,
}

/// A value given to a run: `{ type = "int", default = 3 }` or `{ enum = ["a", "b"] }`.
/// Without a default it must be given with `-p name=value`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// `string`, `int`, `float`, `bool`, `date` or `timestamp`.
    #[serde(rename = "type")]
    #[schemars(with = "Option<String>")]
    pub kind: Option<Spanned<String>>,
    /// The allowed texts; instead of `type`.
    #[serde(rename = "enum")]
    #[schemars(with = "Option<Vec<String>>")]
    pub choices: Option<Spanned<Vec<Spanned<String>>>>,
    /// The value when none is given.
    #[schemars(with = "Option<serde_json::Value>")]
    pub default: Option<Spanned<toml::Value>>,
    /// A regular expression that a `string` must match.
    #[schemars(with = "Option<String>")]
    pub pattern: Option<Spanned<String>>,
    /// What the value means.
    pub description: Option<String>,
}

/// Settings that any task may override.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// How long an attempt may take, such as `30m`.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Spanned<String>>,
    /// How long a process may take to end after SIGTERM. Default: `5s`.
    #[schemars(with = "Option<String>")]
    pub kill_grace: Option<Spanned<String>>,
    /// The pool of `flowctl.toml` that tasks take a slot of while they run; noops take none.
    #[schemars(with = "Option<String>")]
    pub pool: Option<Spanned<String>>,
    /// When and how often a failed task is tried again.
    #[serde(default)]
    pub retry: Retry,
}

/// When and how often a failed task is tried again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// All tries, the first included. Default: 1.
    #[schemars(with = "Option<u32>")]
    pub attempts: Option<Spanned<i64>>,
    /// How the delay grows. Default: `exponential` (doubling).
    pub backoff: Option<Backoff>,
    /// The delay before the second try. Default: `1s`.
    #[schemars(with = "Option<String>")]
    pub delay: Option<Spanned<String>>,
    /// The longest delay. Default: `5m`.
    #[schemars(with = "Option<String>")]
    pub max_delay: Option<Spanned<String>>,
    /// Whether each delay is drawn from its upper half, so that many tasks do not return together. Default: true.
    pub jitter: Option<bool>,
}

/// How the delay between tries grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Not at all.
    Constant,
    /// By `delay` each time.
    Linear,
    /// It doubles.
    Exponential,
}

/// Data that the flow reads and does not make.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A file, a folder, a glob or a Delta table, relative to the flow file. `{param}` is replaced.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// `csv`, `json` (newline delimited), `parquet`, `avro` or `delta`. Inferred from the name if left out.
    #[schemars(with = "Option<Format>")]
    pub format: Option<Spanned<Format>>,
    /// csv: texts that are read as NULL.
    #[schemars(with = "Option<Vec<String>>")]
    pub null: Option<Spanned<Vec<String>>>,
    /// csv: the character between fields. Default: `,`.
    #[schemars(with = "Option<String>")]
    pub delimiter: Option<Spanned<String>>,
    /// csv: whether the first line holds the names. Default: true.
    #[schemars(with = "Option<bool>")]
    pub header: Option<Spanned<bool>>,
    /// Types that override the inferred ones, by column.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub columns: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Whether `columns` is the full contract: nothing else may come along.
    #[serde(default)]
    pub strict: bool,
}

/// The form in which data lies in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with delimiters.
    Csv,
    /// One object a line.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Apache Avro.
    Avro,
    /// A Delta Lake table.
    Delta,
}

/// A node of the graph. Its kind is given by the one key that names it (`sql`, `sql_file`, `command`) or by `kind`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What the task is for, in a sentence.
    pub description: Option<String>,
    /// The kind of a task that no other key names, such as `noop`.
    #[schemars(with = "Option<String>")]
    pub kind: Option<Spanned<String>>,
    /// A query whose rows become the dataset. A bare table name is a task or source of this flow, `flow.dataset` the published dataset of another.
    #[schemars(with = "Option<String>")]
    pub sql: Option<Spanned<String>>,
    /// A file that holds the query, relative to the flow file.
    #[schemars(with = "Option<String>")]
    pub sql_file: Option<Spanned<String>>,
    /// A program and its arguments, run in the flow file's folder. `{param}` is replaced.
    #[schemars(with = "Option<Vec<String>>")]
    pub command: Option<Spanned<Vec<Spanned<String>>>>,
    /// command: datasets given to the process as `FLOWCTL_INPUT_NAME`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub inputs: Vec<Spanned<String>>,
    /// command: files in `FLOWCTL_OUTPUT_DIR` that are kept with the run, by name. `{param}` is replaced.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub outputs: BTreeMap<Spanned<String>, Spanned<String>>,
    /// command: the columns of the dataset it makes, by name. Needs `output.format`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub schema: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    /// command: whether an unchanged command is not run again. Default: false.
    #[schemars(with = "Option<bool>")]
    pub cache: Option<Spanned<bool>>,
    /// Tasks that must have ended well or been skipped first: ordering without data.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub after: Vec<Spanned<String>>,
    /// A boolean SQL expression over parameters. When it is false the task is skipped.
    #[schemars(with = "Option<String>")]
    pub when: Option<Spanned<String>>,
    /// How the dataset is published.
    #[schemars(with = "Option<Output>")]
    pub output: Option<Spanned<Output>>,
    /// Columns that the dataset must have. Breaking it fails `check`.
    #[schemars(with = "Option<Contract>")]
    pub contract: Option<Spanned<Contract>>,
    /// Assertions on the rows about to be published.
    #[serde(default)]
    #[schemars(with = "Vec<Check>")]
    pub checks: Vec<Spanned<Check>>,
    /// When and how often the task is tried again; overrides `defaults.retry` key by key.
    #[serde(default)]
    pub retry: Retry,
    /// The pool of `flowctl.toml` that the task takes a slot of while it runs; overrides `defaults.pool`.
    #[schemars(with = "Option<String>")]
    pub pool: Option<Spanned<String>>,
    /// Among the tasks that could start, those of a higher priority go first. Default: 0. Between runs every 10 s of
    /// waiting count as one more, and what is beyond 100 or -100 does not count.
    #[serde(default)]
    pub priority: i32,
    /// Labels that the worker must have, such as `{ gpu = "yes" }`.
    #[serde(default)]
    pub requires: BTreeMap<String, String>,
    /// How long an attempt may take; overrides `defaults.timeout`.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Spanned<String>>,
    /// How long the process may take to end after SIGTERM; overrides `defaults.kill_grace`.
    #[schemars(with = "Option<String>")]
    pub kill_grace: Option<Spanned<String>>,
}

/// How a dataset is published.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// `table` (the default) is stored; `view` is inlined into the plans that read it.
    #[serde(rename = "as")]
    #[schemars(with = "Option<Stored>")]
    pub stored: Option<Spanned<Stored>>,
    /// What happens to the rows that are there. Default: `overwrite`.
    #[schemars(with = "Option<Mode>")]
    pub mode: Option<Spanned<Mode>>,
    /// merge: the columns that identify a row.
    #[schemars(with = "Option<Vec<String>>")]
    pub keys: Option<Spanned<Vec<Spanned<String>>>>,
    /// replace_where: which rows are replaced, such as `month = $month`.
    #[serde(rename = "where")]
    #[schemars(with = "Option<String>")]
    pub predicate: Option<Spanned<String>>,
    /// Columns whose values become folders of the table.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub partition_by: Vec<Spanned<String>>,
    /// command: the format of the files that become the dataset.
    #[schemars(with = "Option<Format>")]
    pub format: Option<Spanned<Format>>,
}

/// Whether the rows of a dataset are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// As a Delta Lake table.
    Table,
    /// Not at all: inlined into the plans that read it.
    View,
}

/// What happens to the rows that a table already has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are replaced.
    #[default]
    Overwrite,
    /// They stay. Rows of the same task, parameters and logical time are replaced, so a repeated run doubles nothing.
    Append,
    /// Those with equal `keys` are replaced, the others stay.
    Merge,
    /// Those that match `where`, or whose partition is present in the output, are replaced.
    ReplaceWhere,
}

/// Columns that a dataset must have, by name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Each with its type: `string`, `int`, `float`, `bool`, `date`, `timestamp`, or an SQL type.
    #[schemars(with = "BTreeMap<String, String>")]
    pub columns: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Whether no other column may come along.
    #[serde(default)]
    pub strict: bool,
}
