//! The shape of a task's checks. Whether their columns exist and fit is for the engine to say.

use toml::Spanned;
use toml::value::Datetime;

use super::repeated;
use super::tasks::{Context, dataset};
use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;
use crate::spec::{Accepted, Between, Check, References, Rows};

const KINDS: [&str; 7] = ["not_null", "unique", "between", "accepted", "references", "rows", "sql"];

pub(super) fn check(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for check in &cx.task.checks {
        one_kind(cx, check, found);
        let check = check.get_ref();
        for columns in [&check.not_null, &check.unique].into_iter().flatten() {
            list(cx, columns, found);
        }
        if let Some(between) = &check.between {
            self::between(cx, between, found);
        }
        if let Some(accepted) = &check.accepted {
            self::accepted(cx, accepted.get_ref(), found);
        }
        if let Some(references) = &check.references {
            self::references(cx, references.get_ref(), found);
        }
        if let Some(rows) = &check.rows {
            self::rows(cx, rows, found);
        }
    }
}

fn one_kind(cx: &Context<'_>, check: &Spanned<Check>, found: &mut Vec<Diagnostic>) {
    let spec = check.get_ref();
    let given = [
        spec.not_null.as_ref().map(Spanned::span),
        spec.unique.as_ref().map(Spanned::span),
        spec.between.as_ref().map(Spanned::span),
        spec.accepted.as_ref().map(Spanned::span),
        spec.references.as_ref().map(Spanned::span),
        spec.rows.as_ref().map(Spanned::span),
        spec.sql.as_ref().map(Spanned::span),
    ];
    let given: Vec<_> = KINDS.iter().zip(given).filter_map(|(kind, span)| Some((kind, span?))).collect();
    let error = |span: Span, message: String| Diagnostic::error(codes::CHECK_SHAPE, span, message);
    match &given[..] {
        [] if !cx.lost(&["checks"]) => {
            let hint = name::list(KINDS).map(|kinds| format!("give it one of {kinds}"));
            found.push(error(check.span(), "the check asserts nothing".to_owned()).maybe_hint(hint));
        }
        [(first, _), (second, span), ..] => {
            let message = format!("the check has both `{first}` and `{second}`");
            found.push(error(span.clone(), message).hint("write a check of its own for each"));
        }
        _ => {}
    }
}

fn list(cx: &Context<'_>, columns: &Spanned<Vec<Spanned<String>>>, found: &mut Vec<Diagnostic>) {
    if columns.get_ref().is_empty() && !cx.lost(&["checks"]) {
        found.push(Diagnostic::error(codes::EMPTY_LIST, columns.span(), "the check lists no columns"));
    }
    repeated(columns.get_ref(), "column", found);
}

fn bounds_missing(cx: &Context<'_>, span: Span, found: &mut Vec<Diagnostic>) {
    if !cx.lost(&["checks"]) {
        let message = "the check has no bounds";
        found.push(Diagnostic::error(codes::CHECK_BOUNDS, span, message).hint("add `min`, `max` or both"));
    }
}

fn bounds_crossed(span: Span, min: &str, max: &str, found: &mut Vec<Diagnostic>) {
    let message = format!("nothing lies between {min} and {max}");
    found.push(Diagnostic::error(codes::CHECK_BOUNDS, span, message).hint("`min` must not be greater than `max`"));
}

fn between(cx: &Context<'_>, between: &Spanned<Between>, found: &mut Vec<Diagnostic>) {
    let Between { min, max, .. } = between.get_ref();
    let unusable = [min, max].into_iter().flatten().filter(|bound| !scalar(bound, "a bound", found)).count();
    match (min, max) {
        (None, None) => bounds_missing(cx, between.span(), found),
        (Some(min), Some(max)) if unusable == 0 => match crossed(min.get_ref(), max.get_ref()) {
            None => {
                let message = format!("{} and {} cannot be compared", min.get_ref(), max.get_ref());
                let hint = "`min` and `max` must be of one type";
                found.push(Diagnostic::error(codes::CHECK_BOUNDS, max.span(), message).hint(hint));
            }
            Some(true) => bounds_crossed(max.span(), &min.get_ref().to_string(), &max.get_ref().to_string(), found),
            Some(false) => {}
        },
        _ => {}
    }
}

