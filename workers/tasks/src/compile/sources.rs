//! What a flow's sources are: their files and their types.

use std::collections::BTreeMap;

use engine::SourceProblem;
use flow::diagnostic::Diagnostic;
use flow::plan::{Column, Source};
use flow::spec::Format;
use flow::{codes, placeholders, spec};
use toml::Spanned;

use super::Compiler;
use super::located::located;

impl Compiler<'_> {
    /// Types every source that can be typed.
    pub(super) async fn sources(&mut self) -> BTreeMap<String, Source> {
        let mut typed = BTreeMap::new();
        for (name, spec) in self.flow.sources_in_order() {
            if self.broken.contains(name) {
                continue;
            }
            if let Some(source) = self.source(name, spec.get_ref()).await {
                typed.insert(name.to_string(), source);
            } else {
                self.broken.insert(name.to_string());
            }
        }
        typed
    }

    async fn source(&mut self, name: &str, spec: &spec::Source) -> Option<Source> {
        let format = spec.format()?;
        let columns = self.declared_columns(name, &spec.columns)?;
        let path = match placeholders::fill(spec.path.get_ref(), &self.params) {
            Ok(path) => path,
            // Without a value for its parameter, a source is what its columns say it is.
            Err(_) if !columns.is_empty() => {
                return Some(self.described(name, spec, format, spec.path.get_ref().clone(), columns));
            }
            Err(missing) => {
                let hint = "give the parameter a default, or list the source's `columns`";
                let found = Diagnostic::error(codes::SOURCE_MISSING, spec.path.span(), missing).hint(hint);
                self.report(found.source(name));
                return None;
            }
        };
        let path = if path.contains("://") { path } else { located(&self.dir, &path).display().to_string() };
        let source = self.described(name, spec, format, path, columns);
        match self.engine.infer(&source, spec.strict, self.is_run).await {
            Ok(columns) => Some(Source { columns, ..source }),
            Err(problem) => {
                self.source_problem(name, spec, problem);
                None
            }
        }
    }

    fn described(&self, name: &str, spec: &spec::Source, format: Format, path: String, columns: Vec<Column>) -> Source {
        let tabs = path.contains(".tsv");
        let delimiter = spec.delimiter.as_ref().and_then(|text| text.get_ref().bytes().next());
        Source {
            name: name.to_string(),
            path,
            format,
            null: spec.null.as_ref().map(|null| null.get_ref().clone()).unwrap_or_default(),
            delimiter: delimiter.unwrap_or(if tabs { b'\t' } else { b',' }),
            header: spec.header.as_ref().is_none_or(|header| *header.get_ref()),
            columns,
        }
    }

    /// The declared columns in the order of the file, their types in our words. `None` if a type does not exist.
    pub(super) fn declared_columns(
        &mut self,
        source: &str,
        columns: &BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> Option<Vec<Column>> {
        let mut written: Vec<_> = columns.iter().collect();
        written.sort_by_key(|(name, _)| name.span().start);
        let mut declared = vec![];
        for (name, kind) in written {
            match self.engine.type_word(kind.get_ref()) {
                Ok(word) => declared.push(Column { name: name.get_ref().clone(), kind: word }),
                Err(message) => {
                    let hint = "one of string, int, float, bool, date, timestamp, or a SQL type such as decimal(12,2)";
                    self.report(Diagnostic::error(codes::UNKNOWN_TYPE, kind.span(), message).hint(hint).source(source));
                }
            }
        }
        (declared.len() == columns.len()).then_some(declared)
    }

    fn source_problem(&mut self, name: &str, spec: &spec::Source, problem: SourceProblem) {
        let key = problem.column.and_then(|column| spec.columns.keys().find(|key| *key.get_ref() == column));
        let span = key.map_or_else(|| spec.path.span(), Spanned::span);
        self.report(Diagnostic::error(problem.code, span, problem.message).maybe_hint(problem.hint).source(name));
    }
}
