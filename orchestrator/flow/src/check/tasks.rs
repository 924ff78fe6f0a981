//! Tasks: kind, keys that fit it, and the names they refer to.

use toml::Spanned;

use super::{Names, assertions, outputs, placeholders, settings, span_of, types};
use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;
use crate::spec::{Flow, Task};

/// A task with everything that its checks look at.
pub(super) struct Context<'f> {
    pub(super) flow: &'f Flow,
    pub(super) names: &'f Names<'f>,
    pub(super) kinds: &'f [&'f str],
    pub(super) name: &'f str,
    pub(super) task: &'f Task,
    pub(super) span: Span,
}

impl Context<'_> {
    /// Whether the value of a key could not be read, or something inside it.
    pub(super) fn lost(&self, keys: &[&str]) -> bool {
        self.flow.lost.touches(&[&["tasks", self.name], keys].concat())
    }
}

pub(super) fn check(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    settings::times(&cx.task.timeout, &cx.task.kill_grace, found);
    settings::retry(&cx.task.retry, found);
    after(cx, found);
    inputs(cx, found);
    texts(cx, found);
    if let Some(contract) = &cx.task.contract {
        types::check(&contract.get_ref().columns, found);
    }
    if let Some(schema) = &cx.task.schema {
        types::check(schema.get_ref(), found);
    }
    assertions::check(cx, found);
    if let Some(kind) = kind(cx, found) {
        foreign_keys(cx.task, &kind, found);
        outputs::check(cx, &kind, found);
    }
}

/// The kind, if the task has exactly one that exists.
fn kind(cx: &Context<'_>, found: &mut Vec<Diagnostic>) -> Option<String> {
    let mut given = cx.task.kinds();
    given.sort_by_key(|(_, _, span)| span.start);
    let whole = !cx.lost(&[]);
    match &given[..] {
        [] if whole => {
            let message = format!("task `{}` has no kind", cx.name);
            let hint = "give it one of `sql`, `sql_file`, `command`, or `kind = \"noop\"`";
            found.push(Diagnostic::error(codes::NO_KIND, cx.span.clone(), message).hint(hint));
        }
        [("kind", kind, span)] => return named(cx, kind, span, found).then(|| (*kind).to_owned()),
        [(_, kind, _)] => return Some((*kind).to_owned()),
        [(first, ..), (second, _, span), ..] if whole => {
            let message = format!("task `{}` has both `{first}` and `{second}`", cx.name);
            let hint = "each of these keys names the kind of a task: keep one";
            found.push(Diagnostic::error(codes::TWO_KINDS, span.clone(), message).hint(hint));
        }
        _ => {}
    }
    None
}

/// Whether `kind = "…"` names a kind that exists and that no key names.
fn named(cx: &Context<'_>, kind: &str, span: &Span, found: &mut Vec<Diagnostic>) -> bool {
    let keys = match kind {
        "sql" => Some("`sql = \"…\"` or `sql_file = \"…\"`"),
        "command" => Some("`command = [\"…\"]`"),
        _ if cx.kinds.contains(&kind) => return true,
        _ => None,
    };
    if keys.is_some() && cx.lost(&[]) {
        return false;
    }
    let (message, hint) = match keys {
        Some(keys) => {
            (format!("`kind = \"{kind}\"` does not say what the task does"), Some(format!("write {keys} instead")))
        }
        None => {
            let others = cx.kinds.iter().copied().filter(|kind| !["sql", "command"].contains(kind));
            (format!("there is no kind of task `{kind}`"), name::suggest(kind, others))
        }
    };
    found.push(Diagnostic::error(codes::UNKNOWN_KIND, span.clone(), message).maybe_hint(hint));
    false
}

