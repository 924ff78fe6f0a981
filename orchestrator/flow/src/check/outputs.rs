//! How a dataset is published: which keys go with which.

use toml::Spanned;

use super::repeated;
use super::tasks::Context;
use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::spec::{Mode, Output, Stored};

pub(super) fn check(cx: &Context<'_>, kind: &str, found: &mut Vec<Diagnostic>) {
    match kind {
        "command" => command(cx, found),
        "noop" => return,
        _ => {}
    }
    let Some(output) = &cx.task.output else { return };
    let format = output.get_ref().format.as_ref().filter(|_| kind == "sql");
    if let Some(format) = format {
        let hint = "remove it: tables are always published as Delta tables";
        found.push(wrong(format.span(), "`output.format` is for tasks of kind `command`").hint(hint));
    }
    let stored = output.get_ref().stored.as_ref();
    match stored.filter(|stored| *stored.get_ref() == Stored::View) {
        Some(view) if kind != "sql" => {
            found.push(wrong(view.span(), "only a task of kind `sql` can be a view"));
        }
        Some(_) => view(output.get_ref(), found),
        None => table(cx, output.get_ref(), found),
    }
}

fn wrong(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::OUTPUT_KEY, span, message)
}

/// A view is not stored, so nothing of it can be replaced or partitioned.
fn view(output: &Output, found: &mut Vec<Diagnostic>) {
    let given = [
        output.mode.as_ref().map(|mode| ("mode", mode.span())),
        output.keys.as_ref().map(|keys| ("keys", keys.span())),
        output.predicate.as_ref().map(|predicate| ("where", predicate.span())),
        (!output.partition_by.is_empty()).then(|| ("partition_by", super::span_of(&output.partition_by))),
    ];
    for (key, span) in given.into_iter().flatten() {
        let message = format!("a view has no `{key}`: it is not stored");
        found.push(wrong(span, message).hint(format!("remove `{key}`, or `as = \"view\"`")));
    }
}

fn table(cx: &Context<'_>, output: &Output, found: &mut Vec<Diagnostic>) {
    if let Some(keys) = &output.keys {
        repeated(keys.get_ref(), "key", found);
    }
    repeated(&output.partition_by, "partition column", found);
    // Nothing is said about a mode that could not be read.
    if cx.lost(&["output", "mode"]) {
        return;
    }
    let mode = output.mode.as_ref().map(|mode| *mode.get_ref()).unwrap_or_default();
    match (mode, &output.mode) {
        (Mode::Merge, Some(span)) => merge(cx, output, span.span(), found),
        (Mode::ReplaceWhere, Some(span)) => replace_where(cx, output, span.span(), found),
        _ => {}
    }
    if let Some(keys) = output.keys.as_ref().filter(|_| mode != Mode::Merge) {
        found.push(wrong(keys.span(), "`keys` is for `mode = \"merge\"`").hint("add that mode, or remove `keys`"));
    }
    if let Some(predicate) = output.predicate.as_ref().filter(|_| mode != Mode::ReplaceWhere) {
        let hint = "add that mode, or remove `where`";
        found.push(wrong(predicate.span(), "`where` is for `mode = \"replace_where\"`").hint(hint));
    }
}

fn merge(cx: &Context<'_>, output: &Output, mode: Span, found: &mut Vec<Diagnostic>) {
    let span = match &output.keys {
        Some(keys) if keys.get_ref().is_empty() => keys.span(),
        None => mode,
        Some(_) => return,
    };
    if !cx.lost(&["output", "keys"]) {
        let hint = "add `keys = [\"…\"]`: the columns that identify a row";
        found.push(Diagnostic::error(codes::MERGE_KEYS, span, "a merge needs `keys`").hint(hint));
    }
}

fn replace_where(cx: &Context<'_>, output: &Output, mode: Span, found: &mut Vec<Diagnostic>) {
    let given = |text: &Spanned<String>| !text.get_ref().trim().is_empty();
    let says = output.predicate.as_ref().is_some_and(given) || !output.partition_by.is_empty();
    if !says && !cx.lost(&["output", "where"]) && !cx.lost(&["output", "partition_by"]) {
        let message = "replace_where does not say which rows it replaces";
        let hint = "add `where = \"month = $month\"`, or `partition_by = [\"month\"]`";
        found.push(Diagnostic::error(codes::REPLACE_WHERE, mode, message).hint(hint));
    }
}

/// A command's dataset needs the format of its files and its columns; without them there is nothing to publish.
fn command(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let (task, lost) = (cx.task, cx.lost(&["output"]) || cx.lost(&["schema"]));
    if lost {
        return;
    }
    let error = |span: Span, message: String| Diagnostic::error(codes::COMMAND_SCHEMA, span, message);
    let format = task.output.as_ref().and_then(|output| output.get_ref().format.as_ref());
    match (format, &task.schema) {
        (Some(format), None) => {
            let hint = "add `schema = { column = \"type\" }` with all its columns";
            found.push(error(format.span(), format!("the columns of `{}` are not declared", cx.name)).hint(hint));
        }
        (None, Some(schema)) => {
            let message = format!("the format of the files that become `{}` is not declared", cx.name);
            found.push(error(schema.span(), message).hint("add `output = { format = \"parquet\" }`"));
        }
        (Some(_), Some(schema)) if schema.get_ref().is_empty() => {
            found.push(Diagnostic::error(codes::EMPTY_LIST, schema.span(), "a dataset needs at least one column"));
        }
        (None, None) => {
            let output = task.output.as_ref().map(|output| ("output", output.span()));
            let contract = task.contract.as_ref().map(|contract| ("contract", contract.span()));
            let checks = task.checks.first().map(|check| ("checks", check.span()));
            if let Some((key, span)) = output.or(contract).or(checks) {
                let hint = "add `output = { format = \"parquet\" }` and `schema = { column = \"type\" }`";
                found.push(error(span, format!("`{key}` needs a dataset, and this command makes none")).hint(hint));
            }
        }
        (Some(_), Some(_)) => {}
    }
}
