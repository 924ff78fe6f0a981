//! A flow file as written: every key, with the place it stands at.
//!
//! These types are the only description of the file. `flowctl schema` prints their JSON Schema, and
//! their doc comments are both the manual and an editor's hover text.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::diagnostic::Span;

mod complaint;
mod inside;
mod lost;
mod parse;
mod tree;

pub use lost::Lost;
pub use parse::parse;

/// A flow: sources, tasks, parameters and a schedule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The flow's name: a letter or `_`, then letters, digits, `_`, `-`; at most 64. Required.
    #[schemars(with = "String", required)]
    pub name: Option<Spanned<String>>,
    /// What the flow is for, in a sentence.
    pub description: Option<String>,
    /// What happens to independent tasks when a task fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// When the flow runs by itself.
    #[schemars(with = "Option<Schedule>")]
    pub schedule: Option<Spanned<Schedule>>,
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
    #[schemars(with = "BTreeMap<String, Task>", required)]
    pub tasks: BTreeMap<Spanned<String>, Spanned<Task>>,
    /// What could not be read. Told by the parser, not to be complained about again.
    #[serde(skip)]
    pub lost: Lost,
    /// The text that the flow was read from: what all spans point into.
    #[serde(skip)]
    pub text: String,
}

impl Flow {
    /// The place in the file of a part of a text value (a byte range of the value), past quotes and escapes.
    /// The place of the whole value if the text is not the one the flow was read from.
    pub fn inside(&self, value: &Spanned<String>, part: Range<usize>) -> Span {
        inside::locate(&self.text, value, part).unwrap_or_else(|| value.span())
    }

    /// The task of this name.
    pub fn task(&self, name: &str) -> Option<&Spanned<Task>> {
        self.tasks.get(&Spanned::new(0..0, name.to_owned()))
    }

    /// The source of this name.
    pub fn source(&self, name: &str) -> Option<&Spanned<Source>> {
        self.sources.get(&Spanned::new(0..0, name.to_owned()))
    }

    /// The tasks by name, in the order of the file.
    pub fn tasks_in_order(&self) -> Vec<(&str, &Spanned<Task>)> {
        in_order(&self.tasks)
    }

    /// The sources by name, in the order of the file.
    pub fn sources_in_order(&self) -> Vec<(&str, &Spanned<Source>)> {
        in_order(&self.sources)
    }

    /// Whether nothing should be said about the absence of a task or source of this name, because part of the file
    /// that may define it could not be read.
    pub fn excuses(&self, name: &str) -> bool {
        ["tasks", "sources"].iter().any(|part| self.lost.covers(&[part, name]))
    }

    /// The same for a parameter.
    pub fn excuses_param(&self, name: &str) -> bool {
        self.lost.covers(&["params", name])
    }
}

fn in_order<T>(entries: &BTreeMap<Spanned<String>, T>) -> Vec<(&str, &T)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries.into_iter().map(|(name, entry)| (name.get_ref().as_str(), entry)).collect()
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

/// When a flow runs by itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five cron fields, or six with seconds first, or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
    #[schemars(with = "String")]
    pub cron: Spanned<String>,
    /// An IANA time zone. Default: UTC.
    #[schemars(with = "Option<String>")]
    pub timezone: Option<Spanned<String>>,
    /// Which missed times are made up for.
    #[serde(default)]
    pub catchup: Catchup,
    /// What happens to fixed hours when clocks change.
    #[serde(default)]
    pub dst: Dst,
}

/// Which missed times are made up for when the service comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Catchup {
    None,
    #[default]
    Latest,
    All,
}

/// What happens to a schedule's fixed hours when clocks change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dst {
    /// A time that does not exist that day: run once, at the first instant after the gap, or not at all.
    #[serde(default)]
    pub skipped: Skipped,
    /// A time that exists twice that day: run at the first of the two, or at both.
    #[serde(default)]
    pub doubled: Doubled,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    #[default]
    RunAfter,
    Skip,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Doubled {
    #[default]
    Once,
    Twice,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    Constant,
    Linear,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    Json,
    Parquet,
    Avro,
    Delta,
}

impl Source {
    /// The format: as written, or else as the name of the file says, past endings for compression.
    pub fn format(&self) -> Option<Format> {
        self.format.as_ref().map(|format| *format.get_ref()).or_else(|| Format::of_name(self.path.get_ref()))
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [Format::Csv, Format::Json, Format::Parquet, Format::Avro, Format::Delta];

    /// The word of the flow file.
    pub fn word(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Avro => "avro",
            Format::Delta => "delta",
        }
    }

