//! Names that nothing has, or that several things have.

use std::ops::Range;

use datafusion::common::{Column, Diagnostic};
use datafusion::functions_window::all_default_window_functions;
use datafusion::sql::sqlparser::tokenizer::Token;
use flow::{codes, name};

use super::text::Text;
use super::{Known, Problem, between, whole};

/// Types as they may be written, for near misses.
const TYPES: [&str; 16] = [
    "varchar",
    "text",
    "char",
    "smallint",
    "int",
    "integer",
    "bigint",
    "real",
    "float",
    "double",
    "decimal",
    "numeric",
    "boolean",
    "date",
    "timestamp",
    "interval",
];

/// The problem of an error that only its message tells apart.
pub fn problem(message: &str, noted: Option<Range<usize>>, text: &Text, known: &Known) -> Option<Problem> {
    let place = |name: &str| noted.clone().or_else(|| text.first(name)).unwrap_or_else(|| whole(text.sql));
    if let Some(function) = between(message, "invalid function '", "'") {
        return Some(unknown_function(function, place(function), known));
    }
    if let Some(function) = between(message, "table function '", "' not found") {
        return Some(unknown_function(function, place(function), known));
    }
    if let Some(table) = between(message, "table '", "' not found") {
        let table = table.strip_prefix("datafusion.").unwrap_or(table);
        let table = table.strip_prefix("public.").unwrap_or(table);
        return Some(unknown_table(table, place(table), known));
    }
    if let Some(table) = message.strip_prefix("invalid qualifier ") {
        return Some(unknown_table(table, place(table), known));
    }
    if let Some(kind) = message.strip_prefix("unsupported SQL type ").or(message.strip_prefix("Unsupported SQL type "))
    {
        return Some(unknown_type(kind, text));
    }
    if message.starts_with("projections require unique expression names") {
        let expr = between(message, "and \"", "\" at position")?;
        let name = expr.rsplit(" AS ").next().unwrap_or(expr);
        return Some(duplicate(name.rsplit('.').next().unwrap_or(name), text));
    }
    if let Some(query) = between(message, "WITH query name \"", "\" specified more than once") {
        return Some(query_twice(query, text));
    }
    let position = between(message, "out of bounds, specified: ", ",").or(between(message, "with position ", " "))?;
    Some(no_such_position(position, text))
}

