//! Where in the SQL text a mistake stands, and what to say about it.
//!
//! The planner's errors carry a place only sometimes. Where they do not, the text's own tokens and syntax
//! tree are searched for what the error names; a mistake that could stand in several places gets the stretch
//! that covers them all, and one that names nothing gets the whole text.

mod meaning;
mod names;
mod syntax;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::common::{Diagnostic, SchemaError};
use datafusion::error::DataFusionError;
use flow::codes;

use self::text::Text;
use crate::typing::Problem;

/// What a query may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tables with their columns.
    pub tables: BTreeMap<String, Vec<String>>,
    pub functions: Vec<String>,
}

/// A planning error together with what the planner noted down about it.
struct Mistake<'a> {
    error: &'a DataFusionError,
    noted: Option<&'a Diagnostic>,
}

/// The first mistake behind an error of parsing, planning or analysing `sql`.
pub fn diagnose(error: &DataFusionError, sql: &str, known: &Known) -> Problem {
    diagnose_all(error, sql, known).swap_remove(0)
}

/// Every mistake behind an error, one at least, in the order of the text: the planner sometimes goes on after the first.
pub fn diagnose_all(error: &DataFusionError, sql: &str, known: &Known) -> Vec<Problem> {
    let text = Text::new(sql);
    let mut mistakes = Vec::new();
    collect(error, None, &mut mistakes);
    let mut problems: Vec<Problem> = mistakes.iter().map(|mistake| problem(mistake, &text, known)).collect();
    problems.sort_by_key(|problem| problem.span.start);
    problems.dedup_by(|later, earlier| later.span == earlier.span && later.code == earlier.code);
    if problems.is_empty() {
        problems.push(Problem::new(codes::SQL_NOT_PLANNED, whole(sql), plain(&error.strip_backtrace())));
    }
    problems
}

/// The mistake of a text that is not exactly one query.
pub fn not_a_query(sql: &str) -> Problem {
    Problem::new(codes::NOT_A_QUERY, whole(sql), "a task's SQL is one query")
        .hint("write one `select`; `output` says where its rows go")
}

/// The text without the space around it.
pub fn whole(sql: &str) -> Range<usize> {
    let start = sql.len() - sql.trim_start().len();
    start..sql.trim_end().len().max(start)
}

impl Problem {
    fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), hint: None, span }
    }

    fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

/// Takes off what only wraps an error, keeping the innermost note.
fn collect<'a>(error: &'a DataFusionError, noted: Option<&'a Diagnostic>, into: &mut Vec<Mistake<'a>>) {
    match error {
        DataFusionError::Context(_, inner) => collect(inner, noted, into),
        DataFusionError::Shared(inner) => collect(inner, noted, into),
        DataFusionError::Diagnostic(diagnostic, inner) => collect(inner, Some(diagnostic), into),
        DataFusionError::Collection(errors) => errors.iter().for_each(|error| collect(error, noted, into)),
        _ => into.push(Mistake { error, noted }),
    }
}

fn problem(mistake: &Mistake, text: &Text, known: &Known) -> Problem {
    let noted = mistake.noted.and_then(|diagnostic| diagnostic.span).map(|span| text.range(span));
    match mistake.error {
        DataFusionError::SQL(error, _) => syntax::problem(error, text),
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                names::unknown_column(field, valid_fields, noted, text, known)
            }
            SchemaError::AmbiguousReference { field } => names::ambiguous(field, noted, mistake.noted, text),
            SchemaError::DuplicateUnqualifiedField { name } => names::duplicate(name, text),
            SchemaError::DuplicateQualifiedField { qualifier, .. } => names::table_twice(qualifier.table(), text),
        },
        other => {
            let message = plain(&other.strip_backtrace());
            names::problem(&message, noted.clone(), text, known)
                .or_else(|| meaning::problem(&message, mistake.noted, text))
                .unwrap_or_else(|| unplanned(&message, noted, text))
        }
    }
}

fn unplanned(message: &str, noted: Option<Range<usize>>, text: &Text) -> Problem {
    let span = noted.or_else(|| text.mentioned(message)).unwrap_or_else(|| whole(text.sql));
    Problem::new(codes::SQL_NOT_PLANNED, span, message)
}

/// The planner's message as a lowercase fragment, without the name of the error's variant.
fn plain(message: &str) -> String {
    const VARIANTS: [&str; 6] = [
        "Error during planning: ",
        "Schema error: ",
        "This feature is not implemented: ",
        "Invalid or Unsupported Configuration: ",
        "Arrow error: ",
        "Execution error: ",
    ];
    let mut message = message.trim();
    while let Some(rest) = VARIANTS.iter().find_map(|variant| message.strip_prefix(variant)) {
        message = rest;
    }
    let message = message.lines().next().unwrap_or_default().trim_end_matches('.');
    let mut letters = message.chars();
    let capitals = message.chars().take_while(char::is_ascii_uppercase).count();
    match letters.next() {
        Some(first) if capitals == 1 => first.to_lowercase().chain(letters).collect(),
        _ => message.to_owned(),
    }
}

/// The text between the first `before` and the next `after`.
fn between<'a>(message: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = message.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}