    /// The format that the ending of a path tells. `.ndjson` and `.jsonl` are `json`; `.gz`, `.zst` and `.bz2` are
    /// looked past.
    pub fn of_name(path: &str) -> Option<Format> {
        let path = path.trim_end_matches('/').to_ascii_lowercase();
        let plain = [".gz", ".zst", ".bz2"].iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(&path);
        let (_, ending) = plain.rsplit_once('.')?;
        match ending {
            "ndjson" | "jsonl" => Some(Format::Json),
            _ => Format::ALL.into_iter().find(|format| format.word() == ending),
        }
    }
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
    /// How long an attempt may take; overrides `defaults.timeout`.
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Spanned<String>>,
    /// How long the process may take to end after SIGTERM; overrides `defaults.kill_grace`.
    #[schemars(with = "Option<String>")]
    pub kill_grace: Option<Spanned<String>>,
}

impl Task {
    /// The keys that name a kind and are given, each with its kind and place.
    pub fn kinds(&self) -> Vec<(&'static str, &str, Span)> {
        let sql = self.sql.as_ref().map(|sql| ("sql", "sql", sql.span()));
        let sql_file = self.sql_file.as_ref().map(|file| ("sql_file", "sql", file.span()));
        let command = self.command.as_ref().map(|command| ("command", "command", command.span()));
        let kind = self.kind.as_ref().map(|kind| ("kind", kind.get_ref().as_str(), kind.span()));
        [sql, sql_file, command, kind].into_iter().flatten().collect()
    }

    /// The kind, if exactly one is given: `sql` (also for `sql_file`), `command`, or the word of `kind`.
    pub fn kind(&self) -> Option<&str> {
        match self.kinds()[..] {
            [(_, kind, _)] => Some(kind),
            _ => None,
        }
    }

    /// The format of the files that a command leaves as its dataset.
    pub fn format(&self) -> Option<Format> {
        Some(*self.output.as_ref()?.get_ref().format.as_ref()?.get_ref())
    }

    /// Whether nothing but ordering comes out of it: a noop, or a command without `output.format` and `schema`.
    pub fn makes_nothing(&self) -> bool {
        match self.kind() {
            Some("noop") => true,
            Some("command") => self.format().is_none() && self.schema.is_none(),
            _ => false,
        }
    }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    Table,
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
    #[schemars(with = "BTreeMap<String, String>")]
    pub columns: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Whether no other column may come along.
    #[serde(default)]
    pub strict: bool,
}

/// An assertion on a dataset: exactly one of `not_null`, `unique`, `between`, `accepted`, `references`, `rows`, `sql`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// No row has a NULL in any of these columns.
    #[schemars(with = "Option<Vec<String>>")]
    pub not_null: Option<Spanned<Vec<Spanned<String>>>>,
    /// No two rows agree in all of these columns. A NULL is no duplicate.
    #[schemars(with = "Option<Vec<String>>")]
    pub unique: Option<Spanned<Vec<Spanned<String>>>>,
    /// Values lie between two inclusive bounds. NULL passes.
    #[schemars(with = "Option<Between>")]
    pub between: Option<Spanned<Between>>,
    /// Values are among those listed. NULL passes.
    #[schemars(with = "Option<Accepted>")]
    pub accepted: Option<Spanned<Accepted>>,
    /// Values are found in a column of another dataset or source. NULL passes.
    #[schemars(with = "Option<References>")]
    pub references: Option<Spanned<References>>,
    /// The number of rows lies between two inclusive bounds.
    #[schemars(with = "Option<Rows>")]
    pub rows: Option<Spanned<Rows>>,
    /// A query that returns the rows that should not be there.
    #[schemars(with = "Option<String>")]
    pub sql: Option<Spanned<String>>,
    /// `error` (the default) blocks publishing, `warn` does not.
    #[serde(default)]
    pub severity: Severity,
    /// The name shown in reports. Default: made from the assertion.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// What the assertion sees: the `rows` about to be published (the default), or the `table` as it would be.
    #[serde(default)]
    pub on: On,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    #[schemars(with = "Option<serde_json::Value>")]
    pub min: Option<Spanned<toml::Value>>,
    #[schemars(with = "Option<serde_json::Value>")]
    pub max: Option<Spanned<toml::Value>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    #[schemars(with = "Vec<serde_json::Value>")]
    pub values: Spanned<Vec<Spanned<toml::Value>>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct References {
    #[schemars(with = "String")]
    pub column: Spanned<String>,
    /// `dataset.column`, or `flow.dataset.column`.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
}

impl References {
    /// The dataset (`dataset` or `flow.dataset`) and the column. `None` if the text has another shape.
    pub fn target(&self) -> Option<(&str, &str)> {
        let (dataset, column) = self.to.get_ref().rsplit_once('.')?;
        let parts = dataset.split('.').count();
        let named = dataset.split('.').chain([column]).all(|part| !part.trim().is_empty());
        (named && parts <= 2).then_some((dataset, column))
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    #[schemars(with = "Option<u64>")]
    pub min: Option<Spanned<i64>>,
    #[schemars(with = "Option<u64>")]
    pub max: Option<Spanned<i64>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Error,
    Warn,
}

/// What a check sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    #[default]
    Rows,
    Table,
}