pub fn unknown_column(
    field: &Column,
    valid: &[Column],
    noted: Option<Range<usize>>,
    text: &Text,
    known: &Known,
) -> Problem {
    let column = &field.name;
    let mut span = noted.or_else(|| text.first(column)).unwrap_or_else(|| whole(text.sql));
    let mut candidates: Vec<&str> = valid.iter().map(|column| column.name.as_str()).collect();
    let mut message = format!("column `{column}` does not exist");
    if let Some(relation) = &field.relation {
        let table = relation.table();
        let own = valid.iter().filter(|other| other.relation.as_ref().is_some_and(|r| r.table() == table));
        candidates = own.map(|column| column.name.as_str()).collect();
        if candidates.is_empty() {
            let qualifier = text.words(table).into_iter().find(|&index| text.is(index + 1, &Token::Period));
            let span = qualifier.and_then(|index| text.place(index)).unwrap_or(span);
            return foreign_table(table, valid, span, known);
        }
        message = format!("`{table}` has no column `{column}`");
        span = text.last_word(&span).unwrap_or(span);
    }
    candidates.sort_unstable();
    candidates.dedup();
    let problem = Problem::new(codes::UNKNOWN_COLUMN, span, message);
    match column_hint(column, &candidates) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// The quoted name if only the case is wrong, else the near miss, else the columns that there are.
fn column_hint(column: &str, candidates: &[&str]) -> Option<String> {
    if let Some(same) = candidates.iter().find(|other| other.to_lowercase() == column.to_lowercase()) {
        let plain = same.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        return Some(match plain {
            true => format!("did you mean `{same}`?"),
            false => format!("the column is written `\"{same}\"`, in double quotes because of its capitals"),
        });
    }
    if let Some(near) = name::nearest(column, candidates.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    name::list(candidates.iter().copied()).map(|columns| format!("the columns are {columns}"))
}

/// A column of a table that the query does not read, or reads under another name.
fn foreign_table(table: &str, valid: &[Column], span: Range<usize>, known: &Known) -> Problem {
    let mut read: Vec<&str> = valid.iter().filter_map(|column| column.relation.as_ref()).map(|r| r.table()).collect();
    read.sort_unstable();
    read.dedup();
    let problem = Problem::new(codes::UNKNOWN_TABLE, span, format!("the query reads no table called `{table}` here"));
    if let Some(near) = name::nearest(table, read.iter().copied()) {
        return problem.hint(format!("did you mean `{near}`?"));
    }
    match name::list(read) {
        Some(read) if known.tables.contains_key(table) => problem.hint(format!("join it, or use one of {read}")),
        Some(read) => problem.hint(format!("it reads {read}")),
        None => problem,
    }
}

pub fn ambiguous(field: &Column, span: Option<Range<usize>>, noted: Option<&Diagnostic>, text: &Text) -> Problem {
    let column = &field.name;
    // Without a place it is two output columns of one name that the planner trips over.
    let Some(span) = span else { return duplicate(column, text) };
    let notes = noted.iter().flat_map(|diagnostic| &diagnostic.notes);
    let choices = notes.filter_map(|note| note.message.strip_prefix("possible column "));
    let problem = Problem::new(codes::AMBIGUOUS_COLUMN, span, format!("several tables have a column `{column}`"));
    match name::list(choices) {
        Some(choices) => problem.hint(format!("say which one you mean: {choices}")),
        None => problem,
    }
}

/// Two output columns of one name: points at the second.
pub fn duplicate(column: &str, text: &Text) -> Problem {
    let ends = |&index: &usize| text.is(index + 1, &Token::Comma) || text.word(index + 1).is_some_and(|w| w == "from");
    let places: Vec<usize> = text.words(column).into_iter().filter(ends).collect();
    let span = places.get(1).or(places.first()).and_then(|&index| text.place(index));
    let span = span.or_else(|| text.mentioned(&format!("'{column}'"))).unwrap_or_else(|| whole(text.sql));
    Problem::new(codes::DUPLICATE_COLUMN, span, format!("two output columns are called `{column}`"))
        .hint("give one of them another name with `as`")
}

pub fn table_twice(table: &str, text: &Text) -> Problem {
    let places: Vec<usize> =
        text.words(table).into_iter().filter(|&index| !text.is(index + 1, &Token::Period)).collect();
    let span = places.get(1).or(places.first()).and_then(|&index| text.place(index));
    let span = span.unwrap_or_else(|| whole(text.sql));
    Problem::new(codes::AMBIGUOUS_COLUMN, span, format!("two tables are called `{table}` here"))
        .hint("give one of them another name with `as`")
}

fn query_twice(query: &str, text: &Text) -> Problem {
    let defined = |&index: &usize| text.word(index + 1).is_some_and(|word| word == "as");
    let second = text.words(query).into_iter().filter(defined).nth(1);
    let span = second.and_then(|index| text.place(index)).unwrap_or_else(|| whole(text.sql));
    Problem::new(codes::SQL_NOT_PLANNED, span, format!("this `with` names `{query}` twice"))
        .hint("give one of them another name")
}

fn unknown_table(table: &str, span: Range<usize>, known: &Known) -> Problem {
    let problem = Problem::new(codes::UNKNOWN_TABLE, span, format!("table `{table}` does not exist"));
    let same = |known: &&String| known.to_lowercase() == table.to_lowercase();
    if let Some(quoted) = known.tables.keys().find(same) {
        return problem.hint(format!("names in SQL are lower case unless they are quoted: write `\"{quoted}\"`"));
    }
    match name::suggest(table, known.tables.keys().map(String::as_str)) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn unknown_function(function: &str, span: Range<usize>, known: &Known) -> Problem {
    if all_default_window_functions().iter().any(|window| window.name() == function) {
        return Problem::new(codes::SQL_NOT_PLANNED, span, format!("the window function `{function}` has no window"))
            .hint(format!("write `{function}(…) over (order by …)`"));
    }
    let problem = Problem::new(codes::UNKNOWN_FUNCTION, span, format!("function `{function}` does not exist"));
    match name::nearest(function, known.functions.iter().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn unknown_type(kind: &str, text: &Text) -> Problem {
    let kind = kind.to_lowercase();
    let span = text.words(&kind).last().and_then(|&index| text.place(index)).unwrap_or_else(|| whole(text.sql));
    let problem = Problem::new(codes::UNKNOWN_TYPE, span, format!("type `{kind}` does not exist"));
    match name::suggest(&kind, TYPES) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

fn no_such_position(position: &str, text: &Text) -> Problem {
    let number = |token: &Token| matches!(token, Token::Number(digits, _) if digits == position);
    let found = text.tokens.iter().rev().find(|(token, _)| number(token));
    let span = found.map_or_else(|| whole(text.sql), |(_, range)| range.clone());
    Problem::new(codes::UNKNOWN_COLUMN, span, format!("there is no output column number {position}"))
        .hint("count the columns after `select` from 1, or write the column's name")
}
