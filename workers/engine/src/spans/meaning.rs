//! SQL whose names are right and whose types, groups or windows are not.

use std::ops::Range;

use datafusion::common::Diagnostic;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;
use flow::codes;

use super::text::Text;
use super::{Problem, between, whole};

pub fn problem(message: &str, noted: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let rules =
        [several, operands, sides, call, condition, grouping, aggregate_in_where, nested, branches, other_types];
    rules.iter().find_map(|rule| rule(message, noted, text))
}

fn place(noted: Option<&Diagnostic>, text: &Text) -> Option<Range<usize>> {
    Some(text.range(noted?.span?))
}

/// Nothing, or more than one statement.
fn several(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    if message.starts_with("no SQL statements") {
        return Some(super::not_a_query(text.sql));
    }
    message.contains("single SQL statement").then(|| {
        let end = whole(text.sql).end;
        let first = text.tokens.iter().position(|(token, _)| *token == Token::SemiColon);
        let second = first.and_then(|index| text.place(index + 1)).map_or(end, |range| range.start);
        Problem::new(codes::NOT_A_QUERY, second..end, "a second statement follows the query")
            .hint("make each query a task of its own")
    })
}

/// An operator between types that it cannot join.
fn operands(message: &str, noted: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    if let Some((operator, kind)) = noted.and_then(|noted| noted.message.split_once(" cannot be used with ")) {
        let message = format!("`{}` cannot be used with {}", operator.to_lowercase(), sql_types(kind));
        let span = place(noted, text).unwrap_or_else(|| whole(text.sql));
        return Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast it to a type that fits"));
    }
    let noted = noted.filter(|noted| noted.message == "expressions have incompatible types")?;
    let kinds: Vec<&str> = noted.notes.iter().filter_map(|note| note.message.strip_prefix("has type ")).collect();
    let [left, right] = kinds[..] else { return None };
    let operator = between(message, left, right).map(str::trim).filter(|op| !op.is_empty() && !op.contains(' '))?;
    let at = place(Some(noted), text);
    let is_operator = |expr: &Expr| matches!(expr, Expr::BinaryOp { op, .. } if op.to_string() == operator);
    let around = |at: Range<usize>| {
        let ranges = text.expr_ranges(is_operator).into_iter();
        let smallest = ranges.filter(|range| range.start <= at.start && at.end <= range.end).min_by_key(Range::len);
        smallest.unwrap_or(at)
    };
    let span = at.map(around).or_else(|| text.exprs(is_operator)).unwrap_or_else(|| whole(text.sql));
    let message = format!("{} {operator} {} does not fit together", sql_types(left), sql_types(right));
    Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast one side to the type of the other"))
}

/// The two sides of a set operation.
fn sides(message: &str, noted: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    if let Some(operation) = message.split_once(" queries have different number of columns").map(|(before, _)| before) {
        let notes = noted.map(|noted| noted.notes.as_slice()).unwrap_or_default();
        let count = |index: usize| notes.get(index).and_then(|note| between(&note.message, "has ", " "));
        let span = notes.get(1).and_then(|note| note.span).map_or_else(|| whole(text.sql), |span| text.range(span));
        let (left, right) = (count(0).unwrap_or("?"), count(1).unwrap_or("?"));
        let message = format!("the sides of this {} have {left} and {right} columns", operation.to_lowercase());
        return Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("select as many columns on both sides"));
    }
    let kinds = message.strip_prefix("incompatible inputs for Union: ")?;
    let column = between(kinds, "column '", "'")?;
    let (left, right) =
        (between(kinds, "of type ", ", but")?, between(kinds, "type ", " on column").unwrap_or_default());
    let right = right.rsplit("incompatible type ").next().unwrap_or(right);
    let span = text.first(column).unwrap_or_else(|| whole(text.sql));
    let message = format!("the sides of this union have {} and {} in one column", sql_types(left), sql_types(right));
    Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast one side to the type of the other"))
}

/// A function that does not take these arguments.
fn call(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let (function, kinds) = match between(message, "argument types '", "'") {
        Some(called) => called.strip_suffix(')').unwrap_or(called).split_once('(')?,
        None => (between(message, "Function '", "' failed to match any")?, between(message, "(DataType: ", ").")?),
    };
    let is_call =
        |expr: &Expr| matches!(expr, Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case(function));
    let span = text.exprs(is_call).or_else(|| text.first(function)).unwrap_or_else(|| whole(text.sql));
    let message = match kinds {
        "" => format!("function `{function}` needs arguments"),
        kinds => format!("function `{function}` does not take ({})", sql_types(kinds)),
    };
    Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast the arguments to types that it takes"))
}

