//! What the keys of a flow say together.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::{Flow, Format, References, Source, Task, inside};
use crate::diagnostic::Span;

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

impl References {
    /// The dataset (`dataset` or `flow.dataset`) and the column. `None` if the text has another shape.
    pub fn target(&self) -> Option<(&str, &str)> {
        let (dataset, column) = self.to.get_ref().rsplit_once('.')?;
        let parts = dataset.split('.').count();
        let named = dataset.split('.').chain([column]).all(|part| !part.trim().is_empty());
        (named && parts <= 2).then_some((dataset, column))
    }
}