/// Tells about keys that the kind has no use for.
fn foreign_keys(task: &Task, kind: &str, found: &mut Vec<Diagnostic>) {
    let of_commands = [
        (!task.inputs.is_empty()).then(|| ("inputs", span_of(&task.inputs))),
        task.outputs.keys().map(Spanned::span).min_by_key(|span| span.start).map(|span| ("outputs", span)),
        task.schema.as_ref().map(|schema| ("schema", schema.span())),
        task.cache.as_ref().map(|cache| ("cache", cache.span())),
    ];
    let of_datasets = [
        task.output.as_ref().map(|output| ("output", output.span())),
        task.contract.as_ref().map(|contract| ("contract", contract.span())),
        task.checks.first().map(|check| ("checks", check.span())),
    ];
    let foreign: Vec<_> = match kind {
        "sql" => of_commands.into_iter().flatten().collect(),
        "noop" => {
            let pool = task.pool.as_ref().map(|pool| ("pool", pool.span()));
            of_commands.into_iter().chain(of_datasets).chain([pool]).flatten().collect()
        }
        _ => return,
    };
    for (key, span) in foreign {
        let hint = match (kind, key) {
            ("noop", _) => "a noop has no data and does no work: it only orders other tasks".to_owned(),
            (_, "inputs") => "remove it: the tables that the SQL reads are its inputs".to_owned(),
            (_, "schema") => "remove it, or write `contract` to fix the columns".to_owned(),
            _ => format!("remove it: `{key}` is for tasks of kind `command`"),
        };
        found.push(
            Diagnostic::error(codes::FOREIGN_KEY, span, format!("a task of kind `{kind}` has no `{key}`")).hint(hint),
        );
    }
}

fn after(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for after in &cx.task.after {
        let name = after.get_ref();
        if cx.names.is_task(name) || cx.flow.excuses(name) {
            continue;
        }
        let hint = match cx.names.is_source(name) {
            true => Some(format!("`{name}` is a source, and sources are there before any task")),
            false => name::suggest(name, cx.flow.tasks.keys().map(|name| name.get_ref().as_str())),
        };
        let message = format!("there is no task `{name}`");
        found.push(Diagnostic::error(codes::UNKNOWN_TASK, after.span(), message).maybe_hint(hint));
    }
}

fn inputs(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    for input in &cx.task.inputs {
        dataset(cx, input.get_ref(), &input.span(), found);
    }
}

/// Tells if `name` is no dataset that a task can read: a task that makes one, a source, or `flow.dataset` of another flow.
pub(super) fn dataset(cx: &Context<'_>, name: &str, span: &Span, found: &mut Vec<Diagnostic>) {
    let elsewhere = name
        .split_once('.')
        .is_some_and(|(flow, dataset)| name::problem(flow, true).is_none() && name::problem(dataset, true).is_none());
    if elsewhere || cx.names.is_source(name) || cx.flow.excuses(name) {
        return;
    }
    match cx.flow.task(name) {
        None => {
            let message = format!("there is no task or source `{name}`");
            found
                .push(Diagnostic::error(codes::UNKNOWN_TASK, span.clone(), message).maybe_hint(cx.names.suggest(name)));
        }
        Some(task) if task.get_ref().makes_nothing() && !cx.flow.lost.touches(&["tasks", name]) => {
            let message = format!("task `{name}` makes no dataset");
            let hint = match task.get_ref().kind() {
                Some("command") => {
                    format!("give `{name}` an `output = {{ format = … }}` and a `schema`, or name it in `after`")
                }
                _ => "name it in `after` to wait for it".to_owned(),
            };
            found.push(Diagnostic::error(codes::NO_DATASET, span.clone(), message).hint(hint));
        }
        Some(_) => {}
    }
}

/// Texts that hold placeholders, and what they must not be.
fn texts(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let task = cx.task;
    if let Some(command) = &task.command {
        let program = command.get_ref().first().filter(|program| !program.get_ref().trim().is_empty());
        if program.is_none() && !cx.lost(&["command"]) {
            let hint = "write the program and its arguments, such as `[\"python3\", \"report.py\"]`";
            found.push(
                Diagnostic::error(codes::EMPTY_COMMAND, command.span(), "the command names no program").hint(hint),
            );
        }
        command.get_ref().iter().for_each(|argument| placeholders(cx.flow, argument, found));
    }
    if let Some(file) = &task.sql_file {
        placeholders(cx.flow, file, found);
    }
    for file in task.outputs.values() {
        placeholders(cx.flow, file, found);
        let path = file.get_ref();
        if path.is_empty() || path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..") {
            let message = format!("the artifact `{path}` is not a file in the task's own folder");
            let hint = "name a file that the command leaves in `FLOWCTL_OUTPUT_DIR`";
            found.push(Diagnostic::error(codes::ARTIFACT_PATH, file.span(), message).hint(hint));
        }
    }
}
