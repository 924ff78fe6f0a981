//! Whether a flow makes sense, as far as that can be said without reading data or SQL.

mod assertions;
mod limits;
mod names;
mod outputs;
mod params;
mod settings;
mod sources;
mod tasks;
mod types;

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;
use crate::placeholders::{self, Piece};
use crate::spec::Flow;
use toml::Spanned;

pub use limits::pools;
pub use names::flow_names;

/// Every mistake of a flow that can be seen without reading data or SQL, in the order of the file. `kinds` are the
/// kinds of task that exist. Cycles are left to [`crate::graph::order`], which sees the edges made by SQL as well.
pub fn check(flow: &Flow, kinds: &[&str]) -> Vec<Diagnostic> {
    let mut found = vec![];
    names::check(flow, &mut found);
    settings::check(flow, &mut found);
    limits::check(flow, &mut found);
    params::check(flow, &mut found);
    sources::check(flow, &mut found);
    let names = Names::of(flow);
    for (name, task) in flow.tasks_in_order() {
        let from = found.len();
        let task = tasks::Context { flow, names: &names, kinds, name, task: task.get_ref(), span: task.span() };
        tasks::check(&task, &mut found);
        found[from..].iter_mut().for_each(|diagnostic| diagnostic.task = Some(name.to_owned()));
    }
    found.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
    found
}

/// The mistakes of a flow's schedule alone.
pub fn schedule(flow: &Flow) -> Vec<Diagnostic> {
    let mut found = vec![];
    if let Some(schedule) = &flow.schedule {
        settings::schedule(schedule.get_ref(), &mut found);
    }
    found
}

/// The names of tasks and sources whose text has an error, or could not be read: nothing follows from their absence,
/// their columns are not known, and what reads them should not be blamed for it.
pub fn broken(diagnostics: &[Diagnostic]) -> impl Iterator<Item = &str> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    errors.flat_map(|error| error.task.as_deref().into_iter().chain(error.source.as_deref()))
}

/// The names that a task can refer to.
struct Names<'f> {
    flow: &'f Flow,
    all: Vec<&'f str>,
}

impl<'f> Names<'f> {
    fn of(flow: &'f Flow) -> Self {
        let tasks = flow.tasks.keys().map(|name| name.get_ref().as_str());
        Names { flow, all: tasks.chain(flow.sources.keys().map(|name| name.get_ref().as_str())).collect() }
    }

    fn is_task(&self, name: &str) -> bool {
        self.flow.task(name).is_some()
    }

    fn is_source(&self, name: &str) -> bool {
        self.flow.source(name).is_some()
    }

    /// The hint for a name that is neither.
    fn suggest(&self, name: &str) -> Option<String> {
        name::suggest(name, self.all.iter().copied())
    }
}

/// Tells about placeholders in `text` that name no parameter, and braces that are no placeholders.
fn placeholders(flow: &Flow, text: &Spanned<String>, found: &mut Vec<Diagnostic>) {
    let declared = || flow.params.keys().map(|name| name.get_ref().as_str());
    for piece in placeholders::pieces(text.get_ref()) {
        match piece {
            Piece::Name(name, place) if !declared().any(|declared| declared == name) && !flow.excuses_param(name) => {
                let message = format!("there is no parameter `{name}`");
                let hint = name::nearest(name, declared()).map(|near| format!("did you mean `{{{near}}}`?"));
                let hint = hint.unwrap_or_else(|| {
                    format!("declare it under `[params]`, or write `{{{{{name}}}}}` for literal braces")
                });
                found.push(Diagnostic::error(codes::UNKNOWN_PLACEHOLDER, flow.inside(text, place), message).hint(hint));
            }
            Piece::Stray(place) => {
                let message = format!("`{}` is no placeholder", &text.get_ref()[place.clone()]);
                let hint = "write `{{` and `}}` for literal braces, `{name}` for a parameter";
                found.push(Diagnostic::error(codes::BAD_PLACEHOLDER, flow.inside(text, place), message).hint(hint));
            }
            _ => {}
        }
    }
}

/// Tells about items that are listed twice. `what` they are, in the singular.
fn repeated(items: &[Spanned<String>], what: &str, found: &mut Vec<Diagnostic>) {
    let mut seen = std::collections::BTreeSet::new();
    for item in items.iter().filter(|item| !seen.insert(item.get_ref())) {
        let message = format!("the {what} `{}` is listed twice", item.get_ref());
        found.push(Diagnostic::error(codes::REPEATED, item.span(), message));
    }
}

/// The place of a list of items without a place of its own.
fn span_of(items: &[Spanned<String>]) -> Span {
    let start = items.first().map_or(0, |item| item.span().start);
    start..items.last().map_or(start, |item| item.span().end)
}