/// Whether `min` is greater than `max`. `None` if they are of different types.
fn crossed(min: &toml::Value, max: &toml::Value) -> Option<bool> {
    use toml::Value::{Datetime, Float, Integer, String};
    match (min, max) {
        (Integer(min), Integer(max)) => Some(min > max),
        (Integer(min), Float(max)) => Some(*min as f64 > *max),
        (Float(min), Integer(max)) => Some(*min > *max as f64),
        (Float(min), Float(max)) => Some(min > max),
        (Datetime(min), Datetime(max)) => Some(later(min, max)),
        // Texts may stand for dates or numbers: only the engine knows how they compare.
        (String(_), String(_) | Datetime(_)) | (Datetime(_), String(_)) => Some(false),
        _ => None,
    }
}

/// Whether one time is later than another of the same form.
fn later(one: &Datetime, other: &Datetime) -> bool {
    let comparable = one.offset.is_none() && other.offset.is_none() && one.date.is_some() == other.date.is_some();
    comparable && (one.date, one.time) > (other.date, other.time)
}

/// False, and told, if a value is not one that a column can hold.
fn scalar(value: &Spanned<toml::Value>, what: &str, found: &mut Vec<Diagnostic>) -> bool {
    let problem = match value.get_ref() {
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
        toml::Value::Float(number) if number.is_nan() => "nan, which compares with nothing",
        _ => return true,
    };
    found.push(Diagnostic::error(codes::WRONG_TYPE, value.span(), format!("{what} must not be {problem}")));
    false
}

fn accepted(cx: &Context<'_>, accepted: &Accepted, found: &mut Vec<Diagnostic>) {
    if accepted.values.get_ref().is_empty() && !cx.lost(&["checks"]) {
        let message = "the check lists no values";
        found.push(Diagnostic::error(codes::EMPTY_LIST, accepted.values.span(), message));
    }
    for value in accepted.values.get_ref() {
        scalar(value, "an accepted value", found);
    }
}

fn references(cx: &Context<'_>, references: &References, found: &mut Vec<Diagnostic>) {
    let to = &references.to;
    match references.target() {
        None => {
            let message = format!("`{}` is not `dataset.column`", to.get_ref());
            let hint = "name a task or source of this flow and its column, or `flow.dataset.column`";
            found.push(Diagnostic::error(codes::CHECK_REFERENCE, to.span(), message).hint(hint));
        }
        // The check of a dataset may look at the dataset itself.
        Some((dataset, _)) if dataset == cx.name => {}
        Some((name, _)) => dataset(cx, name, &cx.flow.inside(to, 0..name.len()), found),
    }
}

fn rows(cx: &Context<'_>, rows: &Spanned<Rows>, found: &mut Vec<Diagnostic>) {
    let Rows { min, max } = rows.get_ref();
    if let (None, None) = (min, max) {
        bounds_missing(cx, rows.span(), found);
    }
    let negative = |bound: &&Spanned<i64>| *bound.get_ref() < 0;
    let negatives: Vec<_> = [min, max].into_iter().flatten().filter(negative).collect();
    for bound in &negatives {
        let message = format!("a number of rows cannot be {}", bound.get_ref());
        found.push(Diagnostic::error(codes::OUT_OF_RANGE, bound.span(), message));
    }
    if let (Some(min), Some(max), true) = (min, max, negatives.is_empty())
        && min.get_ref() > max.get_ref()
    {
        bounds_crossed(max.span(), &min.get_ref().to_string(), &max.get_ref().to_string(), found);
    }
}