fn condition(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let (expr, kind) =
        message.strip_prefix("cannot create filter with non-boolean predicate '")?.split_once("' returning ")?;
    let clause = text.words("where").first().copied().or(text.words("having").first().copied());
    let column = expr.rsplit('.').next().unwrap_or(expr);
    let after = text.words(column).into_iter().find(|&index| clause.is_none_or(|clause| index > clause));
    let span = after.or(clause).and_then(|index| text.place(index)).unwrap_or_else(|| whole(text.sql));
    let message = format!("the condition is of type {}, not boolean", sql_types(kind));
    Some(Problem::new(codes::NOT_BOOLEAN, span, message).hint("compare it with something, as in `… > 0`"))
}

fn grouping(message: &str, noted: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let noted = noted.filter(|noted| noted.message.contains("must appear in GROUP BY"))?;
    let expr = between(&noted.message, "'", "' must appear").unwrap_or(message);
    let column = expr.rsplit('.').next().unwrap_or(expr);
    let star = || text.tokens.iter().find(|(token, _)| *token == Token::Mul).map(|(_, range)| range.clone());
    let at = place(Some(noted), text).and_then(|at| text.last_word(&at));
    let span = at.or_else(|| text.first(column)).or_else(star).unwrap_or_else(|| whole(text.sql));
    let message = format!("`{column}` is neither grouped nor aggregated");
    Some(
        Problem::new(codes::BAD_GROUPING, span, message)
            .hint(format!("add `{column}` to `group by`, or aggregate it, as in `min({column})`")),
    )
}

fn aggregate_in_where(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    if !message.starts_with("aggregate functions are not allowed in the WHERE") {
        return None;
    }
    let clause = text.words("where").first().copied().unwrap_or_default();
    let aggregates = all_default_aggregate_functions();
    let is_aggregate =
        |name: &str| aggregates.iter().any(|f| f.name() == name || f.aliases().iter().any(|a| a == name));
    let call = (clause..text.tokens.len())
        .find(|&index| text.is(index + 1, &Token::LParen) && text.word(index).is_some_and(|word| is_aggregate(&word)));
    let span = text.place(call.unwrap_or(clause)).unwrap_or_else(|| whole(text.sql));
    Some(
        Problem::new(codes::BAD_GROUPING, span, "rows are filtered before they are aggregated")
            .hint("filter groups with `having`, or aggregate in an inner query"),
    )
}

fn nested(message: &str, noted: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let what = ["aggregate function calls cannot", "window function calls cannot"];
    what.iter().find(|what| message.starts_with(**what))?;
    let inner = between(message, "'", "' is nested").unwrap_or_default();
    let called = inner.split('(').next().unwrap_or_default();
    let call = text.words(called).into_iter().rfind(|&index| text.is(index + 1, &Token::LParen));
    let span = call.and_then(|index| text.place(index)).or_else(|| place(noted, text));
    let fragment = message.split(':').next().unwrap_or(message);
    Some(
        Problem::new(codes::BAD_GROUPING, span.unwrap_or_else(|| whole(text.sql)), fragment)
            .hint(format!("compute `{called}(…)` in an inner query")),
    )
}

fn branches(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let rest = message.strip_prefix("failed to coerce ").filter(|rest| rest.contains("CASE"))?;
    let kinds = rest.split(" to common types").next().unwrap_or(rest);
    let span = text.exprs(|expr| matches!(expr, Expr::Case { .. })).unwrap_or_else(|| whole(text.sql));
    let message = format!("the branches of this `case` do not fit together: {}", sql_types(kinds));
    Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast the branches to one type"))
}

fn other_types(message: &str, _: Option<&Diagnostic>, text: &Text) -> Option<Problem> {
    let kinds = between(message, "common type to coerce ", " in LIKE")?;
    let is_like = |expr: &Expr| matches!(expr, Expr::Like { .. } | Expr::ILike { .. });
    let span = text.exprs(is_like).unwrap_or_else(|| whole(text.sql));
    let message = format!("`like` compares texts, not {}", sql_types(kinds));
    Some(Problem::new(codes::TYPE_MISMATCH, span, message).hint("cast both sides to varchar"))
}

/// A message's types in the words of SQL.
fn sql_types(kinds: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        ("LargeUtf8", "varchar"),
        ("Utf8View", "varchar"),
        ("Utf8", "varchar"),
        ("UInt64", "bigint"),
        ("Int64", "bigint"),
        ("Int32", "int"),
        ("Int16", "smallint"),
        ("Float64", "double"),
        ("Float32", "real"),
        ("Boolean", "boolean"),
        ("Date32", "date"),
        ("Timestamp(ns)", "timestamp"),
        ("Timestamp(µs)", "timestamp"),
        ("List(", "list("),
    ];
    WORDS.iter().fold(kinds.to_owned(), |kinds, (arrow, sql)| kinds.replace(arrow, sql))
}
